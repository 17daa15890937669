"""Authorization: what a caller may do to which resource, by the policies of its access key and session."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rekognition_emulator.api.rekognition import AccessDeniedException
from rekognition_emulator.arn import COLLECTION_ID, SERVICE, collection_arn, object_arn
from rekognition_emulator.auth.keyring import Principal
from rekognition_emulator.auth.policy import READ_OBJECT, READ_OBJECT_VERSION, Decision
from rekognition_emulator.http.authentication import Caller
from rekognition_emulator.http.enforcement import Enforcement

_SLASHES: Final = re.compile("/+")


@dataclass(frozen=True, slots=True)
class Resource:
    """What a request is about.

    Attributes:
        arn: its full name; ``*`` for nothing in particular.
        collection: which of the caller's collections it would be, whether or not it exists; None if none.
    """

    arn: str
    collection: str | None = None


def resource_of(caller: Caller, request: Mapping[str, Any]) -> Resource:
    """Returns what a valid request is about. Every operation names one resource at most."""
    collections = collection_arn(caller.region, caller.account, "")
    if "CollectionId" in request:
        return Resource(f"{collections}{request['CollectionId']}", request["CollectionId"])
    if "ResourceArn" in request:
        arn = str(request["ResourceArn"])
        name = arn.removeprefix(collections)
        is_theirs = arn.startswith(collections) and COLLECTION_ID.fullmatch(name)
        return Resource(arn, name if is_theirs else None)
    return Resource("*")


class Authorizer:
    """Asks the policies of callers; those who have none were asked for no key, and may do everything.

    Args:
        enforcement: what becomes of those who may not.
    """

    def __init__(self, enforcement: Enforcement) -> None:
        self._enforcement = enforcement

    def authorize(self, caller: Caller, operation: str, resource: Resource) -> None:
        """Returns if the caller's policies allow an operation on a resource.

        Raises:
            AccessDeniedException: they do not.
        """
        if caller.principal is None:
            return
        action = f"{SERVICE}:{operation}"
        if reason := _refusal(caller.principal, action, resource.arn):
            text = _text(caller.principal, action, resource.arn, reason)
            self._enforcement.refuse(AccessDeniedException(text), caller.request_id, caller.trail, cause=text)

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
            arn = object_arn(f"{bucket}/{each}")
            if reason := _refusal(caller.principal, action, arn):
                if self._enforcement.mode != "warn":
                    return False
                text = _text(caller.principal, action, arn, reason)
                self._enforcement.let_pass("InvalidS3ObjectException", caller.request_id, caller.trail, cause=text)
                break
        return True


def _text(principal: Principal, action: str, resource: str, reason: str) -> str:
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
