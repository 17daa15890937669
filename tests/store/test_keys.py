from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.access.keys import NameTaken
from rekognition_emulator.store.keys import PostgresKeyStore
from tests.keys import NOW, SECRET, VAULT, a_key


@pytest.fixture
def keys(pool: ConnectionPool) -> PostgresKeyStore:
    """An empty store."""
    return PostgresKeyStore(pool)


def test_a_key_comes_back_as_it_was(keys: PostgresKeyStore) -> None:
    """With everything that it remembers, the oldest first, and with a secret that still opens."""
    late = a_key("late", created_at=NOW + timedelta(seconds=1), expires_at=NOW + timedelta(days=1), enabled=False)
    early = a_key("early")
    keys.add(late)
    keys.add(early)
    assert list(keys.all_keys()) == [early, late]
    assert keys.all_keys()[0].secret(VAULT) == SECRET


def test_no_secret_lies_open(keys: PostgresKeyStore, database_url: str) -> None:
    """Nowhere in the table."""
    keys.add(a_key())
    with psycopg.connect(database_url) as connection:
        (row,) = connection.execute("SELECT access_keys::text FROM access_keys").fetchall()
    assert SECRET not in row[0]
    assert SECRET.encode().hex() not in row[0]


def test_a_name_is_taken_once(keys: PostgresKeyStore) -> None:
    """Also when several ask for it at the same time."""

    def add(_: int) -> bool:
        try:
            keys.add(a_key("web"))
        except NameTaken:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(add, range(6))) == 1


def test_rotation_lets_the_old_ones_expire(keys: PostgresKeyStore) -> None:
    """At the given time, unless they end earlier; keys of other names stay as they are."""
    old, short, other = a_key("web"), a_key("web", expires_at=NOW + timedelta(hours=1)), a_key("other")
    keys.add(old)
    keys.add(other)
    end = NOW + timedelta(days=7)
    keys.rotate(short, end)
    new = a_key("web", created_at=NOW + timedelta(seconds=1))
    keys.rotate(new, end)
    stored = {key.access_key_id: key for key in keys.all_keys()}
    assert stored == {key.access_key_id: key for key in (replace(old, expires_at=end), short, other, new)}


@pytest.mark.parametrize("by_name", [True, False])
def test_disabling_and_deleting(keys: PostgresKeyStore, *, by_name: bool) -> None:
    """By name all keys of it are meant, by id only one; what there is not is counted as none."""
    one, two, other = a_key("web"), a_key("web", created_at=NOW + timedelta(seconds=1)), a_key("other")
    keys.add(one)
    keys.add(other)
    keys.rotate(two, NOW)
    reference, count = ("web", 2) if by_name else (one.access_key_id, 1)
    assert keys.enable(reference, enabled=False) == count
    assert sum(not key.enabled for key in keys.all_keys()) == count
    assert keys.enable(reference, enabled=True) == count
    assert all(key.enabled for key in keys.all_keys())
    assert keys.delete(reference) == count
    assert len(keys.all_keys()) == 3 - count
    assert keys.delete(reference) == keys.enable("nobody", enabled=False) == 0
