from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from unittest.mock import Mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from structlog.testing import capture_logs

from rekognition_emulator.actor import Actor
from rekognition_emulator.auth.keyring import Keyring, KeysUnavailable
from rekognition_emulator.http.authentication import Caller, UnverifiedRequest
from rekognition_emulator.http.enforcement import Mode
from rekognition_emulator.http.sigv4 import Head
from tests.support.access import UNSIGNED, Access, access, keyring, refusal, signed
from tests.support.gallery import ACTOR
from tests.support.keys import ACCOUNT, SECRET, VAULT, ListedKeys, a_key

ALL = a_key("all")
DISABLED = a_key("disabled", enabled=False)
EXPIRED = a_key("expired", expires_at=datetime(2026, 1, 1, tzinfo=UTC))


RING = keyring(ALL, DISABLED, EXPIRED)


@pytest.fixture(autouse=True)
def _just_read() -> None:
    """Keys that were read too long ago let nobody in, and other tests may have taken a while."""
    RING.refresh()


def server(mode: Mode | None = None, ring: Keyring = RING, *, is_local: bool = True) -> Access:
    """Access control of a server that has these keys, unless something else is said."""
    return access(ring, mode, is_local=is_local)


NO_BODY = sha256(b"").hexdigest()


def test_a_caller_has_the_account_of_the_key_and_the_region_of_the_signature() -> None:
    """Both are proved, so both can be tenant boundaries."""
    caller = server().enter(signed(ALL.access_key_id))
    assert (caller.account, caller.region, caller.request_id) == (ACCOUNT, "eu-west-1", "id")
    assert caller.principal is not None
    assert caller.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/all"


def test_a_caller_is_an_actor() -> None:
    """With its key, in a session or not, and with the trail of its request; who has no key is nobody by name."""
    ring = keyring(ALL)
    at = server(ring=ring)
    made = ring.issue_session(ALL.access_key_id, "wedding", timedelta(minutes=1), datetime.now(UTC))
    callers = at.enter(signed(ALL.access_key_id)), at.enter(signed(made.access_key_id, made.secret, made.token))
    for caller, in_session in zip(callers, (False, True), strict=True):
        actor = Actor("ListFaces", ACCOUNT, "id", "all", "eu-west-1", ALL.access_key_id, in_session)
        assert caller.actor("ListFaces") == actor
        assert caller.actor("ListFaces").trail is caller.trail
    nobody = server(ring=keyring()).enter(UNSIGNED)
    assert nobody.actor("ListFaces") == Actor("ListFaces", "000000000000", "id", "(anonymous)", "us-east-1")
    assert nobody.actor("ListFaces").trail is nobody.trail


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
    mode: Mode | None, credentials: tuple[str, ...], told: tuple[str, str]
) -> None:
    """The headers alone give them away."""
    head = signed(*credentials) if credentials else UNSIGNED
    assert refusal(lambda: server(mode).authenticator.check_head(UnverifiedRequest(head, "id"))) == told


def test_who_is_refused_with_the_body() -> None:
    """A wrong secret, or another body than the one that was signed."""
    for head, body in ((signed(ALL.access_key_id, "wrong"), b""), (signed(ALL.access_key_id), b"{}")):
        code, message = refusal(lambda head=head, body=body: server().enter(head, body))  # type: ignore[misc] # of a loop
        assert code == "InvalidSignatureException"
        assert (message or "").startswith("The request signature we calculated does not match")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "album.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:80"]
)
def test_open_server_answers_to_its_own_names(host: str) -> None:
    """Whatever means this machine and no other is called without a key."""
    server(ring=keyring()).enter(Head("POST", b"/", b"", [(b"host", host.encode())]))
    server(ring=keyring()).enter(Head("POST", b"/", b"", []))


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
    code, text = refusal(lambda: server(ring=keyring()).enter(head))
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
    code, text = refusal(lambda: server(ring=keyring()).enter(head))
    assert code == "AccessDeniedException"
    assert "create a key" in (text or "")
    ours = signed(ALL.access_key_id)
    server().enter(replace(ours, headers=[*ours.headers, *head.headers[1:]], http_version=head.http_version))


def test_two_hosts_are_no_local_name() -> None:
    """Of which one could be meant for whoever passes the request on."""
    head = Head("POST", b"/", b"", [(b"host", b"localhost"), (b"host", b"localhost")])
    assert refusal(lambda: server(ring=keyring()).enter(head))[0] == "AccessDeniedException"


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
        code, message = refusal(lambda: server().enter(head))
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
        refusal(lambda: server().enter(head))
    assert [line["signed_host"] for line in logs] == ["localhost:8443"]


def test_a_signed_header_that_a_proxy_took_away_is_named_in_the_log() -> None:
    """The request is refused before its body is read."""
    head = signed(ALL.access_key_id)
    head = replace(head, headers=[header for header in head.headers if header[0] != b"x-amz-target"])
    with capture_logs() as logs:
        assert (
            refusal(lambda: server().authenticator.check_head(UnverifiedRequest(head, "id")))[0]
            == "InvalidSignatureException"
        )
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
    assert [at.enter(head).region for at in (server(), server(ring=keyring()))] == [found] * 2


def test_server_with_a_key_answers_to_any_name() -> None:
    """There the signature decides, and it covers the name."""
    request = AWSRequest("POST", "https://faces.example/", {}, b"")
    SigV4Auth(Credentials(ALL.access_key_id, SECRET), "rekognition", "eu-west-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    server().enter(Head("POST", b"/", b"", [*headers, (b"host", b"faces.example")]))


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
def test_when_nobody_is_asked(ring: Keyring, mode: Mode | None, *, is_local: bool, is_open: bool) -> None:
    """Only where nobody else can come, nothing else is set, and no key has ever been seen, useful or not."""
    at = server(mode, ring, is_local=is_local)
    assert at.authenticator.is_open is is_open
    if is_open:
        assert at.enter(UNSIGNED) == Caller("000000000000", "us-east-1", "id")
        assert at.enter(signed("any", "any")) == Caller("000000000000", "eu-west-1", "id")


def test_a_server_closes_with_its_first_key() -> None:
    """While it runs."""
    store = ListedKeys()
    ring = Keyring(store, lambda: VAULT)
    ring.refresh()
    at = server(None, ring)
    assert at.enter(UNSIGNED).principal is None
    request = UnverifiedRequest(UNSIGNED, "id")
    under_way = at.authenticator.check_head(request)
    store.add(ACTOR, ALL)
    ring.refresh()
    told = refusal(lambda: at.authenticator.authenticate(request, under_way, NO_BODY))
    assert told[0] == "MissingAuthenticationTokenException"
    assert refusal(lambda: at.enter(UNSIGNED))[0] == "MissingAuthenticationTokenException"


def test_a_key_that_goes_while_the_body_comes_lets_nobody_in() -> None:
    """Deleted, disabled or expired meanwhile: what was true of the head is looked up again with the body."""
    store = ListedKeys([ALL])
    ring = Keyring(store, lambda: VAULT)
    ring.refresh()
    at, request = server(None, ring).authenticator, UnverifiedRequest(signed(ALL.access_key_id), "id")
    unverified = at.check_head(request)
    assert at.authenticate(request, unverified, NO_BODY).account == ACCOUNT
    for changed, code in (
        ([], "UnrecognizedClientException"),
        ([replace(ALL, enabled=False)], "UnrecognizedClientException"),
        ([replace(ALL, expires_at=datetime.now(UTC))], "ExpiredTokenException"),
    ):
        store.listed[:] = changed
        ring.refresh()
        assert refusal(lambda: at.authenticate(request, unverified, NO_BODY))[0] == code


def test_warn_lets_pass_and_says_so() -> None:
    """Each request that would have been refused is counted and logged, without its signature; the others are not."""
    at = server("warn")
    odd = replace(UNSIGNED, headers=[(b"authorization", b"secret")])
    with capture_logs() as logs:
        let_in = [at.enter(head) for head in (UNSIGNED, odd, signed(ALL.access_key_id, "wrong"))]
        assert at.enter(signed(ALL.access_key_id)).trail.would_be_denied is None
    assert let_in[0] == let_in[1] == Caller("000000000000", "us-east-1", "id")
    assert let_in[2] == Caller("000000000000", "eu-west-1", "id")
    warned = [line for line in logs if line["event"] == "would_be_denied"]
    errors = ["MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidSignatureException"]
    assert [(line["error"], line["refusals"]) for line in warned] == list(zip(errors, (1, 2, 3), strict=True))
    assert [caller.trail.would_be_denied for caller in let_in] == errors
    assert "secret" not in str(logs)


def test_keys_that_cannot_be_read_are_no_reason_to_let_anybody_in() -> None:
    """The answer is AWS's for what is not the caller's fault, which SDKs try again."""
    ring = Mock(Keyring, is_keyed=True)
    ring.find.side_effect = KeysUnavailable
    with capture_logs() as logs:
        told = refusal(lambda: server(None, ring).enter(signed(ALL.access_key_id)))
    assert told == ("InternalServerError", "Internal server error")
    assert [line["log_level"] for line in logs] == ["error"]
