"""Checks of what must hold of the tables at any moment.

Also read is every page of every table, whose checksums PostgreSQL compares while it reads them. The order inside its
indexes is checked by the extension amcheck where the database has it; the embedded one has not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow, class_row
from psycopg_pool import ConnectionPool

UNIT_TOLERANCE: Final = 1e-3
"""By how much the length of an embedding may differ from 1; 32-bit floats differ by less than 1e-6."""

MEAN_TOLERANCE: Final = 1e-4
"""Distance of a user's embedding to the mean of the faces', whose sum depends on their order in the seventh digit."""

TABLES: Final = (
    *("faces", "users", "removed_faces", "removed_users"),
    *("milestones", "face_chips", "picture_sources", "staged_embeddings"),
)
"""Whose rows belong to a collection, or to one that is being removed."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A collection's name, and what is wrong with it."""

    region: str
    name: str
    face_count: int
    faults: list[str]


def check_collections(pool: ConnectionPool) -> Iterator[Checked]:
    """Checks every collection of the database, as it is at one moment; others go on writing meanwhile."""
    with pool.connection() as connection:
        listed = connection.execute("SELECT id, region, name FROM collections ORDER BY region, name, id").fetchall()
    for key, region, name in listed:
        with pool.connection() as connection, connection.transaction():
            _prepare(connection)
            if (checked := _check_collection(connection, key, region, name)) is not None:
                yield checked


def check_tables(pool: ConnectionPool) -> list[str]:
    """Returns what is wrong with the database as a whole."""
    with pool.connection() as connection, connection.transaction():
        _prepare(connection)
        return [*_orphans(connection), *_broken_indexes(connection)]


@dataclass(frozen=True, slots=True)
class _Faces:
    total: int
    dimensions_min: int | None
    dimensions_max: int | None
    not_unit: int
    too_new: int
    of_nobody: int


@dataclass(frozen=True, slots=True)
class _Users:
    total: int
    miscounted: int
    not_mean: int
    too_new: int


def _check_collection(connection: Connection[TupleRow], key: int, region: str, name: str) -> Checked | None:
    row = connection.execute("SELECT face_count FROM collections WHERE id = %s", [key]).fetchone()
    if row is None:
        return None  # deleted meanwhile
    try:
        with connection.transaction():
            faults = collection_faults(connection, key)
    except psycopg.DatabaseError as error:
        faults = [f"cannot be read: {error.diag.message_primary or error}"]
    return Checked(region, name, row[0], faults)


def collection_faults(connection: Connection[TupleRow], key: int) -> list[str]:
    """Returns what is wrong with a collection, as the transaction of the connection sees it.

    Raises:
        psycopg.DatabaseError: it cannot be read.
    """
    query = "SELECT revision, face_count, user_count FROM collections WHERE id = %s"
    row = connection.execute(query, [key]).fetchone()
    assert row is not None
    revision, face_count, user_count = row
    parameters = {"key": key, "revision": revision, "unit": UNIT_TOLERANCE, "mean": MEAN_TOLERANCE}
    faces, users = _count_faces(connection, parameters), _count_users(connection, parameters)
    doubts = {
        f"says that it has {face_count:,} faces, and has {faces.total:,}": faces.total != face_count,
        f"says that it has {user_count:,} users, and has {users.total:,}": users.total != user_count,
        f"has embeddings of {faces.dimensions_min} and of {faces.dimensions_max} dimensions": faces.dimensions_min
        != faces.dimensions_max,
        f"has {faces.not_unit:,} embeddings that are not of unit length": faces.not_unit,
        f"has {faces.too_new + users.too_new:,} faces or users of a later revision than its own": faces.too_new
        + users.too_new,
        f"has {faces.of_nobody:,} faces of users that do not exist": faces.of_nobody,
        f"has {users.miscounted:,} users with another number of faces than they say": users.miscounted,
        f"has {users.not_mean:,} users whose embedding is not the mean of their faces'": users.not_mean,
    }
    return [fault for fault, found in doubts.items() if found]


def _count_faces(connection: Connection[TupleRow], parameters: dict[str, object]) -> _Faces:
    with connection.cursor(row_factory=class_row(_Faces)) as cursor:
        cursor.execute(
            """
            SELECT count(*) AS total, min(vector_dims(embedding)) AS dimensions_min,
                   max(vector_dims(embedding)) AS dimensions_max,
                   count(*) FILTER (WHERE abs(vector_norm(embedding) - 1) > %(unit)s) AS not_unit,
                   count(*) FILTER (WHERE revision > %(revision)s) AS too_new,
                   count(*) FILTER (WHERE user_id IS NOT NULL AND NOT EXISTS (
                       SELECT FROM users WHERE collection_id = %(key)s AND user_id = faces.user_id
                   )) AS of_nobody
            FROM faces WHERE collection_id = %(key)s
            """,
            parameters,
        )
        counted = cursor.fetchone()
    assert counted is not None
    return counted


def _count_users(connection: Connection[TupleRow], parameters: dict[str, object]) -> _Users:
    with connection.cursor(row_factory=class_row(_Users)) as cursor:
        cursor.execute(
            """
            SELECT count(*) AS total, count(*) FILTER (WHERE face_count <> held) AS miscounted,
                   count(*) FILTER (WHERE embedding IS NULL <> (mean IS NULL) OR embedding <-> mean > %(mean)s)
                   AS not_mean,
                   count(*) FILTER (WHERE revision > %(revision)s) AS too_new
            FROM users CROSS JOIN LATERAL (
                SELECT count(*) AS held, l2_normalize(avg(embedding)) AS mean
                FROM faces WHERE collection_id = %(key)s AND user_id = users.user_id
            ) AS theirs WHERE collection_id = %(key)s
            """,
            parameters,
        )
        counted = cursor.fetchone()
    assert counted is not None
    return counted


def _orphans(connection: Connection[TupleRow]) -> list[str]:
    faults = []
    for table in TABLES:
        # From one collection to the next by the index: the rows themselves are not read.
        query = sql.SQL("""
            WITH RECURSIVE present (collection_id) AS (
                SELECT min(collection_id) FROM {table}
                UNION ALL
                SELECT (SELECT min(collection_id) FROM {table} WHERE collection_id > present.collection_id)
                FROM present WHERE present.collection_id IS NOT NULL
            )
            SELECT collection_id FROM present WHERE collection_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM collections WHERE id = present.collection_id)
            AND NOT EXISTS (SELECT FROM deleted_collections WHERE collection_id = present.collection_id)
        """).format(table=sql.Identifier(table))
        for (key,) in connection.execute(query):
            faults.append(f"The table {table} has rows of a collection {key} that does not exist.")
    return faults


def _broken_indexes(connection: Connection[TupleRow]) -> list[str]:
    there = connection.execute("SELECT to_regprocedure('bt_index_check(regclass, boolean)') IS NOT NULL").fetchone()
    if there != (True,):
        return []
    query = """
        SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
        JOIN pg_class AS own ON own.oid = indexrelid JOIN pg_am ON pg_am.oid = own.relam
        WHERE pg_class.relnamespace = current_schema()::regnamespace AND amname = 'btree'
    """
    faults = []
    for (index,) in connection.execute(query).fetchall():
        try:
            with connection.transaction():
                connection.execute("SELECT bt_index_check(%s::regclass, true)", [index])
        except psycopg.DatabaseError as error:
            faults.append(f"The index {index} is damaged: {error.diag.message_primary}.")
    return faults


def _prepare(connection: Connection[TupleRow]) -> None:
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    connection.execute("SET LOCAL statement_timeout = 0")  # nobody waits for it
