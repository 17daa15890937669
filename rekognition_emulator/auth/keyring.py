"""The access keys that there are, kept in memory so that no request waits for the database.

Every server reads all keys every two seconds. So a request costs no query, an unknown key costs nothing at all, and a
key that is made, disabled or deleted anywhere counts everywhere two seconds later, without messages between servers.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from rekognition_emulator.auth.keys import TEMPORARY, AccessKey, KeyStore, MasterKeyWrong
from rekognition_emulator.auth.policy import Decision, Policy, PolicyUnusable, parse_policy
from rekognition_emulator.auth.presets import BROWSER_ACTIONS, policy_of
from rekognition_emulator.auth.sessions import TemporaryCredentials, issue_session, open_session
from rekognition_emulator.auth.vault import MasterKeyUnusable, SealBroken, Vault

REFRESH_S: Final = 2.0
STALE_S: Final = 60.0
"""Keys that could not be read again for so long are not relied upon: one of them may be disabled by now."""

log = structlog.get_logger(__name__)


class KeysUnavailable(Exception):
    """The keys cannot be read or opened at present; who calls cannot be told."""


class CredentialsUnknown(Exception):
    """No such key, or a disabled one; or a session token that is not ours."""


class CredentialsExpired(Exception):
    """A key or a session whose time is over."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, once the signature has proved it.

    Attributes:
        key: the id of the access key; a session's is that of the key that it was derived from.
        name: of that key.
        account: whose collections these are.
        arn: the caller's resource name.
        policy: of the key.
        session_policy: of the session; None for the key itself.
    """

    key: str
    name: str
    account: str
    arn: str
    policy: Policy
    session_policy: Policy | None

    def decide(self, action: str, resource: str) -> Decision:
        """Says whether the key is allowed this."""
        return self.policy.decide(action, resource)

    def decide_in_session(self, action: str, resource: str) -> Decision:
        """Says whether the session is meant for this; whoever is in none is not narrowed."""
        return self.session_policy.decide(action, resource) if self.session_policy else Decision.ALLOWED


@dataclass(frozen=True, slots=True)
class Credentials:
    """A secret, and whose it is."""

    secret: str
    principal: Principal


class Keyring:
    """The keys of a store, read again and again while it is followed.

    Args:
        store: where the keys are.
        open_vault: opens what they are sealed with; called when there are keys for the first time, for a server
            without keys has no master key either. Raises MasterKeyUnusable.
    """

    def __init__(self, store: KeyStore, open_vault: Callable[[], Vault]) -> None:
        self._store = store
        self._open_vault = open_vault
        self._vault: Vault | None = None
        self._keys: Mapping[str, AccessKey] = {}
        self._read_at = 0.0
        self._is_keyed = False
        self._has_keys = False

    @property
    def is_keyed(self) -> bool:
        """Whether there is a key, or has been one since an operator opened the servers: deleting it opens no door."""
        return self._is_keyed

    def refresh(self) -> None:
        """Reads the keys.

        Raises:
            MasterKeyUnusable, MasterKeyWrong: there are keys, and they cannot be opened.
        """
        keys = {key.access_key_id: key for key in self._store.all_keys()}
        # In this order, so that there is no moment in which a key is there and nobody is asked for one.
        self._has_keys = bool(keys)
        self._is_keyed = self._has_keys or self._store.needs_a_key()
        if keys and self._vault is None:
            vault = self._open_vault()
            for key in keys.values():
                key.secret(vault)
            self._vault = vault
        self._keys, self._read_at = keys, time.monotonic()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Reads the keys now, with ``refresh``'s errors, and again and again until the end."""
        self.refresh()
        stop = threading.Event()
        thread = threading.Thread(target=self._follow, args=(stop,), name="keyring", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(REFRESH_S)  # a database that does not answer holds up nobody who wants to stop

    def _follow(self, stop: threading.Event) -> None:
        while not stop.wait(REFRESH_S):
            try:
                self.refresh()
            except (MasterKeyUnusable, MasterKeyWrong) as error:
                log.error("access keys cannot be opened", why=str(error))  # noqa: TRY400 - the sentence says it all
            except Exception as error:  # noqa: BLE001 - whatever the store raises, this thread goes on
                log.warning("access keys cannot be read", why=type(error).__name__)

    def find(self, access_key_id: str, token: str | None, now: datetime) -> Credentials:
        """Returns the secret with which a request must be signed, and whose it is.

        Args:
            access_key_id: as the request has it.
            token: of a session; None for an access key.
            now: the time.

        Raises:
            CredentialsUnknown, CredentialsExpired: they are no good.
            KeysUnavailable: that cannot be told at present.
        """
        if access_key_id.startswith(TEMPORARY):
            return self._find_session(access_key_id, token or "", now)
        key = self._key(access_key_id, now)
        if token is not None:  # a key of its own has none
            raise CredentialsUnknown
        arn = f"arn:aws:iam::{key.account}:user/{key.name}"
        return Credentials(
            self._secret(key), Principal(key.access_key_id, key.name, key.account, arn, _policy(key), None)
        )

    def issue_session(
        self, key: str, collection: str, lifetime: timedelta, now: datetime, objects: Sequence[str] = ()
    ) -> TemporaryCredentials:
        """Makes credentials for searches by picture in one collection; errors as ``find``'s.

        Args:
            key: the id of the access key that they are derived from.
            collection: the only one that they open, in every region.
            lifetime: from now on.
            now: the time.
            objects: images in S3 that they may name, as far as the key may; others have to be sent.
        """
        issuer = self._key(key, now)
        policy = policy_of(BROWSER_ACTIONS, issuer.account, [collection], objects)
        return issue_session(self._opened(), issuer.access_key_id, policy, now + lifetime)

    def _find_session(self, access_key_id: str, token: str, now: datetime) -> Credentials:
        try:
            session = open_session(self._opened(), access_key_id, token)
        except SealBroken as error:
            raise CredentialsUnknown from error
        if session.expires_at <= now:
            raise CredentialsExpired
        key = self._key(session.key, now)
        arn = f"arn:aws:sts::{key.account}:federated-user/{key.name}"
        principal = Principal(key.access_key_id, key.name, key.account, arn, _policy(key), parse_policy(session.policy))
        return Credentials(session.secret, principal)

    def _key(self, access_key_id: str, now: datetime) -> AccessKey:
        if time.monotonic() - self._read_at > STALE_S:
            raise KeysUnavailable
        key = self._keys.get(access_key_id)
        if key is None or not key.enabled:
            raise CredentialsUnknown
        if key.is_expired(now):
            raise CredentialsExpired
        return key

    def _secret(self, key: AccessKey) -> str:
        try:
            return key.secret(self._opened())
        except MasterKeyWrong as error:
            raise KeysUnavailable from error

    def _opened(self) -> Vault:
        if self._vault is None:
            raise KeysUnavailable if self._has_keys else CredentialsUnknown
        return self._vault


def _policy(key: AccessKey) -> Policy:
    try:
        return parse_policy(key.policy)
    except PolicyUnusable as error:  # written by a later version, which knows more of IAM
        raise KeysUnavailable from error
