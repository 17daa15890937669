"""Signature Version 4: who signed a request, for when and where, and whether it is what came.

Source: IAM User Guide, "AWS Signature Version 4 for API requests"; texts of errors as the front of other JSON 1.1
services words them. Two steps, because the second needs the body: ``read_signature`` refuses what can be seen to be
wrong from the headers alone, ``verify`` the rest. The content is always hashed, whatever the client says of it, so
UNSIGNED-PAYLOAD is a wrong signature; and what the query says is only signed, so a presigned URL carries no signature.

Anybody may send what is read here. So every step is linear in the bytes that came, what is made of them is no longer
than they are, and lists that no SDK fills are short: names of signed headers, parameters of the query.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from rekognition_emulator.api.core import (
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
)

SERVICE: Final = "rekognition"
ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"
SCOPE_PARTS: Final = 5
MINUTES_MAX: Final = 15
"""Between the request's date and ours, in either direction."""

SIGNING_KEYS_MAX: Final = 1024
"""Derived keys that are remembered: four HMACs saved for each caller, day and region."""

UNSIGNED_ON_THE_WAY: Final = frozenset({b"x-amz-cf-id"})
"""Headers of AWS's form that no client signs, because CloudFront adds them."""

AUTHORIZATION_CHARS_MAX: Final = 8192
SIGNED_HEADERS_MAX: Final = 64
QUERY_PARAMETERS_MAX: Final = 64
QUERY_BYTES_MAX: Final = 8192
"""Ours. SDKs sign some ten headers, with those of tracing some fifteen, in 500 characters, and send no query: 60 kB of
percent signs in one took the event loop 30 ms, and three times as long where a proxy has named another host."""

DATE_CHARS_MAX: Final = 64
"""Ours; HTTP's own form has 29."""

ECHO_CHARS_MAX: Final = 1024
"""Of what a caller sent, in the text of an error. Ours: an honest Authorization header is repeated whole."""

MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)

_REGION: Final = re.compile(r"[a-z0-9-]{0,32}")
"""The default region, where it is empty; any other name, such as ``local``, is a region of its own. Ours: AWS knows its
regions by name. Resource names have no other characters for them, and ``REKOGNITION_REGION`` has the same."""

_DAY: Final = re.compile(r"[0-9]{8}")
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_DATE: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class SignedHeadersUnusable(Exception):
    """Headers are named as signed that were not sent, or in a way in which no SDK names them; the text says which."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body, as it came.

    Attributes:
        path: not decoded.
        query: likewise, without the question mark.
        headers: names in lower case; a name may come more than once.
        http_version: such as ``1.1``.
    """

    method: str
    path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    http_version: str = "1.1"
    _values: Mapping[bytes, Sequence[bytes]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values: dict[bytes, list[bytes]] = {}
        for name, value in self.headers:
            values.setdefault(name, []).append(value)
        object.__setattr__(self, "_values", values)

    @property
    def names(self) -> KeysView[bytes]:
        """The headers' names, each once."""
        return self._values.keys()

    def header(self, name: str) -> str | None:
        """Returns a header's value, several joined by commas; None if it is not there."""
        wanted = name.encode("latin-1")
        return self.canonical_value(wanted).decode("latin-1") if wanted in self._values else None

    def canonical_value(self, name: bytes) -> bytes:
        """Returns a header's value as it is signed: spaces around it gone, those inside it single, several joined."""
        return b",".join(b" ".join(value.split()) for value in self._values.get(name, ()))


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says of its own signature: nothing of it is proved yet.

    Attributes:
        access_key_id: whose it claims to be.
        region: for which it is, as it is signed; empty where the scope names none.
        token: of a session; None without one.
        timestamp: of the request, as it is signed.
        signed_headers: names separated by semicolons, as they were given.
        digits: the signature proper.
    """

    access_key_id: str
    region: str
    token: str | None
    timestamp: str
    signed_headers: str
    digits: str


def scope_region(authorization: str) -> str | None:
    """Returns the region of an Authorization header's credential scope, maybe an empty one; None if it has no scope."""
    match _parameters(authorization).get("Credential", "").split("/", SCOPE_PARTS):
        case [_, day, region, service, terminator] if _DAY.fullmatch(day) and _REGION.fullmatch(region):
            return region if (service, terminator) == (SERVICE, TERMINATOR) else None
        case _:
            return None


def read_signature(head: Head, now: datetime) -> Signature:
    """Returns what the headers say of who signed, once all is there and fits this service and this time.

    Raises:
        MissingAuthenticationTokenException, IncompleteSignatureException, InvalidSignatureException: as AWS does.
    """
    authorization = head.header("authorization")
    if not authorization:
        raise MissingAuthenticationTokenException("Missing Authentication Token")
    parts = _parameters(authorization)
    date = head.header("x-amz-date") or head.header("date")
    _require_parts(parts, date, authorization)
    assert date is not None, "just required"
    signed_at = _read_date(date)
    access_key_id, region = _read_scope(parts["Credential"], f"{signed_at:%Y%m%d}", date)
    _require_signed(head, parts["SignedHeaders"])
    _require_present(signed_at, now)
    return Signature(
        access_key_id,
        region,
        head.header("x-amz-security-token"),
        signed_at.strftime(_DATE_FORMAT),
        parts["SignedHeaders"],
        parts["Signature"],
    )


def verify(signature: Signature, secret: str, head: Head, content_hash: str) -> None:
    """Returns if the request is what was signed with the secret.

    Args:
        signature: that the head claims.
        secret: of the key that it names.
        head: of the request.
        content_hash: SHA-256 of its body as 64 lower-case hexadecimal digits.

    Raises:
        InvalidSignatureException: it is not, in whatever way.
    """
    scope = f"{signature.timestamp[:8]}/{signature.region}/{SERVICE}/{TERMINATOR}"
    canonical = canonical_request(head, signature.signed_headers, content_hash)
    signed = "\n".join([ALGORITHM, signature.timestamp, scope, hashlib.sha256(canonical).hexdigest()])
    key = _signing_key(secret, signature.timestamp[:8], signature.region)
    digits = hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
    is_ours = hmac.compare_digest(digits.encode(), signature.digits.encode("latin-1"))
    if not is_ours or head.header("x-amz-content-sha256") not in {None, content_hash}:
        raise InvalidSignatureException(MISMATCH)


def canonical_request(head: Head, signed_headers: str, content_hash: str) -> bytes:
    """Returns the request in the one form in which it is signed."""
    names = signed_headers.encode("latin-1")
    headers = b"".join(b"%b:%b\n" % (name, head.canonical_value(name)) for name in names.split(b";"))
    lines = [
        head.method.encode(),
        _canonical_path(head.path),
        _canonical_query(head.query),
        headers,
        names,
        content_hash.encode(),
    ]
    return b"\n".join(lines)


def _parameters(authorization: str) -> dict[str, str]:
    """Returns the parameters of a header; none if it is of another algorithm, too long, or has one of them twice."""
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM or len(authorization) > AUTHORIZATION_CHARS_MAX:
        return {}
    pairs = [part.strip(" ").partition("=") for part in rest.split(",")]
    parameters = {name: value for name, _, value in pairs}
    return parameters if len(parameters) == len(pairs) else {}


def _require_parts(parts: dict[str, str], date: str | None, authorization: str) -> None:
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if not date:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        raise IncompleteSignatureException(f"{' '.join(missing)} Authorization={_echo(authorization)}")


def _read_date(text: str) -> datetime:
    try:
        if len(text) > DATE_CHARS_MAX:
            raise ValueError  # noqa: TRY301 - as for any other text that is no date
        if _DATE.fullmatch(text):
            return datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC)
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise IncompleteSignatureException(
            f"Date must be in ISO-8601 'basic format'. Got '{_echo(text)}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from error


def _read_scope(credential: str, day: str, date: str) -> tuple[str, str]:
    """Returns the access key's id and the region."""
    scope = credential.split("/", SCOPE_PARTS)
    if len(scope) != SCOPE_PARTS:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{_echo(credential)}'"
        )
    access_key_id, scope_day, region, service, terminator = scope
    if not _REGION.fullmatch(region):
        raise InvalidSignatureException("Credential should be scoped to a valid region.")
    if service != SERVICE:
        raise InvalidSignatureException(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if terminator != TERMINATOR:
        raise InvalidSignatureException(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{_echo(terminator)}'."
        )
    if scope_day != day:
        raise InvalidSignatureException(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{_echo(scope_day)}' != '{day}', from '{date}'."
        )
    return access_key_id, region


def _require_signed(head: Head, signed_headers: str) -> None:
    """Refuses a request of which a header that counts could be exchanged, and a list of headers that no SDK makes.

    At AWS such a list, of names that are repeated, in disorder, in upper case or not there, matches no signature.
    """
    names = signed_headers.encode("latin-1").split(b";")
    signed = frozenset(names)
    if b"host" not in signed or b"host" not in head.names:
        raise InvalidSignatureException("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if names != sorted(signed) or len(names) > SIGNED_HEADERS_MAX or not signed <= head.names:
        absent = _echo(b", ".join(sorted(signed - head.names)).decode("latin-1"))
        odd = f"signed, but not there: {absent}" if absent else "too many, in disorder or repeated"
        raise InvalidSignatureException(MISMATCH) from SignedHeadersUnusable(odd)
    unsigned = [name for name in head.names - signed - UNSIGNED_ON_THE_WAY if name.startswith(b"x-amz-")]
    if unsigned:
        name = _echo(min(unsigned).decode("latin-1"))
        raise InvalidSignatureException(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")


def _require_present(signed_at: datetime, now: datetime) -> None:
    limit = timedelta(minutes=MINUTES_MAX)
    given, ours = signed_at.strftime(_DATE_FORMAT), now.strftime(_DATE_FORMAT)
    if signed_at < now - limit:
        least = (now - limit).strftime(_DATE_FORMAT)
        raise InvalidSignatureException(
            f"Signature expired: {given} is now earlier than {least} ({ours} - {MINUTES_MAX} min.)"
        )
    if signed_at > now + limit:
        most = (now + limit).strftime(_DATE_FORMAT)
        raise InvalidSignatureException(
            f"Signature not yet current: {given} is still later than {most} ({ours} + {MINUTES_MAX} min.)"
        )


def _canonical_path(path: bytes) -> bytes:
    """Returns the path without dots and doubled slashes, encoded once more than it came."""
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in {b"", b"."}:
            segments.append(segment)
    normal = b"/" + b"/".join(segments)
    if segments and path.endswith((b"/", b"/.", b"/..")):
        normal += b"/"
    return quote(normal, safe="/~").encode()


def _canonical_query(query: bytes) -> bytes:
    """Returns the query with every name and value encoded in the one way, sorted."""
    return b"&".join(b"=".join(pair) for pair in sorted(_pairs(query)))


def _pairs(query: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(query) > QUERY_BYTES_MAX or query.count(b"&") >= QUERY_PARAMETERS_MAX:
        raise InvalidSignatureException(MISMATCH)
    for pair in query.split(b"&") if query else ():
        name, _, value = pair.partition(b"=")
        yield quote(unquote_to_bytes(name), safe="").encode(), quote(unquote_to_bytes(value), safe="").encode()


def _echo(text: str) -> str:
    """Returns what a caller sent, for the text of an error."""
    return text if len(text) <= ECHO_CHARS_MAX else f"{text[:ECHO_CHARS_MAX]}…"


@lru_cache(maxsize=SIGNING_KEYS_MAX)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, TERMINATOR):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
