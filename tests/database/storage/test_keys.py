import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from structlog.testing import capture_logs

from rekognition_emulator.auth.keyring import Keyring
from rekognition_emulator.auth.keys import NameTaken
from rekognition_emulator.auth.policy import Decision, parse_policy
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.keys import PostgresKeyStore
from tests.support.gallery import ACTOR
from tests.support.keys import NOW, SECRET, VAULT, a_key


@pytest.fixture
def keys(pool: ConnectionPool) -> PostgresKeyStore:
    """An empty store."""
    return PostgresKeyStore(pool)


def test_a_key_comes_back_as_it_was(keys: PostgresKeyStore) -> None:
    """With everything that it remembers, the oldest first, and with a secret that still opens."""
    late = a_key("late", created_at=NOW + timedelta(seconds=1), expires_at=NOW + timedelta(days=1), enabled=False)
    early = a_key("early")
    keys.add(ACTOR, late)
    keys.add(ACTOR, early)
    assert list(keys.all_keys()) == [early, late]
    assert keys.all_keys()[0].secret(VAULT) == SECRET


def test_no_secret_lies_open(keys: PostgresKeyStore, database_url: str) -> None:
    """Nowhere in the table."""
    keys.add(ACTOR, a_key())
    with psycopg.connect(database_url) as connection:
        (row,) = connection.execute("SELECT access_keys::text FROM access_keys").fetchall()
    assert SECRET not in row[0]
    assert SECRET.encode().hex() not in row[0]


def test_a_name_is_taken_once(keys: PostgresKeyStore) -> None:
    """Also when several ask for it at the same time."""

    def add(_: int) -> bool:
        try:
            keys.add(ACTOR, a_key("web"))
        except NameTaken:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(add, range(6))) == 1


def test_rotation_lets_the_old_ones_expire(keys: PostgresKeyStore) -> None:
    """At the given time, unless they end earlier; keys of other names stay as they are."""
    old, short, other = a_key("web"), a_key("web", expires_at=NOW + timedelta(hours=1)), a_key("other")
    keys.add(ACTOR, old)
    keys.add(ACTOR, other)
    end = NOW + timedelta(days=7)
    keys.rotate(ACTOR, short, end)
    new = a_key("web", created_at=NOW + timedelta(seconds=1))
    keys.rotate(ACTOR, new, end)
    stored = {key.access_key_id: key for key in keys.all_keys()}
    assert stored == {key.access_key_id: key for key in (replace(old, expires_at=end), short, other, new)}


def test_that_there_was_a_key_is_remembered(keys: PostgresKeyStore, pool: ConnectionPool) -> None:
    """By whoever asks later, until somebody opens the servers, which is refused while there is a key."""

    def is_keyed() -> bool:
        keyring = Keyring(PostgresKeyStore(pool), lambda: VAULT)
        keyring.refresh()
        return keyring.is_keyed

    assert not is_keyed()
    keys.add(ACTOR, a_key("web"))
    assert not keys.open(ACTOR)
    assert keys.delete(ACTOR, "web")
    assert is_keyed()
    assert keys.open(ACTOR)
    assert not is_keyed()
    keys.rotate(ACTOR, a_key("web"), NOW)
    assert keys.delete(ACTOR, "web")
    assert is_keyed()


@pytest.mark.parametrize(("operation", "remembers"), [("keys create", True), ("keys delete", False)])
def test_a_key_from_before_this_was_remembered(database_url: str, operation: str, *, remembers: bool) -> None:
    """The audit log of a database that is brought up to date may know of one that is gone."""
    migration = "0009.access.sql"
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE access_control")
        connection.execute("DELETE FROM applied_migrations WHERE name = %s", [migration])
        connection.execute(
            """
            INSERT INTO audit_log (at, kept_until, request_id, account, key_name, in_session, operation, status, counts)
            VALUES (now(), now() + interval '1 day', '1', '1', '(operator)', false, %s, 200, '{}')
            """,
            [operation],
        )
    with open_pool(database_url, connections_max=1) as pool:
        assert PostgresKeyStore(pool).needs_a_key() is remembers


@pytest.mark.parametrize("by_name", [True, False])
def test_disabling_and_deleting(keys: PostgresKeyStore, *, by_name: bool) -> None:
    """By name all keys of it are meant, by id only one; what there is not is counted as none."""
    one, two, other = a_key("web"), a_key("web", created_at=NOW + timedelta(seconds=1)), a_key("other")
    keys.add(ACTOR, one)
    keys.add(ACTOR, other)
    keys.rotate(ACTOR, two, NOW)
    reference, count = ("web", 2) if by_name else (one.access_key_id, 1)
    assert keys.enable(ACTOR, reference, enabled=False) == count
    assert sum(not key.enabled for key in keys.all_keys()) == count
    assert keys.enable(ACTOR, reference, enabled=True) == count
    assert all(key.enabled for key in keys.all_keys())
    assert keys.delete(ACTOR, reference) == count
    assert len(keys.all_keys()) == 3 - count
    assert keys.delete(ACTOR, reference) == keys.enable(ACTOR, "nobody", enabled=False) == 0


ALLOW = {"Effect": "Allow", "Action": ["rekognition:*"], "Resource": "*"}


def migrate_again(database_url: str, pool: ConnectionPool) -> None:
    """Does to the keys what the migration does to those of earlier versions."""
    with pool.connection() as database:
        database.execute("DELETE FROM applied_migrations WHERE name = '0008.objects.sql'")
    open_pool(database_url, connections_max=1).close()


def test_a_policy_that_postgresql_cannot_read_holds_up_no_start(pool: ConnectionPool, database_url: str) -> None:
    """It stays as it is, and allows what it says; our own log says whose it is."""
    odd = [json.dumps({"Statement": {**ALLOW, "Sid": sid}}) for sid in ("\x00", "\ud800", float("nan"))]
    for number, policy in enumerate(odd):
        PostgresKeyStore(pool).add(ACTOR, a_key(str(number), policy))
    with capture_logs() as lines:
        migrate_again(database_url, pool)
    told = [line["text"] for line in lines if (line["event"], line["log_level"]) == ("database_warning", "warning")]
    assert [text.partition(" stays")[0] for text in told] == [f"the policy of the access key {name}" for name in "012"]
    assert sorted(key.policy for key in PostgresKeyStore(pool).all_keys()) == sorted(odd)


@pytest.mark.parametrize(
    "statement",
    [
        ALLOW,
        [
            ALLOW | {"Sid": "ü"},
            {"Effect": "Deny", "Action": "rekognition:Delete*", "Resource": "*"},
        ],
    ],
)
def test_keys_of_earlier_versions_go_on_to_name_every_image_in_s3(
    statement: Any, pool: ConnectionPool, database_url: str
) -> None:
    """What they were allowed before policies knew of S3; all that they said stays said, in its order."""
    before = json.dumps({"Version": "2008-10-17", "Statement": statement, "Id": "x" * 6_000})
    PostgresKeyStore(pool).add(ACTOR, a_key(policy=before))
    migrate_again(database_url, pool)
    (key,) = PostgresKeyStore(pool).all_keys()
    told, policy = parse_policy(before), parse_policy(key.policy)
    assert policy.statements[:-1] == told.statements
    assert told.decide("s3:GetObject", "arn:aws:s3:::photos/a/b") is Decision.NOT_ALLOWED
    for action in ("s3:GetObject", "s3:GetObjectVersion"):
        assert policy.decide(action, "arn:aws:s3:::photos/a/b") is Decision.ALLOWED
    assert policy.decide("s3:PutObject", "arn:aws:s3:::photos/a/b") is Decision.NOT_ALLOWED
