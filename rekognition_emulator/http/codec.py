"""JSON ↔ Python by shapes of the service model.

    shape               Python              JSON
    structure, map      dict                object; absent members are left out, never null
    list                list                array
    string              str                 string
    integer, long       int                 number
    float, double       float               number as Java prints a double
    boolean             bool                true, false
    blob                bytes               string, base64
    timestamp           aware datetime      number, seconds since 1970 with milliseconds

``parser`` and ``renderer`` walk a shape once and return a function for it, so that a page of 4,096 faces does not look
up the model for each of its 45,000 values. The model has no recursive shapes; one would fail here, at start.

Rendering does not check: what a handler returns is proved by the type checker, and in tests by
``validation.check_output``.
"""

import binascii
import json
import math
import struct
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from json.encoder import encode_basestring as json_string
from operator import index
from typing import Any, Final, NoReturn

from botocore.model import Shape

from rekognition_emulator.api.core import SerializationException

Parse = Callable[[object], Any]
Render = Callable[[Any], str]

LIST_FOUND: Final = "Start of list found where not expected"
OBJECT_FOUND: Final = "Start of structure or map found where not expected."
"""Source of these and of the other texts: raw answers of another JSON 1.1 service behind the same framework, 2026."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)

FLOAT32: Final = struct.Struct("f")
FLOAT32_MAX: Final = 2.0**128 - 2.0**104
DOUBLE_MAX: Final = sys.float_info.max

PLAIN_MIN: Final = 1e-3
PLAIN_END: Final = 1e7
"""From the one up to the other Java prints a double without an exponent. Source: documentation of Double.toString."""


STRUCTURE_BYTES_MAX: Final = 2**18
"""Of a body, outside its strings, with their quotation marks and without white space. Ours: 4,096 face ids take a
twentieth of it. 15 MB of brackets would be five million lists, for seconds in which no other thread runs."""

_WHITE_SPACE: Final = b" \t\r\n"


def parser(shape: Shape) -> Callable[[bytes], dict[str, Any]]:
    """Returns a function from a request body to the members of the structure ``shape``.

    Unknown members are ignored, null members are absent, a null element of a list or map stays None for the
    validation to report, decimals are truncated where an integer is wanted.

    Raises (the returned function):
        SerializationException: not UTF-8, not a JSON object, of far more pieces than any request, or a value of the
            wrong type.
    """
    parse = _parser(shape)

    def parse_body(body: bytes) -> dict[str, Any]:
        if _structure_bytes(body) > STRUCTURE_BYTES_MAX:
            raise SerializationException
        try:
            value = _DECODER.decode(body.decode("utf-8"))
        except (ValueError, RecursionError):
            # Not UTF-8, not JSON, a number of thousands of digits, or brackets nested by the thousand.
            raise SerializationException from None
        if not isinstance(value, dict):
            raise SerializationException(LIST_FOUND if isinstance(value, list) else None)
        members: dict[str, Any] = parse(value)
        return members

    return parse_body


def _structure_bytes(body: bytes) -> int:
    """Returns how much of a JSON text stands outside strings, a byte for each quotation mark and none for white space.

    Counts no further than to the bound, and skips strings as fast as memory is read.
    """
    count, at, is_inside = 0, 0, False
    while count <= STRUCTURE_BYTES_MAX and (quote := body.find(b'"', at)) >= 0:
        if not is_inside:
            count += len(body[at:quote].translate(None, _WHITE_SPACE))
            is_inside = True
        elif not _is_escaped(body, at, quote):
            is_inside = False
        count += 1
        at = quote + 1
    return count if is_inside else count + len(body[at:].translate(None, _WHITE_SPACE))


def _is_escaped(body: bytes, start: int, at: int) -> bool:
    """Returns whether an odd number of backslashes stands before a character, from ``start`` on."""
    if body[at - 1 : at] != b"\\":
        return False
    before = body[start:at]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _refuse_constant(_: str) -> NoReturn:
    # Python reads NaN and Infinity, JSON has neither.
    raise ValueError


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _parser(shape: Shape) -> Parse:
    match shape.type_name:
        case "structure":
            return _structure_parser({name: _parser(member) for name, member in shape.members.items()})
        case "map":
            return _map_parser(_parser(shape.value))
        case "list":
            return _list_parser(_parser(shape.member))
        case scalar:
            return _SCALAR_PARSERS[scalar]


def _structure_parser(members: Mapping[str, Parse]) -> Parse:
    def parse(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _unexpected(value, "Expected null")
        return {name: members[name](member) for name, member in value.items() if member is not None and name in members}

    return parse


def _map_parser(parse_value: Parse) -> Parse:
    def parse(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _unexpected(value, "Expected null")
        return {_parse_string(key): None if item is None else parse_value(item) for key, item in value.items()}

    return parse


def _list_parser(parse_element: Parse) -> Parse:
    def parse(value: object) -> list[Any]:
        if not isinstance(value, list):
            raise _unexpected(value, "Expected list or null")
        return [None if element is None else parse_element(element) for element in value]

    return parse


def _parse_string(value: object) -> str:
    if not isinstance(value, str):
        raise _inconvertible(value, "a String")
    if value.isascii():
        return value
    # Half a surrogate pair can be escaped in JSON but is no character; Java writes a question mark for it.
    return value.encode("utf-8", "replace").decode("utf-8")


def _parse_boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _inconvertible(value, "a Boolean")
    return value


def _parse_blob(value: object) -> bytes:
    if not isinstance(value, str):
        raise _inconvertible(value, "a Blob")
    try:
        # From the text directly: encoding it first would copy seven megabytes of a five-megabyte picture.
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise _inconvertible(value, "a Blob") from None


def _parse_timestamp(value: object) -> datetime:
    try:
        return EPOCH + timedelta(seconds=_float_parser("a Timestamp", DOUBLE_MAX)(value))
    except OverflowError:
        raise _inconvertible(value, "a Timestamp") from None


def _integer_parser(java_name: str, bits: int) -> Parse:
    bound = 2 ** (bits - 1)

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -bound <= value < bound:
            raise _inconvertible(value, java_name)
        return int(value)

    return parse


def _float_parser(java_name: str, greatest: float) -> Parse:
    def parse(value: object) -> float:
        # The bound also refuses 1e999, which Python reads as infinity.
        if isinstance(value, bool) or not isinstance(value, int | float) or not -greatest <= value <= greatest:
            raise _inconvertible(value, java_name)
        return float(value)

    return parse


_SCALAR_PARSERS: Final[dict[str, Parse]] = {
    "string": _parse_string,
    "boolean": _parse_boolean,
    "blob": _parse_blob,
    "timestamp": _parse_timestamp,
    "integer": _integer_parser("an Integer", 32),
    "long": _integer_parser("a Long", 64),
    "float": _float_parser("a Float", FLOAT32_MAX),
    "double": _float_parser("a Double", DOUBLE_MAX),
}


def _unexpected(value: object, expected: str) -> SerializationException:
    if isinstance(value, list):
        return SerializationException(LIST_FOUND)
    if isinstance(value, dict):
        return SerializationException(OBJECT_FOUND)
    return SerializationException(expected)


def _inconvertible(value: object, java_name: str) -> SerializationException:
    if isinstance(value, bool):
        token = "TRUE_VALUE" if value else "FALSE_VALUE"
    else:
        token = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    return _unexpected(value, f"{token} can not be converted to {java_name}")


def renderer(shape: Shape) -> Callable[[Mapping[str, Any]], bytes]:
    """Returns a function from the members of the structure ``shape`` to a compact UTF-8 body.

    Members come in the model's order; those that are None or unknown to the model are left out.

    Raises (the returned function):
        TypeError, ValueError, OverflowError: the shape cannot carry a value, such as NaN or a time without a zone.
    """
    render = _renderer(shape)
    return lambda members: render(members).encode("utf-8")


def java_double(value: float) -> str:
    """Returns the number as Java prints a double: ``100.0``, ``1.533422155042E9``, ``2.657696313690394E-4``.

    Raises:
        ValueError: NaN or infinite.
    """
    text = repr(value)
    if PLAIN_MIN <= abs(value) < PLAIN_END or value == 0:
        return text
    if not math.isfinite(value):
        raise ValueError(f"{text} has no form in JSON")
    # The digits are the same, but Python uses exponents only below 1e-4 and from 1e16 up.
    number = Decimal(text).normalize()
    digits = "".join(map(str, number.as_tuple().digits))
    return f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{number.adjusted()}"


def _renderer(shape: Shape) -> Render:
    match shape.type_name:
        case "structure":
            members = [(name, f"{json_string(name)}:", _renderer(member)) for name, member in shape.members.items()]
            return _structure_renderer(members)
        case "map":
            return _map_renderer(_renderer(shape.value))
        case "list":
            return _list_renderer(_renderer(shape.member))
        case scalar:
            return _SCALAR_RENDERERS[scalar]


def _structure_renderer(members: list[tuple[str, str, Render]]) -> Render:
    def render(value: Mapping[str, Any]) -> str:
        get = value.get
        present = [
            prefix + render_member(get(name)) for name, prefix, render_member in members if get(name) is not None
        ]
        return "{" + ",".join(present) + "}"

    return render


def _map_renderer(render_value: Render) -> Render:
    def render(value: Mapping[str, Any]) -> str:
        return "{" + ",".join([f"{json_string(key)}:{render_value(item)}" for key, item in value.items()]) + "}"

    return render


def _list_renderer(render_element: Render) -> Render:
    return lambda value: "[" + ",".join([render_element(element) for element in value]) + "]"


def _render_float32(value: float) -> str:
    # The service computes in 32 bits and prints the value widened to 64: 0.3471413254737854 where 0.34714133 would do.
    widened: float = FLOAT32.unpack(FLOAT32.pack(value))[0]
    return java_double(widened)


def _render_timestamp(value: datetime) -> str:
    return java_double(round((value - EPOCH) / MILLISECOND) / 1000)


_SCALAR_RENDERERS: Final[dict[str, Render]] = {
    "string": json_string,
    "boolean": lambda value: "true" if value else "false",
    "blob": lambda value: f'"{binascii.b2a_base64(value, newline=False).decode("ascii")}"',
    "timestamp": _render_timestamp,
    # index() refuses what is no whole number, where str() would print anything.
    "integer": lambda value: str(index(value)),
    "long": lambda value: str(index(value)),
    "float": _render_float32,
    "double": lambda value: java_double(float(value)),
}
