import asyncio
import threading
from collections.abc import Callable, Container, Coroutine
from typing import Any

import pytest

from rekognition_emulator.fair_queue import ASIDE_MAX, FairQueue, QueueFull, Slot


class Office:
    """A queue with a clock that only the test moves, and requests that hold a slot until the test ends them."""

    def __init__(
        self,
        slots: int,
        limits: dict[str, int] | None = None,
        waiting_max: int | None = None,
        impatient: Container[str] = (),
    ) -> None:
        self.now = 0.0
        self.queue = FairQueue(slots, limits, waiting_max, impatient, clock=lambda: self.now)
        self.begun: list[str] = []
        self.refused: list[str] = []
        self.slots: dict[str, Slot] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def send(self, *names: str, kind: str = "") -> None:
        """Sends requests; the account is the name's first letter."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._request(name, kind))
        await settled()

    async def _request(self, name: str, kind: str) -> None:
        try:
            async with self.queue.slot(name[0], kind) as slot:
                self.slots[name] = slot
                self.begun.append(name)
                await self._ends[name].wait()
        except QueueFull:
            self.refused.append(name)

    async def end(self, *names: str, after: float = 0.0) -> None:
        """Ends requests when so much time has gone by."""
        self.now += after
        for name in names:
            self._ends[name].set()
        await settled()


async def settled() -> None:
    """Lets everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what threads do."""
    while not condition():  # noqa: ASYNC110 # they do not know of the loop
        await asyncio.sleep(0.001)


def driven(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a scenario in a loop of its own."""
    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_an_account_waits_for_its_turn_and_not_for_a_queue() -> None:
    """However much one account has sent, another begins when the first slot is free."""

    async def scenario() -> None:
        office = Office(2)
        await office.send(*[f"a{number}" for number in range(16)])
        await office.send("b0")
        await office.end("a0", after=9)
        assert office.begun == ["a0", "a1", "b0"]

    driven(scenario)


def test_time_counts_and_not_the_number_of_requests() -> None:
    """Beside an account whose requests take nine seconds, one whose take one has nine turns for each of them."""

    async def scenario() -> None:
        office = Office(1)
        await office.send("a0", "a1", "a2")
        await office.send(*[f"b{number}" for number in range(20)])
        await office.end("a0", after=9)
        for number in range(18):
            await office.end(*[name for name in office.begun if name == f"b{number}"], after=1)
        assert office.begun == ["a0", *[f"b{number}" for number in range(9)], "a1"]

    driven(scenario)


def test_time_that_is_being_used_counts_already() -> None:
    """One long request at work is no reason to get the next slot as well."""

    async def scenario() -> None:
        office = Office(2)
        await office.send("a0", "c0")
        await office.end("c0", after=3)
        await office.send("b0", "a1", "b1")
        await office.end("b0", after=2)
        assert office.begun == ["a0", "c0", "b0", "b1"]

    driven(scenario)


def test_nothing_is_saved_up() -> None:
    """Who comes late shares from then on, and does not get what others used before."""

    async def scenario() -> None:
        office = Office(1)
        await office.send("a0", "a1", "a2", "a3")
        await office.end("a0", after=100)
        await office.send("b0", "b1")
        await office.end("a1", after=1)
        await office.end("b0", after=2)
        assert office.begun == ["a0", "a1", "b0", "a2"]

    driven(scenario)


def test_who_has_used_more_cannot_begin_again_by_leaving() -> None:
    """An account that sends one request after the other is no newcomer each time."""

    async def scenario() -> None:
        office = Office(1)
        await office.send("a0", "b0", "b1")
        await office.end("a0", after=9)
        await office.send("a1")
        await office.end("b0", after=1)
        assert office.begun == ["a0", "b0", "b1"]

    driven(scenario)


def test_kinds_of_work_have_limits_and_take_turns() -> None:
    """A kind holds no more slots than it may, and within an account neither kind waits for all of the other."""

    async def scenario() -> None:
        office = Office(3, {"bulk": 2})
        await office.send("a0", "a1", "a2", kind="bulk")
        await office.send("a3", "a4", "a5")
        assert office.begun == ["a0", "a1", "a3"]
        await office.end("a0")
        assert office.begun[3:] == ["a2"]
        await office.end("a1")
        assert office.begun[4:] == ["a4"]

    driven(scenario)


def test_a_full_queue_sends_away_the_newest_of_whoever_has_most_in_it() -> None:
    """One account cannot fill it, and another's request is never refused while there is more of somebody else."""

    async def scenario() -> None:
        office = Office(1, waiting_max=4)
        await office.send(*[f"a{number}" for number in range(6)])
        assert office.refused == ["a5"]
        await office.send("b0", "b1")
        assert office.refused == ["a5", "a4", "a3"]
        await office.send("b2")
        assert office.refused == ["a5", "a4", "a3", "b2"]
        assert [office.queue.has_room(name) for name in "abc"] == [False, False, True]
        await office.send("c0")
        assert len(office.refused) == 5
        assert "c0" not in office.refused

    driven(scenario)


def test_what_is_set_aside_fills_the_queue_as_well() -> None:
    """A thread waits for each, and there is a thread for no more than may be in the queue."""

    async def scenario() -> None:
        office = Office(1, waiting_max=2)
        scarce = Scarce(office)
        with scarce.queue.slot_in_thread(1):
            for name in ("a0", "b0", "c0"):
                await office.send(name)
                await scarce.want(name)
            await settled()
            assert not office.queue.has_room("d")
            await office.send("d0")
            assert office.refused == ["d0"]
        for name in ("a0", "b0", "c0"):
            await scarce.end(name)
            await office.end(name)
        assert office.queue.has_room("d")

    driven(scenario)


def test_who_goes_away_gives_everything_back() -> None:
    """A request that is cancelled, at work or waiting, leaves its slot or its place."""

    async def scenario() -> None:
        office = Office(1)
        await office.send("a0", "a1", "b0")
        office.tasks["a1"].cancel()
        await settled()
        office.tasks["a0"].cancel()
        await settled()
        assert office.begun == ["a0", "b0"]
        await office.end("b0")
        assert office.queue._accounts == {}

    driven(scenario)


class Scarce:
    """Something that one thread may have at a time, and threads that want it; each works in a slot of an office."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.queue = FairQueue(1)
        self.had: list[str] = []
        self.failed: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._threads: dict[str, asyncio.Task[None]] = {}

    async def want(self, *names: str, timeout_s: float = 10) -> None:
        """Has the thread of each request wait for it."""
        for name in names:
            self._ends[name] = threading.Event()
            wanted = asyncio.to_thread(self._want, name, timeout_s)
            self._threads[name] = asyncio.create_task(wanted)
            slot = self.office.slots[name]
            await until(lambda slot=slot, name=name: name in self.had + self.failed or slot.is_aside)  # type: ignore[misc]

    def _want(self, name: str, timeout_s: float) -> None:
        with self.office.slots[name].in_thread():
            try:
                with self.queue.slot_in_thread(timeout_s):
                    self.had.append(name)
                    assert self._ends[name].wait(10)
            except (TimeoutError, QueueFull):
                self.failed.append(name)

    async def end(self, *names: str) -> None:
        """Ends these, and waits for their threads."""
        for name in names:
            self._ends[name].set()
            await self._threads[name]


def test_whoever_waits_for_something_else_holds_no_slot() -> None:
    """Two slots and one thing that is scarce: who waits for it lets others work, and goes on as soon as it can."""

    async def scenario() -> None:
        office = Office(2)
        scarce = Scarce(office)
        await office.send("a0", "a1", "b0", "b1", "b2")
        await scarce.want("a0", "a1")
        await until(lambda: office.begun[2:] == ["b0"])
        await scarce.end("a0")
        assert "a1" not in scarce.had  # it has the thing, and waits for the next free slot
        await until(lambda: bool(office.queue._returning))
        await office.end("b0")
        await until(lambda: scarce.had == ["a0", "a1"])
        assert office.begun == ["a0", "a1", "b0"]  # b1 was there before, but a1 had begun
        await scarce.end("a1")

    driven(scenario)


def test_an_account_sets_aside_a_bounded_number() -> None:
    """What waits half-done is bounded: beyond that an account gets no slot, and others go on."""

    async def scenario() -> None:
        office = Office(1)
        scarce = Scarce(office)
        with scarce.queue.slot_in_thread(1):
            names = [f"a{number}" for number in range(ASIDE_MAX + 2)]
            await office.send(*names)
            for name in names[:ASIDE_MAX]:
                assert name in office.begun
                await scarce.want(name)
                await settled()
            await settled()
            assert office.begun == names[:ASIDE_MAX]
            await office.send("b0")
            assert office.begun[ASIDE_MAX:] == ["b0"]
            await office.end("b0")
            await office.end(*names)  # nobody waits for them any more, though their threads do
        await scarce.end(*names[:ASIDE_MAX])
        assert office.begun == [*names[:ASIDE_MAX], "b0", *names[ASIDE_MAX:]]

    driven(scenario)


def test_impatient_work_is_refused_rather_than_set_aside_and_keeps_no_other_of_its_account_waiting() -> None:
    """Beyond what may wait half-done one is told so, still in its slot; what needs nothing scarce begins at once."""

    async def scenario() -> None:
        office = Office(2, impatient={"visit"})
        scarce = Scarce(office)
        with scarce.queue.slot_in_thread(1):
            names = [f"a{number}" for number in range(ASIDE_MAX + 1)]
            for name in names:
                await office.send(name, kind="visit")
                await scarce.want(name)
            assert scarce.failed == names[ASIDE_MAX:]
            await office.end(*names[ASIDE_MAX:])
            await office.send("a9", kind="visit")
            assert office.begun == [*names, "a9"]
        for name in names[:ASIDE_MAX]:
            await scarce.end(name)
            await office.end(name)
        await office.end("a9")
        assert office.queue._accounts == {}
        assert scarce.queue._accounts == {}

    driven(scenario)


def test_waiting_ends() -> None:
    """Who waits too long is told, back in its slot; a slot that is over by then takes none from others."""

    async def scenario() -> None:
        office = Office(1)
        scarce = Scarce(office)
        with scarce.queue.slot_in_thread(1):
            await office.send("a0")
            await scarce.want("a0", timeout_s=0.01)
            await scarce.end("a0")
            assert scarce.failed == ["a0"]
            assert office.slots["a0"].account.aside.total() == 0
            await scarce.want("a0", timeout_s=0.2)
            office.tasks["a0"].cancel()
            await scarce.end("a0")
        await office.send("b0")
        assert office.begun == ["a0", "b0"]

    driven(scenario)


def test_work_for_nobody_waits_as_it_is() -> None:
    """A command has no slot that it could set aside."""
    queue = FairQueue(1)
    with queue.slot_in_thread(1), pytest.raises(TimeoutError), queue.slot_in_thread(0.01):
        raise AssertionError
    with queue.slot_in_thread(0):
        pass
