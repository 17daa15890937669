import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rekognition_emulator.auth.presets import ACTIONS, policy_of
from rekognition_emulator.http.authorization import resource_of
from rekognition_emulator.http.sessions import answer_session_request
from tests.support.access import UNSIGNED, access, keyring, signed
from tests.support.keys import ACCOUNT, SECRET, a_key

HERE = {"CollectionId": "wedding"}
ALL = a_key("all")
SEARCH = a_key("search", policy_of(ACTIONS["search"], ACCOUNT, ["wedding"]))
RING = keyring(ALL, SEARCH)


@pytest.fixture(autouse=True)
def _just_read() -> None:
    """Keys that were read too long ago let nobody in, and other tests may have taken a while."""
    RING.refresh()


def ask(body: bytes, key: Any = ALL, token: str | None = None, secret: str = SECRET) -> tuple[int, Any]:
    """Asks for a session with a key, or with a session; returns status and answer."""
    at = access(RING)
    caller = at.enter(signed(key if isinstance(key, str) else key.access_key_id, secret, token))
    answer = answer_session_request(caller, body, at.authorizer, RING.issue_session)
    return answer.status, json.loads(answer.body)


def test_a_session_is_issued() -> None:
    """For fifteen minutes, unless another time is asked for, and good for searches by picture there."""
    for body, minutes in ((HERE, 15), (HERE | {"DurationSeconds": 60, "S3Objects": ["photos/*"]}, 1)):
        status, made = ask(json.dumps(body).encode(), SEARCH)
        assert status == 200
        left = datetime.fromisoformat(made["Expiration"]) - datetime.now(UTC)
        assert timedelta(minutes=minutes, seconds=-30) < left <= timedelta(minutes=minutes)
        at = access(RING)
        caller = at.enter(signed(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]))
        at.authorizer.authorize(caller, "SearchFacesByImage", resource_of(caller, HERE))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"[" * 4000, "SerializationException"),
        (b"\xff", "SerializationException"),
        (b"[]", "ValidationException"),
        (b"{}", "ValidationException"),
        (b'{"CollectionId":"a/b"}', "ValidationException"),
        (b'{"CollectionId":"*"}', "ValidationException"),
        (b'{"CollectionId":["a"]}', "ValidationException"),
        (b'{"CollectionId":"a","Policy":"{}"}', "ValidationException"),
        (b'{"CollectionId":"a","S3Objects":"photos/*"}', "ValidationException"),
        (b'{"CollectionId":"a","S3Objects":[1]}', "ValidationException"),
        (b'{"CollectionId":"a","S3Objects":["photos"]}', "ValidationException"),
        (b'{"CollectionId":"a","S3Objects":["photos/${aws:username}"]}', "ValidationException"),
        (b'{"CollectionId":"a","S3Objects":[' + b'"a/b",' * 10 + b'"a/b"]}', "ValidationException"),
        (b'{"CollectionId":"a","DurationSeconds":59}', "ValidationException"),
        (b'{"CollectionId":"a","DurationSeconds":43201}', "ValidationException"),
        (b'{"CollectionId":"a","DurationSeconds":60.5}', "ValidationException"),
        (b'{"CollectionId":"a","DurationSeconds":true}', "ValidationException"),
        (b'{"CollectionId":"a","DurationSeconds":NaN}', "ValidationException"),
    ],
)
def test_sessions_that_make_no_sense(body: bytes, code: str) -> None:
    """Are refused in AWS's way."""
    status, told = ask(body)
    assert (status, told["__type"]) == (400, code)


def test_nobody_gives_what_they_have_not() -> None:
    """A key issues sessions for what it may do itself, and a session issues none."""
    status, told = ask(b'{"CollectionId":"party"}', SEARCH)
    assert (status, told["__type"]) == (400, "AccessDeniedException")
    made = RING.issue_session(ALL.access_key_id, "wedding", timedelta(minutes=1), datetime.now(UTC))
    status, told = ask(json.dumps(HERE).encode(), made.access_key_id, made.token, made.secret)
    assert (status, told["Message"]) == (400, "Cannot call POST /sessions with session credentials")
    at = access(keyring())
    answer = answer_session_request(at.enter(UNSIGNED), json.dumps(HERE).encode(), at.authorizer, RING.issue_session)
    assert answer.error == "MissingAuthenticationTokenException"


def test_answers_name_the_collection_once_it_is_known() -> None:
    """For the audit log: also where a session is refused, and not where the body names none."""
    at = access(RING)
    caller = at.enter(signed(SEARCH.access_key_id))
    for body, named in ((HERE, "wedding"), ({"CollectionId": "party"}, "party"), ({}, None)):
        answer = answer_session_request(caller, json.dumps(body).encode(), at.authorizer, RING.issue_session)
        assert (answer.operation, answer.collection) == ("CreateSession", named)
