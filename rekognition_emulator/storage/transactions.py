"""One transaction for the work of several stores.

A transaction belongs to the thread that has begun it: whatever that thread asks of the pool meanwhile joins in. Passing
the connection along instead was refused, because it would show in every method between here and there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.telemetry.observation import stage


class JoiningPool(ConnectionPool):
    """A pool that knows of transactions which span several of its users."""

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[Connection[TupleRow]]:
        """Lends a connection: this thread's own transaction if it is in one, otherwise any."""
        pool, joined = _OPEN.get() or (None, None)
        if joined is not None and pool is self:
            yield joined
        else:
            with stage("store"), super().connection(timeout) as connection:
                yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection[TupleRow]]:
        """Begins a transaction: what this thread does until its end is committed together, or nothing on an error."""
        with self.connection() as connection, connection.transaction():
            earlier = _OPEN.set((self, connection))
            try:
                yield connection
            finally:
                _OPEN.reset(earlier)


_OPEN: Final[ContextVar[tuple[JoiningPool, Connection[TupleRow]] | None]] = ContextVar("open transaction", default=None)
