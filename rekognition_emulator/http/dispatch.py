"""Dispatch of a request to its operation: parsed and validated by the service model, authorized, handled, rendered.

One call in, one answer out, without an HTTP framework: (caller, head, body) → ``WireResponse``. Whatever goes wrong
inside leaves as an error body; nothing but a broken answer in strict mode is ever raised.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from botocore.model import OperationModel, ServiceModel, Shape

from rekognition_emulator.api.core import ServiceError, UnknownOperationException, UnsupportedOperationException
from rekognition_emulator.http.authentication import Caller
from rekognition_emulator.http.authorization import Resource, resource_of
from rekognition_emulator.http.codec import parser, renderer
from rekognition_emulator.http.responses import (
    JSON_1_1,
    JSON_ENVELOPED,
    WireResponse,
    enveloped,
    error_response,
    internal_error,
    not_found,
)
from rekognition_emulator.http.sigv4 import Head
from rekognition_emulator.http.validation import check_output, validator
from rekognition_emulator.telemetry.observation import stage

MEMBERS_BYTES: Final = 2**20
"""Room for everything in a body that is no blob. Ours: 200 tags, every character escaped, take half of it."""

Handler = Callable[[Any, Any], Mapping[str, Any]]
TranslateError = Callable[[Exception, str], ServiceError | None]
Authorize = Callable[[Caller, str, Resource], None]
"""(caller, operation, resource) → nothing. Raises what the caller is told who may not do this."""
ContextFor = Callable[[Caller, str], object]
"""(caller, operation) → what the handler is given beside the request."""

log = structlog.get_logger(__name__)


class InvalidAnswer(Exception):
    """An answer or an error that the model does not know of the operation; raised in strict mode only, for tests."""


@dataclass(frozen=True, slots=True)
class _Operation:
    model: OperationModel
    parse: Callable[[bytes], dict[str, Any]]
    validate: Callable[[Mapping[str, Any]], None]
    handler: Handler | None
    render: Callable[[Mapping[str, Any]], bytes]


class Dispatcher:
    """Calls the handler that a request names.

    Args:
        model: the service's operations and shapes.
        handlers: operation → handler, called as ``handler(context, request)``. That names, requests and responses
            belong together is proved by the type of the table that is passed here.
        translate_error: (exception, operation) → the error that AWS has for it; None if nobody foresaw it.
        coverage_page: path of a page of this server that says which operations are served.
        authorize: asked when a request is known to be valid, and before its handler sees it.
        context_for: asked when the caller is allowed what it asks for.
        strict: whether every answer and every error is checked against the model; for tests.

    Attributes:
        body_bytes_max: no request needs a longer body.
    """

    def __init__(  # noqa: PLR0913 # each is a part of one server and named at the call
        self,
        model: ServiceModel,
        handlers: Mapping[str, object],
        translate_error: TranslateError,
        coverage_page: str,
        *,
        authorize: Authorize,
        context_for: ContextFor,
        strict: bool = False,
    ) -> None:
        self.body_bytes_max = body_bytes_max(model)
        self._operations = {
            f"{model.metadata['targetPrefix']}.{name}": _compile(model.operation_model(name), handlers.get(name))
            for name in model.operation_names
        }
        self._translate_error = translate_error
        self._coverage_page = coverage_page
        self._authorize = authorize
        self._context_for = context_for
        self._strict = strict

    def operation(self, target: str | None) -> str | None:
        """Returns the operation that a target header names; None if the model knows none of that name."""
        named = self._operations.get(target or "")
        return named.model.name if named else None

    def dispatch(self, caller: Caller, head: Head, body: bytes) -> WireResponse:
        """Answers one request of a caller who is proved; safe to call from many threads.

        Args:
            caller: who asks.
            head: of the request; only its target and its content type count.
            body: of the request, complete.
        """
        media_type = (head.header("content-type") or "").partition(";")[0].strip().lower()
        if media_type not in {JSON_1_1, JSON_ENVELOPED}:
            return not_found()
        operation = self._operations.get(head.header("x-amz-target") or "")
        if operation is None:
            answer = error_response(UnknownOperationException())
        else:
            answer = self._answer(operation, caller, body)
        return answer if media_type == JSON_1_1 else enveloped(answer)

    def _answer(self, operation: _Operation, caller: Caller, body: bytes) -> WireResponse:
        name, resource = operation.model.name, None
        try:
            handler = self._handler(operation)
            with stage("parse"):
                request = operation.parse(body)
                operation.validate(request)
            resource = resource_of(caller, request)
            self._authorize(caller, name, resource)
            response = handler(self._context_for(caller, name), request)
            if self._strict:
                _check_response(response, operation.model)
            with stage("render"):
                return WireResponse(200, JSON_1_1, operation.render(response), name, collection=resource.collection)
        except InvalidAnswer:
            raise
        except Exception as error:
            told = error if isinstance(error, ServiceError) else self._translate_error(error, name)
            if told is None:
                log.exception("unhandled_error", operation=name)
                told = internal_error()
            if self._strict:
                _check_error(told, operation.model)
            return error_response(told, name, resource.collection if resource else None)

    def _handler(self, operation: _Operation) -> Handler:
        if operation.handler is None:
            raise UnsupportedOperationException(
                f"This server does not offer {operation.model.name}. GET {self._coverage_page} of the same endpoint "
                "lists the operations that it offers, and why the others are missing."
            )
        return operation.handler


def body_bytes_max(model: ServiceModel) -> int:
    """Returns the length of the largest body that any operation can need: its blobs in base64, and the rest."""
    inputs = [model.operation_model(name).input_shape for name in model.operation_names]
    return max(_base64_bytes_max(shape) for shape in inputs) + MEMBERS_BYTES


def _check_response(response: Mapping[str, Any], operation: OperationModel) -> None:
    if complaints := check_output(operation.output_shape, response):
        raise InvalidAnswer(f"{operation.name}: {'; '.join(complaints)}")


def _check_error(error: ServiceError, operation: OperationModel) -> None:
    declared = {shape.name for shape in operation.error_shapes}
    if error.declared and error.code not in declared:
        raise InvalidAnswer(f"{operation.name} does not declare {error.code}")


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
