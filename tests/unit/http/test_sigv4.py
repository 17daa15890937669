import hashlib
import hmac
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from unittest.mock import Mock
from urllib.parse import quote, unquote_to_bytes, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.api.core import (
    FrameworkError,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)
from rekognition_emulator.http import sigv4
from rekognition_emulator.http.sigv4 import Head, Signature, read_signature, scope_region, verify

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b'{"CollectionId":"wedding"}'


def digest(body: bytes) -> str:
    """What a signature says of a body."""
    return sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("scope", "region"),
    [
        ("AKIDEXAMPLE/20260101/eu-west-1/rekognition/aws4_request", "eu-west-1"),
        ("AKIDEXAMPLE/20260101/us-gov-west-1/rekognition/aws4_request", "us-gov-west-1"),
        ("AKIDEXAMPLE/20260101/ap-southeast-12/rekognition/aws4_request", "ap-southeast-12"),
        ("AKIDEXAMPLE/20260101/local/rekognition/aws4_request", "local"),
        ("AKIDEXAMPLE/20260101/us-east-1-custom/rekognition/aws4_request", "us-east-1-custom"),
        (f"AKIDEXAMPLE/20260101/{'a' * 32}/rekognition/aws4_request", "a" * 32),
        ("AKIDEXAMPLE/20260101//rekognition/aws4_request", ""),
        ("AKIDEXAMPLE/20260101/eu-west-1/s3/aws4_request", None),
        (f"AKIDEXAMPLE/20260101/{'a' * 33}/rekognition/aws4_request", None),
        ("AKIDEXAMPLE/20260101/Local/rekognition/aws4_request", None),
        ("AKIDEXAMPLE/20260101/eu-west-1;drop/rekognition/aws4_request", None),
        ("AKIDEXAMPLE/20260101/../rekognition/aws4_request", None),
        ("AKIDEXAMPLE/2026/eu-west-1/rekognition/aws4_request", None),
        ("AKIDEXAMPLE/20260101/eu-west-1/rekognition/aws4_requests", None),
        ("", None),
    ],
)
def test_reads_the_region_of_the_credential_scope(scope: str, region: str | None) -> None:
    """Any short name in a scope of exactly AWS's form, for this service; none at all is told from an empty one."""
    header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=0123"
    assert scope_region(header) == region
    assert scope_region(header.replace(", ", ",")) == region


def test_takes_any_header() -> None:
    """A header that is no signature at all names no region."""
    assert scope_region("") is None
    assert scope_region("Basic dXNlcjpwYXNz") is None


UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SESSION_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth"
    "Ax7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAki"
    "Y9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = "application/x-www-form-urlencoded"
NO_HEADERS: list[tuple[str, str]] = []

VECTORS = {
    "get-vanilla": ("/", NO_HEADERS, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-slash": ("//", NO_HEADERS, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-slash-dot-slash": ("/./", NO_HEADERS, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-relative": ("/example/..", NO_HEADERS, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-relative-relative": (
        "/example1/example2/../..",
        NO_HEADERS,
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-slashes": (
        "//example//",
        NO_HEADERS,
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    "get-slash-pointless-dot": (
        "/./example",
        NO_HEADERS,
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    "get-space": (
        "/example space/",
        NO_HEADERS,
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "get-utf8": ("/ሴ", NO_HEADERS, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "get-unreserved": (
        f"/{UNRESERVED}",
        NO_HEADERS,
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-vanilla-query-order-key-case": (
        "/?Param2=value2&Param1=value1",
        NO_HEADERS,
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-order-key": (
        "/?Param1=value2&Param1=Value1",
        NO_HEADERS,
        "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
    ),
    "get-vanilla-query-order-value": (
        "/?Param1=value2&Param1=value1",
        NO_HEADERS,
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    "get-vanilla-empty-query-key": (
        "/?Param1=value1",
        NO_HEADERS,
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-vanilla-query-unreserved": (
        f"/?{UNRESERVED}={UNRESERVED}",
        NO_HEADERS,
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        "/?ሴ=bar",
        NO_HEADERS,
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-header-key-duplicate": (
        "/",
        [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-order": (
        "/",
        [("My-Header1", f"value{number}") for number in (4, 1, 3, 2)],
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    "get-header-value-trim": (
        "/",
        [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": ("/", NO_HEADERS, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": (
        "/?Param1=value1",
        NO_HEADERS,
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "post-header-key-sort": (
        "/",
        [("My-Header1", "value1")],
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        "/",
        [("My-Header1", "VALUE1")],
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-sts-header-before": (
        "/",
        [("X-Amz-Security-Token", SESSION_TOKEN)],
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "post-x-www-form-urlencoded": (
        "/",
        [("Content-Type", FORM)],
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-x-www-form-urlencoded-parameters": (
        "/",
        [("Content-Type", f"{FORM}; charset=utf8")],
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    ),
}
"""Name in AWS's published test suite → target, headers besides Host and X-Amz-Date, signature. Its method begins the
name; its only body is that of the forms. Cases whose headers are broken over lines are left out: HTTP has no such."""

DIFFERS_IN_BOTOCORE = {"get-vanilla-utf8-query"}
"""It signs a query as it finds it."""


@pytest.fixture
def another_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The published suite signs for a service of this name."""
    monkeypatch.setattr(sigv4, "SERVICE", "service")
    sigv4._signing_key.cache_clear()
    yield
    sigv4._signing_key.cache_clear()


@pytest.mark.usefixtures("another_service")
@pytest.mark.parametrize("name", VECTORS)
def test_published_vectors(name: str) -> None:
    """Each published signature is the one right signature of its request, for us as for botocore."""
    target, headers, digits = VECTORS[name]
    body = b"Param1=value1" if "form" in name else b""
    request = AWSRequest(name.partition("-")[0].upper(), f"https://example.amazonaws.com{target}", {}, body)
    for header in (("Host", "example.amazonaws.com"), *headers, ("X-Amz-Date", "20150830T123600Z")):
        request.headers.add_header(*header)
    request.context["timestamp"] = "20150830T123600Z"
    signer = SigV4Auth(Credentials(KEY, SECRET), "service", "us-east-1")
    theirs = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert (theirs == digits) is (name not in DIFFERS_IN_BOTOCORE)
    signed_headers = signer.signed_headers(signer.headers_to_sign(request))
    signature = Signature(KEY, "us-east-1", None, "20150830T123600Z", signed_headers, digits)
    verify(signature, SECRET, head_of(request), digest(body))
    for other in (replace(signature, region="us-east-2"), replace(signature, digits=digits[:-1])):
        with pytest.raises(InvalidSignatureException):
            verify(other, SECRET, head_of(request), digest(body))


def head_of(request: AWSRequest) -> Head:
    """What of a request arrives besides its body; the host is what an HTTP client adds."""
    target = request.url.partition("://")[2].partition("/")[2]
    path, _, query = f"/{target}".partition("?")
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    if "host" not in {name.lower() for name in request.headers}:
        headers.append((b"host", request.url.split("/")[2].encode()))
    return Head(request.method, path.encode(), query.encode(), headers)


def signed(
    headers: dict[str, str] | None = None,
    *,
    target: str = "",
    body: bytes = BODY,
    token: str | None = None,
    region: str = "eu-west-1",
) -> Head:
    """A request as SDKs sign it, now."""
    usual = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.ListFaces"}
    request = AWSRequest("POST", f"http://127.0.0.1:8080/{target}", usual | (headers or {}), body)
    SigV4Auth(Credentials(KEY, SECRET, token), "rekognition", region).add_auth(request)
    return head_of(request)


def accept(head: Head, body: bytes = BODY, now: datetime | None = None) -> Signature:
    """Reads and verifies, as every request is. The key's id is not signed: another one would have another secret."""
    signature = read_signature(head, now or datetime.now(UTC))
    if signature.access_key_id != KEY:
        raise UnrecognizedClientException
    verify(signature, SECRET, head, digest(body))
    return signature


def refusal(head: Head, body: bytes = BODY, now: datetime | None = None) -> FrameworkError:
    """Returns the error with which a request is refused."""
    with pytest.raises(FrameworkError) as refused:
        accept(head, body, now)
    return refused.value


def with_header(head: Head, name: str, value: str | None) -> Head:
    """Replaces a header after it was signed; None takes it away."""
    others = [header for header in head.headers if header[0] != name.encode()]
    return replace(head, headers=others if value is None else [*others, (name.encode(), value.encode())])


def edited(head: Head, pattern: str, replacement: str) -> Head:
    """Replaces a part of the Authorization header."""
    value = head.header("authorization")
    assert value is not None
    changed = re.sub(pattern, replacement, value)
    assert changed != value
    return with_header(head, "authorization", changed)


def test_reads_what_botocore_signs() -> None:
    """Key, region, date and token are those that the SDK was given."""
    signature = accept(signed(token="a/b+c=="))
    assert (signature.access_key_id, signature.region, signature.token) == (KEY, "eu-west-1", "a/b+c==")
    assert accept(signed()).token is None


@pytest.mark.parametrize("region", ["", "local", "auto", "us-east-1-custom", "us-gov-west-1", "z" * 32])
def test_a_region_of_any_short_name(region: str) -> None:
    """Also none: SDKs sign what they are configured with, and the key is derived from exactly that."""
    assert accept(signed(region=region)).region == region


VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
UNICODE = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc", "Z")) | st.just(" "), max_size=20)
QUERY = st.lists(st.tuples(VISIBLE | UNICODE, VISIBLE | UNICODE), max_size=3).map(
    partial(urlencode, quote_via=quote, safe="~")
)


@given(
    headers=st.dictionaries(st.from_regex(r"X-Amz-Meta-[a-z]{1,8}", fullmatch=True), VISIBLE | UNICODE, max_size=5),
    query=QUERY,
    body=st.binary(max_size=50),
)
def test_accepts_whatever_botocore_signs(headers: dict[str, str], query: str, body: bytes) -> None:
    """Headers with any text and spaces anywhere, any query, any body: what the SDK has signed is accepted."""
    accept(signed(headers, target=f"?{query}" if query else "", body=body), body)


def test_accepts_the_other_date_header() -> None:
    """Date in HTTP's form does, too; X-Amz-Date counts where there are both."""
    head = signed({"Date": "any"})
    assert head.header("x-amz-date") is None
    accept(head)
    assert refusal(with_header(head, "date", "Mon, 01 Jan 2001 00:00:00 GMT")).message


@given(data=st.data())
def test_one_changed_byte_anywhere_is_refused(data: st.DataObject) -> None:
    """In any header that is signed, in the signature itself, in the path, in the query or in the body."""
    head = signed({"X-Amz-Meta-A": "x  y"}, target="sessions?a=b&c=d", token="token")
    fields = [*range(len(head.headers)), "path", "query", "body"]
    where = data.draw(st.sampled_from(fields))
    if isinstance(where, int):
        name, value = head.headers[where]
        changed_value = changed(data, value)
        # Two values that differ in spaces only are the same.
        if changed_value.split() == value.split():
            return
        headers = [*head.headers[:where], (name, changed_value), *head.headers[where + 1 :]]
        refusal(replace(head, headers=headers))
    elif where == "body":
        refusal(head, changed(data, BODY))
    elif where == "path":
        path = b"/" + changed(data, b"sessions")
        if path != b"//sessions":  # which is the same
            refusal(replace(head, path=path))
    else:
        refusal(replace(head, query=changed(data, head.query)))


def changed(data: st.DataObject, value: bytes) -> bytes:
    """The value with one byte replaced, taken away or added; visible ones, as HTTP has it."""
    at = data.draw(st.integers(0, len(value) - 1))
    new = data.draw(st.sampled_from([b"", *(bytes([code]) for code in range(0x21, 0x7F) if code != value[at])]))
    kept = data.draw(st.booleans()) and new
    return value[: at + bool(kept)] + new + value[at + 1 :]


@pytest.mark.parametrize("name", ["host", "x-amz-date", "x-amz-target", "content-type", "x-amz-security-token"])
def test_a_header_that_was_taken_away_is_refused(name: str) -> None:
    """What was signed must be there."""
    refusal(with_header(signed(token="token"), name, None))


def test_a_header_that_was_added_is_refused() -> None:
    """Whatever has a meaning for AWS must be signed; what a proxy adds does no harm."""
    assert refusal(with_header(signed(), "x-amz-security-token", "t")).message == (
        "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization."
    )
    accept(with_header(with_header(signed(), "x-forwarded-for", "10.0.0.1"), "x-amz-cf-id", "cloudfront"))


def test_the_host_must_be_signed() -> None:
    """Otherwise a request to another service could be sent here."""
    told = refusal(edited(signed(), "host;", ""))
    assert isinstance(told, InvalidSignatureException)
    assert told.message == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."


def test_a_repeated_header_is_refused() -> None:
    """A second header of a name cannot be slipped in beside the signed one."""
    head = signed()
    refusal(replace(head, headers=[(b"x-amz-target", b"RekognitionService.DeleteCollection"), *head.headers]))
    refusal(replace(head, headers=[*head.headers, (b"x-amz-date", head.header("x-amz-date").encode())]))  # type: ignore[union-attr] # it is there


def with_signed_headers(names: list[str], *, more: list[tuple[bytes, bytes]] | None = None) -> Head:
    """A request whose signature would be right, were it signed by these names."""
    head = signed()
    head = replace(head, headers=[*head.headers, *(more or [])])
    signature = replace(read_signature(signed(), datetime.now(UTC)), signed_headers=";".join(names))
    key = sigv4._signing_key(SECRET, signature.timestamp[:8], signature.region)
    scope = f"{signature.timestamp[:8]}/{signature.region}/rekognition/aws4_request"
    canonical = sigv4.canonical_request(head, signature.signed_headers, hashlib.sha256(BODY).hexdigest())
    text = "\n".join([sigv4.ALGORITHM, signature.timestamp, scope, hashlib.sha256(canonical).hexdigest()])
    digits = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    value = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={signature.signed_headers}, Signature={digits}"
    return with_header(head, "authorization", value)


USUAL = ["content-type", "host", "x-amz-date", "x-amz-target"]
MANY = [f"a-{number:03}" for number in range(61)]


TRACING = (
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "baggage",
    "traceparent",
    "tracestate",
    "x-amz-user-agent",
    "x-amzn-trace-id",
    "x-b3-traceid",
    "x-cloud-trace-context",
    "x-datadog-trace-id",
)


def test_headers_of_tracing_may_be_signed() -> None:
    """Whatever SDKs other than botocore, and their plug-ins, sign besides."""
    head = with_signed_headers(sorted([*USUAL, *TRACING]), more=[(name.encode(), b"1") for name in TRACING])
    assert accept(head).signed_headers.count(";") == len(USUAL) + len(TRACING) - 1


def test_signed_headers_of_an_odd_list() -> None:
    """The helper signs rightly, and sixty-four names are still read."""
    accept(with_signed_headers(USUAL))
    accept(with_signed_headers([*MANY[:60], *USUAL], more=[(name.encode(), b"") for name in MANY]))


@pytest.mark.parametrize(
    "names",
    [
        [*USUAL, "x-amz-target"],
        [*USUAL[:2], "host", *USUAL[2:]],
        USUAL[::-1],
        [*USUAL, "z-absent"],
        ["", *USUAL],
        [*USUAL, ""],
        ["Content-Type", *USUAL[1:]],
        [*MANY, *USUAL],
    ],
    ids=["repeated", "repeated inside", "in disorder", "absent", "empty first", "empty last", "upper case", "too many"],
)
def test_signed_headers_that_no_sdk_names(names: list[str]) -> None:
    """They match nothing, whatever the signature: a list by which a request grows is never followed."""
    told = refusal(with_signed_headers(names, more=[(name.encode(), b"") for name in MANY]))
    assert isinstance(told, InvalidSignatureException)
    assert told.message == sigv4.MISMATCH


BOMBS = {
    "names": ({"a": "x" * 30_000}, "a;" * 15_000, b""),
    "names that are there": ({f"x{number:04}": "x" for number in range(3_000)}, None, b""),
    "headers": ({f"{number:x}": "" for number in range(15_000)}, "host;zz", b""),
    "a value": ({"content-type": " x" * 30_000}, None, b""),
    "a query": ({}, None, b"&" * 60_000),
    "a query of one": ({}, None, b"%41" * 20_000),
    "dates": ({"x-amz-date": "1 " * 30_000}, None, b""),
    "a date": ({"x-amz-date": "9" * 60_000}, None, b""),
    "parameters": ({}, "host, a=" + ", a=".join(map(str, range(8_000))), b""),
    "scopes": ({}, "host, Credential=" + "Credential=" * 6_000, b""),
    "slashes": ({}, "host, Credential=" + "/" * 60_000, b""),
    "a token": ({"x-amz-security-token": "A" * 60_000}, None, b""),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_of_a_head_is_no_larger_than_that(name: str) -> None:
    """Sixty kilobytes of anything are refused with a short text and some times their size of memory."""
    added, names, query = BOMBS[name]
    others = [header for header in signed().headers if header[0].decode() not in added]
    head = replace(signed(), query=query, headers=[*others, *((n.encode(), v.encode()) for n, v in added.items())])
    if names is None:
        names = ";".join(sorted({name.decode() for name, _ in head.headers} - {"authorization"}))
    authorization = re.sub(r"SignedHeaders=[^,]+", f"SignedHeaders={names}", head.header("authorization") or "")
    head = with_header(head, "authorization", authorization)
    tracemalloc.start()
    try:
        told = refusal(replace(head))
        scope_region(authorization)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(told.message or "") < 2 * sigv4.ECHO_CHARS_MAX
    assert peak < 6_000_000


def test_a_query_that_is_longer_than_any_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not proved anything would keep the event loop busy with percent signs."""
    read = Mock(side_effect=unquote_to_bytes)
    monkeypatch.setattr(sigv4, "unquote_to_bytes", read)
    refusal(replace(signed(), query=b"%" * sigv4.QUERY_BYTES_MAX))
    assert read.called
    read.reset_mock()
    told = refusal(replace(signed(), query=b"%" * (sigv4.QUERY_BYTES_MAX + 1)))
    assert told.message == sigv4.MISMATCH
    assert not read.called


def test_reading_a_scope_takes_one_look() -> None:
    """Over this header a search that starts again at each name would take hours."""
    assert scope_region("AWS4-HMAC-SHA256 " + "Credential=" * 500_000) is None
    assert scope_region("AWS4-HMAC-SHA256 Credential=" + "Credential=" * 700) is None


def test_a_second_authorization_is_refused() -> None:
    """Neither the first nor the last of two counts: a proxy in front could have looked at the other one."""
    head = signed()
    again = replace(head, headers=[*head.headers, (b"authorization", (head.header("authorization") or "").encode())])
    assert isinstance(refusal(again), IncompleteSignatureException)
    assert isinstance(refusal(edited(head, "$", ", Credential=a")), IncompleteSignatureException)


def test_no_signature() -> None:
    """Without the header, or with an empty one, or with a signature in the query, there is none."""
    presigned = replace(signed(), query=b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b")
    for head in (with_header(signed(), "authorization", None), with_header(presigned, "authorization", None)):
        told = refusal(head)
        assert isinstance(told, MissingAuthenticationTokenException)
        assert told.message == "Missing Authentication Token"
    assert isinstance(refusal(with_header(signed(), "authorization", "  ")), MissingAuthenticationTokenException)


CREDENTIAL, SIGNATURE, SIGNED_HEADERS = (
    f"Authorization header requires '{name}' parameter." for name in ("Credential", "Signature", "SignedHeaders")
)
DATE = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ("Bearer abc", [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
        ("AWS4-HMAC-SHA256", [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b", [SIGNATURE]),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=, Signature=c", [SIGNED_HEADERS]),
        ("AWS4-HMAC-SHA256 Signature=c,SignedHeaders=b", [CREDENTIAL]),
        ("AWS4-ECDSA-P256-SHA256 Credential=a, SignedHeaders=b, Signature=c", [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
    ],
)
def test_incomplete_signatures(value: str, missing: list[str]) -> None:
    """Exactly what is missing is listed, and the header repeated."""
    told = refusal(with_header(signed(), "authorization", value))
    assert isinstance(told, IncompleteSignatureException)
    assert told.message == f"{' '.join(missing)} Authorization={value}"


def test_without_a_date() -> None:
    """A date must be there, and be one."""
    head = with_header(signed(), "x-amz-date", None)
    told = refusal(head)
    assert isinstance(told, IncompleteSignatureException)
    assert told.message == f"{DATE} Authorization={head.header('authorization')}"
    for text in ("2026-01-01T00:00:00Z", "20261301T000000Z", "yesterday"):
        told = refusal(with_header(signed(), "x-amz-date", text))
        assert isinstance(told, IncompleteSignatureException)
        assert f"Got '{text}'" in (told.message or "")


@pytest.mark.parametrize(
    ("pattern", "replacement", "text"),
    [
        ("eu-west-1", "EU-WEST-1", "Credential should be scoped to a valid region."),
        ("eu-west-1", "eu.west", "Credential should be scoped to a valid region."),
        ("eu-west-1", "..", "Credential should be scoped to a valid region."),
        ("eu-west-1", "e" * 33, "Credential should be scoped to a valid region."),
        ("eu-west-1", "", "The request signature we calculated does not match the signature you provided."),
        ("/rekognition/", "/s3/", "Credential should be scoped to correct service: 'rekognition'."),
        ("aws4_request", "aws5", "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'."),
        (r"/\d{8}/", "/20150830/", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date"),
        ("/aws4_request", "", "Credential must have exactly 5 slash-delimited elements"),
        ("eu-west-1", "eu-west-2", "The request signature we calculated does not match the signature you provided."),
        ("Signature=.", "Signature=é", "The request signature we calculated does not match the signature"),
    ],
)
def test_scopes(pattern: str, replacement: str, text: str) -> None:
    """A signature counts for one region, one service and one day."""
    assert (refusal(edited(signed(), pattern, replacement)).message or "").startswith(text)


def test_a_quarter_of_an_hour_either_way() -> None:
    """So far the clocks of both may differ, and no second further."""
    head = signed()
    date = datetime.strptime(head.header("x-amz-date") or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    limit, second = timedelta(minutes=15), timedelta(seconds=1)
    accept(head, now=date + limit)
    accept(head, now=date - limit)
    late, early = date + limit + second, date - limit - second
    assert refusal(head, now=late).message == (
        f"Signature expired: {date:%Y%m%dT%H%M%SZ} is now earlier than {late - limit:%Y%m%dT%H%M%SZ} "
        f"({late:%Y%m%dT%H%M%SZ} - 15 min.)"
    )
    assert refusal(head, now=early).message == (
        f"Signature not yet current: {date:%Y%m%dT%H%M%SZ} is still later than {early + limit:%Y%m%dT%H%M%SZ} "
        f"({early:%Y%m%dT%H%M%SZ} + 15 min.)"
    )


def test_the_content_is_always_hashed() -> None:
    """What the client says of its content must be true, and must not be that it is unsigned."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    accept(signed({"X-Amz-Content-SHA256": empty}, body=b""), b"")
    refusal(signed({"X-Amz-Content-SHA256": empty}))
    refusal(signed({"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}))
    refusal(signed({"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}))


def test_another_secret_is_refused() -> None:
    """Text of the answer as every SDK's users know it."""
    head = signed()
    with pytest.raises(InvalidSignatureException) as refused:
        verify(read_signature(head, datetime.now(UTC)), SECRET + "x", head, digest(BODY))
    assert refused.value.message == (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details."
    )


@given(
    authorization=st.text(st.characters(max_codepoint=255), max_size=80)
    | st.builds("AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={}".format, *[st.text(max_size=30)] * 3),
    date=st.text(st.characters(max_codepoint=255), max_size=30),
)
def test_any_header_is_refused_in_aws_s_words(authorization: str, date: str) -> None:
    """Whatever stands in the two headers, the answer is an error of AWS's, never one of ours."""
    head = with_header(with_header(signed(), "authorization", authorization), "x-amz-date", date)
    refusal(head)
