import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rekognition_emulator.domain.errors import PicturesTooMany
from rekognition_emulator.fair_queue import ASIDE_MAX, FairQueue
from rekognition_emulator.http.slots import PriorityClass, Slots
from rekognition_emulator.imaging import image
from rekognition_emulator.imaging.header import Outline
from tests.support.bombs import header, png, rows


class Work:
    """Works that start, and then wait until they are let go."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self._start = threading.Condition()
        self._ends: dict[str, threading.Event] = {}

    def named(self, name: str) -> Callable[[], str]:
        """Returns one."""
        end = self._ends[name] = threading.Event()

        def work() -> str:
            with self._start:
                self.started.append(name)
                self._start.notify_all()
            assert end.wait(10)
            return name

        return work

    async def have_started(self, count: int) -> list[str]:
        """Waits until so many have, and returns all that have."""

        def wait() -> list[str]:
            with self._start:
                assert self._start.wait_for(lambda: len(self.started) >= count, 10)
                return list(self.started)

        return await asyncio.to_thread(wait)

    def let_go(self, *names: str) -> None:
        """Ends these."""
        for name in names:
            self._ends[name].set()


class Traffic:
    """Classes with two workers for albums, and what has been sent there."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.lanes = Slots(2, 3, lambda *told: self.told.append(told))
        self.work = Work()
        self._tasks: list[asyncio.Task[Any]] = []

    async def send(self, priority: PriorityClass, *names: str, account: str = "somebody") -> None:
        """Sends requests that take a slot of a class and then wait for a worker."""
        for name in names:
            self._tasks.append(asyncio.create_task(self.lanes.work(priority, account, self.work.named(name))))
        await asyncio.sleep(0)  # each takes its slot

    async def finish(self, *names: str) -> None:
        """Lets all go that have not been, and waits for everything."""
        self.work.let_go(*names)
        await asyncio.gather(*self._tasks)


def driven(scenario: Callable[[Traffic], Any]) -> None:
    """Runs a scenario."""

    async def drive() -> None:
        await scenario(Traffic())

    asyncio.run(drive())


def test_albums_leave_a_worker_to_others() -> None:
    """However many of an album wait, the first that is none of it starts at once."""

    async def scenario(traffic: Traffic) -> None:
        await traffic.send(traffic.lanes.bulk, "a1", "a2", "a3", "a4")
        assert sorted(await traffic.work.have_started(2)) == ["a1", "a2"]
        await traffic.send(traffic.lanes.interactive, "visitor")
        assert sorted(await traffic.work.have_started(3)) == ["a1", "a2", "visitor"]
        assert traffic.told[-1] == (5, 2)
        await traffic.finish("a1", "a2", "a3", "a4", "visitor")

    driven(scenario)


def test_visitors_take_all_workers_where_there_is_no_album() -> None:
    """None stands idle while somebody waits."""

    async def scenario(traffic: Traffic) -> None:
        await traffic.send(traffic.lanes.interactive, "v1", "v2", "v3", "v4")
        assert sorted(await traffic.work.have_started(3)) == ["v1", "v2", "v3"]
        assert traffic.told[-1] == (4, 1)
        await traffic.finish("v1", "v2", "v3", "v4")

    driven(scenario)


def test_an_album_goes_on_among_visitors() -> None:
    """Its request starts before visitors that came after it."""

    async def scenario(traffic: Traffic) -> None:
        await traffic.send(traffic.lanes.interactive, "v1", "v2", "v3")
        await traffic.work.have_started(3)
        await traffic.send(traffic.lanes.bulk, "album")
        await traffic.send(traffic.lanes.interactive, "v4", "v5")
        traffic.work.let_go("v1")
        assert (await traffic.work.have_started(4))[3] == "album"
        await traffic.finish("v2", "v3", "v4", "v5", "album")

    driven(scenario)


@pytest.mark.parametrize(("taken", "free"), [("bulk", "interactive"), ("interactive", "bulk")])
def test_a_full_class_leaves_the_other_open(taken: str, free: str) -> None:
    """Slots are the class's own, and come back."""

    async def scenario(traffic: Traffic) -> None:
        priority: PriorityClass = getattr(traffic.lanes, taken)
        other: PriorityClass = getattr(traffic.lanes, free)
        names = [f"r{number}" for number in range(priority.workers + 3)]
        await traffic.send(priority, *names)
        assert [traffic.lanes.has_room(each, "somebody") for each in (priority, other)] == [False, True]
        assert traffic.lanes.has_room(priority, "another"), "one account cannot fill it"
        await traffic.finish(*names)
        assert [traffic.lanes.has_room(each, "somebody") for each in (priority, other)] == [True, True]
        assert traffic.told[-1] == (0, 0)

    driven(scenario)


class Decoders:
    """Decodes pictures for accounts in lanes; each large one takes until the test lets it end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns: list[str] = []
        self._alone = FairQueue(1)
        self._turn = threading.Semaphore(0)
        self._load = image._load
        self._pictures = {side: png(header(side, side), rows(side, side)) for side in (80, 81)}
        self._lanes = Slots(2, 64, lambda *_: None)
        monkeypatch.setattr(image, "STORED_BYTES_ALONE", 80 * 80 * 4)
        monkeypatch.setattr(image, "_alone", self._alone)
        monkeypatch.setattr(image, "_load", self._load_in_turn)

    def _load_in_turn(self, known: Outline) -> Any:
        if known.width_px > 80:
            self.turns.append(threading.current_thread().name)
            assert self._turn.acquire(timeout=10)
        return self._load(known)

    def send(self, account: str, side: int, priority: str = "bulk") -> "asyncio.Task[str]":
        """Sends a picture of this side."""

        def work() -> str:
            threading.current_thread().name = account
            image.decode(self._pictures[side])
            return account

        return asyncio.create_task(self._lanes.work(getattr(self._lanes, priority), account, work))

    async def begun(self, count: int) -> None:
        """Waits until so many large ones have been begun."""
        while len(self.turns) < count:  # noqa: ASYNC110 # threads do not know of the loop
            await asyncio.sleep(0.001)

    async def waits(self, account: str) -> None:
        """Waits until the account has a large one in the line."""
        while account not in self._alone._accounts:  # noqa: ASYNC110 # likewise
            await asyncio.sleep(0.001)

    def end_one(self) -> None:
        """Lets a large one end."""
        self._turn.release()


def test_costly_pictures_of_one_account_keep_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen that one account sends, another's ordinary picture waits for none, and its own costly one for one."""

    async def scenario() -> None:
        decoders = Decoders(monkeypatch)
        costly = [decoders.send("attacker", 81) for _ in range(16)]
        await decoders.begun(1)
        for _ in range(5):
            assert await decoders.send("other", 80) == "other"
        assert decoders.turns == ["attacker"]
        waiting = decoders.send("other", 81)
        await decoders.waits("other")
        for _ in range(17):
            decoders.end_one()
        await waiting
        await asyncio.gather(*costly)
        assert decoders.turns[:2] == ["attacker", "other"]
        assert decoders.turns.count("attacker") == 16

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_costly_selfies_keep_no_other_visitor_of_their_account_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is decoded and three wait; the others are told to come again, and an ordinary selfie is served meanwhile."""

    async def scenario() -> None:
        decoders = Decoders(monkeypatch)
        costly = [decoders.send("party", 81, "interactive") for _ in range(16)]
        refused, waiting = await asyncio.wait(costly, timeout=1)
        assert {type(each.exception()) for each in refused} == {PicturesTooMany}
        assert len(waiting) == 1 + ASIDE_MAX
        for _ in range(5):
            assert await decoders.send("party", 80, "interactive") == "party"
        assert decoders.turns == ["party"]
        for _ in waiting:
            decoders.end_one()
        await asyncio.gather(*waiting)

    asyncio.run(asyncio.wait_for(scenario(), 30))
