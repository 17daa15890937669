"""For how long collections keep their faces, in PostgreSQL: the setting, and which faces are over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import class_row
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.storage.audit import record

# What was set since the job was made counts where it keeps faces for longer; without a setting nothing is over it.
_EXPIRED: Final = """
FROM faces WHERE collection_id = %(key)s AND created_at < %(before)s AND created_at < (
    SELECT now() - make_interval(days => retention_days) FROM collections WHERE id = %(key)s
)
"""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Those faces of a collection whose time is over at one moment.

    Attributes:
        key: of the collection. Another one that is made later by the same name is not meant.
        before: they came before then. It is fixed, so that there is an end to them.
    """

    account: str
    region: str
    name: str
    key: int
    before: datetime


class RetentionStore:
    """What collections say of their faces' time, in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def choose(self, actor: Actor, collection: Collection, days: int | None) -> None:
        """Keeps a collection's faces for so many days from when they came, 1 to ``RETENTION_DAYS_MAX``; None: for ever.

        Raises:
            CollectionNotFound: it was deleted since it was read.
        """
        with self._pool.connection() as connection, connection.transaction():
            query = "UPDATE collections SET retention_days = %s WHERE id = %s"
            if not connection.execute(query, [days, collection.key]).rowcount:
                raise CollectionNotFound(collection.name)
            record(connection, actor, collection=collection.name, subject=f"{days} days" if days else "off")

    def days(self, collection: Collection) -> int | None:
        """Returns for how many days a collection keeps its faces; None: for ever.

        Raises:
            CollectionNotFound: it was deleted since it was read.
        """
        with self._pool.connection() as connection:
            query = "SELECT retention_days FROM collections WHERE id = %s"
            row = connection.execute(query, [collection.key]).fetchone()
        if row is None:
            raise CollectionNotFound(collection.name)
        days: int | None = row[0]
        return days

    def expiries(self, key: int | None = None) -> Sequence[Expiry]:
        """Returns what is over its time now: one for each collection that has a time, whether there are such faces.

        Args:
            key: of the only collection that is asked about; by default all are.
        """
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(Expiry)) as cursor:
            return cursor.execute(
                """
                SELECT account, region, name, id AS key, now() - make_interval(days => retention_days) AS before
                FROM collections WHERE retention_days IS NOT NULL AND id = coalesce(%s, id) ORDER BY id
                """,
                [key],
            ).fetchall()

    def count(self, expiry: Expiry) -> int:
        """Returns how many faces there are whose time is over."""
        with self._pool.connection() as connection:
            query = f"SELECT count(*) {_EXPIRED}"
            row = connection.execute(query, {"key": expiry.key, "before": expiry.before}).fetchone()
        assert row is not None
        return int(row[0])

    def faces(self, expiry: Expiry, limit: int) -> Sequence[tuple[UUID, str | None]]:
        """Returns ids of such faces, the oldest first, with the user that each is of; at most so many."""
        query = f"SELECT face_id, user_id {_EXPIRED} ORDER BY created_at, face_id LIMIT %(limit)s"
        with self._pool.connection() as connection:
            parameters = {"key": expiry.key, "before": expiry.before, "limit": limit}
            return connection.execute(query, parameters).fetchall()
