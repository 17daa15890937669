"""Changes when a search inside the database is done in another way.

Exact, over the rows of one collection. An approximate index (HNSW) over all collections was refused: with its usual
settings and filtered to one album it returns 9 of 50 matches, and the exact answer takes as long.
"""

from uuid import UUID

from psycopg_pool import ConnectionPool

from rekognition_emulator.faces.gallery import Collection, Embedding, Match, UserMatch
from rekognition_emulator.faces.index import FaceIndex, Holding, Progress


class PgvectorIndex(FaceIndex):
    """Searches the store's own tables, so it has nothing of its own to keep up to date."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT face_id, cosine FROM (
                    SELECT face_id, least(1, greatest(-1, -(embedding <#> %(probe)b))) AS cosine
                    FROM faces WHERE collection_id = %(key)s
                    OFFSET 0 -- or else the planner copies the expression to each place where it is used
                ) AS gallery
                WHERE cosine >= %(cosine_min)s AND face_id IS DISTINCT FROM %(without)s
                ORDER BY cosine DESC, face_id LIMIT %(limit)s
                """,
                {
                    "key": collection.key,
                    "probe": probe,
                    "cosine_min": cosine_min,
                    "without": without,
                    "limit": limit,
                },
                binary=True,
            ).fetchall()
        return [Match(face_id, cosine) for face_id, cosine in rows]

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT user_id, cosine FROM (
                    SELECT user_id, least(1, greatest(-1, -(embedding <#> %(probe)b))) AS cosine
                    FROM users WHERE collection_id = %(key)s AND embedding IS NOT NULL
                    OFFSET 0 -- as above
                ) AS gallery
                WHERE cosine >= %(cosine_min)s AND user_id IS DISTINCT FROM %(without)s
                ORDER BY cosine DESC, user_id LIMIT %(limit)s
                """,
                {
                    "key": collection.key,
                    "probe": probe,
                    "cosine_min": cosine_min,
                    "without": without,
                    "limit": limit,
                },
                binary=True,
            ).fetchall()
        return [UserMatch(user_id, cosine) for user_id, cosine in rows]

    def prepare(self, collection: Collection, progress: Progress) -> None:
        progress(collection.face_count, collection.face_count)

    def holding(self, collection: Collection) -> Holding:
        return Holding(collection.revision, collection.face_count, 0, "exact")

    def forget(self, collection: Collection) -> None:
        """Nothing is held besides the store's own rows."""

    def close(self) -> None:
        """Nothing goes on in the background."""
