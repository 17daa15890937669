import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from rekognition_emulator.auth.keyring import Keyring
from rekognition_emulator.auth.keys import AccessKey
from rekognition_emulator.auth.presets import ACTIONS, policy_of
from rekognition_emulator.http.authentication import Caller
from rekognition_emulator.http.authorization import Resource, resource_of
from rekognition_emulator.http.enforcement import Mode
from tests.support.access import Access, access, keyring, refusal, signed
from tests.support.keys import ACCOUNT, a_key

HERE = {"CollectionId": "wedding"}
WEDDING = f"arn:aws:rekognition:eu-west-1:{ACCOUNT}:collection/wedding"
DENYING = json.dumps(
    {
        "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "rekognition:Delete*", "Resource": "*"},
        ]
    }
)

SEARCH = a_key("search", policy_of(ACTIONS["search"], ACCOUNT, ["wedding"]))
NO_DELETING = a_key("no-deleting", DENYING)
ALL = a_key("all")
RING = keyring(ALL, SEARCH, NO_DELETING)
NOBODY = Caller("000000000000", "us-east-1", "id")
"""Whoever was asked for no key."""


@pytest.fixture(autouse=True)
def _just_read() -> None:
    """Keys that were read too long ago let nobody in, and other tests may have taken a while."""
    RING.refresh()


def server(mode: Mode | None = None, ring: Keyring = RING) -> Access:
    """Access control of a server that has these keys, unless something else is said."""
    return access(ring, mode)


def owner(key: AccessKey, at: Access) -> Caller:
    """Who has signed with a key."""
    return at.enter(signed(key.access_key_id))


def authorize(at: Access, caller: Caller, operation: str, request: dict[str, Any]) -> None:
    """Asks whether a caller may do this."""
    at.authorizer.authorize(caller, operation, resource_of(caller, request))


@pytest.mark.parametrize(
    ("key", "operation", "request_", "resource", "why"),
    [
        (
            SEARCH,
            "DeleteFaces",
            HERE,
            WEDDING,
            "because no identity-based policy allows the rekognition:DeleteFaces action",
        ),
        (
            SEARCH,
            "SearchFaces",
            {"CollectionId": "party"},
            "arn:aws:rekognition:eu-west-1:123456789012:collection/party",
            "because no identity-based policy allows the rekognition:SearchFaces action",
        ),
        (
            SEARCH,
            "ListCollections",
            {},
            "*",
            "because no identity-based policy allows the rekognition:ListCollections action",
        ),
        (
            SEARCH,
            "TagResource",
            {"ResourceArn": "arn:aws:rekognition:eu-west-1:1:collection/x"},
            "arn:aws:rekognition:eu-west-1:1:collection/x",
            "because no identity-based policy allows the rekognition:TagResource action",
        ),
        (
            NO_DELETING,
            "DeleteUser",
            HERE,
            WEDDING,
            "with an explicit deny in an identity-based policy",
        ),
    ],
)
def test_what_is_denied(key: Any, operation: str, request_: Any, resource: str, why: str) -> None:
    """The sentence is AWS's: who, what, on what, and why."""
    at = server()
    caller = owner(key, at)
    assert refusal(lambda: authorize(at, caller, operation, request_)) == (
        "AccessDeniedException",
        (
            f"User: arn:aws:iam::123456789012:user/{key.name} is not authorized to perform: rekognition:{operation} "
            f"on resource: {resource} {why}"
        ),
    )


@pytest.mark.parametrize(
    ("arn", "named"),
    [
        (WEDDING, "wedding"),
        (WEDDING.replace("eu-west-1", "us-east-1"), None),
        (WEDDING.replace(ACCOUNT, "999999999999"), None),
        (f"{WEDDING}:x", None),
        (f"{WEDDING}/x", None),
        ("wedding", None),
    ],
)
def test_a_full_name_names_a_collection_of_the_caller_s(arn: str, named: str | None) -> None:
    """Who tags it is in the records with it, refused or not; what is somebody else's is not taken for it."""
    for caller in (owner(ALL, server()), Caller(ACCOUNT, "eu-west-1", "id")):
        assert resource_of(caller, {"ResourceArn": arn}) == Resource(arn, named)


def test_a_name_names_a_collection_of_the_caller_s() -> None:
    """In the caller's account and region; whoever names none asks for nothing in particular."""
    assert resource_of(owner(ALL, server()), HERE) == Resource(WEDDING, "wedding")
    assert resource_of(NOBODY, HERE).arn == "arn:aws:rekognition:us-east-1:000000000000:collection/wedding"
    assert resource_of(NOBODY, {"MaxResults": 1}) == Resource("*", None)


def test_what_is_allowed() -> None:
    """Nothing is said."""
    at = server()
    authorize(at, owner(SEARCH, at), "SearchFaces", HERE)
    authorize(at, owner(NO_DELETING, at), "ListCollections", {})
    authorize(at, NOBODY, "DeleteCollection", HERE)


PHOTOS = a_key(
    "photos",
    json.dumps(
        {
            "Statement": [
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"},
                {"Effect": "Allow", "Action": "s3:GetObjectVersion", "Resource": "arn:aws:s3:::photos/old/*"},
                {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::photos/private/*"},
            ]
        }
    ),
)


@pytest.mark.parametrize(
    ("bucket", "name", "version", "may"),
    [
        ("photos", "a/b:c.jpg", None, True),
        ("photos", "a", "v1", False),
        ("photos", "old/a", "v1", True),
        ("photos", "private/a", None, False),
        ("photos", "/private/a", None, False),
        ("photos", "//private///a", None, False),
        ("photos", "privat/a", None, True),
        ("photo", "a", None, False),
        ("photos2", "a", None, False),
        ("x", "photos/a", None, False),
    ],
)
def test_which_images_in_s3_a_key_may_name(bucket: str, name: str, version: str | None, *, may: bool) -> None:
    """Those that its policy names, with a version by the other action; several slashes hide nothing."""
    at = server(None, keyring(PHOTOS))
    caller = owner(PHOTOS, at)
    assert at.authorizer.may_read(caller, bucket, name, version) is may


def test_who_names_images_in_s3() -> None:
    """Nobody by a policy that is silent about them; a session by its own policy and that of its key."""
    ring = keyring(PHOTOS, ALL, SEARCH)
    at = server(None, ring)
    assert not at.authorizer.may_read(owner(SEARCH, at), "photos", "a", None)
    assert at.authorizer.may_read(NOBODY, "photos", "a", None)

    def read(key: Any, objects: list[str], name: str) -> bool:
        made = ring.issue_session(key.access_key_id, "wedding", timedelta(minutes=1), datetime.now(UTC), objects)
        return at.authorizer.may_read(
            at.enter(signed(made.access_key_id, made.secret, made.token)), "photos", name, None
        )

    assert not read(PHOTOS, [], "a")
    assert read(PHOTOS, ["photos/party/*"], "party/a")
    assert not read(PHOTOS, ["photos/party/*"], "a")
    assert not read(PHOTOS, ["photos/*"], "private/a")
    assert not read(SEARCH, ["*"], "a")


def test_warn_lets_images_in_s3_pass_and_says_so() -> None:
    """As any other refusal."""
    at = server("warn", keyring(SEARCH))
    caller = owner(SEARCH, at)
    with capture_logs() as logs:
        assert at.authorizer.may_read(caller, "photos", "a", None)
    assert caller.trail.would_be_denied == "InvalidS3ObjectException"
    assert [line["event"] for line in logs] == ["would_be_denied"]
    assert "perform: s3:GetObject on resource: arn:aws:s3:::photos/a because no identity-based" in logs[0]["cause"]


def test_a_session_is_denied_by_its_own_policy() -> None:
    """Even what its key may do."""
    at = server()
    made = RING.issue_session(ALL.access_key_id, "wedding", timedelta(minutes=1), datetime.now(UTC))
    caller = at.enter(signed(made.access_key_id, made.secret, made.token))
    authorize(at, caller, "SearchFacesByImage", HERE)
    code, message = refusal(lambda: authorize(at, caller, "SearchFaces", HERE))
    assert code == "AccessDeniedException"
    assert message == (
        f"User: arn:aws:sts::{ACCOUNT}:federated-user/all is not authorized to perform: rekognition:SearchFaces "
        f"on resource: {WEDDING} because no session policy allows the rekognition:SearchFaces action"
    )


def test_warn_lets_pass_and_says_so() -> None:
    """Each request that would have been denied is counted and logged; the others are not."""
    at = server("warn")
    caller = owner(SEARCH, at)
    with capture_logs() as logs:
        authorize(at, caller, "SearchFaces", HERE)
        assert not logs
        authorize(at, caller, "DeleteFaces", HERE)
    assert caller.trail.would_be_denied == "AccessDeniedException"
    assert [(line["event"], line["error"], line["refusals"]) for line in logs] == [
        ("would_be_denied", "AccessDeniedException", 1)
    ]
    assert "user/search is not authorized" in logs[0]["cause"]
