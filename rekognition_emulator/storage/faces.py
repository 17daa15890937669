"""Faces of collections in PostgreSQL.

A writer first locks its collection's row. So revisions are numbered in the order in which they are committed, the same
picture sent twice at once is stored once, and nobody writes into a collection that has just been deleted.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pgvector import Vector
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.detection import SAME_FACE_OVERLAP, BoundingBox
from rekognition_emulator.domain.errors import FaceNotFound, UserNotFound
from rekognition_emulator.domain.faces import (
    Collection,
    Deletion,
    Embedding,
    EnrolledFace,
    NewFace,
    Page,
    PictureSource,
)
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.guard import LOCK, found, read
from rekognition_emulator.storage.image_sources import forget, remember
from rekognition_emulator.storage.tombstones import prune

NIL: Final = UUID(int=0)
"""Smaller than every face id there is."""

LIST: Final = """
SELECT face_id, image_id, external_image_id, box_left, box_top, box_width, box_height, confidence, user_id
FROM faces WHERE collection_id = %(key)s AND face_id > %(after)s ORDER BY face_id LIMIT %(limit)s
"""

LIST_OF_USER: Final = """
SELECT face_id, image_id, external_image_id, box_left, box_top, box_width, box_height, confidence, user_id
FROM faces WHERE collection_id = %(key)s AND user_id = %(user_id)s AND face_id > %(after)s
ORDER BY face_id LIMIT %(limit)s
"""


class FaceStore:
    """Faces in a database that ``open_pool`` has prepared. What it acknowledges is durable.

    What changes data takes the ``Actor`` who has asked for it; the audit row is part of the change's transaction.
    Methods address a ``Collection`` by ``key``; they raise ``CollectionNotFound`` when it was deleted since it was
    read, even if another of the same name exists by now, and ``FaceModelChanged`` when it was given another face model
    since: so neither answer nor change mixes two.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def add_faces(
        self,
        actor: Actor,
        collection: Collection,
        image_id: UUID,
        faces: Sequence[NewFace],
        source: PictureSource | None = None,
    ) -> list[EnrolledFace]:
        """Stores the faces of one picture: all of them or, if anything fails, none.

        A face that the collection already holds for this picture (same ``image_id``, boxes that overlap by more
        than half) is not stored again. It gets the chip, though, if it has none.

        Args:
            actor: who stores them.
            collection: that gets them.
            image_id: the picture's.
            faces: with their embeddings, and chips if those are kept.
            source: where the picture was read from, if that is known; it counts for all faces of the picture.

        Returns:
            As many as ``faces``, in their order: the stored face, or the one that was there before.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """
        key = {"key": collection.key}
        with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            locked = connection.execute(LOCK, key)
            held = connection.execute(
                """
                SELECT face_id, image_id, external_image_id, box_left, box_top, box_width, box_height, confidence,
                       user_id
                FROM faces WHERE collection_id = %(key)s AND image_id = %(image_id)s
                """,
                {**key, "image_id": image_id},
                binary=True,
            )
            revision = found(locked, collection)
            enrolled = [_enrolled(row) for row in held.fetchall()]
            stored = [_same_face(new.face, enrolled) or new.face for new in faces]
            fresh = [new for new, face in zip(faces, stored, strict=True) if new.face is face]
            if fresh:
                connection.execute(
                    """
                    UPDATE collections SET revision = %(revision)s, face_count = face_count + %(count)s
                    WHERE id = %(key)s
                    """,
                    {**key, "revision": revision, "count": len(fresh)},
                )
                connection.cursor().executemany(
                    """
                    INSERT INTO faces (collection_id, face_id, image_id, external_image_id,
                                       box_left, box_top, box_width, box_height, confidence, embedding, revision)
                    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %b, %s)
                    """,
                    [(collection.key, *_columns(new), revision) for new in fresh],
                )
            # Also of faces that were there before: so those get theirs whose pictures are sent again.
            if stored:
                chips = {face.face_id: new.chip for new, face in zip(faces, stored, strict=True) if new.chip}
                remember(connection, collection.key, image_id, source, chips)
            record(connection, actor, collection=collection.name, faces_indexed=len(stored))
        return stored

    def list_faces(
        self,
        collection: Collection,
        *,
        after: UUID | None,
        limit: int,
        face_ids: Sequence[UUID] | None = None,
        user_id: str | None = None,
    ) -> Page[EnrolledFace]:
        """Returns faces by ascending id, those greater than ``after``.

        Only those of ``face_ids`` if given, only the user's if one is given, and only what is both if both are.

        Raises:
            UserNotFound: the collection has no such user.
        """
        if user_id is not None:
            known = "SELECT FROM users WHERE collection_id = %(key)s AND user_id = %(user_id)s"
            if not read(self._pool, collection, known, {"user_id": user_id}):
                raise UserNotFound(user_id)
        if face_ids is not None:
            wanted = [face_id for face_id in face_ids if after is None or face_id > after]
            chosen = [face for face in self.get_faces(collection, wanted).values() if user_id in {None, face.user_id}]
            faces = sorted(chosen, key=lambda face: face.face_id)
            return Page(faces[:limit], more=len(faces) > limit)
        rows = read(
            self._pool,
            collection,
            LIST if user_id is None else LIST_OF_USER,
            {"after": after or NIL, "limit": limit + 1, "user_id": user_id},
        )
        return Page([_enrolled(row) for row in rows[:limit]], more=len(rows) > limit)

    def get_faces(self, collection: Collection, face_ids: Sequence[UUID]) -> dict[UUID, EnrolledFace]:
        """Returns the faces that exist among ``face_ids``, by id."""
        rows = read(
            self._pool,
            collection,
            """
            SELECT face_id, image_id, external_image_id, box_left, box_top, box_width, box_height, confidence, user_id
            FROM faces WHERE collection_id = %(key)s AND face_id = ANY(%(face_ids)s)
            """,
            {"face_ids": list(face_ids)},
        )
        return {face.face_id: face for face in map(_enrolled, rows)}

    def get_embedding(self, collection: Collection, face_id: UUID) -> Embedding:
        """Returns one face's embedding.

        Raises:
            FaceNotFound: the collection holds no such face.
        """
        rows = read(
            self._pool,
            collection,
            "SELECT embedding FROM faces WHERE collection_id = %(key)s AND face_id = %(face_id)s",
            {"face_id": face_id},
        )
        if not rows:
            raise FaceNotFound(face_id)
        embedding: Vector = rows[0][0]
        return embedding.to_numpy()

    def delete_faces(self, actor: Actor, collection: Collection, face_ids: Sequence[UUID]) -> Deletion:
        """Deletes faces that are no user's; ids that are not there are ignored.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """
        key = {"key": collection.key}
        with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            locked = connection.execute(LOCK, key)
            deleted = connection.execute(
                """
                DELETE FROM faces WHERE collection_id = %(key)s AND face_id = ANY(%(face_ids)s) AND user_id IS NULL
                RETURNING face_id, image_id
                """,
                {**key, "face_ids": list(face_ids)},
                binary=True,
            )
            left = connection.execute(
                "SELECT face_id, user_id FROM faces WHERE collection_id = %(key)s AND face_id = ANY(%(face_ids)s)",
                {**key, "face_ids": list(face_ids)},
                binary=True,
            )
            revision = found(locked, collection)
            rows = deleted.fetchall()
            gone = [face_id for face_id, _ in rows]
            if gone:
                forget(connection, collection.key, gone, [image_id for _, image_id in rows])
                changed = {**key, "revision": revision, "gone": gone, "count": len(gone)}
                connection.execute(
                    """
                    UPDATE collections SET revision = %(revision)s, face_count = face_count - %(count)s
                    WHERE id = %(key)s
                    """,
                    changed,
                )
                connection.execute(
                    """
                    INSERT INTO removed_faces (collection_id, revision, face_id)
                    SELECT %(key)s, %(revision)s, unnest(%(gone)s::uuid[])
                    """,
                    changed,
                )
                prune(connection, key, revision)
            record(connection, actor, collection=collection.name, deleted_faces=gone, faces_deleted=len(gone))
            return Deletion(frozenset(gone), dict(left.fetchall()))


def _enrolled(row: TupleRow) -> EnrolledFace:
    face_id, image_id, external_image_id, left, top, width, height, confidence, user_id = row
    box = BoundingBox(left, top, width, height)
    return EnrolledFace(face_id, image_id, external_image_id, box, confidence, user_id)


def _columns(new: NewFace) -> tuple[object, ...]:
    face, box = new.face, new.face.box
    where = (box.left, box.top, box.width, box.height)
    return (face.face_id, face.image_id, face.external_image_id, *where, face.confidence, new.embedding)


def _same_face(face: EnrolledFace, enrolled: Sequence[EnrolledFace]) -> EnrolledFace | None:
    """Returns the enrolled face of the same picture that this one is, if it is there."""
    best = max(enrolled, key=lambda other: face.box.overlap(other.box), default=None)
    return best if best is not None and face.box.overlap(best.box) > SAME_FACE_OVERLAP else None
