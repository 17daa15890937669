"""Changes when we notice in another way that a collection was deleted since it was read.

Writers first lock the collection's row, and thereby each other out; readers look for it after they have read.
"""

from collections.abc import Mapping
from typing import Final, LiteralString

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.faces.errors import CollectionNotFound
from rekognition_emulator.faces.gallery import Collection

LOCK: Final = "SELECT revision + 1 FROM collections WHERE id = %(key)s FOR UPDATE"
"""Answers the revision that the writer makes; to be read with ``found``."""

EXISTS: Final = "SELECT FROM collections WHERE id = %(key)s"


def found(cursor: Cursor[TupleRow], collection: Collection) -> int:
    """Returns the number that a statement on the collection's row has answered.

    Raises:
        CollectionNotFound: the row is gone.
    """
    row = cursor.fetchone()
    if row is None:
        raise CollectionNotFound(collection.name)
    number: int = row[0]
    return number


def read(
    pool: ConnectionPool, collection: Collection, query: LiteralString, parameters: Mapping[str, object]
) -> list[TupleRow]:
    """Returns rows of a collection that still exists after they were read, in one round trip.

    Args:
        pool: to the database.
        collection: its key is the parameter ``key``.
        query: one statement.
        parameters: its other ones.

    Raises:
        CollectionNotFound: it was deleted.
    """
    key = {"key": collection.key}
    with pool.connection() as connection, connection.pipeline():
        rows = connection.execute(query, {**parameters, **key}, binary=True)
        exists = connection.execute(EXISTS, key)
        if exists.fetchone() is None:
            raise CollectionNotFound(collection.name)
        return rows.fetchall()
