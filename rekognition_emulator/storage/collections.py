"""Collections in PostgreSQL: made, found, listed, deleted with all that they hold."""

from collections.abc import Mapping
from typing import Final

from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import CollectionExists, CollectionNotFound, TooManyTags
from rekognition_emulator.domain.faces import Collection, Owner, Page
from rekognition_emulator.domain.tags import TAGS_MAX
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.guard import found
from rekognition_emulator.storage.image_sources import forget

SWEEP_FACES: Final = 10_000
"""Faces of a deleted collection that are removed in one go: two albums, about 50 ms."""


class CollectionStore:
    """Collections in a database that ``open_pool`` has prepared. What it acknowledges is durable.

    What changes data takes the ``Actor`` who has asked for it; the audit row is part of the change's transaction.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def create_collection(
        self, actor: Actor, owner: Owner, name: str, face_model_version: str, tags: Mapping[str, str] | None = None
    ) -> Collection:
        """Creates an empty collection, bound to a face model.

        Raises:
            CollectionExists: the owner has one of this name.
            TooManyTags: more than ``tags.TAGS_MAX``.
        """
        if tags and len(tags) > TAGS_MAX:
            raise TooManyTags(name, TAGS_MAX)
        with self._pool.connection() as connection, connection.transaction():
            row = connection.execute(
                """
                INSERT INTO collections (account, region, name, face_model_version, tags) VALUES (%s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING
                RETURNING id, name, face_model_version, created_at, revision, face_count, user_count, index_name
                """,
                [owner.account, owner.region, name, face_model_version, Jsonb(dict(tags or {}))],
            ).fetchone()
            if row is None:
                raise CollectionExists(name)
            record(connection, actor, collection=name)
        return _collection(owner, row)

    def get_collection(self, owner: Owner, name: str) -> Collection:
        """Returns the collection as it is now.

        Raises:
            CollectionNotFound: the owner has none of this name.
        """
        with self._pool.connection() as connection:
            row = connection.execute(
                """
                SELECT id, name, face_model_version, created_at, revision, face_count, user_count, index_name
                FROM collections WHERE account = %s AND region = %s AND name = %s
                """,
                [owner.account, owner.region, name],
            ).fetchone()
        if row is None:
            raise CollectionNotFound(name)
        return _collection(owner, row)

    def delete_collection(self, actor: Actor, owner: Owner, name: str) -> None:
        """Deletes the collection with all its faces, users and tags.

        Raises:
            CollectionNotFound: the owner has none of this name.
        """
        with self._pool.connection() as connection, connection.transaction():
            row = connection.execute(
                """
                WITH gone AS (
                    DELETE FROM collections WHERE account = %s AND region = %s AND name = %s
                    RETURNING id, face_count, user_count
                ), noted AS (
                    INSERT INTO deleted_collections SELECT id FROM gone
                )
                SELECT id, face_count, user_count FROM gone
                """,
                [owner.account, owner.region, name],
            ).fetchone()
            if row is None:
                raise CollectionNotFound(name)
            key, faces, users = row
            record(connection, actor, collection=name, faces_deleted=faces, users_deleted=users)
        self._sweep(key)

    def sweep(self) -> None:
        """Removes what deleted collections have left behind.

        ``delete_collection`` already does it for all but the largest, whose rest would keep its caller waiting. To be
        called at start.
        """
        with self._pool.connection() as connection:
            keys = [key for (key,) in connection.execute("SELECT collection_id FROM deleted_collections").fetchall()]
        for key in keys:
            while self._sweep(key):
                pass

    def _sweep(self, key: int) -> bool:
        """Removes some faces of a deleted collection; returns whether there may be more."""
        with self._pool.connection() as connection, connection.transaction():
            query = "SELECT FROM deleted_collections WHERE collection_id = %s FOR UPDATE SKIP LOCKED"
            if connection.execute(query, [key]).fetchone() is None:
                return False  # done, or being done by somebody else
            swept = connection.execute(
                """
                DELETE FROM faces WHERE collection_id = %(key)s AND face_id IN (
                    SELECT face_id FROM faces WHERE collection_id = %(key)s ORDER BY face_id LIMIT %(limit)s
                ) RETURNING face_id, image_id
                """,
                {"key": key, "limit": SWEEP_FACES},
            ).fetchall()
            forget(connection, key, [face_id for face_id, _ in swept], [image_id for _, image_id in swept])
            if len(swept) == SWEEP_FACES:
                return True
            # There are no more users than faces, as a rule by far.
            connection.execute("DELETE FROM removed_faces WHERE collection_id = %s", [key])
            connection.execute("DELETE FROM users WHERE collection_id = %s", [key])
            connection.execute("DELETE FROM removed_users WHERE collection_id = %s", [key])
            connection.execute("DELETE FROM milestones WHERE collection_id = %s", [key])
            connection.execute("DELETE FROM deleted_collections WHERE collection_id = %s", [key])
            return False

    def list_collections(self, owner: Owner, *, after: str | None, limit: int) -> Page[Collection]:
        """Returns the owner's collections by ascending name, in byte order, those greater than ``after``."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT id, name, face_model_version, created_at, revision, face_count, user_count, index_name
                FROM collections WHERE account = %s AND region = %s AND name > %s ORDER BY name LIMIT %s
                """,
                [owner.account, owner.region, after or "", limit + 1],
            ).fetchall()
        return Page([_collection(owner, row) for row in rows[:limit]], more=len(rows) > limit)

    def choose_index(self, actor: Actor, collection: Collection, index: str | None) -> None:
        """Has the collection searched by this index from its next search on, by every server.

        Args:
            actor: who chooses it.
            collection: whose index is chosen.
            index: its name; None for whichever a server is set to.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """
        with self._pool.connection() as connection, connection.transaction():
            query = "UPDATE collections SET index_name = %(index)s WHERE id = %(key)s RETURNING id"
            found(connection.execute(query, {"key": collection.key, "index": index}), collection)
            record(connection, actor, collection=collection.name, subject=index)


def _collection(owner: Owner, row: TupleRow) -> Collection:
    key, *columns = row
    return Collection(key, owner, *columns)
