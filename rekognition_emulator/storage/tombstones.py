"""Tombstones of deleted faces, kept until the indexes outside the database have heard of them.

An index that has missed more starts from nothing, which by then takes hardly longer than to follow.
"""

from collections.abc import Mapping
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

REMOVALS_KEPT: Final = 10_000
"""Of a collection, faces and users each. An album of as many faces is read from nothing in 0.3 s."""

PRUNE_EVERY: Final = 64
"""Revisions. Looking for the bound reads as many rows as are kept, which is not worth it for every removal."""


def prune(connection: Connection[TupleRow], key: Mapping[str, object], revision: int) -> None:
    """Forgets removals beyond those kept, at every so many revisions, in the transaction that makes this one.

    Args:
        connection: whose transaction has locked the collection's row.
        key: the collection's key, as the parameter ``key``.
        revision: the one that the transaction makes.
    """
    if revision % PRUNE_EVERY:
        return
    bounds = [
        connection.execute(
            """
            SELECT revision FROM removed_faces WHERE collection_id = %(key)s
            ORDER BY revision DESC OFFSET %(kept)s LIMIT 1
            """,
            {**key, "kept": REMOVALS_KEPT},
        ).fetchone(),
        connection.execute(
            """
            SELECT revision FROM removed_users WHERE collection_id = %(key)s
            ORDER BY revision DESC OFFSET %(kept)s LIMIT 1
            """,
            {**key, "kept": REMOVALS_KEPT},
        ).fetchone(),
    ]
    until = {**key, "until": max((row[0] for row in bounds if row), default=0)}
    if until["until"]:
        connection.execute("DELETE FROM removed_faces WHERE collection_id = %(key)s AND revision <= %(until)s", until)
        connection.execute("DELETE FROM removed_users WHERE collection_id = %(key)s AND revision <= %(until)s", until)
        connection.execute("UPDATE collections SET pruned_revision = %(until)s WHERE id = %(key)s", until)
