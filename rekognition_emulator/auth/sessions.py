"""Temporary credentials whose session token carries everything that is known of them, encrypted.

A session is nowhere but in its own token: the token holds the secret, the policy and the end, sealed with the master
key, and is worthless without the secret in the same hands. It names the key that it was derived from; when that is
disabled, deleted or expired, its sessions are over, and a session is never allowed what its key is not. A table of
sessions was refused: every visitor of an album would be a row to write, to read and to clear away.
"""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rekognition_emulator.auth.keys import TEMPORARY, new_id, new_secret
from rekognition_emulator.auth.vault import SealBroken, Vault

LIFETIME_MIN: Final = timedelta(minutes=1)
LIFETIME_MAX: Final = timedelta(hours=12)
"""Ours. AWS lets sessions of this kind live for a quarter of an hour at least and for 36 hours at most; a search by
selfie takes a minute."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says.

    Attributes:
        key: the id of the access key that it was derived from.
        secret: what its holder signs with.
        policy: a document; the session is allowed what both this and the key's own allow.
        expires_at: in whole seconds.
    """

    key: str
    secret: str
    policy: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TemporaryCredentials:
    """What the holder of a session is given."""

    access_key_id: str
    secret: str
    token: str
    expires_at: datetime

    def to_json(self) -> str:
        """Returns what every AWS SDK takes from a ``credential_process``."""
        return json.dumps(
            {
                "Version": 1,
                "AccessKeyId": self.access_key_id,
                "SecretAccessKey": self.secret,
                "SessionToken": self.token,
                "Expiration": self.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )


def issue_session(vault: Vault, key: str, policy: str, expires_at: datetime) -> TemporaryCredentials:
    """Makes credentials that end by themselves.

    Args:
        vault: of the master key that later opens the token.
        key: the id of the access key that they are derived from.
        policy: a document of what they are for.
        expires_at: when they end; fractions of a second are cut off.
    """
    access_key_id, secret, end = new_id(TEMPORARY), new_secret(), int(expires_at.timestamp())
    content = json.dumps([key, secret, policy, end]).encode()
    token = base64.b64encode(vault.seal(content, _purpose(access_key_id))).decode()
    return TemporaryCredentials(access_key_id, secret, token, datetime.fromtimestamp(end, UTC))


def open_session(vault: Vault, access_key_id: str, token: str) -> Session:
    """Returns what a token says.

    Raises:
        SealBroken: it is not ours, or belongs to another id.
    """
    try:
        sealed = base64.b64decode(token, validate=True)
    except ValueError as error:  # not base64, or not even ASCII
        raise SealBroken from error
    key, secret, policy, end = json.loads(vault.unseal(sealed, _purpose(access_key_id)))
    return Session(key, secret, policy, datetime.fromtimestamp(end, UTC))


def _purpose(access_key_id: str) -> str:
    return f"session {access_key_id}"
