"""Cases generated from the API model: values just within each constraint and just beyond it.

For every member of every operation that the suite tests, at every depth: one request at each edge, on both sides.
Inside, the answer may be anything but a ValidationException; outside, it must be exactly that one, text and path.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.model import Shape

from conformance.answer import MODEL, Answer
from conformance.case import Case
from conformance.expect import (
    NOT_NULL,
    Check,
    element,
    heap_buffer,
    invalid,
    length_max,
    length_min,
    not_invalid,
    one_of,
    pattern,
    value_max,
    value_min,
    violation,
)
from conformance.service import Service
from conformance.shared import UNKNOWN_FACE

OPERATIONS: Final = (
    "AssociateFaces",
    "CompareFaces",
    "CreateCollection",
    "CreateUser",
    "DeleteCollection",
    "DeleteFaces",
    "DeleteUser",
    "DescribeCollection",
    "DetectFaces",
    "DisassociateFaces",
    "IndexFaces",
    "ListCollections",
    "ListFaces",
    "ListTagsForResource",
    "ListUsers",
    "SearchFaces",
    "SearchFacesByImage",
    "SearchUsers",
    "SearchUsersByImage",
    "TagResource",
    "UntagResource",
)

FLOAT_STEP: Final = 0.5
"""Exact in 32 bits, so that the value prints as it was sent."""

ARN: Final = "arn:aws:rekognition:us-east-1:123456789012:collection/missing"


@dataclass(frozen=True)
class Edge:
    """A value on one side of one constraint.

    Attributes:
        name: which side of which constraint.
        value: what is sent; absent if it is None.
        printed: how the service prints it.
        broken: the constraints that it violates; empty on the inner side.
    """

    name: str
    value: Any
    printed: str | None
    broken: tuple[str, ...]


def boundary_cases() -> Iterator[Case]:
    """Yields the cases, operation by operation."""
    for operation in OPERATIONS:
        shape = MODEL.operation_model(operation).input_shape
        for path, edge in _edges_of_structure(shape, ()):
            yield _case(operation, shape, path, edge)


def _case(operation: str, shape: Shape, path: tuple[str, ...], edge: Edge) -> Case:
    where = ".".join(name[0].lower() + name[1:] for name in path)
    check = _expectation(where, edge)

    def play(service: Service) -> None:
        # A new name every time: nobody's collection is touched, and only CreateCollection makes one.
        request = _request(shape, path, edge.value, service.new_name())
        check(service.call(operation, request))

    return Case("boundaries", operation, f"{where} {edge.name}", "model", play)


def _expectation(path: str, edge: Edge) -> Check:
    if not edge.broken:
        return not_invalid
    if isinstance(edge.value, Mapping):
        return _invalid_map(path, edge.broken[0])
    return invalid(*(violation(path, edge.printed, constraint) for constraint in edge.broken))


def _invalid_map(path: str, constraint: str) -> Check:
    """Expects one violation by a map; how its entries are ordered in print is left open."""

    def check(answer: Answer) -> None:
        assert answer.error == "ValidationException", answer.content[:300]
        tail = f"' at '{path}' failed to satisfy constraint: {constraint}"
        assert answer.body["message"].startswith("1 validation error detected: Value '{"), answer.body["message"][:300]
        assert answer.body["message"].endswith("}" + tail), answer.body["message"][-300:]

    return check


def _request(shape: Shape, path: tuple[str, ...], value: Any, collection: str) -> dict[str, Any]:  # noqa: ANN401 # any value
    """Returns a request that is valid but for the value at ``path``; without that member if the value is None."""
    request = {name: _plain(name, shape.members[name], collection) for name in shape.required_members}
    name, *rest = path
    if rest:
        request[name] = _request(shape.members[name], tuple(rest), value, collection)
    elif value is None:
        request.pop(name, None)
    else:
        # A value that fits keeps the name unused: DeleteCollection must not meet anybody's ``aaa``.
        request[name] = collection + value[len(collection) :] if name == "CollectionId" and _is_name(value) else value
    if shape.name == "S3Object":
        request = {"Bucket": "bucket", "Name": "name"} | request
    return request


def _is_name(value: str) -> bool:
    return 100 < len(value) < 256 and "!" not in value


def _plain(name: str, shape: Shape, collection: str) -> Any:  # noqa: ANN401 # any value
    """Returns a value that fits."""
    if name == "CollectionId":
        return collection
    match shape.type_name:
        case "structure":
            return {"Bytes": b"no picture"}
        case "list":
            return [_plain(name, shape.member, collection)]
        case "map":
            return {"a": "b"}
        case _:
            return {"ResourceArn": ARN, "FaceId": UNKNOWN_FACE, "FaceIds": UNKNOWN_FACE}.get(name, "a")


def _edges_of_structure(shape: Shape, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Edge]]:
    for name, member in shape.members.items():
        here = (*path, name)
        if name in shape.required_members:
            yield here, Edge("absent", None, None, (NOT_NULL,))
        for edge in _edges(member):
            yield here, edge
        if member.type_name == "structure":
            yield from _edges_of_structure(member, here)


def _edges(shape: Shape) -> Iterator[Edge]:
    match shape.type_name:
        case "string":
            yield from _edges_of_string(shape)
        case "blob":
            yield from _edges_of_blob(shape)
        case "integer" | "float":
            yield from _edges_of_number(shape)
        case "list":
            yield from _edges_of_list(shape)
        case "map":
            yield from _edges_of_map(shape)


def _edges_of_string(shape: Shape) -> Iterator[Edge]:
    for name, value in _strings(shape):
        yield Edge(name, value, value, tuple(_broken(shape, value)))


def _strings(shape: Shape) -> Iterator[tuple[str, str]]:
    """Yields values on both sides of every constraint, and which side that is."""
    limits = shape.metadata
    if "enum" in limits:
        yield from ((f"is {value}", value) for value in limits["enum"])
        yield "is none of the set", "NONE_OF_THESE"
        return
    if "min" in limits:
        yield "has the least length", "a" * limits["min"]
        if limits["min"] > 0:
            yield "is one too short", "a" * (limits["min"] - 1)
    if "max" in limits:
        yield "has the greatest length", "a" * limits["max"]
        yield "is one too long", "a" * (limits["max"] + 1)
    if "pattern" in limits:
        fitting = UNKNOWN_FACE if "{8}" in limits["pattern"] else "a" * max(limits.get("min", 0), 8)
        yield "fits the pattern", fitting
        yield "does not fit the pattern", fitting + "!"


def _broken(shape: Shape, value: str) -> Iterator[str]:
    """Yields the constraints that a string violates."""
    limits = shape.metadata
    if len(value) > limits.get("max", len(value)):
        yield length_max(limits["max"])
    if len(value) < limits.get("min", 0):
        yield length_min(limits["min"])
    if "pattern" in limits and not _fits(limits["pattern"], value):
        yield pattern(limits["pattern"])
    if "enum" in limits and value not in limits["enum"]:
        yield one_of(limits["enum"])


def _fits(expression: str, value: str) -> bool:
    # Java's classes of letters, separators and numbers; the values here are ASCII.
    return re.fullmatch(expression.replace(r"\p{L}\p{Z}\p{N}", r"\w\s"), value) is not None


def _all_constraints(shape: Shape) -> list[str]:
    """Returns what an element has to satisfy, in the order in which AWS lists it."""
    limits = shape.metadata
    return [
        *([length_max(limits["max"])] if "max" in limits else []),
        *([length_min(limits["min"])] if "min" in limits else []),
        *([pattern(limits["pattern"])] if "pattern" in limits else []),
        *([one_of(limits["enum"])] if "enum" in limits else []),
    ]


def _edges_of_blob(shape: Shape) -> Iterator[Edge]:
    least, most = shape.metadata["min"], shape.metadata["max"]
    yield Edge("has the least length", bytes(least), None, ())
    yield Edge("is one too short", bytes(least - 1), heap_buffer(least - 1), (length_min(least),))
    yield Edge("has the greatest length", bytes(most), None, ())
    yield Edge("is one too long", bytes(most + 1), heap_buffer(most + 1), (length_max(most),))


def _edges_of_number(shape: Shape) -> Iterator[Edge]:
    is_float = shape.type_name == "float"
    step = FLOAT_STEP if is_float else 1
    if (least := shape.metadata.get("min")) is not None:
        below = least - step
        yield Edge("is the least", least, None, ())
        yield Edge("is too small", below, str(below), (value_min(least),))
    if (most := shape.metadata.get("max")) is not None:
        above = most + step
        yield Edge("is the greatest", most, None, ())
        yield Edge("is too large", above, str(above), (value_max(most),))


def _edges_of_list(shape: Shape) -> Iterator[Edge]:
    limits, member = shape.metadata, shape.member

    def elements(count: int) -> list[str]:
        if "pattern" in member.metadata and "{8}" in member.metadata["pattern"]:
            return [f"00000000-0000-4000-8000-{number:012x}" for number in range(count)]
        return [f"key{number}" for number in range(count)]

    def edge(name: str, value: list[str], *broken: str) -> Edge:
        return Edge(name, value, f"[{', '.join(value)}]", broken)

    if "min" in limits:
        yield edge("has the least length", elements(limits["min"]))
        if limits["min"] > 0:
            yield edge("is one too short", elements(limits["min"] - 1), length_min(limits["min"]))
    if "max" in limits:
        yield edge("has the greatest length", elements(limits["max"]))
        yield edge("is one too long", elements(limits["max"] + 1), length_max(limits["max"]))
    for name, value in _strings(member):
        broken = [element(*_all_constraints(member))] if any(_broken(member, value)) else []
        yield edge(f"has an element that {name}", [value], *broken)


def _edges_of_map(shape: Shape) -> Iterator[Edge]:
    most = shape.metadata["max"]
    yield Edge("is empty", {}, None, ())
    # AWS allows fewer tags than the model; that error is the operation's, not the validation's.
    yield Edge("has the most entries", {f"key{number}": "v" for number in range(most)}, None, ())
    yield Edge("has one entry too many", {f"key{number}": "v" for number in range(most + 1)}, None, (length_max(most),))
    keys, values = ", ".join(_all_constraints(shape.key)), ", ".join(_all_constraints(shape.value))
    for name, key in _strings(shape.key):
        wording = f"Map keys must satisfy constraint: [{keys}]"
        yield Edge(f"has a key that {name}", {key: "v"}, None, (wording,) if any(_broken(shape.key, key)) else ())
    for name, value in _strings(shape.value):
        wording = f"Map value must satisfy constraint: [{values}]"
        yield Edge(
            f"has a value that {name}", {"k": value}, None, (wording,) if any(_broken(shape.value, value)) else ()
        )
