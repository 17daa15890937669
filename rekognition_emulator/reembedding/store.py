"""Embeddings of another face model in PostgreSQL, until they take the place of those that count.

An exchange writes every row of the collection anew in one transaction. Putting the new embeddings beside the old ones
for good, and only pointing at those that count, was refused: every search would pay for it with a wider row.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import numpy as np
from psycopg.rows import TupleRow

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.faces import Collection, Embedding, EnrolledFace, FaceChip, PictureSource
from rekognition_emulator.domain.store import CHANGES_MAX
from rekognition_emulator.reembedding.model import AlreadyReembedding, ReembeddingStore, ReembedSource, ReembedStatus
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.guard import EXISTS, LOCK, found, read
from rekognition_emulator.storage.transactions import JoiningPool

NIL: Final = UUID(int=0)
"""Smaller than every id there is."""

# With OFFSET 0 the planner looks each row up by its key. Where tables were filled since it last counted their rows, it
# would compare every row with every other instead.
_LACKING: Final = """
SELECT face_id, image_id, external_image_id, box_left, box_top, box_width, box_height, confidence, user_id,
       jpeg, landmarks, bucket, key, version
FROM (
    SELECT face_id, image_id, external_image_id, box_left, box_top, box_width, box_height, confidence, user_id
    FROM faces
    WHERE collection_id = %(key)s AND revision > %(since)s
    AND (image_id, face_id) > (%(image_id)s, %(face_id)s) AND NOT EXISTS (
        SELECT FROM staged_embeddings
        WHERE collection_id = %(key)s AND face_id = faces.face_id AND face_model_version = %(model)s OFFSET 0
    )
    ORDER BY image_id, face_id LIMIT %(limit)s
) AS lacking
LEFT JOIN LATERAL (
    SELECT jpeg, landmarks FROM face_chips WHERE collection_id = %(key)s AND face_id = lacking.face_id OFFSET 0
) AS chips ON true
LEFT JOIN LATERAL (
    SELECT bucket, key, version FROM picture_sources
    WHERE collection_id = %(key)s AND image_id = lacking.image_id OFFSET 0
) AS sources ON true
ORDER BY image_id, face_id
"""

_KEEP: Final = """
INSERT INTO staged_embeddings (collection_id, face_id, face_model_version, embedding)
SELECT %(key)s, face_id, %(before)s, embedding FROM faces WHERE collection_id = %(key)s
ON CONFLICT (collection_id, face_id, face_model_version) DO UPDATE SET embedding = excluded.embedding
"""

# Not all faces come with one revision, because an index outside the database is told of whole revisions at once.
_EXCHANGE_FACES: Final = """
UPDATE faces SET embedding = staged.embedding, revision = %(revision)s + part
FROM (
    SELECT face_id, embedding, (row_number() OVER (ORDER BY face_id) - 1) / %(part)s AS part
    FROM staged_embeddings WHERE collection_id = %(key)s AND face_model_version = %(after)s
) AS staged
WHERE collection_id = %(key)s AND faces.face_id = staged.face_id
"""

_EXCHANGE_USERS: Final = """
UPDATE users SET revision = %(last)s, embedding = (
    SELECT l2_normalize(avg(embedding)) FROM faces WHERE collection_id = %(key)s AND user_id = users.user_id
) WHERE collection_id = %(key)s AND embedding IS NOT NULL
"""

_EXCHANGE_MODEL: Final = """
UPDATE collections SET face_model_version = %(after)s, kept_face_model_version = %(before)s,
                       revision = %(last)s, pruned_revision = %(last)s
WHERE id = %(key)s
"""


class PostgresReembeddingStore(ReembeddingStore):
    """Staged embeddings in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: JoiningPool) -> None:
        self._pool = pool

    @contextmanager
    def alone(self, collection: Collection) -> Iterator[None]:
        name = [f"reembedding {collection.key}"]
        with self._pool.connection() as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name).fetchone()
            if row != (True,):
                raise AlreadyReembedding(collection.name)
            try:
                yield
            finally:
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)

    def standing(self, collection: Collection) -> ReembedStatus:
        ((version, kept, faces, chips, sources),) = read(
            self._pool,
            collection,
            """
            SELECT face_model_version, kept_face_model_version, face_count,
                   (SELECT count(*) FROM face_chips WHERE collection_id = %(key)s),
                   (SELECT count(*) FROM faces WHERE collection_id = %(key)s AND image_id IN (
                       SELECT image_id FROM picture_sources WHERE collection_id = %(key)s
                   ))
            FROM collections WHERE id = %(key)s
            """,
            {},
        )
        staged = read(
            self._pool,
            collection,
            """
            SELECT face_model_version, count(*) FROM staged_embeddings WHERE collection_id = %(key)s
            GROUP BY face_model_version
            """,
            {},
        )
        return ReembedStatus(version, kept, faces, dict(staged), chips, sources)

    def revision(self, collection: Collection) -> int:
        with self._pool.connection() as connection:
            return found(connection.execute(EXISTS, {"key": collection.key}), collection)

    def lacking(
        self, collection: Collection, version: str, *, since: int, after: tuple[UUID, UUID] | None, limit: int
    ) -> list[ReembedSource]:
        image_id, face_id = after or (NIL, NIL)
        where = {"since": since, "image_id": image_id, "face_id": face_id, "model": version, "limit": limit}
        return [_origin(row) for row in read(self._pool, collection, _LACKING, where)]

    def stage(self, collection: Collection, version: str, embeddings: Mapping[UUID, Embedding]) -> None:
        key = {"key": collection.key, "face_ids": list(embeddings)}
        with self._pool.connection() as connection, connection.transaction():
            # Against a deletion in between, which would leave an embedding behind.
            found(connection.execute(LOCK, key), collection)
            there = connection.execute(
                "SELECT face_id FROM faces WHERE collection_id = %(key)s AND face_id = ANY(%(face_ids)s)", key
            ).fetchall()
            connection.cursor().executemany(
                """
                INSERT INTO staged_embeddings (collection_id, face_id, face_model_version, embedding)
                VALUES (%s, %s, %s, %b) ON CONFLICT DO NOTHING
                """,
                [(collection.key, face_id, version, embeddings[face_id]) for (face_id,) in there],
            )

    @contextmanager
    def exclusive(self, collection: Collection) -> Iterator[None]:
        with self._pool.transaction() as connection:
            connection.execute("SET LOCAL statement_timeout = 0")  # a million rows take longer than a request may
            found(connection.execute(LOCK, {"key": collection.key}), collection)
            yield

    def exchange(self, actor: Actor, collection: Collection, version: str) -> None:
        span: dict[str, object] = {"key": collection.key, "part": CHANGES_MAX}
        span |= {"before": collection.face_model_version, "after": version}
        with self._pool.connection() as connection, connection.transaction():
            revision = found(connection.execute(LOCK, span), collection)
            faces = connection.execute(_KEEP, span).rowcount
            span |= {"revision": revision, "last": revision + max(0, faces - 1) // CHANGES_MAX}
            exchanged = connection.execute(_EXCHANGE_FACES, span).rowcount
            assert exchanged == faces, "faces without the new embedding would stay behind with the old one"
            connection.execute(
                "DELETE FROM staged_embeddings WHERE collection_id = %(key)s AND face_model_version = %(after)s", span
            )
            connection.execute(_EXCHANGE_USERS, span)
            # Indexes outside the database have to forget all that they hold, so nothing is left to be removed from it.
            connection.execute("DELETE FROM removed_faces WHERE collection_id = %(key)s", span)
            connection.execute("DELETE FROM removed_users WHERE collection_id = %(key)s", span)
            connection.execute(_EXCHANGE_MODEL, span)
            record(connection, actor, collection=collection.name, subject=version, faces_exchanged=faces)

    def discard(self, actor: Actor, collection: Collection, versions: Sequence[str]) -> int:
        dropped = {"key": collection.key, "versions": list(versions)}
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            found(connection.execute(LOCK, dropped), collection)
            connection.execute(
                """
                UPDATE collections SET kept_face_model_version = NULL
                WHERE id = %(key)s AND kept_face_model_version = ANY(%(versions)s)
                """,
                dropped,
            )
            count = connection.execute(
                """
                DELETE FROM staged_embeddings
                WHERE collection_id = %(key)s AND face_model_version = ANY(%(versions)s)
                """,
                dropped,
            ).rowcount
            record(connection, actor, collection=collection.name, subject=", ".join(versions), embeddings_dropped=count)
            return count


def _origin(row: TupleRow) -> ReembedSource:
    face_id, image_id, external_image_id, left, top, width, height, confidence, user_id, *rest = row
    jpeg, landmarks, bucket, key, version = rest
    box = BoundingBox(left, top, width, height)
    return ReembedSource(
        EnrolledFace(face_id, image_id, external_image_id, box, confidence, user_id),
        None if jpeg is None else FaceChip(jpeg, np.array(landmarks, np.float32).reshape(-1, 2)),
        None if bucket is None else PictureSource(bucket, key, version),
    )
