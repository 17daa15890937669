"""Access keys: created, rotated, disabled, deleted, and sessions derived from them.

Works beside the servers that use the same database; they follow within seconds.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.admin.collections import require_collection_ids
from rekognition_emulator.admin.errors import Refused, require
from rekognition_emulator.admin.policies import KeyPolicy, require_objects
from rekognition_emulator.arn import ACCOUNT_ID, collection_arn, object_arn
from rekognition_emulator.auth.keys import LONG_TERM, AccessKey, KeyStore, NameTaken, new_id, new_secret, seal_secret
from rekognition_emulator.auth.policy import READ_OBJECT, Decision, Policy, parse_policy
from rekognition_emulator.auth.presets import BROWSER_ACTIONS, policy_of
from rekognition_emulator.auth.sessions import TemporaryCredentials, issue_session
from rekognition_emulator.auth.vault import Vault, create_master_key_file
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.keys import PostgresKeyStore

_NAME: Final = re.compile(r"[a-zA-Z0-9_+=,.@-]{1,64}")
"""As IAM's user names, which stand in the same place of an ARN."""
_KEY_ID: Final = re.compile(r"A[KS]IA[A-Z0-9]{16}")

DAYS_MIN: Final = 0.001
DAYS_MAX: Final = 36_500
"""A hundred years. Ours: far beyond any use, and far from the end of the calendar."""

GRACE_HOURS: Final = 168
"""A week, in which whoever holds the old key comes to the new one. Ours."""


class KeyExpired(Refused):
    """A key has expired, and nobody has said how long its successor is to be good."""


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    DISABLED = "disabled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """Where the key comes from that secrets are sealed with.

    Attributes:
        open_vault: opens it. Raises MasterKeyUnusable.
        file_to_make: the file that it is read from and that is made for the first access key; None where the operator
            has chosen another master key.
    """

    open_vault: Callable[[], Vault]
    file_to_make: Path | None


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its secret, which nobody can be told again.

    Attributes:
        secret: what its holder signs with.
        master_key_file: that was made for it, and that every key is lost without; None if there was a master key.
        others_expire_at: when older keys of this name expire at the latest; None of a first one.
    """

    key: AccessKey
    secret: str = field(repr=False)
    master_key_file: Path | None = None
    others_expire_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeletedKeys:
    """How many keys were deleted, and whether any is left; without one, requests are refused."""

    count: int
    any_left: bool


@dataclass(frozen=True, slots=True)
class StartedSession:
    """Temporary credentials.

    Attributes:
        account: whose collection they open.
        unreadable: what they were to read in S3 and may not, as their key may not.
    """

    account: str
    credentials: TemporaryCredentials = field(repr=False)
    unreadable: Sequence[str]


def state_of(key: AccessKey, now: datetime) -> KeyState:
    """Returns whether a key opens anything at this moment."""
    if not key.enabled:
        return KeyState.DISABLED
    return KeyState.EXPIRED if key.is_expired(now) else KeyState.ACTIVE


def create_key(  # noqa: PLR0913 - what a key consists of
    store: KeyStore,
    master_key: MasterKey,
    actor: Actor,
    *,
    name: str,
    account: str,
    policy: KeyPolicy,
    days: float | None = None,
) -> CreatedKey:
    """Creates a key; the first one also makes the master key's file, where nobody has chosen another.

    Args:
        store: of keys.
        master_key: that its secret is sealed with.
        actor: who creates it.
        name: of whoever is to hold it; it appears in the caller's ARN.
        account: whose collections it opens.
        policy: what it allows.
        days: for how long it is good, ``DAYS_MIN`` to ``DAYS_MAX``; None for ever.

    Raises:
        Refused: there is a key of this name, or an argument is not what it should be.
        MasterKeyUnusable, MasterKeyWrong: the master key is not the one that the other keys were sealed with.
    """
    require(ACCOUNT_ID.fullmatch(account), f"{account} is no account: twelve digits.")
    require(_NAME.fullmatch(name), f"{name} is no name: up to 64 letters, digits and _+=,.@-")
    require(not _KEY_ID.fullmatch(name), f"{name} looks like the id of a key.")
    now = datetime.now(UTC)
    expires_at = _end(now, days)
    vault, made = _open_vault(store, master_key)
    created = _new_key(vault, name, account, policy, now, expires_at)
    try:
        store.add(actor, created.key)
    except NameTaken as error:
        raise Refused(f"There is a key called {name}: rotate it, or choose another name.") from error
    return replace(created, master_key_file=made)


def rotate_key(  # noqa: PLR0913 - what a rotation takes
    store: KeyStore,
    master_key: MasterKey,
    actor: Actor,
    name: str,
    *,
    grace_hours: float = GRACE_HOURS,
    days: float | None = None,
) -> CreatedKey:
    """Creates a successor of a key, with the same account and policy.

    Args:
        store: of keys.
        master_key: that its secret is sealed with.
        actor: who rotates it.
        name: the key's, and its successor's.
        grace_hours: how long the older keys of this name stay good at most, 0 to 24 times ``DAYS_MAX``.
        days: for how long the successor is good; None for as long as the key that it follows.

    Raises:
        KeyExpired: the key has expired, and ``days`` does not say how long its successor is good.
        Refused: there is no key of this name, or an argument is not what it should be.
        MasterKeyUnusable, MasterKeyWrong: as for ``create_key``.
    """
    old = newest_key(store, name)
    now = datetime.now(UTC)
    if days is None and old.is_expired(now):
        raise KeyExpired(f"The key {name} has expired")
    expires_at = old.expires_at if days is None else _end(now, days)
    # Whatever compares false, as what is not a number does, is refused.
    require(0 <= grace_hours <= DAYS_MAX * 24, f"The hours of grace are a number from 0 to {DAYS_MAX * 24:,}.")
    vault, _ = _open_vault(store, master_key)
    policy = KeyPolicy(old.policy, old.policy_name)
    created = _new_key(vault, name, old.account, policy, now, expires_at)
    grace_end = now + timedelta(hours=grace_hours)
    store.rotate(actor, created.key, grace_end)
    return replace(created, others_expire_at=grace_end)


def enable_keys(store: KeyStore, actor: Actor, reference: str, *, enabled: bool) -> int:
    """Enables or disables the key of this id, or all of this name, and returns how many.

    Raises:
        Refused: there is none.
    """
    count = store.enable(actor, reference, enabled=enabled)
    require(count, f"There is no key {reference}.")
    return count


def delete_keys(store: KeyStore, actor: Actor, reference: str) -> DeletedKeys:
    """Deletes the key of this id, or all of this name.

    Raises:
        Refused: there is none.
    """
    count = store.delete(actor, reference)
    require(count, f"There is no key {reference}.")
    return DeletedKeys(count, any_left=bool(store.all_keys()))


def open_access(store: KeyStore, actor: Actor) -> None:
    """Has nobody asked for a key who can reach a server's loopback address, until there is a key again.

    Raises:
        Refused: there is a key.
    """
    require(store.open(actor), "There are keys: delete them first, if nobody is to be asked for one.")


def start_session(  # noqa: PLR0913 - what a session takes
    pool: ConnectionPool,
    master_key: MasterKey,
    actor: Actor,
    name: str,
    *,
    collection: str,
    objects: Sequence[str] = (),
    lifetime: timedelta,
) -> StartedSession:
    """Derives temporary credentials, for SearchFacesByImage in one collection, from a key.

    Args:
        pool: to the database.
        master_key: that the session's token is sealed with.
        actor: who wants it; the account is that of the key.
        name: of the key; when that ends, so does the session.
        collection: the only one that it opens.
        objects: images in S3 that its requests may name, as ``presets.OBJECTS`` has them.
        lifetime: of the session, up to ``sessions.LIFETIME_MAX``.

    Raises:
        Refused: there is no such key, it is disabled, expired, or may not do so itself; or nothing can be called so.
        MasterKeyUnusable, MasterKeyWrong: as for ``create_key``.
    """
    require_collection_ids([collection])
    require_objects(objects)
    store, now = PostgresKeyStore(pool), datetime.now(UTC)
    issuer = newest_key(store, name)
    require(issuer.enabled, f"The key {name} is disabled.")
    require(not issuer.is_expired(now), f"The key {name} has expired.")
    policy = parse_policy(issuer.policy)
    _require_search(policy, issuer, collection)
    vault, _ = _open_vault(store, master_key)
    narrowed = policy_of(BROWSER_ACTIONS, issuer.account, [collection], objects)
    credentials = issue_session(vault, issuer.access_key_id, narrowed, now + lifetime)
    with pool.connection() as connection:
        record(connection, replace(actor, account=issuer.account), collection=collection, subject=name)
    unreadable = [each for each in objects if policy.decide(READ_OBJECT, object_arn(each)) is not Decision.ALLOWED]
    return StartedSession(issuer.account, credentials, unreadable)


def newest_key(store: KeyStore, name: str) -> AccessKey:
    """Returns the last key that was created under a name; raises ``Refused`` if there is none."""
    found = [key for key in store.all_keys() if key.name == name]
    require(found, f"There is no key called {name}.")
    return found[-1]


def _open_vault(store: KeyStore, master_key: MasterKey) -> tuple[Vault, Path | None]:
    """Returns what secrets are sealed with, once it has opened those that there are, and the file that was made for it.

    The file that nobody has chosen is made for the first key. Later it is not: where it is missing then, it is lost or
    somewhere else, and a second master key would only hide that.
    """
    keys = store.all_keys()
    made = None if keys else master_key.file_to_make
    if made:
        create_master_key_file(made)
    vault = master_key.open_vault()
    for key in keys:
        key.secret(vault)
    return vault, made


def _new_key(  # noqa: PLR0913, PLR0917 # what a key consists of
    vault: Vault, name: str, account: str, policy: KeyPolicy, now: datetime, expires_at: datetime | None
) -> CreatedKey:
    access_key_id, secret = new_id(LONG_TERM), new_secret()
    sealed = seal_secret(vault, access_key_id, secret)
    key = AccessKey(access_key_id, name, account, policy.document, policy.name, sealed, True, now, expires_at)
    return CreatedKey(key, secret)


def _end(now: datetime, days: float | None) -> datetime | None:
    if days is None:
        return None
    # Whatever compares false, as what is not a number does, is refused.
    require(DAYS_MIN <= days <= DAYS_MAX, f"The days that a key is good are a number from {DAYS_MIN} to {DAYS_MAX:,}.")
    return now + timedelta(days=days)


def _require_search(policy: Policy, issuer: AccessKey, collection: str) -> None:
    """Refuses a session that could do nothing, as none may do what its key may not."""
    arn = collection_arn("", issuer.account, collection)
    require(
        any(policy.allows_in_a_region(action, arn) for action in BROWSER_ACTIONS),
        f"The key {issuer.name} may not search by image in the collection {collection} (its policy is "
        f"{issuer.policy_name}), and a session may do no more than its key.",
    )
