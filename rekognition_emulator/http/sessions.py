"""``POST /sessions``: temporary credentials for browsers, the one page here that AWS does not have.

A back end signs it with its own key, as any request to this service, and hands what it gets to a browser. The answer is
what AWS's SDKs take from a ``credential_process``. STS's own protocol was refused: it is XML, its credentials are
narrowed by a policy document that every back end would have to write, and no SDK for browsers calls it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from rekognition_emulator.api.core import (
    MissingAuthenticationTokenException,
    SerializationException,
    ServiceError,
    UnrecognizedClientException,
    ValidationException,
)
from rekognition_emulator.api.rekognition import AccessDeniedException
from rekognition_emulator.arn import COLLECTION_ID
from rekognition_emulator.auth.keyring import CredentialsExpired, CredentialsUnknown, KeysUnavailable
from rekognition_emulator.auth.presets import OBJECTS
from rekognition_emulator.auth.sessions import LIFETIME_MAX, LIFETIME_MIN, TemporaryCredentials
from rekognition_emulator.http.authentication import Caller
from rekognition_emulator.http.authorization import Authorizer, resource_of
from rekognition_emulator.http.responses import JSON_ENVELOPED, WireResponse, error_response, internal_error

SESSION_BODY_BYTES_MAX: Final = 4096
OPERATION: Final = "SearchFacesByImage"
"""What a session is for, and so what whoever asks for it must be allowed."""

DURATION_DEFAULT: Final = timedelta(minutes=15)

OBJECTS_MAX: Final = 10
"""Ours: a visitor's images lie in one place, and each is in the token that every request of theirs carries."""

IssueSession = Callable[[str, str, timedelta, datetime, Sequence[str]], TemporaryCredentials]
"""(access key id, collection, lifetime, now, objects in S3) → credentials; raises as ``Keyring.issue_session``."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What is asked for: a session for searches in one collection, with images in S3 if patterns of their names say so.

    Attributes:
        objects: such as ``selfies/party/*``.
    """

    collection: str
    objects: Sequence[str]
    lifetime: timedelta


def answer_session_request(caller: Caller, body: bytes, authorizer: Authorizer, issue: IssueSession) -> WireResponse:
    """Answers one request for a session.

    Args:
        caller: who has signed it.
        body: JSON with CollectionId, DurationSeconds if fifteen minutes are not right, and S3Objects if the session may
            name images in S3 rather than send them: patterns such as ``selfies/party/*``.
        authorizer: knows what the caller may do.
        issue: makes the credentials.
    """
    asked = None
    try:
        key = _issuer(caller)
        asked = _read(body)
        authorizer.authorize(caller, OPERATION, resource_of(caller, {"CollectionId": asked.collection}))
        made = issue(key, asked.collection, asked.lifetime, datetime.now(UTC), asked.objects)
    except (CredentialsUnknown, CredentialsExpired):  # the key went while the request was on its way
        told: ServiceError = UnrecognizedClientException("The security token included in the request is invalid.")
    except KeysUnavailable:
        told = internal_error()
    except ServiceError as error:
        told = error
    else:
        return WireResponse(200, JSON_ENVELOPED, made.to_json().encode(), "CreateSession", collection=asked.collection)
    return error_response(told, "CreateSession", asked.collection if asked else None)


def _issuer(caller: Caller) -> str:
    """Returns the id of the access key that a session is to be derived from."""
    if caller.principal is None:  # who is let in without a key has none to derive a session from
        raise MissingAuthenticationTokenException("Missing Authentication Token")
    if caller.principal.session_policy is not None:
        raise AccessDeniedException("Cannot call POST /sessions with session credentials")
    return caller.principal.key


def _read(body: bytes) -> SessionRequest:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SerializationException from error
    if not isinstance(members, dict) or members.keys() - {"CollectionId", "DurationSeconds", "S3Objects"}:
        raise ValidationException(
            "The body is not an object with CollectionId and, if need be, DurationSeconds and S3Objects."
        )
    collection = members.get("CollectionId")
    if not isinstance(collection, str) or not COLLECTION_ID.fullmatch(collection):
        raise ValidationException(f"CollectionId must satisfy regular expression pattern: {COLLECTION_ID.pattern}")
    objects = members.get("S3Objects", [])
    if not isinstance(objects, list) or len(objects) > OBJECTS_MAX or not all(map(_is_pattern_of_objects, objects)):
        raise ValidationException(f"S3Objects must be up to {OBJECTS_MAX} patterns such as selfies/party/*.")
    seconds = members.get("DurationSeconds", int(DURATION_DEFAULT.total_seconds()))
    least, most = int(LIFETIME_MIN.total_seconds()), int(LIFETIME_MAX.total_seconds())
    if type(seconds) is not int or not least <= seconds <= most:
        raise ValidationException(f"DurationSeconds must be a whole number from {least} to {most}.")
    return SessionRequest(collection, objects, timedelta(seconds=seconds))


def _is_pattern_of_objects(value: object) -> bool:
    return isinstance(value, str) and OBJECTS.fullmatch(value) is not None
