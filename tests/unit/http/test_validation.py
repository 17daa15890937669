import json
import re
import string
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ServiceModel, Shape
from hypothesis import given, settings
from hypothesis import strategies as st

import botocore_models
from rekognition_emulator.api.core import ValidationException
from rekognition_emulator.http.codec import parser
from rekognition_emulator.http.patterns import compile_java
from rekognition_emulator.http.validation import (
    PATTERN_CHARS_UNTIMED,
    PATTERN_SECONDS_MAX,
    SHOWN_CHARS_MAX,
    check_output,
    validator,
)

MODEL = botocore_models.load()

UUID = "11111111-2222-3333-4444-555555555555"
PROJECT = "arn:aws:rekognition:us-east-1:123456789012:project/p"
SAMPLES = [
    "a",
    "A1",
    "12",
    "1.0.0",
    "{}",
    UUID,
    "arn:aws:iam::123456789012:role/service",
    "arn:aws:sns:us-east-1:123456789012:topic",
    "arn:aws:kinesis:us-east-1:123456789012:stream/s",
    "arn:aws:kinesisvideo:us-east-1:123456789012:stream/s/1",
    "arn:aws:rekognition:us-east-1:123456789012:streamprocessor/s",
    f"{PROJECT}/1",
    f"{PROJECT}/version/v/1",
    f"{PROJECT}/dataset/train/1",
    "",
    " ",
    "\n",
    "é€😀",
    "٣",
    "#",
]
"""For every pattern of the model one that it accepts and one that it refuses."""

PATTERNS = sorted(
    {shape.metadata["pattern"] for shape in map(MODEL.shape_for, MODEL.shape_names) if "pattern" in shape.metadata}
)


NOT_NULL = "Member must not be null"
NOT_EMPTY = "Member must have length greater than or equal to 1"
COLLECTION_ID = r"Member must satisfy regular expression pattern: [a-zA-Z0-9_.\-]+"
FACE_ID = "Member must satisfy regular expression pattern: [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ATTRIBUTES = (
    "Member must satisfy enum value set: [DEFAULT, ALL, AGE_RANGE, BEARD, EMOTIONS, EYE_DIRECTION, EYEGLASSES, "
    "EYES_OPEN, GENDER, MOUTH_OPEN, MUSTACHE, FACE_OCCLUDED, SMILE, SUNGLASSES]"
)
TAG_KEY = (
    f"Member must have length less than or equal to 128, {NOT_EMPTY}, "
    r"Member must satisfy regular expression pattern: ^(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+\-@]*$"
)
TAG_VALUE = (
    "Member must have length less than or equal to 256, Member must have length greater than or equal to 0, "
    r"Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
)


def complaint(operation: str, body: dict[str, Any]) -> str | None:
    """Returns the validation message for a request, None if there is nothing to complain about."""
    shape = MODEL.operation_model(operation).input_shape
    try:
        validator(shape)(parser(shape)(json.dumps(body).encode()))
    except ValidationException as refusal:
        return refusal.message
    return None


def valid(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that satisfy everything that the model demands."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    size: dict[str, Any] = {"min_size": least or 0, "max_size": min(most or 1000, max(least or 0, 2))}
    match shape.type_name:
        case "structure":
            required = {name: valid(shape.members[name]) for name in shape.required_members}
            optional = {name: valid(member) for name, member in shape.members.items() if name not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case "list":
            return st.lists(valid(shape.member), **size)
        case "map":
            return st.dictionaries(valid(shape.key), valid(shape.value), **size)
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text(string.printable, **size),
        "blob": st.binary(**size),
        "boolean": st.booleans(),
        "integer": st.integers(least, most or 5),
        "long": st.integers(least, most or 5),
        "float": st.floats(least, most or 5, width=32, allow_nan=False),
    }
    if shape.metadata.get("enum"):
        return st.sampled_from(shape.enum)
    if pattern := shape.metadata.get("pattern"):
        matches = [text for text in SAMPLES if compile_java(pattern).fullmatch(text)]
        return st.sampled_from([text for text in matches if (least or 0) <= len(text) <= (most or 1000)])
    return scalars[shape.type_name]


@pytest.mark.parametrize(
    ("operation", "body", "violations"),
    [
        ("ListFaces", {}, [("null", "collectionId", NOT_NULL)]),
        ("ListFaces", {"CollectionId": ""}, [("''", "collectionId", NOT_EMPTY), ("''", "collectionId", COLLECTION_ID)]),
        (
            "ListFaces",
            {"MaxResults": 4097, "CollectionId": "a b"},
            [
                ("'a b'", "collectionId", COLLECTION_ID),
                ("'4097'", "maxResults", "Member must have value less than or equal to 4096"),
            ],
        ),
        (
            "SearchFaces",
            {"CollectionId": "a", "FaceId": UUID, "FaceMatchThreshold": 101, "MaxFaces": 0},
            [
                ("'0'", "maxFaces", "Member must have value greater than or equal to 1"),
                ("'101.0'", "faceMatchThreshold", "Member must have value less than or equal to 100"),
            ],
        ),
        ("DeleteFaces", {"CollectionId": "a", "FaceIds": []}, [("'[]'", "faceIds", NOT_EMPTY)]),
        (
            "DeleteFaces",
            {"CollectionId": "a", "FaceIds": [UUID, "x", "y"]},
            [(f"'[{UUID}, x, y]'", "faceIds", f"Member must satisfy constraint: [{FACE_ID}]")],
        ),
        (
            "DeleteFaces",
            {"CollectionId": "a", "FaceIds": [UUID, None]},
            [(f"'[{UUID}, null]'", "faceIds", f"Member must satisfy constraint: [{FACE_ID}, {NOT_NULL}]")],
        ),
        (
            "DetectFaces",
            {"Image": {"Bytes": ""}},
            [("'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]'", "image.bytes", NOT_EMPTY)],
        ),
        (
            "DetectFaces",
            {"Image": {"S3Object": {"Bucket": "my/bucket", "Name": ""}}, "Attributes": ["SMILES", "ALL"]},
            [
                (
                    "'my/bucket'",
                    "image.s3Object.bucket",
                    r"Member must satisfy regular expression pattern: [0-9A-Za-z\.\-_]*",
                ),
                ("''", "image.s3Object.name", NOT_EMPTY),
                ("'[SMILES, ALL]'", "attributes", f"Member must satisfy constraint: [{ATTRIBUTES}]"),
            ],
        ),
        (
            "CompareFaces",
            {"SourceImage": {"Bytes": ""}, "QualityFilter": "BEST"},
            [
                ("'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]'", "sourceImage.bytes", NOT_EMPTY),
                ("null", "targetImage", NOT_NULL),
                ("'BEST'", "qualityFilter", "Member must satisfy enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]"),
            ],
        ),
        (
            "CreateCollection",
            {"CollectionId": "a", "Tags": {"aws:x": "#", "y": "z"}},
            [
                ("'{aws:x=#, y=z}'", "tags", f"Map keys must satisfy constraint: [{TAG_KEY}]"),
                ("'{aws:x=#, y=z}'", "tags", f"Map value must satisfy constraint: [{TAG_VALUE}]"),
            ],
        ),
        (
            "DistributeDatasetEntries",
            {"Datasets": [{"Arn": f"{PROJECT}/dataset/test/1"}, {}]},
            [("null", "datasets.2.member.arn", NOT_NULL)],
        ),
        (
            "StartFaceDetection",
            {"Video": {}, "NotificationChannel": {"SNSTopicArn": "x", "RoleArn": "arn:aws:iam::123456789012:role/r"}},
            [
                (
                    "'x'",
                    "notificationChannel.sNSTopicArn",
                    r"Member must satisfy regular expression pattern: (^arn:aws:sns:.*:\w{12}:.+$)",
                )
            ],
        ),
    ],
)
def test_reports_every_violation_in_the_services_words(
    operation: str, body: dict[str, Any], violations: list[tuple[str, str, str]]
) -> None:
    """All violations of a request come in one message: number, value, path and constraint, as the service words it."""
    number = "1 validation error" if len(violations) == 1 else f"{len(violations)} validation errors"
    parts = [
        f"Value {value} at '{path}' failed to satisfy constraint: {constraint}"
        for value, path, constraint in violations
    ]
    assert complaint(operation, body) == f"{number} detected: {'; '.join(parts)}"


def test_reports_a_picture_that_is_too_large() -> None:
    """A blob is printed as the Java buffer that AWS holds it in, not as its five million bytes."""
    shape = MODEL.operation_model("DetectFaces").input_shape
    with pytest.raises(ValidationException) as refusal:
        validator(shape)({"Image": {"Bytes": b"x" * 5242881}})
    assert refusal.value.message == (
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=5242881 cap=5242881]' at 'image.bytes' "
        "failed to satisfy constraint: Member must have length less than or equal to 5242880"
    )
    validator(shape)({"Image": {"Bytes": b"x" * 5242880}})


def test_length_counts_utf16_units() -> None:
    """A character beyond the first 65,536 counts twice, as in Java: 512 of them fill a name of 1,024, 513 do not."""
    request = {"Image": {"S3Object": {"Bucket": "abc", "Name": "😀" * 512}}}
    assert complaint("DetectFaces", request) is None
    request["Image"]["S3Object"]["Name"] += "😀"
    assert "less than or equal to 1024" in (complaint("DetectFaces", request) or "")


@settings(deadline=None)
@given(st.data(), st.sampled_from(MODEL.operation_names))
def test_accepts_whatever_the_model_allows(data: st.DataObject, name: str) -> None:
    """A request that satisfies the model is not refused."""
    shape = MODEL.operation_model(name).input_shape
    validator(shape)(data.draw(valid(shape)))


@settings(deadline=None)
@given(st.data(), st.sampled_from(MODEL.operation_names))
def test_refuses_a_request_without_any_one_required_member(data: st.DataObject, name: str) -> None:
    """Every required member of every operation is required, and its absence is reported under its own name."""
    shape = MODEL.operation_model(name).input_shape
    request = data.draw(valid(shape))
    for member in shape.required_members:
        with pytest.raises(ValidationException, match=f"(?i)^1 validation error detected: Value null at '{member}' "):
            validator(shape)({key: value for key, value in request.items() if key != member})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_of_the_model_accepts_some_string_and_refuses_another(pattern: str) -> None:
    """No pattern of the model was lost in translation: each one compiles, matches something and refuses something."""
    answers = {compile_java(pattern).fullmatch(text) is not None for text in SAMPLES}
    assert answers == {True, False}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_takes_long_on_values_matched_without_a_clock(pattern: str) -> None:
    """Values so short that no clock is looked at cannot keep a worker busy, whatever they are made of."""
    compiled = compile_java(pattern)
    for unit in (":aaaaaaaaaaaa:", "a-", "/", "0.", " "):
        for start in ("", "arn:aws:sns:", "arn:aws:kinesis:a:123456789012:"):
            value = (start + unit * PATTERN_CHARS_UNTIMED)[: PATTERN_CHARS_UNTIMED - 2] + "\n"
            started = time.process_time()
            compiled.fullmatch(value, timeout=5)
            assert time.process_time() - started < 0.5


def test_a_value_made_to_keep_a_pattern_busy_is_refused_in_time() -> None:
    """A topic on which the model's own pattern takes quadratic time ends as a violation, not as a hung worker."""
    topic = "arn:aws:sns:" + ":aaaaaaaaaaaa:" * 20_000 + "\n"
    channel = {"SNSTopicArn": topic, "RoleArn": "arn:aws:iam::123456789012:role/r"}
    started = time.process_time()
    answer = complaint("StartFaceDetection", {"Video": {}, "NotificationChannel": channel})
    assert "notificationChannel.sNSTopicArn" in (answer or "")
    assert time.process_time() - started < PATTERN_SECONDS_MAX + 2


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        (r"\d+", "1", "٣"),
        (r"\w+", "a_1", "é"),
        (r"[\w-]+", "a-1", "é"),
        (r"\S+", "é\u00a0\u2003", "a\tb"),
        (r"a\.b", "a.b", "axb"),
        (r"[.]", ".", "x"),
        (r"[a-zA-Z0-9-_]+", "a-_", "a.b"),
        (r"[\u0009\u0020-\u00FF]+", "\t é", "\n"),
        (r"\p{L}+", "éß", "1"),
        (r"^a$", "a", "a\n"),
        (r".+", "a\v😀", "a\u2028b"),
        (r".+", "a\t", "a\x85"),
        (r"a|b", "b", "ab"),
        (r"a--b", "a--b", "a"),
        (r"[a-c[x-z]]+", "ay", "m"),
        (r"[a-z&&[^m]]+", "ay", "m"),
    ],
)
def test_patterns_mean_what_they_mean_in_java(pattern: str, accepted: str, refused: str) -> None:
    """Classes are ASCII's, the dot stops at every line end, and a match covers the whole value."""
    assert compile_java(pattern).fullmatch(accepted)
    assert not compile_java(pattern).fullmatch(refused)


@pytest.mark.parametrize("pattern", ["[a--b]", "[a||b]", "[a~~b]"])
def test_patterns_that_would_change_their_meaning_are_refused(pattern: str) -> None:
    """A future model that uses such a pattern fails at start and not by accepting the wrong values."""
    with pytest.raises(ValueError, match=re.escape(pattern)):
        compile_java(pattern)


FACE = {"FaceId": UUID, "ImageId": str(uuid.UUID(int=0)), "Confidence": 99.5, "BoundingBox": {"Left": -0.1}}


@pytest.mark.parametrize(
    ("operation", "answer", "complaints"),
    [
        ("ListFaces", {"Faces": [FACE], "FaceModelVersion": "7.0"}, []),
        ("ListFaces", {"Faces": [], "NextToken": None}, []),
        ("ListFaces", {"Face": []}, ["ListFacesResponse.Face is unknown"]),
        ("ListFaces", {"Faces": [{"Box": 1}]}, ["ListFacesResponse.Faces[0].Box is unknown"]),
        ("ListFaces", {"Faces": ({},)}, ["ListFacesResponse.Faces is tuple, not list"]),
        ("ListFaces", {"Faces": [{"Confidence": 99}]}, ["ListFacesResponse.Faces[0].Confidence is int, not float"]),
        ("ListFaces", {"Faces": [None]}, ["ListFacesResponse.Faces[0] is NoneType, not structure"]),
        (
            "ListFaces",
            {"Faces": [FACE | {"Confidence": 100.5}]},
            [
                "Value '100.5' at 'faces.1.member.confidence' failed to satisfy constraint: "  # noqa: ISC004 # one text
                "Member must have value less than or equal to 100"
            ],
        ),
        ("DescribeCollection", {"FaceCount": True}, ["DescribeCollectionResponse.FaceCount is bool, not long"]),
        ("DescribeCollection", {"CreationTimestamp": datetime(2018, 8, 4, tzinfo=UTC)}, []),
        (
            "DescribeCollection",
            {"CreationTimestamp": datetime(2018, 8, 4)},  # noqa: DTZ001 # the point of the test
            ["DescribeCollectionResponse.CreationTimestamp is a time without a zone"],
        ),
        (
            "ListTagsForResource",
            {"Tags": {1: "a"}},
            ["ListTagsForResourceResponse.Tags key is int, not string"],
        ),
    ],
)
def test_checks_answers_strictly(
    model: ServiceModel, operation: str, answer: dict[str, Any], complaints: list[str]
) -> None:
    """In tests an answer with an unknown member, a wrong type or a value out of range does not go unnoticed."""
    assert check_output(model.operation_model(operation).output_shape, answer) == complaints


def test_of_a_value_of_megabytes_the_text_shows_the_beginning() -> None:
    """It would be in the answer as often as it violates something."""
    validate = validator(MODEL.operation_model("ListFaces").input_shape)
    with pytest.raises(ValidationException) as refused:
        validate({"CollectionId": "/" * 5_000_000})
    assert f"'{'/' * SHOWN_CHARS_MAX}…' at 'collectionId'" in str(refused.value)
    assert len(str(refused.value)) < 3 * SHOWN_CHARS_MAX
