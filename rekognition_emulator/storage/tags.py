"""Tags in PostgreSQL."""

from collections.abc import Mapping, Sequence

from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import CollectionNotFound, TooManyTags
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.domain.tags import TAGS_MAX, TagStore
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.guard import found


class PostgresTagStore(TagStore):
    """Tags in the rows of their collections: at most fifty, always read together, and gone when the row is."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def get_tags(self, collection: Collection) -> dict[str, str]:
        with self._pool.connection() as connection:
            row = connection.execute("SELECT tags FROM collections WHERE id = %s", [collection.key]).fetchone()
        if row is None:
            raise CollectionNotFound(collection.name)
        tags: dict[str, str] = row[0]
        return tags

    def add_tags(self, actor: Actor, collection: Collection, tags: Mapping[str, str]) -> None:
        key = {"key": collection.key, "tags": Jsonb(dict(tags))}
        with self._pool.connection() as connection, connection.transaction():
            count = connection.execute(
                """
                UPDATE collections SET tags = tags || %(tags)s WHERE id = %(key)s
                RETURNING (SELECT count(*) FROM jsonb_object_keys(tags))
                """,
                key,
            )
            if found(count, collection) > TAGS_MAX:
                raise TooManyTags(collection.name, TAGS_MAX)
            record(connection, actor, collection=collection.name)

    def remove_tags(self, actor: Actor, collection: Collection, keys: Sequence[str]) -> None:
        with self._pool.connection() as connection, connection.transaction():
            updated = connection.execute(
                "UPDATE collections SET tags = tags - %s::text[] WHERE id = %s", [list(keys), collection.key]
            )
            if updated.rowcount == 0:
                raise CollectionNotFound(collection.name)
            record(connection, actor, collection=collection.name)
