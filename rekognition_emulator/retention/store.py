"""For how long collections keep their faces, in PostgreSQL: the setting, and which faces are over it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.storage.audit import record

DAYS_MAX: Final = 36_500
"""A hundred years. As the table has it."""

# What was set since the job was made counts, where it keeps faces for longer; without a setting nothing is over it.
_EXPIRED: Final = """
FROM faces WHERE collection_id = %(key)s AND created_at < %(before)s AND created_at < (
    SELECT now() - make_interval(days => retention_days) FROM collections WHERE id = %(key)s
)
"""


class RetentionStore:
    """What collections say of their faces' time, in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def choose(self, actor: Actor, collection: Collection, days: int | None) -> None:
        """Keeps a collection's faces for so many days from when they came, 1 to ``DAYS_MAX``; None: for ever.

        Raises:
            CollectionNotFound: it was deleted since it was read.
        """
        with self._pool.connection() as connection, connection.transaction():
            query = "UPDATE collections SET retention_days = %s WHERE id = %s"
            if not connection.execute(query, [days, collection.key]).rowcount:
                raise CollectionNotFound(collection.name)
            record(connection, actor, collection=collection.name, subject=f"{days} days" if days else "off")

    def days(self, collection: Collection) -> int | None:
        """Returns for how many days a collection keeps its faces; None: for ever."""
        with self._pool.connection() as connection:
            query = "SELECT retention_days FROM collections WHERE id = %s"
            row = connection.execute(query, [collection.key]).fetchone()
        if row is None:
            raise CollectionNotFound(collection.name)
        days: int | None = row[0]
        return days

    def limited(self) -> Sequence[tuple[Owner, str, int, datetime]]:
        """Returns the collections that keep their faces for a time: owner, name, key, and the moment it reaches to."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT account, region, name, id, now() - make_interval(days => retention_days) FROM collections
                WHERE retention_days IS NOT NULL ORDER BY id
                """
            ).fetchall()
        return [(Owner(account, region), name, key, before) for account, region, name, key, before in rows]

    def count_expired(self, key: int, before: datetime) -> int:
        """Returns how many faces of a collection are over its time, and came before a moment."""
        with self._pool.connection() as connection:
            row = connection.execute(f"SELECT count(*) {_EXPIRED}", {"key": key, "before": before}).fetchone()
        assert row is not None
        return int(row[0])

    def expired(self, key: int, before: datetime, limit: int) -> Sequence[tuple[UUID, str | None]]:
        """Returns such faces, the oldest first, with the users that they are of; at most so many."""
        query = f"SELECT face_id, user_id {_EXPIRED} ORDER BY created_at, face_id LIMIT %(limit)s"
        with self._pool.connection() as connection:
            return connection.execute(query, {"key": key, "before": before, "limit": limit}).fetchall()
