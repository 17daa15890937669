import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from unittest.mock import Mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from structlog.testing import capture_logs

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.auth.keyring import Keyring, KeysUnavailable
from rekognition_emulator.auth.presets import ACTIONS, policy_of
from rekognition_emulator.http.gate import Caller, Gate
from rekognition_emulator.http.sessions import answer_session_request
from rekognition_emulator.http.sigv4 import Head
from rekognition_emulator.telemetry.observation import Observation, current
from tests.support.gallery import ACTOR
from tests.support.keys import ACCOUNT, SECRET, VAULT, ListedKeys, a_key

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

ALL = a_key("all")
SEARCH = a_key("search", policy_of(ACTIONS["search"], ACCOUNT, ["wedding"]))
NO_DELETING = a_key("no-deleting", DENYING)
DISABLED = a_key("disabled", enabled=False)
EXPIRED = a_key("expired", expires_at=datetime(2026, 1, 1, tzinfo=UTC))


def keyring(*keys: Any) -> Keyring:
    """A keyring that has read these keys."""
    ring = Keyring(ListedKeys(list(keys)), lambda: VAULT)
    ring.refresh()
    return ring


RING = keyring(ALL, SEARCH, NO_DELETING, DISABLED, EXPIRED)


@pytest.fixture(autouse=True)
def _just_read() -> None:
    """Keys that were read too long ago let nobody in, and other tests may have taken a while."""
    RING.refresh()


def gate(mode: Literal["enforce", "warn"] | None = None, ring: Keyring = RING, *, is_local: bool = True) -> Gate:
    """A gate."""
    return Gate(ring, mode, is_local=is_local, account="000000000000", default_region="us-east-1")


def signed(access_key_id: str, secret: str = SECRET, token: str | None = None) -> Head:
    """A request that is signed so, with an empty body."""
    request = AWSRequest("POST", "http://localhost/", {"X-Amz-Target": "RekognitionService.ListCollections"}, b"")
    SigV4Auth(Credentials(access_key_id, secret, token), "rekognition", "eu-west-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    return Head("POST", b"/", b"", [*headers, (b"host", b"localhost")])


NO_BODY = sha256(b"").hexdigest()
UNSIGNED = Head("POST", b"/", b"", [(b"host", b"localhost")])


def enter(head: Head, at: Gate, body: bytes = b"") -> Caller:
    """Goes through the gate."""
    return at.identify(at.admit(head, "id"), head, sha256(body).hexdigest(), "id")


def refusal(ask: Callable[[], object]) -> tuple[str, str | None]:
    """Returns code and text of the error with which something is refused."""
    with pytest.raises(ServiceError) as refused:
        ask()
    return refused.value.code, refused.value.message


def test_a_caller_has_the_account_of_the_key_and_the_region_of_the_signature() -> None:
    """Both are proved, so both can be walls."""
    caller = enter(signed(ALL.access_key_id), gate())
    assert (caller.account, caller.region, caller.request_id) == (ACCOUNT, "eu-west-1", "id")
    assert caller.principal is not None
    assert caller.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/all"


INVALID_TOKEN = ("UnrecognizedClientException", "The security token included in the request is invalid.")


@pytest.mark.parametrize("mode", [None, "enforce"])
@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        ((), ("MissingAuthenticationTokenException", "Missing Authentication Token")),
        (("AKIANOBODYNOBODYNOBO",), INVALID_TOKEN),
        (("test", "test"), INVALID_TOKEN),
        ((DISABLED.access_key_id,), INVALID_TOKEN),
        ((ALL.access_key_id, SECRET, "token"), INVALID_TOKEN),
        (("ASIANOBODYNOBODYNOBO", SECRET, "token"), INVALID_TOKEN),
        (
            (EXPIRED.access_key_id,),
            ("ExpiredTokenException", "The security token included in the request is expired"),
        ),
    ],
)
def test_who_is_refused_before_the_body_is_read(
    mode: Literal["enforce"] | None, credentials: tuple[str, ...], told: tuple[str, str]
) -> None:
    """The headers alone give them away."""
    head = signed(*credentials) if credentials else UNSIGNED
    assert refusal(lambda: gate(mode).admit(head, "id")) == told


def test_who_is_refused_with_the_body() -> None:
    """A wrong secret, or another body than the one that was signed."""
    for head, body in ((signed(ALL.access_key_id, "wrong"), b""), (signed(ALL.access_key_id), b"{}")):
        code, message = refusal(lambda head=head, body=body: enter(head, gate(), body))  # type: ignore[misc] # of a loop
        assert code == "InvalidSignatureException"
        assert (message or "").startswith("The request signature we calculated does not match")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "album.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:80"]
)
def test_open_server_answers_to_its_own_names(host: str) -> None:
    """Whatever means this machine and no other is called without a key."""
    enter(Head("POST", b"/", b"", [(b"host", host.encode())]), gate(ring=keyring()))
    enter(Head("POST", b"/", b"", []), gate(ring=keyring()))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::1",
        "",
        "a@b",
        "a@localhost",
        "evil.example,a.localhost",
        "evil.example/a.localhost",
        f"{'a' * 300}.localhost",
        "\xff",
    ],
)
def test_open_server_answers_to_no_other_name(host: str) -> None:
    """A page whose name was pointed to this machine gets no answer through its visitor's browser."""
    head = Head("POST", b"/", b"", [(b"host", host.encode("latin-1"))])
    code, text = refusal(lambda: enter(head, gate(ring=keyring())))
    assert code == "AccessDeniedException"
    assert "create a key" in (text or "")


PROXIED = [
    Head("POST", b"/", b"", [(b"host", b"localhost")], "1.0"),
    *(
        Head("POST", b"/", b"", [(b"host", b"localhost"), (name, b"1")])
        for name in (
            *(b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-x", b"x-real-ip"),
            *(b"x-original-host", b"x-original-forwarded-for", b"x-client-ip", b"x-cluster-client-ip"),
            *(b"true-client-ip", b"fastly-client-ip", b"fly-client-ip", b"cdn-loop"),
            *(b"cf-connecting-ip", b"cf-ray", b"x-azure-clientip", b"x-arr-log-id", b"x-appengine-country"),
            *(b"x-envoy-external-address", b"x-envoy-expected-rq-timeout-ms"),
        )
    ),
]


@pytest.mark.parametrize("head", PROXIED, ids=lambda head: f"{head.http_version} {head.headers[-1][0].decode()}")
def test_open_server_does_not_answer_through_a_proxy(head: Head) -> None:
    """Whatever it calls us: the request may have come from anywhere. Where a key is asked for, it does no harm."""
    code, text = refusal(lambda: enter(head, gate(ring=keyring())))
    assert code == "AccessDeniedException"
    assert "create a key" in (text or "")
    ours = signed(ALL.access_key_id)
    enter(replace(ours, headers=[*ours.headers, *head.headers[1:]], http_version=head.http_version), gate())


def test_two_hosts_are_no_local_name() -> None:
    """Of which one could be meant for whoever passes the request on."""
    head = Head("POST", b"/", b"", [(b"host", b"localhost"), (b"host", b"localhost")])
    assert refusal(lambda: enter(head, gate(ring=keyring())))[0] == "AccessDeniedException"


def through_proxy(head: Head, host: str, **added: str) -> Head:
    """The request as a proxy passes it on that calls us by another name."""
    others = [header for header in head.headers if header[0] != b"host"]
    more = [(name.replace("_", "-").encode(), value.encode()) for name, value in added.items()]
    return replace(head, headers=[*others, (b"host", host.encode()), *more])


@pytest.mark.parametrize(
    ("added", "signed_host"),
    [
        ({}, None),
        ({"x_forwarded_host": "localhost"}, "localhost"),
        ({"x_forwarded_host": "localhost, 10.0.0.1"}, "localhost"),
        ({"x_forwarded_host": "faces.example"}, None),
        ({"x_forwarded_host": "x" * 60_000}, None),
    ],
)
def test_a_signature_for_another_host_is_explained_in_the_log(added: dict[str, str], signed_host: str | None) -> None:
    """Which Host arrived, which one a proxy says it was, and whether it was that one; the answer says none of it."""
    head = through_proxy(signed(ALL.access_key_id), "127.0.0.1:8080", **added)
    with capture_logs() as logs:
        code, message = refusal(lambda: enter(head, gate()))
    assert code == "InvalidSignatureException"
    assert "127.0.0.1" not in (message or "")
    (line,) = logs
    assert (line["event"], line["log_level"], line["request_id"]) == ("signature_mismatch", "warning", "id")
    assert (line["host"], line["signed_host"]) == ("127.0.0.1:8080", signed_host)
    assert line["x_forwarded_host"] == (added["x_forwarded_host"][:261] if added else None)


def test_a_port_that_a_proxy_took_away_is_found() -> None:
    """As nginx's $host does, where it says which port it was asked on."""
    request = AWSRequest("POST", "http://localhost:8443/", {}, b"")
    SigV4Auth(Credentials(ALL.access_key_id, SECRET), "rekognition", "eu-west-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    head = through_proxy(Head("POST", b"/", b"", headers), "localhost", x_forwarded_port="8443")
    with capture_logs() as logs:
        refusal(lambda: enter(head, gate()))
    assert [line["signed_host"] for line in logs] == ["localhost:8443"]


def test_a_signed_header_that_a_proxy_took_away_is_named_in_the_log() -> None:
    """The request is refused before its body is read."""
    head = signed(ALL.access_key_id)
    head = replace(head, headers=[header for header in head.headers if header[0] != b"x-amz-target"])
    with capture_logs() as logs:
        assert refusal(lambda: gate().admit(head, "id"))[0] == "InvalidSignatureException"
    assert [(line["event"], line["cause"]) for line in logs] == [
        ("signature_mismatch", "signed, but not there: x-amz-target")
    ]


@pytest.mark.parametrize(("region", "found"), [("", "us-east-1"), ("local", "local"), ("us-east-1-x", "us-east-1-x")])
def test_a_region_is_the_same_with_a_key_and_without(region: str, found: str) -> None:
    """None means the default one, and whatever else a client is configured with is a region of its own."""
    request = AWSRequest("POST", "http://localhost/", {}, b"")
    SigV4Auth(Credentials(ALL.access_key_id, SECRET), "rekognition", region).add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    head = Head("POST", b"/", b"", [*headers, (b"host", b"localhost")])
    assert [enter(head, at).region for at in (gate(), gate(ring=keyring()))] == [found] * 2


def test_server_with_a_key_answers_to_any_name() -> None:
    """There the signature decides, and it covers the name."""
    request = AWSRequest("POST", "https://faces.example/", {}, b"")
    SigV4Auth(Credentials(ALL.access_key_id, SECRET), "rekognition", "eu-west-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    enter(Head("POST", b"/", b"", [*headers, (b"host", b"faces.example")]), gate())


@pytest.mark.parametrize(
    ("ring", "mode", "is_local", "is_open"),
    [
        (keyring(), None, True, True),
        (keyring(), None, False, False),
        (keyring(), "enforce", True, False),
        (keyring(), "warn", True, False),
        (keyring(DISABLED), None, True, False),
        (keyring(ALL), None, True, False),
    ],
)
def test_when_nobody_is_asked(
    ring: Keyring, mode: Literal["enforce", "warn"] | None, *, is_local: bool, is_open: bool
) -> None:
    """Only where nobody else can come, nothing else is set, and no key has ever been seen, useful or not."""
    at = gate(mode, ring, is_local=is_local)
    assert at.is_open is is_open
    if is_open:
        assert enter(UNSIGNED, at) == Caller("000000000000", "us-east-1", "id")
        assert enter(signed("any", "any"), at) == Caller("000000000000", "eu-west-1", "id")


def test_a_server_closes_with_its_first_key() -> None:
    """While it runs."""
    store = ListedKeys()
    ring = Keyring(store, lambda: VAULT)
    ring.refresh()
    at = gate(None, ring)
    assert enter(UNSIGNED, at).principal is None
    under_way = at.admit(UNSIGNED, "id")
    store.add(ACTOR, ALL)
    ring.refresh()
    assert refusal(lambda: at.identify(under_way, UNSIGNED, NO_BODY, "id"))[0] == "MissingAuthenticationTokenException"
    assert refusal(lambda: enter(UNSIGNED, at))[0] == "MissingAuthenticationTokenException"


def test_a_key_that_goes_while_the_body_comes_lets_nobody_in() -> None:
    """Deleted, disabled or expired meanwhile: what was true of the head is looked up again with the body."""
    store = ListedKeys([ALL])
    ring = Keyring(store, lambda: VAULT)
    ring.refresh()
    at, head = gate(None, ring), signed(ALL.access_key_id)
    claim = at.admit(head, "id")
    assert at.identify(claim, head, NO_BODY, "id").account == ACCOUNT
    for changed, code in (
        ([], "UnrecognizedClientException"),
        ([replace(ALL, enabled=False)], "UnrecognizedClientException"),
        ([replace(ALL, expires_at=datetime.now(UTC))], "ExpiredTokenException"),
    ):
        store.listed[:] = changed
        ring.refresh()
        assert refusal(lambda: at.identify(claim, head, NO_BODY, "id"))[0] == code


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
    at = gate()
    caller = enter(signed(key.access_key_id), at)
    assert refusal(lambda: at.permit(caller, operation, request_)) == (
        "AccessDeniedException",
        (
            f"User: arn:aws:iam::123456789012:user/{key.name} is not authorized to perform: rekognition:{operation} "
            f"on resource: {resource} {why}"
        ),
    )


@pytest.mark.parametrize("key", [ALL, SEARCH])
@pytest.mark.parametrize(
    ("arn", "named"),
    [
        (WEDDING, "wedding"),
        (WEDDING.replace("eu-west-1", "us-east-1"), None),
        (WEDDING.replace(ACCOUNT, "999999999999"), None),
        (f"{WEDDING}:x", None),
        ("wedding", None),
    ],
)
def test_a_full_name_names_a_collection_of_the_caller_s(key: Any, arn: str, named: str | None) -> None:
    """Who tags it is in the records with it, refused or not; what is somebody else's is not taken for it."""
    at = gate()
    caller = enter(signed(key.access_key_id), at)
    with Observation().current():
        with suppress(ServiceError):
            at.permit(caller, "TagResource", {"ResourceArn": arn})
        assert current().collection == named
    with Observation().current():
        at.permit(Caller(ACCOUNT, "eu-west-1", "id"), "TagResource", {"ResourceArn": arn})
        assert current().collection == named


def test_what_is_allowed() -> None:
    """Nothing is said."""
    at = gate()
    at.permit(enter(signed(SEARCH.access_key_id), at), "SearchFaces", HERE)
    at.permit(enter(signed(NO_DELETING.access_key_id), at), "ListCollections", {})
    at.permit(Caller("000000000000", "us-east-1", "id"), "DeleteCollection", HERE)


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
    at = gate(None, keyring(PHOTOS))
    caller = enter(signed(PHOTOS.access_key_id), at)
    assert at.may_read(caller, bucket, name, version) is may


def test_who_names_images_in_s3() -> None:
    """Nobody by a policy that is silent about them; a session by its own policy and that of its key."""
    ring = keyring(PHOTOS, ALL, SEARCH)
    at = gate(None, ring)
    assert not at.may_read(enter(signed(SEARCH.access_key_id), at), "photos", "a", None)
    assert at.may_read(Caller("000000000000", "us-east-1", "id"), "photos", "a", None)

    def read(key: Any, objects: list[str], name: str) -> bool:
        made = ring.issue_session(key.access_key_id, "wedding", timedelta(minutes=1), datetime.now(UTC), objects)
        return at.may_read(enter(signed(made.access_key_id, made.secret, made.token), at), "photos", name, None)

    assert not read(PHOTOS, [], "a")
    assert read(PHOTOS, ["photos/party/*"], "party/a")
    assert not read(PHOTOS, ["photos/party/*"], "a")
    assert not read(PHOTOS, ["photos/*"], "private/a")
    assert not read(SEARCH, ["*"], "a")


def test_warn_lets_images_in_s3_pass_and_says_so() -> None:
    """As any other refusal."""
    at = gate("warn", keyring(SEARCH))
    caller = enter(signed(SEARCH.access_key_id), at)
    with capture_logs() as logs, Observation().current():
        assert at.may_read(caller, "photos", "a", None)
        assert current().would_be_denied == "InvalidS3ObjectException"
    assert [line["event"] for line in logs] == ["would be denied"]
    assert "perform: s3:GetObject on resource: arn:aws:s3:::photos/a because no identity-based" in logs[0]["why"]


def test_a_session_is_denied_by_its_own_policy() -> None:
    """Even what its key may do."""
    at = gate()
    made = RING.issue_session(ALL.access_key_id, "wedding", timedelta(minutes=1), datetime.now(UTC))
    caller = enter(signed(made.access_key_id, made.secret, made.token), at)
    at.permit(caller, "SearchFacesByImage", HERE)
    code, message = refusal(lambda: at.permit(caller, "SearchFaces", HERE))
    assert code == "AccessDeniedException"
    assert message == (
        f"User: arn:aws:sts::{ACCOUNT}:federated-user/all is not authorized to perform: rekognition:SearchFaces "
        f"on resource: {WEDDING} because no session policy allows the rekognition:SearchFaces action"
    )


def test_warn_lets_pass_and_says_so() -> None:
    """Each request that would have been refused is counted and logged, without its signature; the others are not."""
    at = gate("warn")
    with capture_logs() as logs:
        assert enter(UNSIGNED, at) == Caller("000000000000", "us-east-1", "id")
        assert enter(replace(UNSIGNED, headers=[(b"authorization", b"secret")]), at).principal is None
        assert enter(signed(ALL.access_key_id, "wrong"), at) == Caller("000000000000", "eu-west-1", "id")
        caller = enter(signed(SEARCH.access_key_id), at)
        assert caller.account == ACCOUNT
        at.permit(caller, "SearchFaces", HERE)
        at.permit(caller, "DeleteFaces", HERE)
    warned = [line for line in logs if line["event"] == "would be denied"]
    assert [(line["event"], line["error"], line["refusals"]) for line in warned] == [
        ("would be denied", "MissingAuthenticationTokenException", 1),
        ("would be denied", "IncompleteSignatureException", 2),
        ("would be denied", "InvalidSignatureException", 3),
        ("would be denied", "AccessDeniedException", 4),
    ]
    assert "user/search is not authorized" in warned[3]["why"]
    assert "secret" not in str(logs)


def test_keys_that_cannot_be_read_are_no_reason_to_let_anybody_in() -> None:
    """The answer is AWS's for what is not the caller's fault, which SDKs try again."""
    ring = Mock(Keyring, is_keyed=True)
    ring.find.side_effect = KeysUnavailable
    with capture_logs() as logs:
        told = refusal(lambda: enter(signed(ALL.access_key_id), gate(None, ring)))
    assert told == ("InternalServerError", "Internal server error")
    assert [line["log_level"] for line in logs] == ["error"]


def ask(body: bytes, key: Any = ALL, token: str | None = None, secret: str = SECRET) -> tuple[int, Any]:
    """Asks for a session with a key, or with a session; returns status and answer."""
    at = gate()
    caller = enter(signed(key if isinstance(key, str) else key.access_key_id, secret, token), at)
    answer = answer_session_request(caller, body, at, RING.issue_session)
    return answer.status, json.loads(answer.body)


def test_a_session_is_issued() -> None:
    """For fifteen minutes, unless another time is asked for, and good for searches by picture there."""
    for body, minutes in ((HERE, 15), (HERE | {"DurationSeconds": 60, "S3Objects": ["photos/*"]}, 1)):
        status, made = ask(json.dumps(body).encode(), SEARCH)
        assert status == 200
        left = datetime.fromisoformat(made["Expiration"]) - datetime.now(UTC)
        assert timedelta(minutes=minutes, seconds=-30) < left <= timedelta(minutes=minutes)
        caller = enter(signed(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]), gate())
        gate().permit(caller, "SearchFacesByImage", HERE)


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
    open_gate = gate(None, keyring())
    caller = enter(UNSIGNED, open_gate)
    answer = answer_session_request(caller, json.dumps(HERE).encode(), open_gate, RING.issue_session)
    assert answer.error == "MissingAuthenticationTokenException"
