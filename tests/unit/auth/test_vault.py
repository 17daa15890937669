import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.auth.vault import (
    MasterKeyUnusable,
    SealBroken,
    Vault,
    create_master_key_file,
    read_master_key,
    read_master_key_file,
)

VAULT = Vault(bytes(32))


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_sealed_opens_again(text: bytes, purpose: str) -> None:
    """With the same key and for the same purpose; what lies there tells nothing, not even that two are alike."""
    sealed = VAULT.seal(text, purpose)
    assert VAULT.unseal(sealed, purpose) == text
    assert VAULT.seal(text, purpose) != sealed
    assert len(text) < 4 or text not in sealed


@given(st.data())
def test_a_broken_seal_opens_nothing(data: st.DataObject) -> None:
    """One changed byte, another purpose, another key, or something shorter."""
    sealed = VAULT.seal(b"secret", "purpose")
    at = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytes([sealed[at] ^ data.draw(st.integers(1, 255))])
    for vault, text, purpose in (
        (VAULT, sealed[:at] + flipped + sealed[at + 1 :], "purpose"),
        (VAULT, sealed[:at], "purpose"),
        (VAULT, sealed, "another"),
        (Vault(bytes([1] * 32)), sealed, "purpose"),
    ):
        with pytest.raises(SealBroken):
            vault.unseal(text, purpose)


def test_a_new_key_is_its_owner_s_alone(tmp_path: Path) -> None:
    """The file is made once, whoever else makes it at the same time, readable by nobody else; nothing else is left."""
    file = tmp_path / "new" / "master.key"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(create_master_key_file, [file] * 8))
    first = file.read_text()
    create_master_key_file(file)
    assert file.read_text() == first
    assert len(read_master_key_file(file)) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("text", ["", "secret", "é", base64.b64encode(bytes(31)).decode(), "!" * 44])
def test_what_is_no_master_key_is_said_in_words(text: str) -> None:
    """Anything but 32 bytes in base64 is refused, and not repeated."""
    with pytest.raises(MasterKeyUnusable, match="is not 32 bytes in base64"):
        read_master_key(text)
    assert len(read_master_key(f" {base64.b64encode(bytes(32)).decode()}\n")) == 32


def test_a_file_that_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    """The sentence names the file, and the settings that name another one."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("missing", "binary", "."):
        with pytest.raises(MasterKeyUnusable, match="REKOGNITION_MASTER_KEY_FILE"):
            read_master_key_file(tmp_path / name)
