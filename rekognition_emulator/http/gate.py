"""Who calls, and what they may do, in AWS's words.

Three questions, each at the first moment at which it can be answered: ``admit`` looks at the headers before a body is
read, ``identify`` at the signature once it is there and before it is parsed, ``permit`` at the policies once it is
known what is asked of which resource, and before anything is done.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from typing import Any, Final, Literal

import structlog

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
from rekognition_emulator.auth.policy import READ_OBJECT, READ_OBJECT_VERSION, Decision
from rekognition_emulator.http.dispatch import InternalServerError
from rekognition_emulator.http.sigv4 import (
    SERVICE,
    Head,
    Signature,
    SignedHeadersUnusable,
    read_signature,
    scope_region,
    verify,
)
from rekognition_emulator.telemetry.observation import current

Mode = Literal["enforce", "warn"]

ANY_RESOURCE: Final = "*"
"""What an operation is about that is about no resource in particular."""

HOST_CHARS_MAX: Final = 261
"""Of a Host header: a name in DNS, a colon and a port."""

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{0,5})?", re.IGNORECASE)
_PROXYING: Final = frozenset(
    {
        *(b"forwarded", b"via", b"cdn-loop", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip"),
        *(b"true-client-ip", b"fastly-client-ip", b"fly-client-ip"),  # Akamai, Cloudflare; Fastly; Fly
    }
)
_PROXYING_LEADS: Final = (
    *(b"x-forwarded-", b"x-original-"),
    *(b"cf-", b"x-envoy-", b"x-azure-", b"x-arr-", b"x-appengine-"),  # Cloudflare; Istio and others; Azure; Google
)
"""Headers of a request that another machine has sent, and what others begin with. Proxies add them to what they pass
on, some of themselves and some if they are told to. Not ``x-amzn-trace-id``, which AWS's balancers add, for SDKs do."""
_COLLECTION_ID: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")
_SLASHES: Final = re.compile("/+")

log = structlog.get_logger(__name__)


class AccessDeniedException(ServiceError):
    """The caller's policies do not allow it. The model declares it too; this floor does not import the model's."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from which region. The answer and every log line carry ``request_id``.

    Attributes:
        principal: None for one who was not asked, or whom ``warn`` let pass.
    """

    account: str
    region: str
    request_id: str
    principal: Principal | None = None


@dataclass(frozen=True, slots=True)
class UnverifiedSignature:
    """A signature that is still to be proved, and the credentials with which it must have been made."""

    signature: Signature
    credentials: Credentials


class Gate:
    """Lets callers in.

    Args:
        keyring: the keys that there are.
        mode: None asks for signatures from the first key on, ``enforce`` in any case; ``warn`` asks, and then only
            counts and logs what it would have refused.
        is_local: whether nobody else can reach this server. Only then nobody is asked as long as there is no key.
        account: of callers that are not asked.
        default_region: of those whose request names none.
    """

    def __init__(
        self, keyring: Keyring, mode: Mode | None, *, is_local: bool, account: str, default_region: str
    ) -> None:
        self._keyring = keyring
        self._mode = mode
        self._is_local = is_local
        self._account = account
        self._default_region = default_region
        self._refusals = count(1)

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self._is_local and self._mode is None and not self._keyring.is_keyed

    def admit(self, head: Head, request_id: str) -> UnverifiedSignature | None:
        """Returns what the caller claims, before the body is read; None for one who need not claim anything.

        Raises:
            ServiceError: it cannot be true, as AWS puts it.
        """
        if self.is_open:
            _require_no_proxy(head)
            _require_local_name(head)
            return None
        try:
            return self._claim(head)
        except ServiceError as error:
            if isinstance(error.__cause__, SignedHeadersUnusable):
                _log_mismatch(head, request_id, cause=str(error.__cause__))
            self._refuse(error, request_id)
            return None

    def account_of(self, claim: UnverifiedSignature | None) -> str:
        """Returns whose request it is if the claim is true: enough to refuse a caller, not to let one in."""
        return self._account if claim is None else claim.credentials.principal.account

    def identify(self, claim: UnverifiedSignature | None, head: Head, content_hash: str, request_id: str) -> Caller:
        """Returns who calls, once the body is there and before it is parsed. Asks memory alone, so it never waits.

        Args:
            claim: what the head claims.
            head: of the request.
            content_hash: SHA-256 of its body as 64 lower-case hexadecimal digits.
            request_id: for the log.

        Raises:
            ServiceError: it is somebody else, the request is not what was signed, or the key is good no more.
        """
        if claim is None and self._mode != "warn":
            claim = self.admit(head, request_id)  # while the body came, the first key may have come as well
        if claim is not None:
            try:
                # The key may have been disabled or deleted while the body came.
                credentials = self._find(claim.signature, datetime.now(UTC))
                verify(claim.signature, credentials.secret, head, content_hash)
            except ServiceError as error:
                if isinstance(error, InvalidSignatureException):
                    _log_mismatch(head, request_id, signed_host=_signed_host(claim, head, content_hash))
                self._refuse(error, request_id)
            else:
                principal = credentials.principal
                region = claim.signature.region or self._default_region
                return Caller(principal.account, region, request_id, principal)
        region = scope_region(head.header("authorization") or "") or self._default_region
        return Caller(self._account, region, request_id)

    def permit(self, caller: Caller, operation: str, request: Mapping[str, Any]) -> None:
        """Returns if the caller's policies allow an operation on what its request names.

        Raises:
            AccessDeniedException: they do not.
        """
        action, resource = f"{SERVICE}:{operation}", resource_of(caller, request)
        if "ResourceArn" in request:
            current().collection = _collection_of(caller, resource)
        if caller.principal is None:
            return
        if reason := _refusal(caller.principal, action, resource):
            self._refuse(AccessDeniedException(_told(caller.principal, action, resource, reason)), caller.request_id)

    def may_read(self, caller: Caller, bucket: str, name: str, version: str | None) -> bool:
        """Says whether the caller's policies allow an image in S3 to be read; to be asked before anything is fetched.

        It raises nothing, for a refusal must look as an object does that is not there: at AWS, which reads the object
        with its caller's own rights, whoever may not gets the error of a missing one.
        """
        if caller.principal is None:
            return True
        action = READ_OBJECT if version is None else READ_OBJECT_VERSION
        # Some servers take several slashes for one, so that a name has to be allowed in both readings.
        for each in dict.fromkeys((name, _SLASHES.sub("/", name).removeprefix("/"))):
            resource = f"arn:aws:s3:::{bucket}/{each}"
            if reason := _refusal(caller.principal, action, resource):
                if self._mode != "warn":
                    return False
                why = _told(caller.principal, action, resource, reason)
                self._spare("InvalidS3ObjectException", why, caller.request_id)
                break
        return True

    def _claim(self, head: Head) -> UnverifiedSignature:
        now = datetime.now(UTC)
        signature = read_signature(head, now)
        return UnverifiedSignature(signature, self._find(signature, now))

    def _find(self, signature: Signature, now: datetime) -> Credentials:
        try:
            return self._keyring.find(signature.access_key_id, signature.token, now)
        except CredentialsUnknown as error:
            raise UnrecognizedClientException("The security token included in the request is invalid.") from error
        except CredentialsExpired as error:
            raise ExpiredTokenException("The security token included in the request is expired") from error
        except KeysUnavailable as error:
            log.error("access keys are not available", access_key_id=signature.access_key_id)  # noqa: TRY400 - no news
            raise InternalServerError from error

    def _refuse(self, error: ServiceError, request_id: str) -> None:
        """Raises the error, or in mode ``warn`` counts it and says so."""
        if self._mode != "warn":
            raise error
        # Not the texts of other errors: they repeat the signature.
        self._spare(error.code, error.message if isinstance(error, AccessDeniedException) else None, request_id)

    def _spare(self, code: str, why: str | None, request_id: str) -> None:
        """Counts a refusal that ``warn`` does not carry out, and says so."""
        current().would_be_denied = code
        log.warning("would be denied", request_id=request_id, error=code, why=why, refusals=next(self._refusals))


def _require_no_proxy(head: Head) -> None:
    """Returns if nothing tells that a proxy has passed the request on: then it may come from any machine.

    A proxy that speaks HTTP/1.1, calls us by a local name and adds nothing cannot be told from a program here.

    Raises:
        AccessDeniedException: something does; nginx, as it comes, speaks HTTP/1.0 and adds no header.
    """
    if head.http_version != "1.1" or any(name in _PROXYING or name.startswith(_PROXYING_LEADS) for name in head.names):
        raise AccessDeniedException(
            "Without an access key this server answers only to programs on its own machine, not through a proxy and "
            "not by HTTP/1.0: create a key."
        )


def _require_local_name(head: Head) -> None:
    """Returns if the server is called by a name that only this machine means.

    A web page may let its own name point to this machine for a moment; a browser then takes our answers for its site's,
    and only the name that it has called tells. Whoever sends no name is no browser.

    Raises:
        AccessDeniedException: it is called by another one.
    """
    called = head.header("host")
    if called is not None and (len(called) > HOST_CHARS_MAX or not _is_local(called)):
        raise AccessDeniedException(
            "Without an access key this server answers only to localhost and the addresses of its own machine, not to "
            "another name in the Host header: create a key."
        )


@lru_cache(maxsize=64)
def _is_local(called: str) -> bool:
    found = _HOST.fullmatch(called)
    if found is None:
        return False
    name = (found[1] or found[2]).lower()
    try:
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def _log_mismatch(head: Head, request_id: str, *, signed_host: str | None = None, cause: str | None = None) -> None:
    """Tells the operator what a wrong secret cannot explain: a proxy that passes on another Host than was signed."""
    hosts = {"host": head.header("host"), "x_forwarded_host": head.header("x-forwarded-host")}
    shown = {name: host and host[:HOST_CHARS_MAX] for name, host in hosts.items()}
    log.warning("signature_mismatch", request_id=request_id, **shown, signed_host=signed_host, cause=cause)


def _signed_host(claim: UnverifiedSignature, head: Head, content_hash: str) -> str | None:
    """Returns the Host with which the signature would be right; None unless a proxy has said which it was."""
    others = [header for header in head.headers if header[0] != b"host"]
    for host in _forwarded_hosts(head):
        try:
            sent = replace(head, headers=[*others, (b"host", host.encode("latin-1"))])
            verify(claim.signature, claim.credentials.secret, sent, content_hash)
        except InvalidSignatureException:
            continue
        return host
    return None


def _forwarded_hosts(head: Head) -> Iterator[str]:
    """Yields what the Host may have been before a proxy, two names at most."""
    name, port = (head.header(f"x-forwarded-{part}") for part in ("host", "port"))
    name = (name or head.header("host") or "").partition(",")[0]
    yield from (host for host in (name, f"{name}:{port}") if host != head.header("host") and _HOST.fullmatch(host))


def resource_of(caller: Caller, request: Mapping[str, Any]) -> str:
    """Returns the full name of what a request is about. Every operation names one resource at most."""
    if "ResourceArn" in request:
        return str(request["ResourceArn"])
    if "CollectionId" in request:
        return f"{_collections(caller)}{request['CollectionId']}"
    return ANY_RESOURCE


def _collections(caller: Caller) -> str:
    """Returns what the full names of all the caller's collections begin with."""
    return f"arn:aws:{SERVICE}:{caller.region}:{caller.account}:collection/"


def _collection_of(caller: Caller, resource: str) -> str | None:
    """Returns which of the caller's collections a full name is that of, whether or not it exists; None if of none."""
    theirs = _collections(caller)
    name = resource.removeprefix(theirs)
    return name if resource.startswith(theirs) and _COLLECTION_ID.fullmatch(name) else None


def _told(principal: Principal, action: str, resource: str, reason: str) -> str:
    """Returns the sentence in which AWS refuses this."""
    return f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource} {reason}"


def _refusal(principal: Principal, action: str, resource: str) -> str | None:
    """Returns why the principal may not do this, as AWS says it; None if they may."""
    # Source: IAM User Guide, "Troubleshoot access denied error messages".
    for decision, kind, one in (
        (principal.decide(action, resource), "identity-based", "an identity-based"),
        (principal.decide_in_session(action, resource), "session", "a session"),
    ):
        if decision is Decision.DENIED:
            return f"with an explicit deny in {one} policy"
        if decision is Decision.NOT_ALLOWED:
            return f"because no {kind} policy allows the {action} action"
    return None
