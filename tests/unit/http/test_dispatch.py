import json
import uuid
from typing import Any

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from structlog.testing import capture_logs

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.http.dispatch import Dispatcher, InvalidAnswer, WireResponse, body_bytes_max

JSON_1_1 = "application/x-amz-json-1.1"
LIST = "RekognitionService.ListFaces"
BODY = b'{"CollectionId":"a"}'


class ResourceNotFoundException(ServiceError):
    """Stands for any error that the model declares."""


class InvalidImageFormatException(ServiceError):
    """Stands for an error that the model declares, but not for ListFaces."""


class NoSuchCollection(Exception):
    """Stands for an error of ours that the table of faults knows."""


def fault(error: Exception, operation: str) -> ServiceError | None:
    """Translates the one error that it knows."""
    if isinstance(error, NoSuchCollection):
        return ResourceNotFoundException(f"{operation}: The collection id: {error} does not exist")
    return None


def list_faces(context: object, request: dict[str, Any]) -> dict[str, Any]:
    """Answers with a face, or raises or returns what the context says."""
    if isinstance(context, Exception):
        raise context
    return context if isinstance(context, dict) else {"Faces": [], "FaceModelVersion": request["CollectionId"]}


def server(model: ServiceModel, *, strict: bool = False) -> Dispatcher:
    """A server that offers ListFaces only."""
    return Dispatcher(model, {"ListFaces": list_faces}, fault, "/operations", strict=strict)


def call(
    model: ServiceModel,
    target: str | None = LIST,
    content_type: str | None = JSON_1_1,
    body: bytes = BODY,
    context: object = None,
) -> WireResponse:
    """Sends one request."""
    return server(model).dispatch(target, content_type, body, context)


def test_answers_with_what_the_handler_returns(model: ServiceModel) -> None:
    """A request reaches its handler and the answer comes back with status 200."""
    assert call(model) == WireResponse(200, JSON_1_1, b'{"Faces":[],"FaceModelVersion":"a"}', "ListFaces", None)


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "ListFaces",
        "RekognitionService.",
        "RekognitionService.Sing",
        "RekognitionService.listFaces",
        "RekognitionService.ListFaces ",
        "rekognitionservice.ListFaces",
        "AthenaService.ListFaces",
    ],
)
def test_a_target_that_names_no_operation_is_unknown(model: ServiceModel, target: str | None) -> None:
    """Without the exact prefix and name of an operation the answer is a bare code, whatever the body is."""
    answer = call(model, target, body=b"{")
    assert (answer.status, answer.body) == (400, b'{"__type":"UnknownOperationException"}')
    assert (answer.operation, answer.error) == (None, "UnknownOperationException")


def test_an_operation_that_is_not_offered_says_where_to_read_on(model: ServiceModel) -> None:
    """An operation that AWS has and we do not is named together with the page that lists what there is."""
    answer = call(model, "RekognitionService.DetectText")
    body = json.loads(answer.body)
    assert (answer.status, body["__type"]) == (400, "UnsupportedOperationException")
    assert "DetectText" in body["message"]
    assert "GET /operations of the same endpoint" in body["message"]
    assert answer.operation == "DetectText"


@pytest.mark.parametrize("content_type", [JSON_1_1, f"{JSON_1_1}; charset=utf-8", "Application/X-Amz-Json-1.1;x=y"])
def test_takes_json_1_1_with_parameters(model: ServiceModel, content_type: str) -> None:
    """Some SDKs add a charset to the content type."""
    assert call(model, content_type=content_type).content_type == JSON_1_1


@pytest.mark.parametrize("content_type", [None, "", "application/x-amz-json-1.0", "text/plain", "application/xml"])
def test_another_content_type_is_another_service(model: ServiceModel, content_type: str | None) -> None:
    """Content types that are not this protocol's get AWS's 404 in XML."""
    answer = call(model, content_type=content_type)
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>")


def test_plain_json_gets_the_older_envelope(model: ServiceModel) -> None:
    """The older content type gets the older envelope, around answers and errors alike."""
    answer = call(model, content_type="application/json")
    assert answer.content_type == "application/json"
    assert answer.body == b'{"Output":{"Faces":[],"FaceModelVersion":"a"},"Version":"1.0"}'
    refusal = call(model, "x", content_type="application/json; charset=utf-8")
    assert refusal.body == b'{"Output":{"__type":"UnknownOperationException"},"Version":"1.0"}'


def test_declared_errors_carry_code_and_an_id_of_their_own(model: ServiceModel) -> None:
    """An error of ours leaves as AWS's: type, code, a fresh id and the text under a capital Message."""
    answers = [call(model, context=NoSuchCollection("a")) for _ in range(2)]
    bodies = [json.loads(answer.body) for answer in answers]
    assert list(bodies[0]) == ["__type", "Code", "Logref", "Message"]
    assert bodies[0]["__type"] == bodies[0]["Code"] == "ResourceNotFoundException"
    assert bodies[0]["Message"] == "ListFaces: The collection id: a does not exist"
    assert uuid.UUID(bodies[0]["Logref"]).version == 4
    assert bodies[0]["Logref"] != bodies[1]["Logref"]
    assert (answers[0].status, answers[0].error) == (400, "ResourceNotFoundException")


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"{", {"__type": "SerializationException"}),
        (b"[]", {"__type": "SerializationException", "Message": "Start of list found where not expected"}),
        (
            b"{}",
            {
                "__type": "ValidationException",
                "message": "1 validation error detected: Value null at 'collectionId' failed to satisfy constraint: "
                "Member must not be null",
            },
        ),
        (
            b'{"MaxResults": "1"}',
            {
                "__type": "SerializationException",
                "Message": "STRING_VALUE can not be converted to an Integer",
            },
        ),
    ],
)
def test_framework_errors_carry_type_and_message_only(model: ServiceModel, body: bytes, answer: dict[str, str]) -> None:
    """Bad requests get the framework's body shape; a type error wins over a validation error."""
    refusal = call(model, body=body)
    assert (refusal.status, json.loads(refusal.body)) == (400, answer)
    assert b": " not in refusal.body.replace(b"detected: ", b"").replace(b"constraint: ", b"")


def test_botocore_reads_both_error_shapes(model: ServiceModel) -> None:
    """The SDK finds code and message of a declared error and of a framework error."""
    for answer, code in [
        (call(model, context=NoSuchCollection("a")), "ResourceNotFoundException"),
        (call(model, body=b"{}"), "ValidationException"),
    ]:
        received = create_parser("json").parse(
            {"body": answer.body, "headers": {}, "status_code": answer.status},
            model.operation_model("ListFaces").output_shape,
        )
        assert received["Error"]["Code"] == code
        assert received["Error"]["Message"]


@pytest.mark.parametrize(
    "error", [ValueError("secret"), MemoryError("secret"), RecursionError("secret"), KeyError("secret")]
)
def test_unforeseen_errors_are_logged_once_and_say_nothing(model: ServiceModel, error: Exception) -> None:
    """Whatever breaks inside leaves as AWS's internal error without a detail; the traceback is in the log."""
    with capture_logs() as logs:
        answer = call(model, context=error)
    body = json.loads(answer.body)
    assert (answer.status, answer.error) == (500, "InternalServerError")
    assert (body["Code"], body["Message"]) == ("InternalServerError", "Internal server error")
    assert b"secret" not in answer.body
    assert [(line["log_level"], line["operation"], line["exc_info"]) for line in logs] == [("error", "ListFaces", True)]


def test_an_answer_that_cannot_be_rendered_is_an_internal_error(model: ServiceModel) -> None:
    """NaN has no form in JSON; the client gets an error and not half a body."""
    with capture_logs():
        answer = call(model, context={"Faces": [{"Confidence": float("nan")}]})
    assert answer.error == "InternalServerError"


def test_strict_mode_raises_on_answers_that_contradict_the_model(model: ServiceModel) -> None:
    """In tests a misspelt member is a failure; in production it is left out."""
    wrong = {"Fases": [1]}
    with pytest.raises(InvalidAnswer, match=r"ListFaces: ListFacesResponse\.Fases is unknown"):
        server(model, strict=True).dispatch(LIST, JSON_1_1, BODY, wrong)
    assert server(model, strict=True).dispatch(LIST, JSON_1_1, BODY, None).status == 200
    assert call(model, context=wrong).body == b"{}"


def test_strict_mode_raises_on_errors_that_the_operation_does_not_declare(model: ServiceModel) -> None:
    """In tests an error that no client of the operation expects is a failure; in production it is sent."""
    error = InvalidImageFormatException("not asked for")
    with pytest.raises(InvalidAnswer, match="ListFaces does not declare InvalidImageFormatException"):
        server(model, strict=True).dispatch(LIST, JSON_1_1, BODY, error)
    assert call(model, context=error).error == "InvalidImageFormatException"


def test_body_cap_leaves_room_for_two_pictures(model: ServiceModel) -> None:
    """The cap follows the model: two pictures of 5 MiB in base64, as CompareFaces takes, and some for the rest."""
    two_pictures = 2 * 4 * -(-5 * 2**20 // 3)
    assert body_bytes_max(model) == two_pictures + 2**20


def test_asks_for_permission_once_the_request_is_valid_and_before_it_is_answered(model: ServiceModel) -> None:
    """Whoever may not do it is told so; what is no valid request is told that first."""
    asked: list[Any] = []

    def permit(operation: str, request: Any) -> None:
        asked.append((operation, request))
        raise ResourceNotFoundException("not for you")

    def send(body: bytes) -> WireResponse:
        unreached = AssertionError("the handler was called")
        return server(model).dispatch(LIST, JSON_1_1, body, unreached, permit)

    assert send(b"{}").error == "ValidationException"
    assert send(b"{").error == "SerializationException"
    assert asked == []
    assert send(BODY).error == "ResourceNotFoundException"
    assert asked == [("ListFaces", {"CollectionId": "a"})]
