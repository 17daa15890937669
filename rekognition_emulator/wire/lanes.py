"""Changes when it is decided in another way which requests wait for which.

Two lanes lead to the same workers. Albums take the broad one, and everything that somebody waits for takes the express
lane: one worker more than albums may occupy. So a visitor's search waits for other visitors and never for an album, and
an album goes on however many visitors come, since in front of the workers everybody queues in one line.

A pool of its own for each lane was refused: one of them would stand idle while the other is overrun.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

EXPRESS_WORKERS: Final = 1
"""Beside those that albums may occupy. Ours: most that comes by this lane mainly waits for the database."""


@dataclass(eq=False)
class Lane:
    """Where requests wait for one another.

    Attributes:
        workers: that its requests may occupy.
        places: for requests that are inside, from before their bodies are read.
        turns: as many as workers; requests come to them in the order in which their bodies were complete.
        handed_over: requests whose bodies are complete.
    """

    workers: int
    places: asyncio.Semaphore
    turns: asyncio.Semaphore
    handed_over: int = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no place."""
        return self.places.locked()


class Lanes:
    """The workers and the lanes that lead to them; all but the work itself happens on one thread.

    Args:
        workers: that albums may occupy; there is one more.
        queue_max: requests of each lane that may be read or wait meanwhile.
        on_change: is told how many requests are inside, and how many of them wait for a worker.
    """

    def __init__(self, workers: int, queue_max: int, on_change: Callable[[int, int], None]) -> None:
        everybody = workers + EXPRESS_WORKERS
        self._pool = ThreadPoolExecutor(everybody, thread_name_prefix="worker")
        self.broad = _lane(workers, queue_max)
        self.express = _lane(everybody, queue_max)
        self._on_change = on_change
        self._inside = 0

    @asynccontextmanager
    async def place(self, lane: Lane) -> AsyncIterator[None]:
        """Holds one of the lane's places."""
        async with lane.places:
            self._inside += 1
            self._tell()
            try:
                yield
            finally:
                self._inside -= 1
                self._tell()

    async def work(self, lane: Lane, work: Callable[[], T]) -> T:
        """Has a worker do this, as soon as it is the request's turn and one is free."""
        lane.handed_over += 1
        self._tell()
        try:
            async with lane.turns:
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            lane.handed_over -= 1

    def _tell(self) -> None:
        in_broad = min(self.broad.handed_over, self.broad.workers)
        in_express = min(self.express.handed_over, self.express.workers - in_broad)
        waiting = self.broad.handed_over + self.express.handed_over - in_broad - in_express
        self._on_change(self._inside, waiting)


def _lane(workers: int, queue_max: int) -> Lane:
    return Lane(workers, asyncio.Semaphore(workers + queue_max), asyncio.Semaphore(workers))
