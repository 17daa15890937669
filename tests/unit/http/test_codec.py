import contextlib
import json
import math
import re
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from botocore.model import Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import example, given, settings
from hypothesis import strategies as st

import botocore_models
from rekognition_emulator.api.core import SerializationException
from rekognition_emulator.http.codec import STRUCTURE_BYTES_MAX, _structure_bytes, java_double, parser, renderer

MODEL = botocore_models.load()

IMAGE = '"CollectionId": "a", "Image": {"Bytes": "eA=="}'

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=20),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "blob": st.binary(max_size=50),
    "timestamp": st.integers(0, 2**42).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)),
}


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that a shape can carry, whatever it demands of them."""
    match shape.type_name:
        case "structure":
            members = {name: values(member) for name, member in shape.members.items()}
            return st.fixed_dictionaries({}, optional=members)
        case "list":
            return st.lists(values(shape.member), max_size=3)
        case "map":
            return st.dictionaries(values(shape.key), values(shape.value), max_size=3)
        case scalar:
            return SCALARS[scalar]


def parse(operation: str, text: str | bytes) -> dict[str, Any]:
    """Parses a body as a request of the operation."""
    return parser(MODEL.operation_model(operation).input_shape)(text.encode() if isinstance(text, str) else text)


def response(operation: str, members: dict[str, Any]) -> str:
    """Renders members as an answer of the operation."""
    return renderer(MODEL.operation_model(operation).output_shape)(members).decode("utf-8")


@settings(deadline=None)
@given(st.data(), st.sampled_from(MODEL.operation_names))
def test_parses_what_botocore_serialises(data: st.DataObject, name: str) -> None:
    """Whatever an SDK puts into a request arrives at the handler unchanged."""
    operation = MODEL.operation_model(name)
    sent = data.draw(values(operation.input_shape))
    serializer = create_serializer("json", include_validation=False)
    assert parse(name, serializer.serialize_to_request(sent, operation)["body"]) == sent


@settings(deadline=None)
@given(st.data(), st.sampled_from(MODEL.operation_names))
def test_botocore_parses_what_we_render(data: st.DataObject, name: str) -> None:
    """Whatever a handler answers arrives at the caller of an SDK unchanged."""
    shape = MODEL.operation_model(name).output_shape
    answer = data.draw(values(shape))
    body = renderer(shape)(answer)
    received = create_parser("json").parse({"body": body, "headers": {}, "status_code": 200}, shape)
    received.pop("ResponseMetadata")
    assert received == answer


def test_renders_recorded_answers_byte_for_byte(recordings: Path) -> None:
    """Rendering a recorded answer gives as many bytes as the service sent: no member, digit or space differs."""
    cases = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(recordings.glob("*.json"))]
    checked = [case for case in cases if case.get("content_length_check", {}).get("match")]
    assert len(checked) >= 15
    for case in checked:
        shape = MODEL.operation_model(case["operation"]).output_shape
        members = parser(shape)(json.dumps(case["response"]).encode())
        assert len(renderer(shape)(members)) == case["content_length_check"]["recorded"], case["operation"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (100.0, "100.0"),
        (0.001, "0.001"),
        (0.0009999999, "9.999999E-4"),
        (2.657696313690394e-4, "2.657696313690394E-4"),
        (-0.00025, "-2.5E-4"),
        (1e-5, "1.0E-5"),
        (9999999.0, "9999999.0"),
        (9999999.999, "9999999.999"),
        (1e7, "1.0E7"),
        (-12345678.0, "-1.2345678E7"),
        (1533422155.042, "1.533422155042E9"),
        (1e22, "1.0E22"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
    ],
)
def test_doubles_look_like_javas(number: float, text: str) -> None:
    """Numbers are printed as Java's Double.toString prints them."""
    assert java_double(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_keep_their_value(number: float) -> None:
    """Printing and reading a double loses nothing, and one digit stands before the point of an exponent."""
    text = java_double(number)
    assert float(text) == number
    mantissa, _, exponent = text.lstrip("-").partition("E")
    assert bool(exponent) == (number != 0 and not 1e-3 <= abs(number) < 1e7)
    assert not exponent or (1 <= Decimal(mantissa) < 10 and "." in mantissa)


@given(st.floats(0, 1))
def test_floats_are_widened_from_32_bits(number: float) -> None:
    """A float is sent as the double that equals its 32-bit value, as the service computes in 32 bits."""
    text = response("SearchFacesByImage", {"SearchedFaceConfidence": number})
    assert json.loads(text)["SearchedFaceConfidence"] == struct.unpack("f", struct.pack("f", number))[0]


def test_renders_compactly_and_leaves_out_what_is_absent() -> None:
    """Bodies are compact, None is absent, empty lists stay, text is UTF-8 and times are seconds."""
    assert response("IndexFaces", {"UnindexedFaces": [], "FaceRecords": None}) == '{"UnindexedFaces":[]}'
    assert response("ListCollections", {"CollectionIds": ['é"\n']}) == '{"CollectionIds":["é\\"\\n"]}'
    created = datetime(2018, 8, 4, 22, 35, 55, 42000, tzinfo=UTC)
    text = response("DescribeCollection", {"FaceCount": 0, "CreationTimestamp": created})
    assert text == '{"FaceCount":0,"CreationTimestamp":1.533422155042E9}'


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("SearchFacesByImage", {"SearchedFaceConfidence": math.nan}),
        ("SearchFacesByImage", {"SearchedFaceConfidence": math.inf}),
        ("DescribeCollection", {"CreationTimestamp": datetime(2018, 8, 4)}),  # noqa: DTZ001 # the point of the test
        ("DescribeCollection", {"FaceCount": 1.5}),
        ("DescribeCollection", {"FaceCount": "1"}),
    ],
)
def test_refuses_to_render_what_json_cannot_carry(operation: str, members: dict[str, Any]) -> None:
    """A value without a correct form is an error here, and not a broken body at the client."""
    with pytest.raises((TypeError, ValueError)):
        response(operation, members)


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("ListFaces", "", None),
        ("ListFaces", "{", None),
        ("ListFaces", "null", None),
        ("ListFaces", '"x"', None),
        ("ListFaces", "3", None),
        ("ListFaces", '{"CollectionId": "a",}', None),
        ("ListFaces", '{"CollectionId": "a"} {}', None),
        ("ListFaces", b'\xef\xbb\xbf{"CollectionId": "a"}', None),
        ("ListFaces", b'{"CollectionId": "\xff"}', None),
        ("ListFaces", '{"CollectionId": "a"}'.encode("utf-16"), None),
        ("ListFaces", '{"MaxResults": NaN}', None),
        ("ListFaces", '{"x": Infinity}', None),
        ("ListFaces", '{"MaxResults": ' + "9" * 5000 + "}", None),
        ("ListFaces", '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", None),
        ("ListFaces", '{"x": ' + '{"x": ' * 100_000, None),
        ("ListFaces", '{"x": [' + "[]," * 100_000 + "[]]}", None),
        ("ListFaces", '{"x": ["\\"", ' + "[]," * 100_000 + "[]]}", None),
        ("ListFaces", '{"x": ["\\\\", ' + "[]," * 100_000 + "[]]}", None),
        ("ListFaces", '{"x": [' + '"",' * 100_000 + '""]}', None),
        ("ListFaces", '{"x": [' + "1, " * (STRUCTURE_BYTES_MAX // 2) + "1]}", None),
        ("ListFaces", "[]", "Start of list found where not expected"),
        ("ListFaces", '{"MaxResults": "1"}', "STRING_VALUE can not be converted to an Integer"),
        ("ListFaces", '{"MaxResults": true}', "TRUE_VALUE can not be converted to an Integer"),
        ("ListFaces", '{"MaxResults": 2147483648}', "NUMBER_VALUE can not be converted to an Integer"),
        ("ListFaces", '{"MaxResults": 1e999}', "NUMBER_VALUE can not be converted to an Integer"),
        ("ListFaces", '{"MaxResults": []}', "Start of list found where not expected"),
        ("ListFaces", '{"MaxResults": {}}', "Start of structure or map found where not expected."),
        ("ListFaces", '{"CollectionId": 1}', "NUMBER_VALUE can not be converted to a String"),
        ("ListFaces", '{"CollectionId": 1.5}', "NUMBER_VALUE can not be converted to a String"),
        ("ListFaces", '{"CollectionId": true}', "TRUE_VALUE can not be converted to a String"),
        ("ListFaces", '{"CollectionId": false}', "FALSE_VALUE can not be converted to a String"),
        ("ListFaces", '{"CollectionId": ["a"]}', "Start of list found where not expected"),
        ("ListFaces", '{"CollectionId": {"a": 1}}', "Start of structure or map found where not expected."),
        ("ListFaces", '{"FaceIds": "a"}', "Expected list or null"),
        ("ListFaces", '{"FaceIds": 1}', "Expected list or null"),
        ("ListFaces", '{"FaceIds": {}}', "Start of structure or map found where not expected."),
        ("ListFaces", '{"FaceIds": [1]}', "NUMBER_VALUE can not be converted to a String"),
        ("IndexFaces", '{"Image": "x"}', "Expected null"),
        ("IndexFaces", '{"Image": 1}', "Expected null"),
        ("IndexFaces", '{"Image": []}', "Start of list found where not expected"),
        ("IndexFaces", '{"Image": {"Bytes": 1}}', "NUMBER_VALUE can not be converted to a Blob"),
        ("IndexFaces", '{"Image": {"Bytes": "eA"}}', "STRING_VALUE can not be converted to a Blob"),
        ("IndexFaces", '{"Image": {"Bytes": "e A=="}}', "STRING_VALUE can not be converted to a Blob"),
        ("IndexFaces", '{"Image": {"Bytes": "eA==eA=="}}', "STRING_VALUE can not be converted to a Blob"),
        ("IndexFaces", '{"Image": {"Bytes": "-_-_"}}', "STRING_VALUE can not be converted to a Blob"),
        ("IndexFaces", '{"Image": {"Bytes": "x"}}', "STRING_VALUE can not be converted to a Blob"),
        (
            "IndexFaces",
            '{"Image": {"Bytes": "eA=="}, "Image": {"Bytes": "é==="}}',
            "STRING_VALUE can not be converted to a Blob",
        ),
        ("SearchFaces", '{"FaceMatchThreshold": "80"}', "STRING_VALUE can not be converted to a Float"),
        ("SearchFaces", '{"FaceMatchThreshold": 1e999}', "NUMBER_VALUE can not be converted to a Float"),
        ("SearchFaces", '{"FaceMatchThreshold": 1e39}', "NUMBER_VALUE can not be converted to a Float"),
        ("SearchFaces", '{"FaceMatchThreshold": 1' + "0" * 400 + "}", "NUMBER_VALUE can not be converted to a Float"),
        ("TagResource", '{"Tags": "x"}', "Expected null"),
        ("TagResource", '{"Tags": {"a": 1}}', "NUMBER_VALUE can not be converted to a String"),
        ("DetectCustomLabels", '{"MinConfidence": false}', "FALSE_VALUE can not be converted to a Float"),
        (
            "CreateStreamProcessor",
            '{"DataSharingPreference": {"OptIn": 1}}',
            "NUMBER_VALUE can not be converted to a Boolean",
        ),
    ],
)
def test_refuses_wrong_types_in_the_services_words(operation: str, body: str | bytes, message: str | None) -> None:
    """A body that is not what the shape says is refused with the text that the framework has for it."""
    with pytest.raises(SerializationException) as refusal:
        parse(operation, body)
    assert refusal.value.message == message


@pytest.mark.parametrize(
    ("body", "members"),
    [
        ("{}", {}),
        (' {"CollectionId" : "a"}\n', {"CollectionId": "a"}),
        ('{"CollectionId": null}', {}),
        ('{"Unknown": {"a": [1]}, "CollectionId": "a"}', {"CollectionId": "a"}),
        ('{"CollectionId": "a", "CollectionId": "b"}', {"CollectionId": "b"}),
        ('{"collectionid": "a"}', {}),
        ('{"MaxResults": 1.9}', {"MaxResults": 1}),
        ('{"MaxResults": -1.9}', {"MaxResults": -1}),
        ('{"MaxResults": 1e3}', {"MaxResults": 1000}),
        ('{"FaceIds": [null, "a"]}', {"FaceIds": [None, "a"]}),
        ('{"UserId": "\\ud83d\\ude00"}', {"UserId": "😀"}),
        ('{"UserId": "\\ud83d!"}', {"UserId": "?!"}),
    ],
)
def test_is_lenient_where_the_service_is(body: str, members: dict[str, Any]) -> None:
    """Unknown members, nulls, decimals for integers and repeated keys are no errors."""
    assert parse("ListFaces", body) == members


def test_parses_picture_and_threshold() -> None:
    """Blobs become bytes, and whole numbers become floats where a float is wanted."""
    request = parse("SearchFacesByImage", f'{{{IMAGE}, "FaceMatchThreshold": 80}}')
    assert request == {"CollectionId": "a", "Image": {"Bytes": b"x"}, "FaceMatchThreshold": 80.0}
    assert isinstance(request["FaceMatchThreshold"], float)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["CollectionId", "Image", "Bytes", "S3Object", "MaxFaces"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=30)
)
@example(b"")
def test_no_body_breaks_the_parser(body: bytes) -> None:
    """Whatever arrives is either a request or a refusal, never another exception."""
    with contextlib.suppress(SerializationException):
        assert isinstance(parse("IndexFaces", body), dict)


JSON = st.recursive(
    st.none() | st.integers() | st.text('\\"a[,é'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('\\"'), inner),
    max_leaves=30,
)


@given(JSON, st.booleans())
def test_what_stands_outside_strings_is_counted(value: Any, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis' own
    """Whatever stands in them, every quotation mark, and no white space; an escaped one ends no string."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    outside = re.sub(r'"(?:\\.|[^"\\])*"|\s', "", text)
    assert _structure_bytes(text.encode()) == len(outside) + text.count('"')


def test_the_longest_requests_are_no_more_than_may_be() -> None:
    """A page of face ids, each on a line of its own; tags of nothing but brackets."""
    ids = [str(UUID(int=number)) for number in range(4096)]
    assert parse("DeleteFaces", json.dumps({"CollectionId": "a", "FaceIds": ids}, indent=8))["FaceIds"] == ids
    assert parse("ListFaces", '{"CollectionId": "a"' + " " * 15_000_000 + "}")["CollectionId"] == "a"
    tags = {"[" * 120 + str(number): '"[' * 128 for number in range(200)}
    assert parse("TagResource", json.dumps({"ResourceArn": "a", "Tags": tags}))["Tags"] == tags
