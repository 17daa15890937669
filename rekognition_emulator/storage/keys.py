"""Access keys in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.auth.keys import AccessKey, KeyStore, NameTaken
from rekognition_emulator.storage.audit import record


class PostgresKeyStore(KeyStore):
    """Keys in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def all_keys(self) -> Sequence[AccessKey]:
        with self._pool.connection() as connection, connection.cursor(row_factory=class_row(AccessKey)) as cursor:
            return cursor.execute(
                """
                SELECT access_key_id, name, account, policy, policy_name, sealed_secret, enabled, created_at, expires_at
                FROM access_keys ORDER BY created_at, access_key_id
                """
            ).fetchall()

    def needs_a_key(self) -> bool:
        with self._pool.connection() as connection:
            row = connection.execute("SELECT needs_a_key FROM access_control").fetchone()
            return row is None or bool(row[0])

    def open(self, actor: Actor) -> bool:
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("LOCK TABLE access_keys IN SHARE ROW EXCLUSIVE MODE")  # no key is added meanwhile
            if connection.execute("SELECT FROM access_keys LIMIT 1").fetchone() is not None:
                return False
            connection.execute("UPDATE access_control SET needs_a_key = false")
            record(connection, actor, subject="all servers of the database")
            return True

    def add(self, actor: Actor, key: AccessKey) -> None:
        with self._pool.connection() as connection, connection.transaction():
            # A rotated key and its successor share their name, so no constraint can keep others off it.
            connection.execute("LOCK TABLE access_keys IN SHARE ROW EXCLUSIVE MODE")
            if connection.execute("SELECT FROM access_keys WHERE name = %s", [key.name]).fetchone() is not None:
                raise NameTaken(key.name)
            _insert(connection, actor, key)

    def rotate(self, actor: Actor, key: AccessKey, others_expire_at: datetime) -> None:
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(
                "UPDATE access_keys SET expires_at = least(expires_at, %s) WHERE name = %s",  # least ignores nulls
                [others_expire_at, key.name],
            )
            _insert(connection, actor, key)

    def enable(self, actor: Actor, reference: str, *, enabled: bool) -> int:
        with self._pool.connection() as connection, connection.transaction():
            changed = connection.execute(
                """
                UPDATE access_keys SET enabled = %(enabled)s WHERE name = %(key)s OR access_key_id = %(key)s
                RETURNING account
                """,
                {"enabled": enabled, "key": reference},
            ).fetchall()
            _record_in_each(connection, actor, changed, reference)
            return len(changed)

    def delete(self, actor: Actor, reference: str) -> int:
        with self._pool.connection() as connection, connection.transaction():
            deleted = connection.execute(
                "DELETE FROM access_keys WHERE name = %(key)s OR access_key_id = %(key)s RETURNING account",
                {"key": reference},
            ).fetchall()
            _record_in_each(connection, actor, deleted, reference)
            return len(deleted)


def _record_in_each(connection: Connection[TupleRow], actor: Actor, keys: Sequence[TupleRow], reference: str) -> None:
    """Adds a row in each account whose keys have changed."""
    for account in sorted({account for (account,) in keys}):
        record(connection, replace(actor, account=account), subject=reference)


def _insert(connection: Connection[TupleRow], actor: Actor, key: AccessKey) -> None:
    connection.execute("UPDATE access_control SET needs_a_key = true")
    connection.execute(
        """
        INSERT INTO access_keys
            (access_key_id, name, account, policy, policy_name, sealed_secret, enabled, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            key.access_key_id,
            key.name,
            key.account,
            key.policy,
            key.policy_name,
            key.sealed_secret,
            key.enabled,
            key.created_at,
            key.expires_at,
        ],
    )
    record(
        connection, replace(actor, account=key.account), subject=f"{key.name} {key.access_key_id}: {key.policy_name}"
    )
