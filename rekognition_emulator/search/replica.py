"""Searches in a read replica of the database.

A copy (a hot standby, or whatever follows the database) is always a little behind. It is asked for the collection's
revision together with the search, in one round trip, and its answer counts only if it has got as far as the revision
that the caller has just read from the database itself. So a search sees every face whose addition was acknowledged, as
without a copy. Waiting until it has caught up was refused: the database itself can answer now.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Collection

T = TypeVar("T")

CONNECTION_TIMEOUT_S: Final = 0.5
"""For a connection, before the database itself is asked."""

AWAY_S: Final = 5.0
"""After a failure the copy is left alone for so long, rather than keeping every search waiting."""

log = structlog.get_logger(__name__)


class Replica:
    """A copy of the database that may be behind, or away."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._away_until = 0.0
        self._lock = threading.Lock()

    def ask(self, collection: Collection, question: Callable[[Connection[TupleRow]], T]) -> T | None:
        """Returns the copy's answer; None where it is away, or behind the collection's revision."""
        with self._lock:
            if time.monotonic() < self._away_until:
                return None
        try:
            with self._pool.connection(CONNECTION_TIMEOUT_S) as connection, connection.pipeline():
                # Before the question: what it finds is at least as new as this revision.
                revision = connection.execute("SELECT revision FROM collections WHERE id = %s", [collection.key])
                answer = question(connection)
                row = revision.fetchone()
        except psycopg.Error as error:
            log.warning("no answer from the read replica", why=str(error))
            with self._lock:
                self._away_until = time.monotonic() + AWAY_S
            return None
        return answer if row is not None and row[0] >= collection.revision else None
