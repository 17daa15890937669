"""Cases on how violated constraints are worded.

``boundaries`` tries every constraint of the model on both sides; here stand those conditions that it does not reach:
several violations at once, how values print, what comes before what.
"""

from collections.abc import Mapping
from typing import Any, Final

from conformance.case import Family
from conformance.expect import (
    NOT_NULL,
    Check,
    element,
    error,
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
from conformance.pictures import PORTRAIT
from conformance.service import Service
from conformance.shared import UNKNOWN_FACE, album, missing

family = Family("validation")
case, each, exchange, raw_exchange = family.case, family.each, family.exchange, family.raw_exchange

COLLECTION_ID: Final = pattern(r"[a-zA-Z0-9_.\-]+")
FACE_ID: Final = pattern("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
EXTERNAL_ID: Final = pattern(r"[a-zA-Z0-9_.\-:]+")
BUCKET: Final = pattern(r"[0-9A-Za-z\.\-_]*")
LEVELS: Final = one_of(["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"])

ROWS: Final[tuple[tuple[str, str, Mapping[str, Any], Check, str], ...]] = (
    (
        "DeleteFaces",
        "an empty list prints as []",
        {"CollectionId": "x", "FaceIds": []},
        invalid(violation("faceIds", "[]", length_min(1))),
        "recording:error-validation-faceids-empty",
    ),
    (
        "DetectFaces",
        "a nested member's path has dots and small first letters, and a pattern prints as the model has it",
        {"Image": {"S3Object": {"Bucket": "folder/bucket", "Name": "x.jpg"}}},
        invalid(violation("image.s3Object.bucket", "folder/bucket", BUCKET)),
        "recording:error-validation-s3-bucket-pattern",
    ),
    (
        "CompareFaces",
        "both pictures are named by their members",
        {"SourceImage": {"Bytes": b""}, "TargetImage": {"S3Object": {"Bucket": "b b", "Name": ""}}},
        invalid(
            violation("sourceImage.bytes", heap_buffer(0), length_min(1)),
            violation("targetImage.s3Object.bucket", "b b", BUCKET),
            violation("targetImage.s3Object.name", "", length_min(1)),
        ),
        "contract",
    ),
    (
        "DescribeCollection",
        "an empty name violates length and pattern",
        {"CollectionId": ""},
        invalid(violation("collectionId", "", length_min(1)), violation("collectionId", "", COLLECTION_ID)),
        "contract",
    ),
    (
        "DescribeCollection",
        "a name too long and with a space violates both",
        {"CollectionId": "a " * 200},
        invalid(
            violation("collectionId", "a " * 200, length_max(255)), violation("collectionId", "a " * 200, COLLECTION_ID)
        ),
        "contract",
    ),
    (
        "SearchFaces",
        "everything that is missing is listed",
        {},
        invalid(violation("collectionId", None, NOT_NULL), violation("faceId", None, NOT_NULL)),
        "contract",
    ),
    (
        "SearchFaces",
        "what is missing and what is wrong are listed together",
        {"FaceId": "x", "MaxFaces": 0, "FaceMatchThreshold": 101},
        invalid(
            violation("collectionId", None, NOT_NULL),
            violation("faceId", "x", FACE_ID),
            violation("maxFaces", "0", value_min(1)),
            violation("faceMatchThreshold", "101.0", value_max(100)),
        ),
        "contract",
    ),
    (
        "SearchFaces",
        "a decimal prints as Java does",
        {"CollectionId": "x", "FaceId": UNKNOWN_FACE, "FaceMatchThreshold": -0.5},
        invalid(violation("faceMatchThreshold", "-0.5", value_min(0))),
        "contract",
    ),
    (
        "SearchFaces",
        "an upper-case FaceId does not fit the pattern",
        {"CollectionId": "x", "FaceId": "0000000A-0000-4000-8000-000000000000"},
        invalid(violation("faceId", "0000000A-0000-4000-8000-000000000000", FACE_ID)),
        "model",
    ),
    (
        "SearchFaces",
        "a FaceId must match from its first to its last character",
        {"CollectionId": "x", "FaceId": f" {UNKNOWN_FACE}"},
        invalid(violation("faceId", f" {UNKNOWN_FACE}", FACE_ID)),
        "contract",
    ),
    (
        "SearchFaces",
        "a FaceId with a line end does not fit",
        {"CollectionId": "x", "FaceId": f"{UNKNOWN_FACE}\n"},
        invalid(violation("faceId", f"{UNKNOWN_FACE}\n", FACE_ID)),
        "contract",
    ),
    (
        "DeleteFaces",
        "of a bad element the whole list is printed, with all constraints of an element",
        {"CollectionId": "x", "FaceIds": ["x"]},
        invalid(violation("faceIds", "[x]", element(FACE_ID))),
        "contract",
    ),
    (
        "DeleteFaces",
        "of several bad elements the list is printed once",
        {"CollectionId": "x", "FaceIds": ["x", UNKNOWN_FACE, "y"]},
        invalid(violation("faceIds", f"[x, {UNKNOWN_FACE}, y]", element(FACE_ID))),
        "contract",
    ),
    (
        "IndexFaces",
        "an enum prints its values in brackets",
        {"CollectionId": "x", "Image": PORTRAIT, "QualityFilter": "BEST"},
        invalid(violation("qualityFilter", "BEST", LEVELS)),
        "contract",
    ),
    (
        "IndexFaces",
        "enum values are case-sensitive",
        {"CollectionId": "x", "Image": PORTRAIT, "QualityFilter": "auto"},
        invalid(violation("qualityFilter", "auto", LEVELS)),
        "model",
    ),
    (
        "IndexFaces",
        "an empty enum value is none of the set",
        {"CollectionId": "x", "Image": PORTRAIT, "QualityFilter": ""},
        invalid(violation("qualityFilter", "", LEVELS)),
        "model",
    ),
    (
        "IndexFaces",
        "a name with a slash does not fit the pattern",
        {"CollectionId": "x", "Image": PORTRAIT, "ExternalImageId": "album/1.jpg"},
        invalid(violation("externalImageId", "album/1.jpg", EXTERNAL_ID)),
        "model",
    ),
    (
        "IndexFaces",
        "a name with an umlaut does not fit the pattern and prints as it is",
        {"CollectionId": "x", "Image": PORTRAIT, "ExternalImageId": "Müller"},
        invalid(violation("externalImageId", "Müller", EXTERNAL_ID)),
        "ours",
    ),
    (
        "CreateCollection",
        "a name with a quote prints as it is",
        {"CollectionId": "it's"},
        invalid(violation("collectionId", "it's", COLLECTION_ID)),
        "contract",
    ),
    (
        "CreateCollection",
        "a name with a colon does not fit, though other names may have one",
        {"CollectionId": "a:b"},
        invalid(violation("collectionId", "a:b", COLLECTION_ID)),
        "model",
    ),
    (
        "ListFaces",
        "a negative number of results",
        {"CollectionId": "x", "MaxResults": -1},
        invalid(violation("maxResults", "-1", value_min(0))),
        "model",
    ),
    (
        "ListFaces",
        "too many results",
        {"CollectionId": "x", "MaxResults": 4097},
        invalid(violation("maxResults", "4097", value_max(4096))),
        "model",
    ),
    (
        "IndexFaces",
        "no faces at all",
        {"CollectionId": "x", "Image": PORTRAIT, "MaxFaces": 0},
        invalid(violation("maxFaces", "0", value_min(1))),
        "model",
    ),
)
for row in ROWS:
    exchange(*row)


@case("IndexFaces", "ours")
def _(service: Service) -> None:
    """Letters beyond ASCII are sent as UTF-8 and not escaped."""
    answer = service.call("IndexFaces", {"CollectionId": "x", "Image": PORTRAIT, "ExternalImageId": "Müller/日本"})
    assert "'Müller/日本'".encode() in answer.content, answer.content


raw_exchange(
    "DeleteFaces",
    "an element that is null",
    {"CollectionId": "x", "FaceIds": [None]},
    lambda answer: _mentions(answer.error, answer.body, "[null]"),
    "ours",
)


def _mentions(code: str | None, body: Any, text: str) -> None:  # noqa: ANN401 # an error's body
    assert code == "ValidationException"
    assert text in body["message"], body["message"]


MISSING_COLLECTION: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "a bad ExternalImageId": ("IndexFaces", {"Image": PORTRAIT, "ExternalImageId": "a/b"}),
    "a bad FaceId": ("SearchFaces", {"FaceId": "x"}),
    "no FaceIds": ("DeleteFaces", {"FaceIds": []}),
    "too many results": ("ListFaces", {"MaxResults": 4097}),
    "a threshold over 100": ("SearchFacesByImage", {"Image": PORTRAIT, "FaceMatchThreshold": 100.5}),
    "an empty picture": ("SearchFacesByImage", {"Image": {"Bytes": b""}}),
    "a bad user id": ("CreateUser", {"UserId": "a/b"}),
}


@each("(validation)", "contract", MISSING_COLLECTION)
def _(service: Service, asked: tuple[str, Mapping[str, Any]]) -> None:
    """Constraints are checked before the collection is looked up."""
    operation, request = asked
    answer = service.call(operation, {"CollectionId": missing, **request})
    assert answer.error == "ValidationException", answer.content


@case("(validation)", "contract")
def _(service: Service) -> None:
    """A refused request changes nothing."""
    name = service.new_collection()
    request = {"CollectionId": name, "Image": PORTRAIT, "ExternalImageId": "a/b"}
    assert service.call("IndexFaces", request).error == "ValidationException"
    assert service.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 0


@each(
    "DescribeCollection",
    "contract",
    {
        "a half of a pair": "\\ud800",
        "zero": "\\u0000",
        "a line separator": "\\u2028",
        "beyond 16 bits": "\\ud83d\\ude00",
    },
)
def _(service: Service, escaped: str) -> None:
    """A name with an odd character is a violation that every client can read."""
    answer = service.raw("DescribeCollection", f'{{"CollectionId":"{escaped}"}}'.encode())
    assert answer.error == "ValidationException", answer.content
    answer.content.decode("utf-8")


@each("DescribeCollection", "ours", {"a thousand": 1000, "a hundred thousand": 100_000})
def _(service: Service, count: int) -> None:
    """A very long name is refused without delay."""
    answer = service.call("DescribeCollection", {"CollectionId": "a" * count})
    invalid(violation("collectionId", "a" * count, length_max(255)))(answer)


@each("SearchFaces", "model", {"0": 0, "100": 100, "in between": 0.0001})
def _(service: Service, threshold: float) -> None:
    """A threshold may be at its limits."""
    not_invalid(
        service.call("SearchFaces", {"CollectionId": album, "FaceId": UNKNOWN_FACE, "FaceMatchThreshold": threshold})
    )


exchange(
    "ListFaces",
    "a name of one character is valid",
    {"CollectionId": "-"},
    error("ResourceNotFoundException", "The collection id: - does not exist"),
    "model",
)
