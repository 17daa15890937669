"""Readiness: whether the database answers, asked of it once a second at most, however many want to know."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from starlette.concurrency import run_in_threadpool

KEPT_SECONDS: Final = 1.0
"""For which an answer is given again. Ours: probes of balancers and orchestrators come every few seconds."""

ANSWER_SECONDS: Final = 2.0
"""For which an answer is waited for. Ours: probes give up after one to five seconds, and hear nothing then."""


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
        self._question: asyncio.Future[bool] | None = None

    async def is_ready(self) -> bool:
        """Returns whether requests can be served; who comes while the database is asked waits for that answer.

        A database that says nothing for ``ANSWER_SECONDS`` does not serve; it is not asked again before it has spoken.
        """
        async with self._asking:
            if self._clock() >= self._kept_until:
                question = self._question or asyncio.ensure_future(run_in_threadpool(self._database_answers))
                answered, _ = await asyncio.wait({question}, timeout=ANSWER_SECONDS)
                self._question = None if answered else question
                self._answer = bool(answered) and question.result()
                self._kept_until = self._clock() + KEPT_SECONDS
            return self._answer
