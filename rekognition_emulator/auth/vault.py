"""Encryption of what nobody may read: secrets where they are stored, sessions where they travel.

AES-256-GCM with one master key, and with the purpose of each text bound to it: a sealed secret that is copied to
another key's row, or that is passed off as a session, does not open. Signatures need the secrets themselves, so they
cannot be hashed as passwords are.
"""

import base64
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""As NIST SP 800-38D recommends; drawn by chance, which is good for four thousand million texts."""


class MasterKeyUnusable(Exception):
    """There is no master key, or it is none; the text says what to do."""


class SealBroken(Exception):
    """A text was not sealed with this master key for this purpose."""


class Vault:
    """Seals and opens small texts; ``master_key`` has 32 bytes."""

    def __init__(self, master_key: bytes) -> None:
        self._cipher = AESGCM(master_key)

    def seal(self, text: bytes, purpose: str) -> bytes:
        """Returns the text encrypted, 28 bytes longer; twice the same text gives two results."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text, purpose.encode())

    def unseal(self, sealed: bytes, purpose: str) -> bytes:
        """Returns the text.

        Raises:
            SealBroken: it was changed, or sealed for another purpose or with another key.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: too short to be one
            raise SealBroken from error


def read_master_key(text: str) -> bytes:
    """Returns the key that is written in base64.

    Raises:
        MasterKeyUnusable: it has not 32 bytes.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:  # not base64, or not even ASCII
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyUnusable(
            f"The master key is not {KEY_BYTES} bytes in base64, such as `openssl rand -base64 {KEY_BYTES}` prints."
        )
    return key


def read_master_key_file(file: Path) -> bytes:
    """Returns the key in a file; errors as ``read_master_key``'s, and where the file cannot be read."""
    try:
        return read_master_key(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise MasterKeyUnusable(
            f"The master key of the access keys cannot be read from {file} ({why}). Set REKOGNITION_MASTER_KEY or "
            "REKOGNITION_MASTER_KEY_FILE to the one with which they were made."
        ) from error


def create_master_key_file(file: Path) -> None:
    """Makes a key that only the file's owner can read; leaves one that is there, whoever made it at the same time."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            written.flush()
            os.fsync(written.fileno())
        os.link(unfinished, file)  # whole or not at all, and never over another one
    except FileExistsError:
        pass
    finally:
        Path(unfinished).unlink()
