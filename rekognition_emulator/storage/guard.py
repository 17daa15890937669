"""Notices in a transaction that a collection was deleted, or got another face model, since it was read.

Writers first lock the collection's row, and thereby each other out; readers look for it after they have read. A face
model is exchanged under the same lock, with all embeddings at once: who notices nothing has met those of one model.
"""

from collections.abc import Mapping
from typing import Final, LiteralString

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.errors import CollectionNotFound, FaceModelChanged
from rekognition_emulator.domain.faces import Collection

LOCK: Final = "SELECT revision + 1, face_model_version FROM collections WHERE id = %(key)s FOR UPDATE"
"""Answers the revision that the writer makes; to be read with ``found``."""

EXISTS: Final = "SELECT revision, face_model_version FROM collections WHERE id = %(key)s"


def found(cursor: Cursor[TupleRow], collection: Collection) -> int:
    """Returns the number that a statement on the collection's row has answered.

    Raises:
        CollectionNotFound: the row is gone.
        FaceModelChanged: the statement has answered a face model, too, and it is another one.
    """
    return checked(cursor.fetchone(), collection)


def checked(row: TupleRow | None, collection: Collection) -> int:
    """Returns the number in such an answer; errors as ``found``'s."""
    if row is None:
        raise CollectionNotFound(collection.name)
    number: int
    number, *version = row
    if version and version[0] != collection.face_model_version:
        raise FaceModelChanged(collection.name)
    return number


def read(
    pool: ConnectionPool, collection: Collection, query: LiteralString, parameters: Mapping[str, object]
) -> list[TupleRow]:
    """Returns rows of a collection that is still there, with its face model, after they were read: one round trip.

    Args:
        pool: to the database.
        collection: its key is the parameter ``key``.
        query: one statement.
        parameters: its other ones.

    Raises:
        CollectionNotFound: it was deleted.
        FaceModelChanged: its faces are those of another model now.
    """
    key = {"key": collection.key}
    with pool.connection() as connection, connection.pipeline():
        rows = connection.execute(query, {**parameters, **key}, binary=True)
        exists = connection.execute(EXISTS, key)
        found(exists, collection)
        return rows.fetchall()
