import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rekognition_emulator.wire.lanes import Lanes, PriorityClass


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
        self.lanes = Lanes(2, 3, lambda *told: self.told.append(told))
        self.work = Work()
        self._tasks: list[asyncio.Task[Any]] = []

    async def send(self, priority: PriorityClass, *names: str) -> None:
        """Sends requests that take a slot of a class and then wait for a worker."""
        for name in names:
            self._tasks.append(asyncio.create_task(self.lanes.work(priority, self.work.named(name))))
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
        assert await traffic.work.have_started(2) == ["a1", "a2"]
        await traffic.send(traffic.lanes.interactive, "visitor")
        assert await traffic.work.have_started(3) == ["a1", "a2", "visitor"]
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
        assert [priority.is_full, other.is_full] == [True, False]
        await traffic.finish(*names)
        assert [priority.is_full, other.is_full] == [False, False]
        assert traffic.told[-1] == (0, 0)

    driven(scenario)
