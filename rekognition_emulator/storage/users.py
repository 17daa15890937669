"""Users in PostgreSQL: every statement on them.

A user's embedding is made anew from all its faces, at most a hundred, in the transaction that changes them: so it is
always their mean, and not what a thousand corrections of a mean have left.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from pgvector import Vector
from psycopg import Connection, Cursor
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import UserExists, UserNotFound
from rekognition_emulator.domain.faces import Collection, Embedding, Page
from rekognition_emulator.domain.users import (
    Association,
    Candidate,
    Disassociation,
    User,
    UserStore,
    judge_association,
    judge_disassociation,
)
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.guard import LOCK, found, read
from rekognition_emulator.storage.tombstones import prune

USER: Final = "SELECT face_count FROM users WHERE collection_id = %(key)s AND user_id = %(user_id)s"


class PostgresUserStore(UserStore):
    """Users in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def create_user(self, actor: Actor, collection: Collection, user_id: str) -> None:
        key = {"key": collection.key, "user_id": user_id}
        with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            locked = connection.execute(LOCK, key)
            created = connection.execute(
                """
                INSERT INTO users (collection_id, user_id) VALUES (%(key)s, %(user_id)s)
                ON CONFLICT DO NOTHING RETURNING user_id
                """,
                key,
            )
            connection.execute("UPDATE collections SET user_count = user_count + 1 WHERE id = %(key)s", key)
            found(locked, collection)
            if created.fetchone() is None:
                raise UserExists(user_id)
            record(connection, actor, collection=collection.name)

    def delete_user(self, actor: Actor, collection: Collection, user_id: str) -> None:
        key = {"key": collection.key, "user_id": user_id}
        with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            locked = connection.execute(LOCK, key)
            deleted = connection.execute(
                "DELETE FROM users WHERE collection_id = %(key)s AND user_id = %(user_id)s RETURNING user_id", key
            )
            connection.execute(
                "UPDATE faces SET user_id = NULL WHERE collection_id = %(key)s AND user_id = %(user_id)s", key
            )
            revision = found(locked, collection)
            if deleted.fetchone() is None:
                raise UserNotFound(user_id)
            changed = {**key, "revision": revision}
            connection.execute(
                "INSERT INTO removed_users (collection_id, revision, user_id)"
                " VALUES (%(key)s, %(revision)s, %(user_id)s)",
                changed,
            )
            connection.execute(
                "UPDATE collections SET revision = %(revision)s, user_count = user_count - 1 WHERE id = %(key)s",
                changed,
            )
            prune(connection, key, revision)
            record(connection, actor, collection=collection.name)

    def list_users(self, collection: Collection, *, after: str | None, limit: int) -> Page[User]:
        rows = read(
            self._pool,
            collection,
            """
            SELECT user_id, face_count FROM users WHERE collection_id = %(key)s AND user_id > %(after)s
            ORDER BY user_id LIMIT %(limit)s
            """,
            {"after": after or "", "limit": limit + 1},
        )
        return Page([User(user_id, face_count) for user_id, face_count in rows[:limit]], more=len(rows) > limit)

    def get_user_embedding(self, collection: Collection, user_id: str) -> Embedding | None:
        rows = read(
            self._pool,
            collection,
            "SELECT embedding FROM users WHERE collection_id = %(key)s AND user_id = %(user_id)s",
            {"user_id": user_id},
        )
        if not rows:
            raise UserNotFound(user_id)
        embedding: Vector | None = rows[0][0]
        return None if embedding is None else embedding.to_numpy()

    def associate_faces(
        self,
        actor: Actor,
        collection: Collection,
        user_id: str,
        face_ids: Sequence[UUID],
        *,
        near_enough: Callable[[float], bool],
    ) -> Association:
        key = {"key": collection.key, "user_id": user_id}
        with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            locked = connection.execute(LOCK, key)
            user = connection.execute(USER, key)
            faces = connection.execute(
                """
                SELECT face_id, user_id, -(embedding <#> (
                    SELECT embedding FROM users WHERE collection_id = %(key)s AND user_id = %(user_id)s
                )) FROM faces WHERE collection_id = %(key)s AND face_id = ANY(%(face_ids)s)
                """,
                {**key, "face_ids": list(face_ids)},
                binary=True,
            )
            revision = found(locked, collection)
            stored = {face_id: Candidate(holder, cosine) for face_id, holder, cosine in faces.fetchall()}
            association = judge_association(_user(user, user_id), face_ids, stored, near_enough)
            _reassign(connection, key, association.associated, user_id, revision)
            record(connection, actor, collection=collection.name, faces_associated=len(association.associated))
        return association

    def disassociate_faces(
        self, actor: Actor, collection: Collection, user_id: str, face_ids: Sequence[UUID]
    ) -> Disassociation:
        key = {"key": collection.key, "user_id": user_id}
        with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            locked = connection.execute(LOCK, key)
            user = connection.execute(USER, key)
            faces = connection.execute(
                "SELECT face_id, user_id FROM faces WHERE collection_id = %(key)s AND face_id = ANY(%(face_ids)s)",
                {**key, "face_ids": list(face_ids)},
                binary=True,
            )
            revision = found(locked, collection)
            disassociation = judge_disassociation(_user(user, user_id), face_ids, dict(faces.fetchall()))
            _reassign(connection, key, disassociation.disassociated, None, revision)
            record(connection, actor, collection=collection.name, faces_disassociated=len(disassociation.disassociated))
        return disassociation


def _user(cursor: Cursor[TupleRow], user_id: str) -> User:
    row = cursor.fetchone()
    if row is None:
        raise UserNotFound(user_id)
    return User(user_id, row[0])


def _reassign(
    connection: Connection[TupleRow],
    user: Mapping[str, object],
    face_ids: Sequence[UUID],
    holder: str | None,
    revision: int,
) -> None:
    """Makes faces those of ``holder``, and the user's embedding the mean of what the user has now."""
    if not face_ids:
        return
    changed = {**user, "face_ids": list(face_ids), "holder": holder, "revision": revision}
    connection.execute(
        "UPDATE faces SET user_id = %(holder)s WHERE collection_id = %(key)s AND face_id = ANY(%(face_ids)s)", changed
    )
    connection.execute(
        """
        UPDATE users SET revision = %(revision)s, (face_count, embedding) = (
            SELECT count(*), l2_normalize(avg(embedding)) FROM faces
            WHERE collection_id = %(key)s AND user_id = %(user_id)s
        ) WHERE collection_id = %(key)s AND user_id = %(user_id)s
        """,
        changed,
    )
    connection.execute("UPDATE collections SET revision = %(revision)s WHERE id = %(key)s", changed)
