import base64
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.auth.sessions import issue_session, open_session
from rekognition_emulator.auth.vault import SealBroken, Vault
from tests.support.keys import NOW, VAULT

CREDENTIALS = issue_session(VAULT, "AKIAPARENT", '{"Statement":[]}', NOW + timedelta(minutes=15, microseconds=5))


def test_a_token_carries_everything() -> None:
    """Secret, policy, end and the key that it was derived from come out again; every session has its own id."""
    session = open_session(VAULT, CREDENTIALS.access_key_id, CREDENTIALS.token)
    assert (session.key, session.policy) == ("AKIAPARENT", '{"Statement":[]}')
    assert session.secret == CREDENTIALS.secret
    assert session.expires_at == CREDENTIALS.expires_at == NOW + timedelta(minutes=15)
    assert CREDENTIALS.access_key_id.startswith("ASIA")
    assert len(CREDENTIALS.access_key_id) == 20
    other = issue_session(VAULT, "AKIAPARENT", "{}", NOW)
    assert len({CREDENTIALS.access_key_id, other.access_key_id, CREDENTIALS.secret, other.secret}) == 4


def test_a_token_shows_nothing() -> None:
    """Neither the secret nor anything else can be read in it."""
    content = base64.b64decode(CREDENTIALS.token)
    assert CREDENTIALS.secret.encode() not in content
    assert b"AKIAPARENT" not in content


def test_the_json_is_that_of_a_credential_process() -> None:
    """Members and the form of the time are those that SDKs read."""
    written = json.loads(CREDENTIALS.to_json())
    assert written == {
        "Version": 1,
        "AccessKeyId": CREDENTIALS.access_key_id,
        "SecretAccessKey": CREDENTIALS.secret,
        "SessionToken": CREDENTIALS.token,
        "Expiration": "2026-07-01T12:15:00Z",
    }


@given(st.text(max_size=40) | st.binary(max_size=60).map(lambda content: base64.b64encode(content).decode()))
def test_anything_else_is_no_token(token: str) -> None:
    """Whatever is sent as a token, it opens or it does not; nothing else happens."""
    with pytest.raises(SealBroken):
        open_session(VAULT, CREDENTIALS.access_key_id, token)


def test_a_token_belongs_to_its_id_and_to_one_master_key() -> None:
    """It is of no use with another session's id, or where another master key is."""
    for vault, access_key_id in ((VAULT, "ASIAANOTHER"), (Vault(bytes([1] * 32)), CREDENTIALS.access_key_id)):
        with pytest.raises(SealBroken):
            open_session(vault, access_key_id, CREDENTIALS.token)
