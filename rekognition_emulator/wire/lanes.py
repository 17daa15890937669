"""Two priority classes of requests over one pool of workers, each with a bounded queue.

Albums are bulk, and everything that somebody waits for is interactive: it may occupy one worker more than albums do. So
a visitor's search waits for other visitors and never for an album, and an album goes on however many visitors come,
since in front of the workers everybody queues in one line.

A pool of its own for each class was refused: one of them would stand idle while the other is overrun.

A request needs a slot of its class, and gets one when its caller is proved and its body complete: so slots are held
only by what is worked on or about to be.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

EXPRESS_WORKERS: Final = 1
"""Beside those that albums may occupy. Ours: most that is interactive mainly waits for the database."""


@dataclass(eq=False)
class PriorityClass:
    """Requests that wait for one another.

    Attributes:
        workers: that its requests may occupy.
        slots: for requests that are worked on or wait for that.
        turns: as many as workers; requests come to them in the order in which they got their slots.
        taken: slots that are not free.
    """

    workers: int
    slots: int
    turns: asyncio.Semaphore
    taken: int = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no slot."""
        return self.taken >= self.slots


class Lanes:
    """The workers and the classes that lead to them; all but the work itself happens on one thread.

    Args:
        workers: that albums may occupy; there is one more.
        queue_max: requests of each class that may wait meanwhile.
        on_change: is told how many requests have a slot, and how many of them wait for a worker.
    """

    def __init__(self, workers: int, queue_max: int, on_change: Callable[[int, int], None]) -> None:
        everybody = workers + EXPRESS_WORKERS
        self._pool = ThreadPoolExecutor(everybody, thread_name_prefix="worker")
        self.bulk = _priority_class(workers, queue_max)
        self.interactive = _priority_class(everybody, queue_max)
        self._on_change = on_change

    async def work(self, priority: PriorityClass, work: Callable[[], T]) -> T:
        """Has a worker do this, in a slot, as soon as it is the request's turn and one is free.

        Whoever calls has seen that the class is not full, and has not awaited anything since.
        """
        assert not priority.is_full, "just looked"
        priority.taken += 1
        self._tell()
        try:
            async with priority.turns:
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            priority.taken -= 1
            self._tell()

    def _tell(self) -> None:
        in_bulk = min(self.bulk.taken, self.bulk.workers)
        in_interactive = min(self.interactive.taken, self.interactive.workers - in_bulk)
        inside = self.bulk.taken + self.interactive.taken
        self._on_change(inside, inside - in_bulk - in_interactive)


def _priority_class(workers: int, queue_max: int) -> PriorityClass:
    return PriorityClass(workers, workers + queue_max, asyncio.Semaphore(workers))
