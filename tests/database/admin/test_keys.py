import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.admin import keys
from rekognition_emulator.admin.collections import missing_collections
from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.admin.keys import KeyExpired, KeyState, MasterKey
from rekognition_emulator.admin.policies import own_policy, preset_policy
from rekognition_emulator.auth.keys import MasterKeyWrong
from rekognition_emulator.auth.sessions import open_session
from rekognition_emulator.auth.vault import MasterKeyUnusable, Vault, read_master_key_file
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.keys import PostgresKeyStore
from rekognition_emulator.storage.postgres import PostgresStore

ACCOUNT, OTHER = "123456789012", "222222222222"
OPERATOR = Actor("keys", ACCOUNT, "a-request", "(operator ann)")
FULL = preset_policy("full", ACCOUNT)
QUARTER = timedelta(minutes=15)


@pytest.fixture
def key_store(pool: ConnectionPool) -> PostgresKeyStore:
    """No key yet."""
    return PostgresKeyStore(pool)


@pytest.fixture
def master_key(tmp_path: Path) -> MasterKey:
    """Nobody has chosen one: a file is made."""
    file = tmp_path / "private" / "master.key"
    return MasterKey(lambda: Vault(read_master_key_file(file)), file)


def test_the_first_key_comes_with_a_master_key(key_store: PostgresKeyStore, master_key: MasterKey) -> None:
    """The file is told once and is private; the secret can be opened with it, and no result shows it by accident."""
    first = keys.create_key(key_store, master_key, OPERATOR, name="web", account=ACCOUNT, policy=FULL)
    second = keys.create_key(key_store, master_key, OPERATOR, name="cron", account=OTHER, policy=FULL, days=1)
    assert (first.master_key_file, second.master_key_file) == (master_key.file_to_make, None)
    assert master_key.file_to_make
    assert master_key.file_to_make.stat().st_mode & 0o077 == 0
    assert [key.secret(master_key.open_vault()) for key in key_store.all_keys()] == [first.secret, second.secret]
    assert first.secret not in repr(first)
    assert second.key.expires_at
    assert second.key.expires_at - second.key.created_at == timedelta(days=1)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": "two words"}, "is no name"),
        ({"name": "AKIAIOSFODNN7EXAMPLE"}, "looks like the id"),
        ({"account": "12"}, "is no account"),
        ({"days": 0}, "from 0.001 to 36,500"),
        ({"days": float("nan")}, "from 0.001 to 36,500"),
        ({"days": float("inf")}, "from 0.001 to 36,500"),
        ({"name": "taken"}, "There is a key called taken"),
    ],
)
def test_what_is_refused_changes_nothing(
    key_store: PostgresKeyStore, master_key: MasterKey, arguments: dict[str, object], why: str
) -> None:
    """Neither a key nor a row of the audit log comes of it."""
    usual = {"name": "web", "account": ACCOUNT, "policy": FULL}
    keys.create_key(key_store, master_key, OPERATOR, name="taken", account=ACCOUNT, policy=FULL)
    before = key_store.all_keys()
    with pytest.raises(Refused, match=why):
        keys.create_key(key_store, master_key, OPERATOR, **(usual | arguments))  # type: ignore[arg-type] # as it may be
    assert key_store.all_keys() == before


def test_a_refused_first_key_makes_no_master_key(key_store: PostgresKeyStore, master_key: MasterKey) -> None:
    """What is wrong is noticed before anything is written to the disk."""
    with pytest.raises(Refused):
        keys.create_key(key_store, master_key, OPERATOR, name="web", account=ACCOUNT, policy=FULL, days=-1)
    assert master_key.file_to_make
    assert not master_key.file_to_make.exists()


def test_a_lost_master_key_is_not_replaced(key_store: PostgresKeyStore, master_key: MasterKey) -> None:
    """A new one would hide that all keys are lost; another one is noticed before anything is changed."""
    keys.create_key(key_store, master_key, OPERATOR, name="web", account=ACCOUNT, policy=FULL)
    assert master_key.file_to_make
    master_key.file_to_make.unlink()
    with pytest.raises(MasterKeyUnusable):
        keys.create_key(key_store, master_key, OPERATOR, name="cron", account=ACCOUNT, policy=FULL)
    assert not master_key.file_to_make.exists()
    with pytest.raises(MasterKeyWrong):
        keys.rotate_key(key_store, MasterKey(lambda: Vault(bytes(32)), None), OPERATOR, "web")
    assert len(key_store.all_keys()) == 1


def test_rotation_keeps_account_and_policy(key_store: PostgresKeyStore, master_key: MasterKey) -> None:
    """The older key is good for as long as is said, the successor for as long as the older one was."""
    policy = preset_policy("search", OTHER, ["wedding"])
    old = keys.create_key(key_store, master_key, OPERATOR, name="web", account=OTHER, policy=policy, days=30).key
    new = keys.rotate_key(key_store, master_key, OPERATOR, "web", grace_hours=2)
    assert (new.key.account, new.key.policy, new.key.policy_name) == (OTHER, policy.document, "search: wedding")
    assert new.key.expires_at == old.expires_at
    assert new.others_expire_at == new.key.created_at + timedelta(hours=2)
    ends = {key.access_key_id: key.expires_at for key in key_store.all_keys()}
    assert ends == {old.access_key_id: new.others_expire_at, new.key.access_key_id: old.expires_at}
    for hours in (-1, float("nan"), float("inf")):
        with pytest.raises(Refused, match="from 0 to 876,000"):
            keys.rotate_key(key_store, master_key, OPERATOR, "web", grace_hours=hours)
    with pytest.raises(Refused, match="no key called cron"):
        keys.rotate_key(key_store, master_key, OPERATOR, "cron")


def test_an_expired_key_needs_an_end_for_its_successor(
    key_store: PostgresKeyStore, master_key: MasterKey, pool: ConnectionPool
) -> None:
    """It would be expired from the start; the error has a class of its own, for it can be mended at once."""
    key = keys.create_key(key_store, master_key, OPERATOR, name="web", account=ACCOUNT, policy=FULL).key
    past = datetime.now(UTC) - timedelta(days=1)
    with pool.connection() as connection:
        connection.execute("UPDATE access_keys SET expires_at = %s", [past])
    assert keys.state_of(replace(key, expires_at=past), datetime.now(UTC)) is KeyState.EXPIRED
    with pytest.raises(KeyExpired):
        keys.rotate_key(key_store, master_key, OPERATOR, "web")
    with pytest.raises(Refused, match="has expired"):
        keys.start_session(pool, master_key, OPERATOR, "web", collection="wedding", lifetime=QUARTER)
    new = keys.rotate_key(key_store, master_key, OPERATOR, "web", days=1).key
    assert keys.state_of(new, datetime.now(UTC)) is KeyState.ACTIVE


def test_keys_are_disabled_and_deleted_by_name_or_id(key_store: PostgresKeyStore, master_key: MasterKey) -> None:
    """A key that is not there is no success; without any key servers stay shut until they are opened."""
    web = keys.create_key(key_store, master_key, OPERATOR, name="web", account=ACCOUNT, policy=FULL).key
    keys.create_key(key_store, master_key, OPERATOR, name="cron", account=ACCOUNT, policy=FULL)
    assert keys.enable_keys(key_store, OPERATOR, web.access_key_id, enabled=False) == 1
    now = datetime.now(UTC)
    assert [keys.state_of(key, now) for key in key_store.all_keys()] == [KeyState.DISABLED, KeyState.ACTIVE]
    for refused in (
        lambda: keys.enable_keys(key_store, OPERATOR, "nobody", enabled=True),
        lambda: keys.delete_keys(key_store, OPERATOR, "nobody"),
    ):
        with pytest.raises(Refused, match="no key nobody"):
            refused()
    assert keys.delete_keys(key_store, OPERATOR, "web").any_left
    with pytest.raises(Refused, match="delete them first"):
        keys.open_access(key_store, OPERATOR)
    assert not keys.delete_keys(key_store, OPERATOR, "cron").any_left
    assert key_store.needs_a_key()
    keys.open_access(key_store, OPERATOR)
    assert not key_store.needs_a_key()


def test_a_session_does_no_more_than_its_key(
    key_store: PostgresKeyStore, master_key: MasterKey, pool: ConnectionPool
) -> None:
    """It stands in the audit log of the key's account; what it was to read and may not is told."""
    policy = preset_policy("search", OTHER, ["wedding"], ["selfies/*"])
    keys.create_key(key_store, master_key, OPERATOR, name="web", account=OTHER, policy=policy)

    def start(collection: str = "wedding", objects: tuple[str, ...] = ()) -> keys.StartedSession:
        return keys.start_session(
            pool, master_key, OPERATOR, "web", collection=collection, objects=objects, lifetime=QUARTER
        )

    started = start(objects=("selfies/*", "private/*"))
    assert (started.account, started.unreadable) == (OTHER, ["private/*"])
    assert started.credentials.token not in repr(started)
    opened = open_session(master_key.open_vault(), started.credentials.access_key_id, started.credentials.token)
    assert opened.secret == started.credentials.secret
    assert timedelta(minutes=14) < opened.expires_at - datetime.now(UTC) <= QUARTER
    (logged,) = (row for row in entries(pool, AuditFilter(collection="wedding")))
    assert (logged.account, logged.subject, logged.key_name) == (OTHER, "web", "(operator ann)")
    refusals: list[tuple[Callable[[], object], str]] = [
        (lambda: start("party"), "may not search by image in the collection party"),
        (lambda: start("a/b"), "is no collection's id"),
        (lambda: start(objects=("selfies",)), "is not a bucket and a name in it"),
    ]
    for refused, why in refusals:
        with pytest.raises(Refused, match=why):
            refused()
    keys.enable_keys(key_store, OPERATOR, "web", enabled=False)
    with pytest.raises(Refused, match="is disabled"):
        start()


def test_a_policy_for_several_services_says_what_is_left_out() -> None:
    """By the number of the statement; an action that no operation has is refused."""
    mixed = {"Effect": "Allow", "Action": ["rekognition:IndexFaces", "logs:PutLogEvents"], "Resource": "*"}
    policy = own_policy("role.json", json.dumps({"Statement": mixed}))
    assert (policy.name, policy.left_out) == ("role.json", {1: ["logs:PutLogEvents"]})
    assert "logs" not in policy.document
    with pytest.raises(Refused, match="rekognition:IndexFace, which is none"):
        own_policy("role.json", json.dumps({"Statement": mixed | {"Action": "rekognition:IndexFace"}}))


def test_missing_collections_are_those_of_no_region(store: PostgresStore, pool: ConnectionPool) -> None:
    """A name counts as there if the account has it anywhere; another account's does not."""
    store.create_collection(OPERATOR, Owner(ACCOUNT, "eu-west-1"), "wedding", "1.1")
    assert missing_collections(pool, ACCOUNT, ["weding", "wedding", "weding"]) == ["weding"]
    assert missing_collections(pool, OTHER, ["wedding"]) == ["wedding"]
