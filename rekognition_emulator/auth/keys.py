"""Access keys: what is known of one, and the interface of what stores them."""

import secrets
import string
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rekognition_emulator.actor import Actor
from rekognition_emulator.auth.vault import SealBroken, Vault

ID_CHARS: Final = string.ascii_uppercase + "234567"
"""Of base32, as in AWS's own ids."""
ID_CHARS_RANDOM: Final = 16

SECRET_CHARS: Final = string.ascii_letters + string.digits
"""AWS also has + and /, which every shell, URL and configuration file has another idea about."""
SECRET_LENGTH: Final = 40
"""As AWS's. With 62 characters that is 238 bits."""

LONG_TERM: Final = "AKIA"
"""Begins the ids of access keys. Source: IAM User Guide, unique identifiers."""
TEMPORARY: Final = "ASIA"
"""Begins those of sessions."""


class MasterKeyWrong(Exception):
    """A secret was sealed with another master key than ours; the text says what to do."""


class NameTaken(Exception):
    """There is a key of this name already."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key as it is kept; a key and the one that it is rotated to share their name.

    Attributes:
        access_key_id: 20 characters, no secret.
        name: of whoever holds it.
        account: whose collections it opens.
        policy: a document that ``parse_policy`` reads.
        policy_name: what the operator asked for, to be shown.
        sealed_secret: ``secret`` opens it.
        expires_at: None if it does not.
    """

    access_key_id: str
    name: str
    account: str
    policy: str
    policy_name: str
    sealed_secret: bytes
    enabled: bool
    created_at: datetime
    expires_at: datetime | None

    def is_expired(self, now: datetime) -> bool:
        """Says whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def secret(self, vault: Vault) -> str:
        """Returns the secret with which its holder signs.

        Raises:
            MasterKeyWrong: the vault has another master key.
        """
        try:
            return vault.unseal(self.sealed_secret, _purpose(self.access_key_id)).decode()
        except SealBroken as error:
            raise MasterKeyWrong(
                f"The access key {self.access_key_id} was made with another master key: set REKOGNITION_MASTER_KEY or "
                "REKOGNITION_MASTER_KEY_FILE to that one, or delete the key and create a new one."
            ) from error


class KeyStore(ABC):
    """Keeps access keys."""

    @abstractmethod
    def all_keys(self) -> Sequence[AccessKey]:
        """Returns all keys, the oldest first."""

    @abstractmethod
    def needs_a_key(self) -> bool:
        """Returns whether a key is asked for also where there is none: there has been one, and ``open`` was not called.

        So a server that starts after the last key was deleted lets nobody in.
        """

    @abstractmethod
    def open(self, actor: Actor) -> bool:
        """Has nobody asked for a key until there is one; returns False, and does nothing, if there is one."""

    @abstractmethod
    def add(self, actor: Actor, key: AccessKey) -> None:
        """Adds a key.

        Raises:
            NameTaken: another one has its name.
        """

    @abstractmethod
    def rotate(self, actor: Actor, key: AccessKey, others_expire_at: datetime) -> None:
        """Adds a key, and lets the others of its name expire then, unless they do so earlier."""

    @abstractmethod
    def enable(self, actor: Actor, reference: str, *, enabled: bool) -> int:
        """Enables or disables the key of this id, or all of this name, and returns how many there are."""

    @abstractmethod
    def delete(self, actor: Actor, reference: str) -> int:
        """Deletes the key of this id, or all of this name, and returns how many there were."""


def new_id(prefix: str) -> str:
    """Returns an id that nothing has yet."""
    return prefix + "".join(secrets.choice(ID_CHARS) for _ in range(ID_CHARS_RANDOM))


def new_secret() -> str:
    """Returns a secret that nobody knows yet."""
    return "".join(secrets.choice(SECRET_CHARS) for _ in range(SECRET_LENGTH))


def seal_secret(vault: Vault, access_key_id: str, secret: str) -> bytes:
    """Returns the secret of a key as it is kept."""
    return vault.seal(secret.encode(), _purpose(access_key_id))


def _purpose(access_key_id: str) -> str:
    return f"secret of {access_key_id}"
