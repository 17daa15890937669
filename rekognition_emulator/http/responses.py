"""Responses as AWS's JSON protocol has them: content types, bodies of errors, and what is not this protocol."""

import json
from dataclasses import dataclass, replace
from typing import Final

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.api.rekognition import InternalServerError
from rekognition_emulator.telemetry.observation import new_id

JSON_1_1: Final = "application/x-amz-json-1.1"
JSON_ENVELOPED: Final = "application/json"
XML: Final = "application/xml"

_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class WireResponse:
    """An answer, ready to be sent.

    Attributes:
        status: the HTTP status.
        content_type: of the body; None if there is no body.
        body: complete; empty if the status says it all.
        operation: what was called; None if that is nothing that the model knows.
        error: the error code; None on success.
        collection: which of the caller's collections the request named, once it is known to be a name.
    """

    status: int
    content_type: str | None
    body: bytes
    operation: str | None = None
    error: str | None = None
    collection: str | None = None


def error_response(error: ServiceError, operation: str | None = None, collection: str | None = None) -> WireResponse:
    """Returns the answer that an error is."""
    body = {"__type": error.code}
    if error.declared:
        # Logref is an id of its own, not the request's.
        body |= {"Code": error.code, "Logref": new_id()}
    if error.message:
        body[error.message_key] = error.message
    encoded = _COMPACT.encode(body).encode("utf-8")
    return WireResponse(error.status, JSON_1_1, encoded, operation, error.code, collection)


def internal_error() -> ServiceError:
    """Returns the error of what the caller could not mend."""
    return InternalServerError("Internal server error")


def not_found() -> WireResponse:
    """Returns the answer to everything that is not this protocol: another path, method or content type."""
    return WireResponse(404, XML, b"<UnknownOperationException/>", error="UnknownOperationException")


def enveloped(answer: WireResponse) -> WireResponse:
    """Returns an answer as the older content type has it."""
    body = b'{"Output":' + answer.body + b',"Version":"1.0"}'
    return replace(answer, content_type=JSON_ENVELOPED, body=body)
