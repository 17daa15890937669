"""What must hold of a PostgreSQL database before we work with it: version, extension, tables.

Tables come from the numbered files in ``migrations``, applied in order, in one transaction, under one lock. That is
forty lines here rather than a migration library: the ones we looked at mark the lock in a table, so a process that is
killed while it migrates keeps every later one out until somebody removes the mark by hand.
"""

import hashlib
import threading
from contextlib import suppress
from functools import partial
from importlib import resources
from typing import Final

import psycopg
import structlog
from pgvector.psycopg import register_vector
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from rekognition_emulator.storage.audit import KEPT_DAYS
from rekognition_emulator.storage.transactions import JoiningPool

POSTGRES_VERSION_MIN: Final = 15
PGVECTOR_VERSION_MIN: Final = (0, 8)
"""From here on an approximate search goes on until it has found as much as was asked for."""

MIGRATION_LOCK: Final = 0x72656B6F
"""Our number among the database's advisory locks; any would do, as long as it never changes."""


CONNECT_TIMEOUT_S: Final = 5
"""For one attempt. A host that is down may not answer at all."""

RECONNECT_S: Final = 2
"""While PostgreSQL is away, the pool pauses between attempts, each pause twice the last. After so long it starts over,
rather than being in a pause of minutes when PostgreSQL is back."""


log = structlog.get_logger(__name__)


class DatabaseUnsuitable(Exception):
    """The database cannot serve us; the text says what the operator has to do."""


def outage(error: Exception) -> str | None:
    """Returns in a line why the database did not serve, as when it is away or its disk is full; None if it did."""
    if not isinstance(error, psycopg.OperationalError):
        return None
    return str(error).partition("\n")[0] or type(error).__name__  # after the first line PostgreSQL may quote rows


def open_pool(url: str, *, connections_max: int, timeout_s: float = 10, audit_days: int = KEPT_DAYS) -> JoiningPool:
    """Prepares a database and opens connections to it.

    Args:
        url: ``postgresql://…``; its user owns the database or may create tables in it. A pooler in between has to
            pool sessions, for we set some of their settings.
        connections_max: as many as threads work on the database at once; others wait for ``timeout_s``.
        timeout_s: for a free connection.
        audit_days: how long that is kept which is added to the audit log from now on.

    Returns:
        A pool of connections in autocommit mode. A connection that broke is noticed when it is taken out, so a
        restart of PostgreSQL costs the requests that it cuts off and no later ones.

    Raises:
        DatabaseUnsuitable: not reachable, too old, without pgvector, or with tables that are not ours.
    """
    _require_url(url)
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            _prepare(connection)
    except psycopg.OperationalError as error:
        raise DatabaseUnsuitable(f"The database cannot be used: {error}".rstrip()) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnsuitable(
            f"The database user may not create what we need ({error.diag.message_primary}): make the user the owner "
            "of the database, and let a superuser run CREATE EXTENSION vector there once."
        ) from error
    except psycopg.errors.DuplicateTable as error:
        raise DatabaseUnsuitable(
            f"The database has tables of another program ({error.diag.message_primary}): give us one of our own."
        ) from error

    pool = _pool(url, connections_max, timeout_s, audit_days)
    try:
        pool.open(wait=True, timeout=timeout_s)
    except PoolTimeout as error:
        pool.close()
        raise DatabaseUnsuitable("The database grants no more connections: raise its max_connections.") from error
    return pool


def open_read_pool(url: str, *, connections_max: int) -> JoiningPool:
    """Opens connections to a copy of a database that ``open_pool`` has prepared; nothing is written there.

    Returns:
        A pool like ``open_pool``'s, also where the copy cannot be reached at the moment: its connections are made as
        soon as they can be.

    Raises:
        DatabaseUnsuitable: the URL is none.
    """
    _require_url(url)
    pool = _pool(url, connections_max)
    pool.open()
    return pool


def _require_url(url: str) -> None:
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The parser repeats the URL in its text, password included.
        raise DatabaseUnsuitable(
            "The database URL cannot be read; it looks like postgresql://user:password@host:5432/database."
        ) from None


def _pool(url: str, connections_max: int, timeout_s: float = 10, audit_days: int = KEPT_DAYS) -> JoiningPool:
    def check(connection: Connection[TupleRow]) -> None:
        try:
            ConnectionPool.check_connection(connection)  # one empty round trip, 0.1 ms on the same machine
        except psycopg.OperationalError:
            # One connection is broken, so probably all are. Tried one after the other, the pool would wait 1, 2, 4 …
            # seconds in between.
            pool.check()
            raise

    pool = JoiningPool(
        url,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S},
        min_size=min(2, connections_max),
        max_size=connections_max,
        timeout=timeout_s,
        reconnect_timeout=RECONNECT_S,
        reconnect_failed=_start_over,
        configure=partial(_configure, audit_days=audit_days),
        check=check,
        open=False,
    )
    return pool


def _start_over(pool: ConnectionPool) -> None:
    """Has a pool that has given up go on: by itself it would with the next request, while those that wait, wait on."""

    def ask() -> None:
        with suppress(PoolClosed, PoolTimeout), pool.connection():
            pass

    threading.Thread(target=ask, name="reconnecting", daemon=True).start()


def _configure(connection: Connection[TupleRow], audit_days: int) -> None:
    connection.execute("""
        -- Every statement names a collection, so reading all faces of all collections is never the way. Fresh tables
        -- and tables with one giant collection make the planner think otherwise.
        SET enable_seqscan = off;
        -- Starting helpers and compilers takes longer than the searches they would speed up.
        SET max_parallel_workers_per_gather = 0;
        SET jit = off;
        -- Far above what a statement needs (a million faces are read in ten seconds), far below for ever.
        SET statement_timeout = '60s';
        -- A writer holds its collection for milliseconds.
        SET lock_timeout = '10s';
        -- A client machine that vanished in the middle of a transaction must not hold a collection.
        SET idle_in_transaction_session_timeout = '10s';
    """)
    connection.execute("SELECT set_config('rekognition.audit_days', %s, false)", [str(audit_days)])
    register_vector(connection)


def _prepare(connection: Connection[TupleRow]) -> None:
    """Checks versions and brings the tables up to date, in the transaction that the connection is in."""
    if connection.info.server_version < POSTGRES_VERSION_MIN * 10_000:
        raise DatabaseUnsuitable(
            f"The database runs PostgreSQL {connection.info.server_version // 10_000}; "
            f"{POSTGRES_VERSION_MIN} or later is needed."
        )
    connection.add_notice_handler(_log_warning)
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
    _require_pgvector(connection)
    _migrate(connection)


def _log_warning(notice: psycopg.errors.Diagnostic) -> None:
    """Logs what a migration warns of, which else stands in PostgreSQL's own log alone; not its lesser notices."""
    if notice.severity_nonlocalized == "WARNING":
        log.warning("database_warning", text=notice.message_primary)


def _require_pgvector(connection: Connection[TupleRow]) -> None:
    query = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    installed = connection.execute(query).fetchone()
    if installed is None:
        try:
            connection.execute("CREATE EXTENSION vector")
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
            raise DatabaseUnsuitable(
                "The database server lacks the extension pgvector: install it there (the package is called "
                "postgresql-NN-pgvector on Debian and Ubuntu, the image pgvector/pgvector has it), or give no "
                "database URL to use the PostgreSQL that comes with this program."
            ) from error
        installed = connection.execute(query).fetchone()
    assert installed is not None
    version: str = installed[0]
    if tuple(int(part) for part in version.split(".")[:2]) < PGVECTOR_VERSION_MIN:
        wanted = ".".join(map(str, PGVECTOR_VERSION_MIN))
        raise DatabaseUnsuitable(
            f"The database has pgvector {version}; {wanted} or later is needed: install it on the server and run "
            f"ALTER EXTENSION vector UPDATE in the database {connection.info.dbname}."
        )


def _migrate(connection: Connection[TupleRow]) -> None:
    connection.execute("""
        CREATE TABLE IF NOT EXISTS applied_migrations (
            name       text COLLATE "C" PRIMARY KEY,
            sha256     text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    applied: dict[str, str] = dict(connection.execute("SELECT name, sha256 FROM applied_migrations").fetchall())
    folder = resources.files("rekognition_emulator.storage") / "migrations"
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".sql")}
    if unknown := sorted(applied.keys() - files.keys()):
        raise DatabaseUnsuitable(f"The tables were made by a later version of this program ({unknown[0]}): update it.")
    for name, sql in sorted(files.items()):
        digest = hashlib.sha256(sql).hexdigest()
        if name not in applied:
            connection.execute(sql)
            connection.execute("INSERT INTO applied_migrations (name, sha256) VALUES (%s, %s)", [name, digest])
        elif applied[name] != digest:
            raise DatabaseUnsuitable(f"The migration {name} is not the one that made the tables: it was edited since.")
