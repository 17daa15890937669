"""Collections and faces in PostgreSQL: every statement on them.

A writer first locks its collection's row. So revisions are numbered in the order in which they are committed, the same
picture sent twice at once is stored once, and nobody writes into a collection that has just been deleted.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import numpy as np
from pgvector import Vector
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.detection import SAME_FACE_OVERLAP, BoundingBox
from rekognition_emulator.domain.errors import (
    CollectionExists,
    CollectionNotFound,
    FaceNotFound,
    TooManyTags,
    UserNotFound,
)
from rekognition_emulator.domain.faces import (
    Changes,
    Collection,
    Deletion,
    Delta,
    Embedding,
    EnrolledFace,
    NewFace,
    Owner,
    Page,
    PictureSource,
    T,
)
from rekognition_emulator.domain.store import CHANGES_MAX, FaceStore
from rekognition_emulator.domain.tags import TAGS_MAX
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.guard import LOCK, checked, found, read
from rekognition_emulator.storage.image_sources import forget, remember
from rekognition_emulator.storage.tombstones import prune

SWEEP_FACES: Final = 10_000
"""Faces of a deleted collection that are removed in one go: two albums, about 50 ms."""

MILESTONES_KEPT: Final = 16
"""Of a collection: one for each server that writes down what it holds, and as many more for those that came before."""

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


class PostgresStore(FaceStore):
    """Collections and faces in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def ping(self) -> None:
        """Returns if the database answers.

        Raises:
            psycopg.Error: it does not.
        """
        with self._pool.connection(timeout=2) as connection:
            connection.execute("SELECT")

    def create_collection(
        self, actor: Actor, owner: Owner, name: str, face_model_version: str, tags: Mapping[str, str] | None = None
    ) -> Collection:
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
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT id, name, face_model_version, created_at, revision, face_count, user_count, index_name
                FROM collections WHERE account = %s AND region = %s AND name > %s ORDER BY name LIMIT %s
                """,
                [owner.account, owner.region, after or "", limit + 1],
            ).fetchall()
        return Page([_collection(owner, row) for row in rows[:limit]], more=len(rows) > limit)

    def add_faces(
        self,
        actor: Actor,
        collection: Collection,
        image_id: UUID,
        faces: Sequence[NewFace],
        source: PictureSource | None = None,
    ) -> list[EnrolledFace]:
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

    def changes(self, collection: Collection, since: int, *, removals_since: int | None = None) -> Changes:
        key = {"key": collection.key}
        with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            # All statements see one moment, so that nothing is pruned, or moved to a later revision, in between.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            query = "SELECT revision, face_model_version, pruned_revision FROM collections WHERE id = %(key)s"
            state = connection.execute(query, key).fetchone()
            present = checked(state, collection)
            pruned = state[2] if state else 0
            known = since if removals_since is None else removals_since
            anew = since == 0 or known < pruned
            since, known = (0, present) if anew else (since, known)
            until = _until(connection, collection, since, present)
            span = {**key, "since": since, "until": until, "known": known}
            added = connection.execute(
                """
                SELECT face_id, embedding FROM faces
                WHERE collection_id = %(key)s AND revision > %(since)s AND revision <= %(until)s
                """,
                span,
                binary=True,
            )
            removed = connection.execute(
                "SELECT face_id FROM removed_faces WHERE collection_id = %(key)s AND revision > %(known)s",
                span,
                binary=True,
            )
            users_added = connection.execute(
                """
                SELECT user_id, embedding FROM users
                WHERE collection_id = %(key)s AND revision > %(since)s AND revision <= %(until)s
                """,
                span,
                binary=True,
            )
            users_removed = connection.execute(
                "SELECT user_id FROM removed_users WHERE collection_id = %(key)s AND revision > %(known)s",
                span,
                binary=True,
            )
            faces: Delta[UUID] = _delta(added.fetchall(), removed.fetchall())
            users: Delta[str] = _delta(users_added.fetchall(), users_removed.fetchall())
        return Changes(faces.added, faces.embeddings, faces.removed, until, present, anew, users)

    def choose_index(self, actor: Actor, collection: Collection, index: str | None) -> None:
        with self._pool.connection() as connection, connection.transaction():
            query = "UPDATE collections SET index_name = %(index)s WHERE id = %(key)s RETURNING id"
            found(connection.execute(query, {"key": collection.key, "index": index}), collection)
            record(connection, actor, collection=collection.name, subject=index)

    def set_history_token(self, collection: Collection, milestone: UUID) -> None:
        key = {"key": collection.key}
        with self._pool.connection() as connection, connection.transaction():
            found(connection.execute("SELECT id FROM collections WHERE id = %(key)s FOR UPDATE", key), collection)
            connection.execute(
                "INSERT INTO milestones (collection_id, milestone) VALUES (%(key)s, %(milestone)s)",
                {**key, "milestone": milestone},
            )
            connection.execute(
                """
                DELETE FROM milestones WHERE collection_id = %(key)s AND milestone NOT IN (
                    SELECT milestone FROM milestones WHERE collection_id = %(key)s
                    ORDER BY passed_at DESC LIMIT %(kept)s
                )
                """,
                {**key, "kept": MILESTONES_KEPT},
            )

    def milestones(self, keys: Sequence[int]) -> Mapping[int, frozenset[UUID]]:
        with self._pool.connection() as connection:
            rows = connection.execute(
                "SELECT collection_id, milestone FROM milestones WHERE collection_id = ANY(%(keys)s)",
                {"keys": list(keys)},
            ).fetchall()
        passed: dict[int, set[UUID]] = {key: set() for key in keys}
        for key, milestone in rows:
            passed[key].add(milestone)
        return {key: frozenset(milestones) for key, milestones in passed.items()}


def _until(connection: Connection[TupleRow], collection: Collection, since: int, present: int) -> int:
    """Returns the revision up to which changes fit into one answer: whole revisions, one at least."""
    span = {"key": collection.key, "since": since, "limit": CHANGES_MAX}
    faces = connection.execute(
        """
        SELECT revision FROM faces WHERE collection_id = %(key)s AND revision > %(since)s
        ORDER BY revision OFFSET %(limit)s LIMIT 1
        """,
        span,
    )
    users = connection.execute(
        """
        SELECT revision FROM users WHERE collection_id = %(key)s AND revision > %(since)s
        ORDER BY revision OFFSET %(limit)s LIMIT 1
        """,
        span,
    )
    beyond = [row[0] - 1 for row in (faces.fetchone(), users.fetchone()) if row]
    return min(present, max(since + 1, min(beyond, default=present)))


def _collection(owner: Owner, row: TupleRow) -> Collection:
    key, *columns = row
    return Collection(key, owner, *columns)


def _enrolled(row: TupleRow) -> EnrolledFace:
    face_id, image_id, external_image_id, left, top, width, height, confidence, user_id = row
    box = BoundingBox(left, top, width, height)
    return EnrolledFace(face_id, image_id, external_image_id, box, confidence, user_id)


def _delta(added: Sequence[tuple[T, Vector | None]], removed: Sequence[tuple[T]]) -> Delta[T]:
    """Makes a delta of rows; what has no embedding any more is as good as removed."""
    present = [(name, embedding.to_numpy()) for name, embedding in added if embedding is not None]
    return Delta(
        added=[name for name, _ in present],
        embeddings=np.stack([embedding for _, embedding in present]) if present else np.empty((0, 0), np.float32),
        removed=[name for (name,) in removed] + [name for name, embedding in added if embedding is None],
    )


def _columns(new: NewFace) -> tuple[object, ...]:
    face, box = new.face, new.face.box
    where = (box.left, box.top, box.width, box.height)
    return (face.face_id, face.image_id, face.external_image_id, *where, face.confidence, new.embedding)


def _same_face(face: EnrolledFace, enrolled: Sequence[EnrolledFace]) -> EnrolledFace | None:
    """Returns the enrolled face of the same picture that this one is, if it is there."""
    best = max(enrolled, key=lambda other: face.box.overlap(other.box), default=None)
    return best if best is not None and face.box.overlap(best.box) > SAME_FACE_OVERLAP else None
