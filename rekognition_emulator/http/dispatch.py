"""The protocol around operations: target header, content types, envelopes, error bodies.

One call in, one answer out, without an HTTP framework: (target, content type, body) → ``WireResponse``. Whatever goes
wrong inside leaves as an error body; nothing but a broken answer in strict mode is ever raised.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from botocore.model import OperationModel, ServiceModel, Shape

from rekognition_emulator.api.core import ServiceError, UnknownOperationException, UnsupportedOperationException
from rekognition_emulator.http.codec import parser, renderer
from rekognition_emulator.http.validation import check_output, validator
from rekognition_emulator.telemetry.observation import current, new_id, stage

JSON_1_1: Final = "application/x-amz-json-1.1"
JSON_ENVELOPED: Final = "application/json"
XML: Final = "application/xml"

MEMBERS_BYTES: Final = 2**20
"""Room for everything in a body that is no blob. Ours: 200 tags, every character escaped, take half of it."""

Handler = Callable[[Any, Any], Mapping[str, Any]]
Faults = Callable[[Exception, str], ServiceError | None]
Permit = Callable[[str, Mapping[str, Any]], None]
"""(operation, request) → nothing. Raises what the caller is told who may not do this."""

_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

log = structlog.get_logger(__name__)


class InternalServerError(ServiceError):
    """Nothing that the caller could mend. The model declares it too; this floor does not import the model's classes."""

    status = 500

    def __init__(self) -> None:
        super().__init__("Internal server error")


class InvalidAnswer(Exception):
    """An answer or an error that the model does not know of the operation; raised in strict mode only, for tests."""


@dataclass(frozen=True, slots=True)
class WireResponse:
    """An answer, ready to be sent.

    Attributes:
        status: the HTTP status.
        content_type: of the body; None if there is no body.
        body: complete; empty if the status says it all.
        operation: what was called; None if that is nothing that the model knows.
        error: the error code; None on success.
    """

    status: int
    content_type: str | None
    body: bytes
    operation: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Operation:
    model: OperationModel
    parse: Callable[[bytes], dict[str, Any]]
    validate: Callable[[Mapping[str, Any]], None]
    handler: Handler | None
    render: Callable[[Mapping[str, Any]], bytes]


def _everything(_operation: str, _request: Mapping[str, Any]) -> None:
    """Permits everything."""


class Dispatcher:
    """Calls the handler that a request names.

    Args:
        model: the service's operations and shapes.
        handlers: operation → handler, called as ``handler(context, request)``. That names, requests and responses
            belong together is proved by the type of the table that is passed here.
        faults: (exception, operation) → the error that AWS has for it; None if nobody foresaw it.
        coverage_page: path of a page of this server that says which operations are served.
        strict: whether every answer and every error is checked against the model; for tests.

    Attributes:
        body_bytes_max: no request needs a longer body.
    """

    def __init__(
        self,
        model: ServiceModel,
        handlers: Mapping[str, object],
        faults: Faults,
        coverage_page: str,
        *,
        strict: bool = False,
    ) -> None:
        self.body_bytes_max = body_bytes_max(model)
        self._operations = {
            f"{model.metadata['targetPrefix']}.{name}": _compile(model.operation_model(name), handlers.get(name))
            for name in model.operation_names
        }
        self._faults = faults
        self._coverage_page = coverage_page
        self._strict = strict

    def operation(self, target: str | None) -> str | None:
        """Returns the operation that a target header names; None if the model knows none of that name."""
        named = self._operations.get(target or "")
        return named.model.name if named else None

    def dispatch(
        self, target: str | None, content_type: str | None, body: bytes, context: object, permit: Permit = _everything
    ) -> WireResponse:
        """Answers one request; safe to call from many threads.

        Args:
            target: the X-Amz-Target header.
            content_type: the Content-Type header.
            body: of the request, complete.
            context: handed to the handler.
            permit: asked when the request is known to be valid, and before the handler sees it.
        """
        media_type = (content_type or "").partition(";")[0].strip().lower()
        if media_type not in {JSON_1_1, JSON_ENVELOPED}:
            return not_found()
        operation = self._operations.get(target or "")
        if operation is None:
            answer = error_response(UnknownOperationException())
        else:
            answer = self._answer(operation, body, context, permit)
        return answer if media_type == JSON_1_1 else _enveloped(answer)

    def _answer(self, operation: _Operation, body: bytes, context: object, permit: Permit) -> WireResponse:
        name = operation.model.name
        current().operation = name
        try:
            return WireResponse(200, JSON_1_1, self._call(operation, body, context, permit), name)
        except InvalidAnswer:
            raise
        except ServiceError as error:
            return self._error(error, operation)
        except Exception as error:
            translated = self._faults(error, name)
            if translated is None:
                log.exception("unforeseen error", operation=name)
                translated = InternalServerError()
            return self._error(translated, operation)

    def _error(self, error: ServiceError, operation: _Operation) -> WireResponse:
        declared = {shape.name for shape in operation.model.error_shapes}
        if self._strict and error.declared and error.code not in declared:
            raise InvalidAnswer(f"{operation.model.name} does not declare {error.code}")
        return error_response(error, operation.model.name)

    def _call(self, operation: _Operation, body: bytes, context: object, permit: Permit) -> bytes:
        if operation.handler is None:
            raise UnsupportedOperationException(
                f"This server does not offer {operation.model.name}. GET {self._coverage_page} of the same endpoint "
                "lists the operations that it offers, and why the others are missing."
            )
        with stage("parse"):
            request = operation.parse(body)
            operation.validate(request)
        current().collection = request.get("CollectionId")
        permit(operation.model.name, request)
        response = operation.handler(context, request)
        if self._strict:
            complaints = check_output(operation.model.output_shape, response)
            if complaints:
                raise InvalidAnswer(f"{operation.model.name}: {'; '.join(complaints)}")
        with stage("render"):
            return operation.render(response)


def body_bytes_max(model: ServiceModel) -> int:
    """Returns the length of the largest body that any operation can need: its blobs in base64, and the rest."""
    inputs = [model.operation_model(name).input_shape for name in model.operation_names]
    return max(_base64_bytes_max(shape) for shape in inputs) + MEMBERS_BYTES


def error_response(error: ServiceError, operation: str | None = None) -> WireResponse:
    """Returns the answer that an error is."""
    body = {"__type": error.code}
    if error.declared:
        # Logref is an id of its own, not the request's.
        body |= {"Code": error.code, "Logref": new_id()}
    if error.message:
        body[error.message_key] = error.message
    return WireResponse(error.status, JSON_1_1, _COMPACT.encode(body).encode("utf-8"), operation, error.code)


def not_found() -> WireResponse:
    """Returns the answer to everything that is not this protocol: another path, method or content type."""
    return WireResponse(404, XML, b"<UnknownOperationException/>", error="UnknownOperationException")


def _enveloped(answer: WireResponse) -> WireResponse:
    body = b'{"Output":' + answer.body + b',"Version":"1.0"}'
    return WireResponse(answer.status, JSON_ENVELOPED, body, answer.operation, answer.error)


def _compile(model: OperationModel, handler: object) -> _Operation:
    return _Operation(
        model=model,
        parse=parser(model.input_shape),
        validate=validator(model.input_shape),
        handler=cast("Handler | None", handler),
        render=renderer(model.output_shape),
    )


def _base64_bytes_max(shape: Shape) -> int:
    match shape.type_name:
        case "structure":
            return sum(_base64_bytes_max(member) for member in shape.members.values())
        case "blob":
            return -(-int(shape.metadata["max"]) // 3) * 4
        case _:
            # No list of the model carries blobs.
            return 0
