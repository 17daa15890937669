"""What must hold for every answer, whatever was asked: headers, envelopes, numbers.

Each answer that any case receives goes through ``assert_is_aws_json``: headers, compact JSON without null, members and
types of the model, Java's numbers, the two error bodies, and that the operation declares the error.
"""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Final

import botocore.session
from botocore.model import Shape

JSON_1_1: Final = "application/x-amz-json-1.1"
MODEL: Final = botocore.session.get_session().get_service_model("rekognition")

HEADERS: Final = {"x-amzn-requestid", "content-type", "content-length", "date"}
"""Source: all recorded answers since late 2021; ``connection`` is the business of HTTP."""

UUID_4: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
UUID_3: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-3[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
JAVA_DOUBLE: Final = re.compile(r"-?(0\.0|0\.00[1-9]\d*|0\.0?[1-9]\d*|[1-9]\d{0,6}\.\d+|[1-9]\.\d+E-?\d+)")
"""Plain from 1e-3 up to 1e7, beyond them one digit before the point and a capital E. Source: bytes of recorded
answers and the documentation of Double.toString."""

UNDECLARED: Final = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationException",
}
"""Errors of the framework in front of the service, which no operation declares."""

CLOCKS_APART_MAX: Final = timedelta(minutes=5)


class Number(str):
    """A decimal number as it was printed."""

    __slots__ = ()


@dataclass(frozen=True)
class Answer:
    """An answer as it came.

    Attributes:
        operation: what was called; None if the request named nothing.
        request: what was asked, with names in place of shared values and pictures.
        sent: what was sent.
        headers: names in lower case.
        sdk: what the SDK made of it; None if no SDK asked.
    """

    operation: str | None
    request: Any
    sent: Any
    status: int
    headers: Mapping[str, str]
    content: bytes
    sdk: Any = None

    @cached_property
    def body(self) -> Any:  # noqa: ANN401 # any JSON value
        """The body, parsed."""
        return json.loads(self.content)

    @property
    def error(self) -> str | None:
        """The error code; None for a success or a body that is no JSON."""
        if self.status == 200 or self.headers.get("content-type") != JSON_1_1:
            return None
        code: str = self.body["__type"]
        return code

    def __getitem__(self, member: str) -> Any:  # noqa: ANN401 # any JSON value
        assert self.status == 200, f"no {member} in the answer {self.status} {self.content[:300]!r}"
        assert member in self.body, f"no {member} among {sorted(self.body)}"
        return self.body[member]


def assert_is_aws_json(answer: Answer) -> None:
    """Checks what holds for every answer of the service."""
    _assert_headers(answer)
    outside_strings = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', answer.content)
    assert not re.search(rb"\s", outside_strings), "the JSON is not compact"
    assert b"null" not in outside_strings, "a member is null where it should be absent"
    body = json.loads(answer.content, parse_float=Number)
    if answer.status == 200:
        _assert_shape(MODEL.operation_model(answer.operation).output_shape, body, str(answer.operation))
    else:
        _assert_error(answer, body)


def _assert_headers(answer: Answer) -> None:
    names = set(answer.headers) - {"connection"}
    assert names == HEADERS, f"headers are {sorted(names)}"
    assert UUID_4.fullmatch(answer.headers["x-amzn-requestid"]), answer.headers["x-amzn-requestid"]
    assert answer.headers["content-type"] == JSON_1_1, answer.headers["content-type"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["date"].endswith(" GMT"), answer.headers["date"]
    assert abs(parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)) < CLOCKS_APART_MAX


def _assert_shape(shape: Shape, value: Any, path: str) -> None:  # noqa: ANN401 # any JSON value
    """Checks members, types and the form of numbers against the model."""
    match shape.type_name:
        case "structure":
            assert isinstance(value, dict), f"{path} is no structure"
            assert value.keys() <= shape.members.keys(), f"{path} has {value.keys() - shape.members.keys()}"
            for name, member in value.items():
                _assert_shape(shape.members[name], member, f"{path}.{name}")
        case "list":
            assert isinstance(value, list), f"{path} is no list"
            for position, element in enumerate(value):
                _assert_shape(shape.member, element, f"{path}[{position}]")
        case "map":
            assert isinstance(value, dict), f"{path} is no map"
            for key, element in value.items():
                _assert_shape(shape.value, element, f"{path}[{key}]")
        case _:
            _assert_scalar(shape, value, path)


def _assert_scalar(shape: Shape, value: Any, path: str) -> None:  # noqa: ANN401 # any JSON value
    match shape.type_name:
        case "float" | "double" | "timestamp":
            assert isinstance(value, Number), f"{path} is {value!r}, without a decimal point"
            assert JAVA_DOUBLE.fullmatch(value), f"{path} is {value}, not as Java prints a double"
            assert shape.type_name != "float" or _is_float32(float(value)), f"{path} is {value}, no 32-bit float"
        case "integer" | "long":
            assert type(value) is int, f"{path} is {value!r}, no integer"
        case "boolean":
            assert type(value) is bool, f"{path} is {value!r}, no boolean"
        case "string":
            assert type(value) is str, f"{path} is {value!r}, no string"
            enum = shape.metadata.get("enum")
            assert not enum or value in enum, f"{path} is {value}, none of {enum}"


def _is_float32(value: float) -> bool:
    (nearest,) = struct.unpack("f", struct.pack("f", value))
    return bool(nearest == value)


def _assert_error(answer: Answer, body: Any) -> None:  # noqa: ANN401 # any JSON value
    """Checks the two body shapes; the service's own errors must be declared by the operation."""
    code = body["__type"]
    assert "#" not in code, "the error code carries a namespace"
    if code in UNDECLARED:
        assert answer.status == 400, f"{code} with status {answer.status}"
        assert body.keys() <= {"__type", "message", "Message"}, f"{code} with members {sorted(body)}"
        assert code != "ValidationException" or body.keys() == {"__type", "message"}, sorted(body)
        return
    declared = {shape.name for shape in MODEL.operation_model(answer.operation).error_shapes}
    assert code in declared, f"{answer.operation} declares no {code}"
    assert answer.status == (500 if code == "InternalServerError" else 400), f"{code} with status {answer.status}"
    assert list(body) == ["__type", "Code", "Logref", "Message"], f"{code} with members {list(body)}"
    assert body["Code"] == code
    assert UUID_4.fullmatch(body["Logref"]), body["Logref"]
    assert body["Logref"] != answer.headers["x-amzn-requestid"]
    assert body["Message"]
