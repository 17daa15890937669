"""Collections, their faces and what has changed in them, in one PostgreSQL database."""

from rekognition_emulator.storage.changes import ChangeFeed
from rekognition_emulator.storage.collections import CollectionStore
from rekognition_emulator.storage.faces import FaceStore


class PostgresStore(CollectionStore, FaceStore, ChangeFeed):
    """All three over one pool, for whoever needs more than one of them."""

    def ping(self) -> None:
        """Returns if the database answers.

        Raises:
            psycopg.Error: it does not.
        """
        with self._pool.connection(timeout=2) as connection:
            connection.execute("SELECT")
