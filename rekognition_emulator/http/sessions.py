"""``POST /sessions``: temporary credentials for browsers, the one page here that AWS does not have.

A back end signs it with its own key, as any request to this service, and hands what it gets to a browser. The answer is
what AWS's SDKs take from a ``credential_process``. STS's own protocol was refused: it is XML, its credentials are
narrowed by a policy document that every back end would have to write, and no SDK for browsers calls it.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rekognition_emulator.api.core import (
    MissingAuthenticationTokenException,
    SerializationException,
    ServiceError,
    UnrecognizedClientException,
    ValidationException,
)
from rekognition_emulator.auth.keyring import CredentialsExpired, CredentialsUnknown, KeysUnavailable
from rekognition_emulator.auth.presets import OBJECTS
from rekognition_emulator.auth.sessions import LIFETIME_MAX, LIFETIME_MIN, TemporaryCredentials
from rekognition_emulator.http.dispatch import JSON_ENVELOPED, InternalServerError, WireResponse, error_response
from rekognition_emulator.http.gate import AccessDeniedException, Caller, Gate
from rekognition_emulator.telemetry.observation import current

SESSION_BODY_BYTES_MAX: Final = 4096
OPERATION: Final = "SearchFacesByImage"
"""What a session is for, and so what whoever asks for it must be allowed."""

DURATION_DEFAULT: Final = timedelta(minutes=15)

OBJECTS_MAX: Final = 10
"""Ours: a visitor's images lie in one place, and each is in the token that every request of theirs carries."""

_COLLECTION_ID: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")

IssueSession = Callable[[str, str, timedelta, datetime, Sequence[str]], TemporaryCredentials]
"""(access key id, collection, lifetime, now, objects in S3) → credentials; raises as ``Keyring.issue_session``."""


def answer_session_request(caller: Caller, body: bytes, gate: Gate, issue: IssueSession) -> WireResponse:
    """Answers one request for a session.

    Args:
        caller: who has signed it.
        body: JSON with CollectionId, DurationSeconds if fifteen minutes are not right, and S3Objects if the session may
            name images in S3 rather than send them: patterns such as ``selfies/party/*``.
        gate: knows what the caller may do.
        issue: makes the credentials.
    """
    try:
        return WireResponse(
            200, JSON_ENVELOPED, _session(caller, body, gate, issue).to_json().encode(), "CreateSession"
        )
    except (CredentialsUnknown, CredentialsExpired):  # the key went while the request was on its way
        return error_response(UnrecognizedClientException("The security token included in the request is invalid."))
    except KeysUnavailable:
        return error_response(InternalServerError())
    except ServiceError as error:
        return error_response(error, "CreateSession")


def _session(caller: Caller, body: bytes, gate: Gate, issue: IssueSession) -> TemporaryCredentials:
    if caller.principal is None:  # who is let in without a key has none to derive a session from
        raise MissingAuthenticationTokenException("Missing Authentication Token")
    if caller.principal.session_policy is not None:
        raise AccessDeniedException("Cannot call POST /sessions with session credentials")
    collection, objects, lifetime = _read(body)
    current().collection = collection
    gate.permit(caller, OPERATION, {"CollectionId": collection})
    return issue(caller.principal.key, collection, lifetime, datetime.now(UTC), objects)


def _read(body: bytes) -> tuple[str, list[str], timedelta]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SerializationException from error
    if not isinstance(members, dict) or members.keys() - {"CollectionId", "DurationSeconds", "S3Objects"}:
        raise ValidationException(
            "The body is not an object with CollectionId and, if need be, DurationSeconds and S3Objects."
        )
    collection = members.get("CollectionId")
    if not isinstance(collection, str) or not _COLLECTION_ID.fullmatch(collection):
        raise ValidationException(f"CollectionId must satisfy regular expression pattern: {_COLLECTION_ID.pattern}")
    objects = members.get("S3Objects", [])
    if not isinstance(objects, list) or len(objects) > OBJECTS_MAX or not all(map(_is_pattern_of_objects, objects)):
        raise ValidationException(f"S3Objects must be up to {OBJECTS_MAX} patterns such as selfies/party/*.")
    seconds = members.get("DurationSeconds", int(DURATION_DEFAULT.total_seconds()))
    least, most = int(LIFETIME_MIN.total_seconds()), int(LIFETIME_MAX.total_seconds())
    if type(seconds) is not int or not least <= seconds <= most:
        raise ValidationException(f"DurationSeconds must be a whole number from {least} to {most}.")
    return collection, objects, timedelta(seconds=seconds)


def _is_pattern_of_objects(value: object) -> bool:
    return isinstance(value, str) and OBJECTS.fullmatch(value) is not None
