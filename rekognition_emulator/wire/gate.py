"""Changes when callers are let in, or refused, in another way: who it is, and what they may do, in AWS's words.

Three questions, each at the first moment at which it can be answered: ``admit`` looks at the headers before a body is
read, ``identify`` at the signature once it is there and before it is parsed, ``permit`` at the policies once it is
known what is asked of which resource, and before anything is done.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import structlog

from rekognition_emulator.access.keyring import (
    Credentials,
    CredentialsExpired,
    CredentialsUnknown,
    Keyring,
    KeysUnavailable,
    Principal,
)
from rekognition_emulator.access.policy import READ_OBJECT, READ_OBJECT_VERSION, Decision
from rekognition_emulator.api.core import ExpiredTokenException, ServiceError, UnrecognizedClientException
from rekognition_emulator.observation import current
from rekognition_emulator.wire.dispatch import InternalServerError
from rekognition_emulator.wire.sigv4 import SERVICE, Head, Signature, read_signature, scope_region, verify

Mode = Literal["enforce", "warn"]

ANY_RESOURCE: Final = "*"
"""What an operation is about that is about no resource in particular."""

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
class Claim:
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

    def admit(self, head: Head, request_id: str) -> Claim | None:
        """Returns what the caller claims, before the body is read; None for one who need not claim anything.

        Raises:
            ServiceError: it cannot be true, as AWS puts it.
        """
        if self.is_open:
            _require_local_name(head)
            return None
        try:
            return self._claim(head)
        except ServiceError as error:
            self._refuse(error, request_id)
            return None

    def account_of(self, claim: Claim | None) -> str:
        """Returns whose request it is if the claim is true: enough to refuse a caller, not to let one in."""
        return self._account if claim is None else claim.credentials.principal.account

    def identify(self, claim: Claim | None, head: Head, body: bytes, request_id: str) -> Caller:
        """Returns who calls, once the body is there and before it is parsed.

        Raises:
            ServiceError: it is somebody else, or the request is not what was signed.
        """
        if claim is None and self._mode != "warn":
            claim = self.admit(head, request_id)  # while the body came, the first key may have come as well
        if claim is not None:
            try:
                verify(claim.signature, claim.credentials.secret, head, body)
            except ServiceError as error:
                self._refuse(error, request_id)
            else:
                principal = claim.credentials.principal
                return Caller(principal.account, claim.signature.region, request_id, principal)
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

    def _claim(self, head: Head) -> Claim:
        now = datetime.now(UTC)
        signature = read_signature(head, now)
        try:
            return Claim(signature, self._keyring.find(signature.access_key_id, signature.token, now))
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


def _require_local_name(head: Head) -> None:
    """Returns if the server is called by a name that only this machine means.

    A web page may let its own name point to this machine for a moment; a browser then takes our answers for its site's,
    and only the name that it has called tells. Whoever sends no name is no browser.

    Raises:
        AccessDeniedException: it is called by another one.
    """
    called = head.header("host")
    if called is not None and not _is_local(called):
        raise AccessDeniedException(
            "Without an access key this server answers only to localhost and the addresses of its own machine, not to "
            "another name in the Host header: create a key."
        )


@lru_cache(maxsize=64)
def _is_local(called: str) -> bool:
    try:
        name = urlsplit(f"//{called}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


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
