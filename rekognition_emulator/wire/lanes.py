"""Changes when it is decided in another way which requests wait for which.

Two lanes lead to the same workers. Albums take the broad one, and everything that somebody waits for takes the express
lane: one worker more than albums may occupy. So a visitor's search waits for other visitors and never for an album, and
an album goes on however many visitors come, since in front of the workers an account's two lanes take turns. Accounts
share the workers by the time that they hold them (``fair_queue``), so that none waits for all that another has sent.

A pool of its own for each lane was refused: one of them would stand idle while the other is overrun.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from rekognition_emulator.fair_queue import FairQueue, Slot

T = TypeVar("T")

EXPRESS_WORKERS: Final = 1
"""Beside those that albums may occupy. Ours: most that comes by this lane mainly waits for the database."""


@dataclass(eq=False)
class Lane:
    """Where requests wait for one another.

    Attributes:
        name: of the lane.
        workers: that its requests may occupy.
        places: for requests that are inside, from before their bodies are read.
        handed_over: requests whose bodies are complete.
    """

    name: str
    workers: int
    places: asyncio.Semaphore
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
        self.broad = Lane("broad", workers, asyncio.Semaphore(workers + queue_max))
        self.express = Lane("express", everybody, asyncio.Semaphore(everybody + queue_max))
        self._workers = FairQueue(everybody, {lane.name: lane.workers for lane in (self.broad, self.express)})
        # A thread for each request: more than there are workers are alive only where some have set their slots aside.
        self._pool = ThreadPoolExecutor(everybody + workers + 2 * queue_max, thread_name_prefix="worker")
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

    async def work(self, lane: Lane, account: str, work: Callable[[], T]) -> T:
        """Has a worker do this, as soon as it is the account's turn and one is free."""
        lane.handed_over += 1
        self._tell()
        try:
            async with self._workers.slot(account, lane.name) as slot:
                return await asyncio.get_running_loop().run_in_executor(self._pool, _in_slot, slot, work)
        finally:
            lane.handed_over -= 1

    def _tell(self) -> None:
        in_broad = min(self.broad.handed_over, self.broad.workers)
        in_express = min(self.express.handed_over, self.express.workers - in_broad)
        waiting = self.broad.handed_over + self.express.handed_over - in_broad - in_express
        self._on_change(self._inside, waiting)


def _in_slot(slot: Slot, work: Callable[[], T]) -> T:
    with slot.in_thread():
        return work()
