"""Two priority classes of requests over one pool of workers, each with a bounded queue that accounts share fairly.

Albums are bulk, and everything that somebody waits for is interactive: it may occupy one worker more than albums do. So
a visitor's search waits for other visitors and never for an album, and an album goes on however many visitors come,
since in front of the workers an account's two classes take turns. Accounts share the workers by the time that they use
them, and the queue by what they have in it (``fair_queue``): none waits for all that another has sent. Of one account,
too, a few images that are slow to decode keep none of its visitors waiting; those beyond a few are refused.

A pool of its own for each class was refused: one of them would stand idle while the other is overrun.

A request needs a slot of its class, and gets one when its caller is proved and its body complete: so slots are held
only by what is worked on or about to be.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from rekognition_emulator.fair_queue import FairQueue, Slot

T = TypeVar("T")

INTERACTIVE_WORKERS: Final = 1
"""Beside those that albums may occupy. Ours: most that is interactive mainly waits for the database."""


@dataclass(eq=False)
class PriorityClass:
    """Requests that wait for one another.

    Attributes:
        name: of the class.
        workers: that its requests may occupy.
        taken: how many requests are worked on or wait for that.
    """

    name: str
    workers: int
    taken: int = 0


class Slots:
    """The workers and the classes that lead to them; all but the work itself happens on one thread.

    Args:
        workers: that albums may occupy; there is one more.
        queue_max: requests of each class that may wait meanwhile.
        on_change: is told how many requests have a slot, and how many of them wait for a worker.
    """

    def __init__(self, workers: int, queue_max: int, on_change: Callable[[int, int], None]) -> None:
        everybody = workers + INTERACTIVE_WORKERS
        self.bulk = PriorityClass("bulk", workers)
        self.interactive = PriorityClass("interactive", everybody)
        classes = (self.bulk, self.interactive)
        limits = {each.name: each.workers for each in classes}
        self._workers = FairQueue(everybody, limits, queue_max, impatient={self.interactive.name})
        # A thread for each request: more than there are workers are alive only where some have set their slots aside.
        self._pool = ThreadPoolExecutor(sum(each.workers + queue_max for each in classes), thread_name_prefix="worker")
        self._on_change = on_change

    def has_room(self, priority: PriorityClass, account: str) -> bool:
        """Returns whether a request of this account would get a slot now, if need be in place of another's."""
        return self._workers.has_room(account, priority.name)

    async def work(self, priority: PriorityClass, account: str, work: Callable[[], T]) -> T:
        """Has a worker do this, in a slot, as soon as it is the account's turn and a worker is free.

        Raises:
            QueueFull: there is no slot, or it had to be left to an account with fewer.
        """
        priority.taken += 1
        self._tell()
        try:
            async with self._workers.slot(account, priority.name) as slot:
                return await asyncio.get_running_loop().run_in_executor(self._pool, _in_slot, slot, work)
        finally:
            priority.taken -= 1
            self._tell()

    def _tell(self) -> None:
        in_bulk = min(self.bulk.taken, self.bulk.workers)
        in_interactive = min(self.interactive.taken, self.interactive.workers - in_bulk)
        inside = self.bulk.taken + self.interactive.taken
        self._on_change(inside, inside - in_bulk - in_interactive)


def _in_slot(slot: Slot, work: Callable[[], T]) -> T:
    with slot.in_thread():
        return work()
