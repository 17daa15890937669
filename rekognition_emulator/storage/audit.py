"""The audit log in the database: who did what. Every statement on it stands here.

The row of a change is part of the transaction that makes the change: what is done is in the log, and what cannot be
logged is not done. Of a face nothing is kept but the ids of those that were deleted.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.telemetry.observation import Observation, current

KEPT_DAYS: Final = 90
"""How long rows are kept unless the operator says otherwise. Source: the event history of AWS's CloudTrail."""

EXPIRED_AT_ONCE: Final = 10_000
"""Rows that go in one go: 50 ms. A day of a search every tenth of a second is ninety times as much."""

_LOCK: Final = 0x61756474
"""Our number among the database's advisory locks: one server removes rows at a time."""

_APPEND: Final = """
INSERT INTO audit_log (at, kept_until, request_id, account, region, access_key_id, key_name, in_session, operation,
                       collection, subject, status, error, would_be_denied, counts, deleted_faces, times, first_at)
SELECT at, at + make_interval(days => current_setting('rekognition.audit_days')::int), %(request_id)s, %(account)s,
       %(region)s, %(access_key_id)s, %(key_name)s, %(in_session)s, %(operation)s, %(collection)s, %(subject)s,
       %(status)s, %(error)s, %(would_be_denied)s, %(counts)s, %(deleted_faces)s::uuid[], %(times)s,
       %(first_at)s
FROM (SELECT coalesce(%(at)s, clock_timestamp()) AS at) AS moment
"""

# The rows' places are read first: a deletion has no limit of its own.
_EXPIRE: Final = """
DELETE FROM audit_log WHERE ctid = ANY (ARRAY (SELECT ctid FROM audit_log WHERE kept_until <= now() LIMIT %s))
"""

_LIST: Final = """
SELECT at, request_id, account, region, access_key_id, key_name, in_session, operation, collection, subject, status,
       error, would_be_denied, counts, deleted_faces, times, first_at
FROM audit_log
WHERE at >= coalesce(%(since)s, '-infinity'::timestamptz)
AND (%(collection)s::text IS NULL OR collection = %(collection)s)
AND (%(key)s::text IS NULL OR key_name = %(key)s OR access_key_id = %(key)s)
AND (%(operation)s::text IS NULL OR operation = %(operation)s)
ORDER BY at DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A row of the audit log; the columns are explained where the table is made."""

    at: datetime
    request_id: str
    account: str
    region: str | None
    access_key_id: str | None
    key_name: str
    in_session: bool
    operation: str
    collection: str | None
    subject: str | None
    status: int
    error: str | None
    would_be_denied: str | None
    counts: Mapping[str, int]
    deleted_faces: Sequence[UUID] | None
    times: int
    first_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted; None is any, and ``limit`` takes the latest."""

    since: datetime | None = None
    collection: str | None = None
    key: str | None = None
    operation: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class NewAuditRecord:
    """What is to be written of a request, and when it was over, by ``time.monotonic``.

    Attributes:
        times: how many requests it stands for.
        first_over_at: when the first of several was over; None for one.
    """

    columns: Mapping[str, object]
    over_at: float
    times: int = 1
    first_over_at: float | None = None

    @classmethod
    def of(  # noqa: PLR0913 - a row has many columns
        cls,
        actor: Actor,
        observation: Observation,
        *,
        status: int,
        collection: str | None,
        subject: str | None = None,
        counts: Mapping[str, int] | None = None,
        deleted_faces: Sequence[UUID] = (),
    ) -> "NewAuditRecord":
        """Makes the row of what an actor has asked for and what ends now, with this status."""
        found = {name: count for name, count in observation.counts.items() if name.startswith(("faces_", "users_"))}
        columns = {
            "request_id": actor.request_id,
            "account": actor.account,
            "region": actor.region,
            "access_key_id": actor.key_id,
            "key_name": actor.key_name,
            "in_session": actor.in_session,
            "operation": actor.operation,
            "collection": collection,
            "subject": subject,
            "status": status,
            "error": observation.error,
            "would_be_denied": observation.would_be_denied,
            "counts": Jsonb(found | dict(counts or {})),
            "deleted_faces": list(deleted_faces) or None,
        }
        return cls(columns, time.monotonic())


def record(
    connection: Connection[TupleRow],
    actor: Actor,
    *,
    collection: str | None = None,
    subject: str | None = None,
    deleted_faces: Sequence[UUID] = (),
    **counts: int,
) -> None:
    """Adds the row of the change that this transaction makes, to be called at its end.

    Args:
        connection: whose transaction it is.
        actor: who has asked for the change.
        collection: name of the one that is changed; None for what is no collection's.
        subject: what else it is about.
        deleted_faces: ids of faces that go with it.
        counts: of what the change makes, such as faces.
    """
    observation = current()
    row = NewAuditRecord.of(
        actor,
        observation,
        status=200,
        collection=collection,
        subject=subject,
        counts=counts,
        deleted_faces=deleted_faces,
    )
    connection.execute(_APPEND, {**row.columns, "at": None, "times": 1, "first_at": None})
    observation.is_recorded = True


def append(pool: ConnectionPool, rows: Sequence[NewAuditRecord]) -> None:
    """Adds rows of what has changed nothing. They are on the disk some moments later: nobody waits for it."""
    with pool.connection() as connection, connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = off")
        # Times are the database's, so that those of several servers fit together.
        (clock,) = connection.execute("SELECT clock_timestamp()").fetchone() or (None,)
        assert isinstance(clock, datetime)
        started = clock - timedelta(seconds=time.monotonic())
        connection.cursor().executemany(_APPEND, [_parameters(row, started) for row in rows])


def _parameters(row: NewAuditRecord, started: datetime) -> Mapping[str, object]:
    """Returns what is written of a row; ``started`` is when ``time.monotonic`` was 0."""
    first_at = None if row.first_over_at is None else started + timedelta(seconds=row.first_over_at)
    at = started + timedelta(seconds=row.over_at)
    return {**row.columns, "at": at, "times": row.times, "first_at": first_at}


def expire(pool: ConnectionPool) -> bool:
    """Removes some rows whose time is over; returns whether there may be more, for this server to remove."""
    with pool.connection() as connection, connection.transaction():
        mine = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]).fetchone()
        return mine == (True,) and connection.execute(_EXPIRE, [EXPIRED_AT_ONCE]).rowcount == EXPIRED_AT_ONCE


def entries(pool: ConnectionPool, sought: AuditFilter) -> Iterator[AuditRecord]:
    """Yields rows, the latest first."""
    parameters = {
        "since": sought.since,
        "collection": sought.collection,
        "key": sought.key,
        "operation": sought.operation,
        "limit": sought.limit,
    }
    with (
        pool.connection() as connection,
        connection.transaction(),
        connection.cursor("audit", row_factory=class_row(AuditRecord)) as cursor,
    ):
        connection.execute("SET LOCAL statement_timeout = 0")  # nobody waits for it
        cursor.execute(_LIST, parameters)
        yield from cursor
