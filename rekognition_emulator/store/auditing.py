"""Changes when rows of the audit log that belong to no change are collected, or old ones removed, in another way.

Reads and refusals are many and change nothing. So their rows wait for each other, and a thread writes them each second:
a server that is killed loses those of its last second at most, which are in its other log all the same.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

import structlog
from psycopg_pool import ConnectionPool

from rekognition_emulator.observation import Observation, Observer
from rekognition_emulator.store.audit import Row, append, expire

WRITE_S: Final = 1.0
"""Between two writes."""

ROWS_MAX: Final = 10_000
"""That wait while the database is away; 10 MB. Nearly every operation fails then, and soon there is nothing to add."""

BATCH: Final = 1_000
"""Rows that are written in one transaction."""

EXPIRE_S: Final = 3_600.0
"""Between two looks for rows whose time is over, once there are no more."""

STOP_S: Final = 5.0
"""For the last rows, when the server stops: a database that does not answer holds it up no longer."""

log = structlog.get_logger(__name__)


class AuditLog(Observer):
    """Collects what is to be said of requests that have not said it with their change."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._rows: deque[Row] = deque()
        self._lost = 0
        self._expire_at = time.monotonic()

    def answered(self, observation: Observation) -> None:
        """Keeps a row for the next write; of those whose caller or operation is not known there is none."""
        if observation.account is None or observation.operation is None:
            return
        if observation.is_recorded and observation.error is None:
            return
        if len(self._rows) < ROWS_MAX:
            self._rows.append(Row.of(observation, status=observation.status))
        else:
            self._lost += 1

    @contextmanager
    def followed(self) -> Iterator[Self]:
        """Writes down what is kept, and removes what is too old, until the end."""
        over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(over,), name="audit log", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join(STOP_S)

    def _follow(self, over: threading.Event) -> None:
        ending = False
        while not ending:
            ending = over.wait(WRITE_S)
            try:
                self._write()
                if not ending and time.monotonic() >= self._expire_at and not expire(self._pool):
                    self._expire_at = time.monotonic() + EXPIRE_S
            except Exception as error:  # noqa: BLE001 - whatever the database raises, this thread goes on
                log.warning("the audit log waits", rows=len(self._rows), why=type(error).__name__)

    def _write(self) -> None:
        while self._rows:
            batch = [self._rows[place] for place in range(min(BATCH, len(self._rows)))]
            append(self._pool, batch)
            for _ in batch:
                self._rows.popleft()
        if self._lost:
            log.error("rows are missing in the audit log; the lines of their requests are here", rows=self._lost)
            self._lost = 0
