"""What has changed in a collection since a revision, told to the indexes outside the database.

An index that keeps what it holds over a restart proves by a history token that the collection's present has come from
there: a database that was restored to an earlier moment knows the token no more.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import numpy as np
from pgvector import Vector
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Changes, Collection, Delta, T
from rekognition_emulator.storage.guard import checked, found

CHANGES_MAX: Final = 50_000
"""Added faces, and users, that are told at once: 100 MB of 512 dimensions, read in a second."""

MILESTONES_KEPT: Final = 16
"""Of a collection: one for each server that writes down what it holds, and as many more for those that came before."""


class ChangeFeed:
    """Changes of collections' faces and users, as an index outside the database follows them.

    Methods that take a ``Collection`` address it by ``key``; they raise ``CollectionNotFound`` when it was deleted
    since it was read. ``changes`` raises ``FaceModelChanged`` when it was given another face model since.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def changes(self, collection: Collection, since: int, *, removals_since: int | None = None) -> Changes:
        """Returns what an index misses, or the beginning of it: ``CHANGES_MAX`` additions or few more.

        To be repeated, from what the answer has reached, until that is the collection's revision.

        Args:
            collection: whose changes.
            since: the revision up to which additions are known; 0 for an index that holds nothing.
            removals_since: the revision up to which removals are known, where that is another one: in an answer of
                many parts they run ahead.

        Returns:
            ``anew`` where ``since`` is 0, or where removals are forgotten that the index has not heard of.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """
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

    def set_history_token(self, collection: Collection, milestone: UUID) -> None:
        """Remembers that the collection's history has passed this moment; of many milestones, the latest.

        Who writes down what a collection holds writes the milestone with it. As long as the store knows the milestone,
        the collection's present has come from there. A store that was restored to an earlier moment knows it no more.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """
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
        """Returns the milestones that are remembered of collections, by key; those that are gone have none."""
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


def _delta(added: Sequence[tuple[T, Vector | None]], removed: Sequence[tuple[T]]) -> Delta[T]:
    """Makes a delta of rows; what has no embedding any more is as good as removed."""
    present = [(name, embedding.to_numpy()) for name, embedding in added if embedding is not None]
    return Delta(
        added=[name for name, _ in present],
        embeddings=np.stack([embedding for _, embedding in present]) if present else np.empty((0, 0), np.float32),
        removed=[name for (name,) in removed] + [name for name, embedding in added if embedding is None],
    )
