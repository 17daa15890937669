"""Removes what deletions leave behind, in PostgreSQL and in our own files.

A deleted row is out of reach at once, and its bytes stay: on its page until that is used again, in the log of changes
until that is written over, in the planner's samples of columns. So the tables are written anew, the samples taken anew,
and the log is written through to its end. A plain VACUUM was refused: it leaves rows that it removes where they are
until others take their place.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.integrity import TABLES
from rekognition_emulator.storage.postgres import PostgresStore

WRITTEN_ANEW: Final = (*TABLES, "collections", "deleted_collections", "answers", "access_keys")
"""All tables from which rows go, but the audit log, which has nothing of faces."""

SNAPSHOTS_S: Final = 60.0
"""For transactions that began before: PostgreSQL keeps for them what they may still see."""

PAUSE_S: Final = 0.1

LOCK_TIMEOUT: Final = "5s"
"""For those who use a table. Whoever comes meanwhile waits behind us, and requests give up after ten seconds."""

MEMORY: Final = "2GB"
"""For each graph that is made anew, as far as it needs it: enough for a million faces of 512 dimensions."""

CLEARING_VERSION_MIN: Final = 18
"""From here on PostgreSQL has a function that drops its samples of a column. Before, those of a table that is empty now
stay until it is analysed with rows in it."""

Progress = Callable[[str], None]
"""(what is done next) → None."""

_OLDER: Final = """
SELECT (
    SELECT count(*) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND coalesce(datname, current_database()) = current_database()
    AND age(backend_xmin) > age(%(xid)s::text::xid)
) + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())
  + (SELECT count(*) FROM pg_replication_slots WHERE age(xmin) > age(%(xid)s::text::xid))
"""

_SAMPLES: Final = """
SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited) FROM pg_stats
WHERE schemaname = current_schema() AND tablename IN (
    SELECT relname FROM pg_class WHERE oid = to_regclass(%(table)s)
    UNION ALL
    SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid WHERE indrelid = to_regclass(%(table)s)
)
"""

_SEGMENTS: Final = "SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"


class ErasureBlocked(Exception):
    """What was deleted cannot be removed yet; the text says why."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What came of it.

    Attributes:
        bytes_before: of the tables and their indexes.
        bytes_after: likewise.
        samples: whether the planner's samples are gone; False where only the database's owner may remove them.
        log_bytes: of the log of changes that were written over or removed; None where this user may not do that.
        held_segments: files of that log that PostgreSQL keeps for others: for a standby, an archive, a backup.
    """

    bytes_before: int
    bytes_after: int
    samples: bool
    log_bytes: int | None
    held_segments: int


def erase(pool: ConnectionPool, actor: Actor, progress: Progress) -> Erased:
    """Removes from the database's files what rows that were deleted have left there.

    Each table is locked against everybody while it is written anew, which takes as much room again.

    Raises:
        ErasureBlocked: a transaction goes on that may still see what was deleted.
    """
    PostgresStore(pool).sweep()
    with pool.connection() as connection:
        connection.execute("DELETE FROM answers WHERE expires_at < now()")
        record(connection, actor)
    assert isinstance(pool.conninfo, str), "as open_pool makes it"
    # A connection of its own: those of the pool are set for requests.
    with psycopg.connect(pool.conninfo, autocommit=True) as connection:
        connection.execute(
            """
            SELECT set_config('lock_timeout', %s, false), set_config('maintenance_work_mem', %s, false),
                   set_config('max_parallel_maintenance_workers', '0', false)
            """,
            [LOCK_TIMEOUT, MEMORY],
        )
        _wait_for_older(connection, progress)
        before = _bytes(connection)
        for table in WRITTEN_ANEW:
            progress(table)
            connection.execute(sql.SQL("VACUUM (FULL, ANALYZE) {}").format(sql.Identifier(table)))
            _sample_anew(connection, table)
        progress("samples of columns")
        sampled = _file_of_samples(connection)
        connection.execute("VACUUM FULL pg_statistic")  # only warns where this user may not
        progress("log of changes")
        log_bytes, held = _write_through(connection)
        return Erased(before, _bytes(connection), sampled != _file_of_samples(connection), log_bytes, held)


def _wait_for_older(connection: Connection[TupleRow], progress: Progress) -> None:
    """Waits until nobody is left to whom PostgreSQL still shows rows that are deleted."""
    row = connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
    deadline = time.monotonic() + SNAPSHOTS_S
    progress("waiting for earlier transactions")
    while connection.execute(_OLDER, {"xid": row and row[0]}).fetchone() != (0,):
        if time.monotonic() > deadline:
            raise ErasureBlocked(
                "A transaction goes on that may still see what was deleted, such as an export, a backup or a "
                "graph that is being made; or a standby asks for such rows. Run this again when it is over."
            )
        time.sleep(PAUSE_S)


def _sample_anew(connection: Connection[TupleRow], table: str) -> None:
    """Drops the planner's samples of a table and its graphs, also if it is empty now, and takes them anew."""
    if connection.info.server_version >= CLEARING_VERSION_MIN * 10_000:
        connection.execute(_SAMPLES, {"table": table})
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))


def _write_through(connection: Connection[TupleRow]) -> tuple[int | None, int]:
    """Has the log of changes, its files that wait to be used again among them, written over from end to end.

    Returns:
        How much that was, and how many older files are still there; None where only a superuser may.
    """
    try:
        begun = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
        # The checkpoint begins in another file: what was deleted is in none that is still needed after it.
        _switch(connection)
        connection.execute("CHECKPOINT")
        # The earlier files have gone, or wait by new names and with what they held to be used again.
        segments = connection.execute(_SEGMENTS).fetchall()
        for _ in segments:
            _switch(connection)
        connection.execute("CHECKPOINT")
        held = [name for (name,) in connection.execute(_SEGMENTS) if begun and name <= begun[0]]
        size = connection.execute("SELECT pg_size_bytes(current_setting('wal_segment_size'))").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None, 0
    assert size is not None
    return size[0] * len(segments), len(held)


def _switch(connection: Connection[TupleRow]) -> None:
    """Fills the rest of the log's file with zeros and goes on in the next one."""
    # Where a file has just begun, nothing would be done.
    connection.execute("SELECT pg_logical_emit_message(false, 'rekognition-emulator', 'erased')")
    connection.execute("SELECT pg_switch_wal()")


def _file_of_samples(connection: Connection[TupleRow]) -> object:
    return connection.execute("SELECT pg_relation_filenode('pg_statistic')").fetchone()


def _bytes(connection: Connection[TupleRow]) -> int:
    query = "SELECT sum(pg_total_relation_size(to_regclass(name)))::bigint FROM unnest(%s::text[]) AS name"
    row = connection.execute(query, [list(WRITTEN_ANEW)]).fetchone()
    assert row is not None
    return int(row[0])
