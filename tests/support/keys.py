"""Keys for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

from rekognition_emulator.actor import Actor
from rekognition_emulator.auth.keys import LONG_TERM, AccessKey, KeyStore, new_id, seal_secret
from rekognition_emulator.auth.presets import preset
from rekognition_emulator.auth.vault import Vault

ACCOUNT = "123456789012"
SECRET = "a-secret"
VAULT = Vault(bytes(32))
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def a_key(name: str = "web", policy: str | None = None, vault: Vault = VAULT, **members: Any) -> AccessKey:
    """A key that may do everything, unless something else is said of it."""
    access_key_id = new_id(LONG_TERM)
    usual: dict[str, Any] = {
        "access_key_id": access_key_id,
        "name": name,
        "account": ACCOUNT,
        "policy": policy or preset("full", ACCOUNT),
        "policy_name": "full",
        "sealed_secret": seal_secret(vault, access_key_id, SECRET),
        "enabled": True,
        "created_at": NOW,
        "expires_at": None,
    }
    return AccessKey(**(usual | members))


@dataclass
class ListedKeys(KeyStore):
    """Keeps keys in a list; an error in it is raised."""

    listed: list[AccessKey] = field(default_factory=list)
    error: Exception | None = None
    has_had_one: bool = False

    def all_keys(self) -> Sequence[AccessKey]:
        """Returns the list, or raises the error."""
        if self.error:
            raise self.error
        return list(self.listed)

    def needs_a_key(self) -> bool:
        """Remembers."""
        return self.has_had_one

    def open(self, actor: Actor) -> bool:  # noqa: ARG002 - nobody is recorded here
        """Forgets."""
        self.has_had_one = bool(self.listed)
        return not self.listed

    def add(self, actor: Actor, key: AccessKey) -> None:  # noqa: ARG002 - likewise
        """Adds without asking."""
        self.listed.append(key)
        self.has_had_one = True

    rotate = enable = delete = Mock(side_effect=AssertionError("is not asked for"))
