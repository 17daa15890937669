"""Constraints of the service model, checked; violations are worded as AWS words them.

Checks parsed values against a shape: required members, lengths, ranges, patterns and enums at every depth. All
violations go into one message. Their order is ours (AWS's is not stable across its services): members in the model's
order; for one value the maximum, the minimum, the pattern, then the enum, which is the order in which AWS lists the
constraints of list elements. So an empty ``CollectionId`` reports its length before its pattern.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from botocore.model import Shape

from rekognition_emulator.api.core import ValidationException
from rekognition_emulator.http.codec import java_double
from rekognition_emulator.http.patterns import compile_java

NOT_NULL: Final = "Member must not be null"

PATTERN_SECONDS_MAX: Final = 1.0
"""How long one match may take. Patterns such as ``arn:aws:sns:.*:\\w{12}:.+`` take quadratic time on strings made for
it, and some have no maximum length; a value that takes longer does not match. Honest values take microseconds."""

PATTERN_CHARS_UNTIMED: Final = 1000
"""Shorter values are matched without looking at the clock, which would triple the time: no pattern of the model can
take more than milliseconds on them. Measured: 4,096 face ids in 4 ms instead of 13."""

SHOWN_CHARS_MAX: Final = 2**18
"""Of a value in an error. Differs from AWS, which has no such bound that is known. Ours: a list of one FaceId more than
may be named takes 156,000 characters, and is shown whole."""

SIZED: Final = {"string", "blob", "list", "map"}
"""Types whose minimum and maximum are about length; those of the others are about the value."""

PYTHON_TYPES: Final[Mapping[str, type]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "blob": bytes,
    "timestamp": datetime,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
}

Violations = Callable[[Any, str], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition on one value, as AWS words it."""

    text: str
    holds: Callable[[Any], bool]


def validator(shape: Shape) -> Callable[[Mapping[str, Any]], None]:
    """Returns a function that checks the members of the structure ``shape``, as ``codec.parser`` returns them.

    Raises (the returned function):
        ValidationException: naming every violation.
    """
    violations = _inside(shape)

    def validate(members: Mapping[str, Any]) -> None:
        found = list(violations(members, ""))
        if found:
            errors = "error" if len(found) == 1 else "errors"
            raise ValidationException(f"{len(found)} validation {errors} detected: {'; '.join(found)}")

    return validate


def check_output(shape: Shape, value: object) -> list[str]:
    """Returns what is wrong with an answer: unknown members, wrong Python types or violated constraints; [] if nothing.

    For tests: the answers of handlers are not checked in production. An empty list is never wrong: AWS sends it, in
    recorded answers, even where the model wants an element.
    """
    violations = (each for each in _inside(shape)(value, "") if not each.startswith("Value '[]'"))
    return list(_type_errors(shape, value, shape.name)) or list(violations)


def _inside(shape: Shape) -> Violations:
    """Returns a function that finds violations within a value, not those of the value itself."""
    match shape.type_name:
        case "structure":
            return _inside_structure(shape)
        case "list":
            return _inside_list(shape)
        case "map":
            return _inside_map(shape)
        case _:
            return lambda _value, _path: iter(())


def _inside_structure(shape: Shape) -> Violations:
    required = set(shape.required_members)
    members = [
        (name, name[0].lower() + name[1:], _constraints(member), _inside(member))
        for name, member in shape.members.items()
    ]

    def violations(value: Mapping[str, Any], path: str) -> Iterator[str]:
        for name, step, constraints, inside in members:
            member, member_path = value.get(name), f"{path}.{step}" if path else step
            if member is None:
                if name in required:
                    yield _violation(None, member_path, NOT_NULL)
                continue
            for constraint in constraints:
                if not constraint.holds(member):
                    yield _violation(member, member_path, constraint.text)
            yield from inside(member, member_path)

    return violations


def _inside_list(shape: Shape) -> Violations:
    constraints, inside = _constraints(shape.member), _inside(shape.member)

    def violations(value: list[Any], path: str) -> Iterator[str]:
        yield from _violation_of_any(value, value, path, "Member must satisfy constraint", constraints)
        for position, element in enumerate(value, start=1):
            if element is not None:
                yield from inside(element, f"{path}.{position}.member")

    return violations


def _inside_map(shape: Shape) -> Violations:
    of_keys, of_values, inside = _constraints(shape.key), _constraints(shape.value), _inside(shape.value)

    def violations(value: dict[str, Any], path: str) -> Iterator[str]:
        yield from _violation_of_any(value, value, path, "Map keys must satisfy constraint", of_keys)
        yield from _violation_of_any(value, value.values(), path, "Map value must satisfy constraint", of_values)
        for key, item in value.items():
            if item is not None:
                yield from inside(item, f"{path}.{key}.member")

    return violations


def _violation_of_any(
    whole: object, parts: Collection[Any], path: str, wording: str, constraints: tuple[Constraint, ...]
) -> Iterator[str]:
    """Yields one violation that shows the whole list or map and all constraints, if any part violates any of them."""
    nulls = any(part is None for part in parts)
    if nulls or any(not constraint.holds(part) for part in parts for constraint in constraints):
        texts = [constraint.text for constraint in constraints] + ([NOT_NULL] if nulls else [])
        yield _violation(whole, path, f"{wording}: [{', '.join(texts)}]")


def _violation(value: object, path: str, text: str) -> str:
    text_of_value = _java_string(value)
    if len(text_of_value) > SHOWN_CHARS_MAX:
        text_of_value = f"{text_of_value[:SHOWN_CHARS_MAX]}…"
    shown = "null" if value is None else f"'{text_of_value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {text}"


def _java_string(value: object) -> str:
    """Returns what Java's ``toString`` would say."""
    match value:
        case None | bool():
            return json.dumps(value)
        case float():
            return java_double(value)
        case bytes():
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
        case list():
            return f"[{', '.join(map(_java_string, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}={_java_string(item)}' for key, item in value.items())}}}"
        case _:
            return str(value)


def _constraints(shape: Shape) -> tuple[Constraint, ...]:
    """Returns what the model demands of a value itself, in the order in which violations are reported."""
    subject, measure = ("length", _length) if shape.type_name in SIZED else ("value", _number)
    model, found = shape.metadata, []
    if (most := model.get("max")) is not None:
        text = f"Member must have {subject} less than or equal to {most}"
        found.append(Constraint(text, lambda value: measure(value) <= most))
    if (least := model.get("min")) is not None:
        text = f"Member must have {subject} greater than or equal to {least}"
        found.append(Constraint(text, lambda value: measure(value) >= least))
    if pattern := model.get("pattern"):
        text = f"Member must satisfy regular expression pattern: {pattern}"
        found.append(Constraint(text, _matcher(pattern)))
    if enum := model.get("enum"):
        text = f"Member must satisfy enum value set: [{', '.join(enum)}]"
        found.append(Constraint(text, frozenset(enum).__contains__))
    return tuple(found)


def _length(value: Any) -> int:  # noqa: ANN401 # str, bytes, list or dict
    # Java counts UTF-16 units: a character beyond the first 65,536 counts twice.
    return len(value) if not isinstance(value, str) or value.isascii() else len(value.encode("utf-16-le")) // 2


def _number(value: float) -> float:
    return value


@cache
def _matcher(pattern: str) -> Callable[[str], bool]:
    compiled = compile_java(pattern)

    def matches(value: str) -> bool:
        timeout = None if len(value) < PATTERN_CHARS_UNTIMED else PATTERN_SECONDS_MAX
        try:
            return compiled.fullmatch(value, timeout=timeout) is not None
        except TimeoutError:
            return False

    return matches


def _type_errors(shape: Shape, value: Any, path: str) -> Iterator[str]:  # noqa: ANN401 # anything a handler may return
    expected = PYTHON_TYPES[shape.type_name]
    # A bool is an int to Python, and neither a number nor a count to a client.
    fits = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
    if not fits:
        yield f"{path} is {type(value).__name__}, not {shape.type_name}"
    elif shape.type_name == "structure":
        yield from (f"{path}.{name} is unknown" for name in value if name not in shape.members)
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _type_errors(member, value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for position, element in enumerate(value):
            yield from _type_errors(shape.member, element, f"{path}[{position}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _type_errors(shape.key, key, f"{path} key")
            yield from _type_errors(shape.value, item, f"{path}[{key}]")
    elif shape.type_name == "timestamp" and value.tzinfo is None:
        yield f"{path} is a time without a zone"
