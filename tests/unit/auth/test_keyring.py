import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from rekognition_emulator.auth import keyring as module
from rekognition_emulator.auth.keyring import (
    Credentials,
    CredentialsExpired,
    CredentialsUnknown,
    Keyring,
    KeysUnavailable,
)
from rekognition_emulator.auth.keys import MasterKeyWrong
from rekognition_emulator.auth.policy import Decision
from rekognition_emulator.auth.sessions import issue_session
from rekognition_emulator.auth.vault import MasterKeyUnusable, Vault
from tests.support.gallery import ACTOR
from tests.support.keys import ACCOUNT, NOW, SECRET, VAULT, ListedKeys, a_key

WEDDING = f"arn:aws:rekognition:eu-west-1:{ACCOUNT}:collection/wedding"
SEARCH = "rekognition:SearchFacesByImage"


def ring(*keys: Any) -> Keyring:
    """A keyring that has read these keys."""
    keyring = Keyring(ListedKeys(list(keys)), lambda: VAULT)
    keyring.refresh()
    return keyring


def test_finds_the_secret_and_its_holder() -> None:
    """A key is found by its id, with its account and the ARN of a user of its name."""
    key = a_key("web", created_at=NOW)
    found = ring(a_key("other"), key).find(key.access_key_id, None, NOW)
    assert found.secret == SECRET
    assert (found.principal.account, found.principal.key) == (ACCOUNT, key.access_key_id)
    assert found.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/web"
    assert found.principal.decide("rekognition:DeleteCollection", WEDDING) is Decision.ALLOWED


def test_unknown_disabled_and_expired_keys() -> None:
    """A disabled key is as good as none; one whose time is over is told so, from that very second on."""
    disabled, late = a_key(enabled=False), a_key(expires_at=NOW + timedelta(seconds=1))
    keyring = ring(disabled, late)
    for access_key_id, token in (("AKIANOBODY", None), (disabled.access_key_id, None), (late.access_key_id, "token")):
        with pytest.raises(CredentialsUnknown):
            keyring.find(access_key_id, token, NOW)
    assert keyring.find(late.access_key_id, None, NOW).secret == SECRET
    with pytest.raises(CredentialsExpired):
        keyring.find(late.access_key_id, None, NOW + timedelta(seconds=1))


def session(keyring: Keyring, key: str, minutes: int = 15) -> Callable[[Any], Credentials]:
    """Issues a session; what is returned finds it at a time."""
    made = keyring.issue_session(key, "wedding", timedelta(minutes=minutes), NOW)
    return lambda now: keyring.find(made.access_key_id, made.token, now)


def test_a_session_is_for_searches_by_picture_in_one_collection() -> None:
    """It narrows what its key may do, and ends by itself."""
    key = a_key("web")
    find = session(ring(key), key.access_key_id)
    principal = find(NOW + timedelta(minutes=14, seconds=59)).principal
    assert principal.arn == f"arn:aws:sts::{ACCOUNT}:federated-user/web"
    assert principal.key == key.access_key_id
    assert principal.decide_in_session(SEARCH, WEDDING) is Decision.ALLOWED
    assert principal.decide_in_session(SEARCH, f"{WEDDING}-2") is Decision.NOT_ALLOWED
    assert principal.decide_in_session("rekognition:SearchFaces", WEDDING) is Decision.NOT_ALLOWED
    with pytest.raises(CredentialsExpired):
        find(NOW + timedelta(minutes=15))


def test_a_session_ends_with_its_key() -> None:
    """Disabled, deleted or expired: whatever becomes of the key becomes of its sessions."""
    key = a_key(expires_at=NOW + timedelta(minutes=10))
    store = ListedKeys([key])
    keyring = Keyring(store, lambda: VAULT)
    keyring.refresh()
    find = session(keyring, key.access_key_id)
    with pytest.raises(CredentialsExpired):
        find(NOW + timedelta(minutes=11))
    for listed in ([a_key(access_key_id=key.access_key_id, enabled=False)], []):
        store.listed = listed
        keyring.refresh()
        with pytest.raises(CredentialsUnknown):
            find(NOW)


def test_a_session_is_never_allowed_what_its_key_is_not() -> None:
    """A token that allows everything, made for a key that may only search, still asks the key."""
    key = a_key(policy='{"Statement":{"Effect":"Allow","Action":"rekognition:Search*","Resource":"*"}}')
    made = issue_session(VAULT, key.access_key_id, a_key().policy, NOW + timedelta(minutes=1))
    principal = ring(key).find(made.access_key_id, made.token, NOW).principal
    assert principal.decide_in_session("rekognition:DeleteFaces", WEDDING) is Decision.ALLOWED
    assert principal.decide("rekognition:DeleteFaces", WEDDING) is Decision.NOT_ALLOWED


def test_a_session_needs_its_token() -> None:
    """Without the token, with another session's, or where there is no key at all, its id is unknown."""
    key = a_key()
    keyring = ring(key)
    one, other = (keyring.issue_session(key.access_key_id, "a", timedelta(minutes=1), NOW) for _ in range(2))
    later = Keyring(ListedKeys(has_had_one=True), lambda: VAULT)
    later.refresh()
    for ours, token in (
        (keyring, None),
        (keyring, ""),
        (keyring, other.token),
        (ring(), one.token),
        (later, one.token),
    ):
        with pytest.raises(CredentialsUnknown):
            ours.find(one.access_key_id, token, NOW)


def test_deleting_the_last_key_opens_no_door() -> None:
    """Whoever has been asked for a key goes on being asked, by servers that start later as well, until they are opened.

    A key that is there is enough, whatever the store remembers.
    """
    store = ListedKeys()
    before = Keyring(store, lambda: VAULT)

    def seen() -> list[bool]:
        after = Keyring(store, lambda: VAULT)
        for keyring in (before, after):
            keyring.refresh()
        return [before.is_keyed, after.is_keyed]

    assert seen() == [False, False]
    store.add(ACTOR, a_key())
    assert seen() == [True, True]
    store.listed = []
    assert seen() == [True, True]
    store.open(ACTOR)
    assert seen() == [False, False]
    store.listed = [a_key()]
    assert seen() == [True, True]


def test_the_master_key_is_wanted_with_the_first_key() -> None:
    """Without keys none is needed; one that is missing or wrong is noticed at once."""

    def missing() -> Vault:
        raise MasterKeyUnusable

    Keyring(ListedKeys(), missing).refresh()
    for open_vault, error in ((missing, MasterKeyUnusable), (lambda: Vault(bytes([1] * 32)), MasterKeyWrong)):
        key = a_key()
        keyring = Keyring(ListedKeys([key]), open_vault)
        with pytest.raises(error):
            keyring.refresh()
        assert keyring.is_keyed
        with pytest.raises((CredentialsUnknown, KeysUnavailable)):
            keyring.find(key.access_key_id, None, NOW)


def test_a_key_that_cannot_be_used_is_nobody_s() -> None:
    """One of another master key, or with a policy of a later version, lets nobody in, and the others go on."""
    good = a_key("good")
    foreign, later = a_key(vault=Vault(bytes([1] * 32))), a_key(policy='{"Statement":{"Condition":{}}}')
    store = ListedKeys([good])
    keyring = Keyring(store, lambda: VAULT)
    keyring.refresh()
    store.listed += [foreign, later]
    keyring.refresh()
    for key in (foreign, later):
        with pytest.raises(KeysUnavailable):
            keyring.find(key.access_key_id, None, NOW)
    assert keyring.find(good.access_key_id, None, NOW).secret == SECRET


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_follows_its_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes is known soon; a store that fails for a while is asked again, and meanwhile the last keys count."""
    monkeypatch.setattr(module, "REFRESH_S", 0.01)
    store = ListedKeys()
    keyring = Keyring(store, lambda: VAULT)
    with capture_logs() as logs, keyring.followed():
        key = a_key()
        store.listed = [key]
        wait_for(lambda: keyring.is_keyed)
        store.error = OSError("the database is away")
        wait_for(lambda: bool(logs))
        assert keyring.find(key.access_key_id, None, NOW).secret == SECRET
        store.listed, store.error = [], None

        def is_gone() -> bool:
            try:
                keyring.find(key.access_key_id, None, NOW)
            except CredentialsUnknown:
                return True
            return False

        wait_for(is_gone)


def test_keys_that_were_read_too_long_ago_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is let in on the word of a database that has not answered for a minute."""
    key = a_key()
    keyring = ring(key)
    monkeypatch.setattr(module, "STALE_S", 0)
    time.sleep(0.01)
    with pytest.raises(KeysUnavailable):
        keyring.find(key.access_key_id, None, NOW)
