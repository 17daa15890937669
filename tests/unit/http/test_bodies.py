import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from rekognition_emulator.http import bodies
from rekognition_emulator.http.bodies import BodyBudget, BodyDropped, BodyTooSlow, Share

VICTIM = ("AKIAVICTIM", "127.0.0.1")
KB = 1000


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time passes only while it would sleep, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        selector: Any = self._selector  # type: ignore[attr-defined] # its own
        select = selector.select

        def skip(timeout: float | None) -> Any:
            self._now += timeout or 0
            return select(0)

        selector.select = skip

    def time(self) -> float:
        """Its time."""
        return self._now


class Sender:
    """Sends one body, a chunk at a time as the network has it, and remembers how that ended."""

    def __init__(self, budget: BodyBudget, share: Share, length: int) -> None:
        self.outcome: str | None = None
        self.brought = 0
        self._budget, self._share, self._length = budget, share, length
        self._network: asyncio.Queue[int] = asyncio.Queue()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with self._budget.arriving(self._share, self._length) as body:
                while body.received < self._length:
                    chunk = await self._network.get()
                    self.brought += chunk
                    await self._budget.received(body, chunk, is_last=self.brought == self._length)
            self.outcome = "complete"
        except BodyDropped:
            self.outcome = "dropped"
        except BodyTooSlow:
            self.outcome = "too slow"

    def bring(self, length: int) -> None:
        """Has so many bytes come."""
        self._network.put_nowait(length)

    async def stream(self, rate: float, step: float = 0.02) -> None:
        """Has bytes come at a rate, until the body is complete or refused; a client waits while nobody reads."""
        sent = 0
        while not self.task.done() and sent < self._length:
            if self._network.empty():
                chunk = min(int(rate * step), self._length - sent)
                sent += chunk
                self.bring(chunk)
            await asyncio.sleep(step)
        await self.task


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the memory and of the patience: a test should not take long."""
    monkeypatch.setattr(bodies, "HELD_BYTES_MAX", 1000 * KB)
    monkeypatch.setattr(bodies, "RESERVE_BYTES", 500 * KB)
    monkeypatch.setattr(bodies, "BEHIND_SECONDS_MAX", 0.2)


def driven(scenario: Callable[[BodyBudget], Awaitable[Any]]) -> None:
    """Runs a scenario, after which nothing may be left in the budget."""

    async def drive() -> None:
        budget = BodyBudget()
        others = asyncio.all_tasks()
        try:
            await scenario(budget)
        finally:
            for task in asyncio.all_tasks() - others:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        assert budget.held == 0

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(drive())


def test_what_is_announced_takes_nothing() -> None:
    """Thousands that announce megabytes and send a byte leave all the room to one that sends."""

    async def scenario(budget: BodyBudget) -> None:
        crowd = [Sender(budget, VICTIM, 5000 * KB) for _ in range(2000)]
        for each in crowd:
            each.bring(1)
        honest = Sender(budget, VICTIM, 900 * KB)
        await honest.stream(20_000 * KB)
        assert honest.outcome == "complete"
        assert budget.held == len(crowd)

    driven(scenario)


def test_who_stands_goes_when_memory_is_full_and_who_sends_gets_through() -> None:
    """Though all say that they are one and the same, and those that stand came first and brought more."""

    async def scenario(budget: BodyBudget) -> None:
        crowd = [Sender(budget, VICTIM, 500 * KB) for _ in range(40)]
        for each in crowd:
            each.bring(30 * KB)  # 1,200 kB in all
        honest = [Sender(budget, VICTIM, 490 * KB) for _ in range(4)]
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, budget.held)
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(each.stream(2000 * KB) for each in honest))
        watching.cancel()
        assert [each.outcome for each in honest] == ["complete"] * 4
        assert any(each.outcome == "dropped" for each in crowd)
        assert {each.outcome for each in crowd} <= {"dropped", None}
        reads = (40 - 33) * 30 * KB + 4 * 40 * KB  # of those that came when it was full, before they had to wait
        assert most <= bodies.HELD_BYTES_MAX + bodies.RESERVE_BYTES + reads

    driven(scenario)


def test_many_that_keep_up_all_get_through() -> None:
    """Four times as much as there is memory for, at once: they wait for one another, and nobody is dropped."""

    async def scenario(budget: BodyBudget) -> None:
        crowd = [Sender(budget, VICTIM, 400 * KB) for _ in range(10)]
        most = 0

        async def send(each: Sender) -> None:
            nonlocal most
            await each.stream(1000 * KB)
            most = max(most, budget.held)

        await asyncio.gather(*(send(each) for each in crowd))
        assert [each.outcome for each in crowd] == ["complete"] * 10
        assert most <= bodies.HELD_BYTES_MAX + bodies.RESERVE_BYTES + len(crowd) * 20 * KB  # a chunk each

    driven(scenario)


def test_the_largest_share_is_trimmed_first() -> None:
    """A slow body of somebody else stays as long as a heap of one claimant is left, from wherever it is sent."""

    async def scenario(budget: BodyBudget) -> None:
        slow = Sender(budget, ("AKIASLOW", "10.0.0.2"), 100 * KB)
        slow.bring(1 * KB)
        await asyncio.sleep(0.1)
        heap = [Sender(budget, ("AKIAHEAP", "10.0.0.3"), 100 * KB) for _ in range(24)]
        for each in heap:
            each.bring(40 * KB)
        for _ in range(30):
            await asyncio.sleep(0.03)
            heap.append(Sender(budget, ("AKIAHEAP", "10.0.0.3"), 100 * KB))
            heap[-1].bring(40 * KB)
        assert slow.outcome is None
        assert sum(each.outcome == "dropped" for each in heap) > 10

    driven(scenario)


def test_a_body_has_to_keep_to_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much memory there is: after a grace, each second has to be earned."""
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "LEAST_RATE", 100 * KB)

    async def scenario(budget: BodyBudget) -> None:
        silent, slow, keeping = (Sender(budget, VICTIM, 60 * KB) for _ in range(3))
        await asyncio.gather(slow.stream(50 * KB), keeping.stream(100 * KB), silent.task)
        assert (silent.outcome, slow.outcome, keeping.outcome) == ("too slow", "too slow", "complete")

    driven(scenario)


def test_no_body_takes_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its rate."""
    monkeypatch.setattr(bodies, "SECONDS_MAX", 0.3)

    async def scenario(budget: BodyBudget) -> None:
        long = Sender(budget, VICTIM, 10_000 * KB)
        await long.stream(900 * KB)
        assert long.outcome == "too slow"

    driven(scenario)
