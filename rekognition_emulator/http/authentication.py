"""Authentication: who has sent a request, by its Signature Version 4.

Two steps, each at the first moment at which it can be taken. ``check_head`` refuses what cannot be true before the body
is read; ``authenticate`` proves the signature once the body is there, and before anything parses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from rekognition_emulator.actor import ANONYMOUS, Actor, AuditTrail
from rekognition_emulator.api.core import (
    ExpiredTokenException,
    InvalidSignatureException,
    ServiceError,
    UnrecognizedClientException,
)
from rekognition_emulator.auth.keyring import (
    Credentials,
    CredentialsExpired,
    CredentialsUnknown,
    Keyring,
    KeysUnavailable,
    Principal,
)
from rekognition_emulator.http.enforcement import Enforcement
from rekognition_emulator.http.local_only import HOST, HOST_CHARS_MAX, require_local_name, require_no_proxy
from rekognition_emulator.http.responses import internal_error
from rekognition_emulator.http.sigv4 import (
    Head,
    Signature,
    SignedHeadersUnusable,
    read_signature,
    scope_region,
    verify,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UnverifiedRequest:
    """A request of which the head has come, and of which nothing is proved.

    Attributes:
        request_id: as its answer and every log line carry it.
        trail: for the audit log.
    """

    head: Head
    request_id: str
    trail: AuditTrail = field(default_factory=AuditTrail, compare=False)


@dataclass(frozen=True, slots=True)
class UnverifiedSignature:
    """A signature that is still to be proved, and the credentials with which it must have been made."""

    signature: Signature
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from which region.

    Attributes:
        request_id: as the answer and every log line carry it.
        principal: None for one who was not asked, or whom ``warn`` let pass.
        trail: of the request, for the audit log.
    """

    account: str
    region: str
    request_id: str
    principal: Principal | None = None
    trail: AuditTrail = field(default_factory=AuditTrail, compare=False, repr=False)

    def actor(self, operation: str) -> Actor:
        """Returns the caller as who makes the changes of an operation."""
        if (principal := self.principal) is None:
            return Actor(operation, self.account, self.request_id, ANONYMOUS, self.region, trail=self.trail)
        return Actor(
            operation,
            self.account,
            self.request_id,
            principal.name,
            self.region,
            principal.key,
            in_session=principal.session_policy is not None,
            trail=self.trail,
        )


class Authenticator:
    """Tells who calls.

    Args:
        keyring: the keys that there are.
        enforcement: what becomes of those who cannot prove it.
        is_local: whether nobody else can reach this server. Only then nobody is asked as long as there is no key.
        account: of callers that are not asked.
        default_region: of those whose request names none.
    """

    def __init__(
        self, keyring: Keyring, enforcement: Enforcement, *, is_local: bool, account: str, default_region: str
    ) -> None:
        self._keyring = keyring
        self._enforcement = enforcement
        self._is_local = is_local
        self._account = account
        self._default_region = default_region

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self._is_local and self._enforcement.mode is None and not self._keyring.is_keyed

    def check_head(self, request: UnverifiedRequest) -> UnverifiedSignature | None:
        """Returns what is to be proved, before the body is read; None for one who need not prove anything.

        Raises:
            ServiceError: it cannot be true, as AWS puts it.
        """
        head = request.head
        if self.is_open:
            require_no_proxy(head)
            require_local_name(head)
            return None
        try:
            now = datetime.now(UTC)
            signature = read_signature(head, now)
            return UnverifiedSignature(signature, self._find(signature, now))
        except ServiceError as error:
            if isinstance(error.__cause__, SignedHeadersUnusable):
                _log_mismatch(request, cause=str(error.__cause__))
            self._enforcement.refuse(error, request.request_id, request.trail)
            return None

    def account_of(self, unverified: UnverifiedSignature | None) -> str:
        """Returns whose request it is if the signature is right: enough to refuse a caller, not to let one in."""
        return self._account if unverified is None else unverified.credentials.principal.account

    def authenticate(
        self, request: UnverifiedRequest, unverified: UnverifiedSignature | None, content_hash: str
    ) -> Caller:
        """Returns who calls, once the body is there and before it is parsed. Asks memory alone, so it never waits.

        Args:
            request: of which ``check_head`` was asked.
            unverified: what it has returned.
            content_hash: SHA-256 of the body as 64 lower-case hexadecimal digits.

        Raises:
            ServiceError: it is somebody else, the request is not what was signed, or the key is good no more.
        """
        head, request_id, trail = request.head, request.request_id, request.trail
        if unverified is None and self._enforcement.mode != "warn":
            unverified = self.check_head(request)  # while the body came, the first key may have come as well
        if unverified is not None:
            try:
                # The key may have been disabled or deleted while the body came.
                credentials = self._find(unverified.signature, datetime.now(UTC))
                verify(unverified.signature, credentials.secret, head, content_hash)
            except ServiceError as error:
                if isinstance(error, InvalidSignatureException):
                    _log_mismatch(request, signed_host=_signed_host(unverified, head, content_hash))
                self._enforcement.refuse(error, request_id, trail)
            else:
                principal = credentials.principal
                region = unverified.signature.region or self._default_region
                return Caller(principal.account, region, request_id, principal, trail)
        region = scope_region(head.header("authorization") or "") or self._default_region
        return Caller(self._account, region, request_id, trail=trail)

    def _find(self, signature: Signature, now: datetime) -> Credentials:
        try:
            return self._keyring.find(signature.access_key_id, signature.token, now)
        except CredentialsUnknown as error:
            raise UnrecognizedClientException("The security token included in the request is invalid.") from error
        except CredentialsExpired as error:
            raise ExpiredTokenException("The security token included in the request is expired") from error
        except KeysUnavailable as error:
            log.error("access_keys_unavailable", access_key_id=signature.access_key_id)  # noqa: TRY400 - no news
            raise internal_error() from error


def _log_mismatch(request: UnverifiedRequest, *, signed_host: str | None = None, cause: str | None = None) -> None:
    """Tells the operator what a wrong secret cannot explain: a proxy that passes on another Host than was signed."""
    head = request.head
    hosts = {"host": head.header("host"), "x_forwarded_host": head.header("x-forwarded-host")}
    shown = {name: host and host[:HOST_CHARS_MAX] for name, host in hosts.items()}
    log.warning("signature_mismatch", request_id=request.request_id, **shown, signed_host=signed_host, cause=cause)


def _signed_host(unverified: UnverifiedSignature, head: Head, content_hash: str) -> str | None:
    """Returns the Host with which the signature would be right; None unless a proxy has said which it was."""
    others = [header for header in head.headers if header[0] != b"host"]
    for host in _forwarded_hosts(head):
        try:
            sent = replace(head, headers=[*others, (b"host", host.encode("latin-1"))])
            verify(unverified.signature, unverified.credentials.secret, sent, content_hash)
        except InvalidSignatureException:
            continue
        return host
    return None


def _forwarded_hosts(head: Head) -> Iterator[str]:
    """Yields what the Host may have been before a proxy, two names at most."""
    name, port = (head.header(f"x-forwarded-{part}") for part in ("host", "port"))
    name = (name or head.header("host") or "").partition(",")[0]
    yield from (host for host in (name, f"{name}:{port}") if host != head.header("host") and HOST.fullmatch(host))
