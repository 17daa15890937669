"""Readiness: whether the database answers, asked of it once a second at most, however many want to know."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from starlette.concurrency import run_in_threadpool

KEPT_SECONDS: Final = 1.0
"""For which an answer is given again. Ours: probes of balancers and orchestrators come every few seconds."""


class Readiness:
    """Remembers whether the database answers; to be used on one event loop.

    Args:
        database_answers: asks it, and waits as long as that takes; called in another thread, never twice at a time.
        clock: seconds that never go backwards.
    """

    def __init__(self, database_answers: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._database_answers = database_answers
        self._clock = clock
        self._answer = False
        self._kept_until = float("-inf")
        self._asking = asyncio.Lock()

    async def is_ready(self) -> bool:
        """Returns whether requests can be served; who comes while the database is asked waits for that answer."""
        async with self._asking:
            if self._clock() >= self._kept_until:
                self._answer = await run_in_threadpool(self._database_answers)
                self._kept_until = self._clock() + KEPT_SECONDS
            return self._answer
