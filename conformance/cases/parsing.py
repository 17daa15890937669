"""Cases on bodies that are not JSON, and on values of the wrong type."""

import json
from collections.abc import Mapping
from typing import Any, Final

from conformance.case import Family
from conformance.expect import NOT_NULL, error, found, invalid, not_invalid, unreadable, violation
from conformance.pictures import PORTRAIT
from conformance.service import Service
from conformance.shared import UNKNOWN_FACE, album, missing

family = Family("parsing")
case, each, raw_exchange = family.case, family.each, family.raw_exchange

LIST_FOUND: Final = "Start of list found where not expected"
OBJECT_FOUND: Final = "Start of structure or map found where not expected."

BROKEN: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "spaces": b"   ",
    "an open brace": b"{",
    "null": b"null",
    "a string": b'"x"',
    "a number": b"1",
    "true": b"true",
    "a trailing comma": b'{"CollectionId":"a",}',
    "single quotes": b"{'CollectionId':'a'}",
    "no quotes": b"{CollectionId:1}",
    "two objects": b"{}{}",
    "text behind the object": b"{} x",
    "a comment": b"{/* */}",
    "NaN": b'{"MaxResults":NaN}',
    "infinity": b'{"MaxResults":Infinity}',
    "a number with a leading zero": b'{"MaxResults":01}',
    "a number with a plus": b'{"MaxResults":+1}',
    "a control character in a string": b'{"CollectionId":"a\x01"}',
    "not UTF-8": b'{"CollectionId":"\xff\xfe"}',
    "brackets nested a hundred thousand deep": b"[" * 100_000,
    "objects nested ten thousand deep": b'{"a":' * 10_000,
    "a number of ten thousand digits": b'{"MaxResults":' + b"9" * 10_000 + b"}",
}
for name, body in BROKEN.items():
    for operation in ("ListCollections", "DescribeCollection", "DetectFaces"):
        if name == "brackets nested a hundred thousand deep" or "digits" in name:
            continue
        raw_exchange(operation, f"a body that is {name}", body, unreadable(None), "contract")


@each(
    "ListCollections",
    "ours",
    {name: body for name, body in BROKEN.items() if "thousand" in name},
)
def _(service: Service, body: bytes) -> None:
    """A body made to exhaust the parser is refused."""
    assert service.raw("ListCollections", body).error == "SerializationException"


for operation in ("ListCollections", "DescribeCollection"):
    raw_exchange(operation, "a body that is a list", b"[]", unreadable(LIST_FOUND), "contract")
    raw_exchange(operation, "a body that is a list of objects", b"[{}]", unreadable(LIST_FOUND), "contract")

WRONG_TYPES: Final[tuple[tuple[str, Mapping[str, Any], str], ...]] = (
    # a string where something else belongs
    ("ListCollections", {"MaxResults": "ten"}, "STRING_VALUE can not be converted to an Integer"),
    ("ListCollections", {"MaxResults": "10"}, "STRING_VALUE can not be converted to an Integer"),
    ("IndexFaces", {"MaxFaces": ""}, "STRING_VALUE can not be converted to an Integer"),
    ("SearchFaces", {"FaceMatchThreshold": "80"}, "STRING_VALUE can not be converted to a Float"),
    ("DeleteFaces", {"FaceIds": UNKNOWN_FACE}, "Expected list or null"),
    ("DetectFaces", {"Attributes": "ALL"}, "Expected list or null"),
    ("DetectFaces", {"Image": "picture"}, "Expected null"),
    ("DetectFaces", {"Image": {"S3Object": "picture"}}, "Expected null"),
    ("CreateCollection", {"Tags": "a"}, "Expected null"),
    # a number or a boolean where a string belongs
    ("DescribeCollection", {"CollectionId": 1}, "NUMBER_VALUE can not be converted to a String"),
    ("DescribeCollection", {"CollectionId": 1.5}, "NUMBER_VALUE can not be converted to a String"),
    ("DescribeCollection", {"CollectionId": True}, "TRUE_VALUE can not be converted to a String"),
    ("DescribeCollection", {"CollectionId": False}, "FALSE_VALUE can not be converted to a String"),
    ("DeleteFaces", {"FaceIds": [1]}, "NUMBER_VALUE can not be converted to a String"),
    ("CreateCollection", {"Tags": {"a": 1}}, "NUMBER_VALUE can not be converted to a String"),
    ("SearchFaces", {"FaceId": 1}, "NUMBER_VALUE can not be converted to a String"),
    ("ListFaces", {"NextToken": 0}, "NUMBER_VALUE can not be converted to a String"),
    ("IndexFaces", {"QualityFilter": True}, "TRUE_VALUE can not be converted to a String"),
    ("DetectFaces", {"Attributes": [True]}, "TRUE_VALUE can not be converted to a String"),
    # a boolean where a number belongs
    ("ListCollections", {"MaxResults": True}, "TRUE_VALUE can not be converted to an Integer"),
    ("SearchFaces", {"FaceMatchThreshold": False}, "FALSE_VALUE can not be converted to a Float"),
    # a list or an object where a scalar belongs
    ("DescribeCollection", {"CollectionId": ["a"]}, LIST_FOUND),
    ("DescribeCollection", {"CollectionId": []}, LIST_FOUND),
    ("DescribeCollection", {"CollectionId": {"a": "b"}}, OBJECT_FOUND),
    ("ListCollections", {"MaxResults": [1]}, LIST_FOUND),
    ("ListCollections", {"MaxResults": {}}, OBJECT_FOUND),
    ("SearchFaces", {"FaceMatchThreshold": [80]}, LIST_FOUND),
    ("DetectFaces", {"Image": {"Bytes": ["AAAA"]}}, LIST_FOUND),
    ("DetectFaces", {"Image": {"Bytes": {}}}, OBJECT_FOUND),
    ("DeleteFaces", {"FaceIds": [["a"]]}, LIST_FOUND),
    ("DeleteFaces", {"FaceIds": [{}]}, OBJECT_FOUND),
    # a list where an object belongs, and the other way round
    ("DetectFaces", {"Image": []}, LIST_FOUND),
    ("DetectFaces", {"Image": [{"Bytes": "AAAA"}]}, LIST_FOUND),
    ("CreateCollection", {"Tags": ["a"]}, LIST_FOUND),
    ("DeleteFaces", {"FaceIds": {"0": "a"}}, OBJECT_FOUND),
    ("DetectFaces", {"Attributes": {}}, OBJECT_FOUND),
)
for operation, wrong, text in WRONG_TYPES:
    raw_exchange(operation, f"a wrong type: {json.dumps(wrong)}", wrong, unreadable(text), "contract")

for text in ("%%%%", "AAA", "A===", "AAAA AAAA", "_-8="):
    raw_exchange(
        "DetectFaces",
        f"bytes that are no base64: {text}",
        {"Image": {"Bytes": text}},
        lambda answer: _is_serialization(answer.error),
        "ours",
    )


def _is_serialization(code: str | None) -> None:
    assert code == "SerializationException", code


NULLS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("ListCollections", {"MaxResults": None, "NextToken": None}),
    ("ListFaces", {"CollectionId": album, "FaceIds": None, "UserId": None, "MaxResults": None}),
    ("DetectFaces", {"Image": {"Bytes": "AAAA", "S3Object": None}, "Attributes": None}),
    ("IndexFaces", {"CollectionId": missing, "Image": PORTRAIT, "ExternalImageId": None, "MaxFaces": None}),
    ("SearchFaces", {"CollectionId": album, "FaceId": UNKNOWN_FACE, "FaceMatchThreshold": None, "MaxFaces": None}),
)
for operation, nulls in NULLS:
    raw_exchange(operation, "null members are absent", nulls, not_invalid, "contract")

raw_exchange(
    "DescribeCollection",
    "a required member that is null is absent",
    {"CollectionId": None},
    invalid(violation("collectionId", None, NOT_NULL)),
    "contract",
)
raw_exchange(
    "DetectFaces",
    "a picture whose members are null has none",
    {"Image": {"Bytes": None, "S3Object": None}},
    error("InvalidParameterException", "Requested image should either contain bytes or s3 object."),
    "contract",
)

UNKNOWN_MEMBERS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("ListCollections", {"Unknown": 1}),
    ("ListCollections", {"maxResults": "not read: members are case-sensitive"}),
    ("DescribeCollection", {"CollectionId": album, "collectionId": ["x"], "Extra": {"deep": [1, 2, {"er": None}]}}),
    ("ListFaces", {"CollectionId": album, "": 1, "\u00e9": 2, "FaceIDs": "x"}),
    ("SearchFaces", {"CollectionId": album, "FaceId": UNKNOWN_FACE, "Threshold": "80"}),
)
for number, (operation, unknown) in enumerate(UNKNOWN_MEMBERS, 1):
    raw_exchange(operation, f"unknown members are ignored: {number}", unknown, not_invalid, "contract")

for operation, member in (("ListCollections", "MaxResults"), ("ListFaces", "MaxResults")):
    request = {} if operation == "ListCollections" else {"CollectionId": album}
    raw_exchange(
        operation, "a decimal is cut off where an integer belongs", {**request, member: 1.9}, not_invalid, "contract"
    )


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """1.9 results are one."""
    assert len(service.raw("ListFaces", {"CollectionId": album, "MaxResults": 1.9})["Faces"]) == 1


@each(
    "(parsing)",
    "contract",
    {
        "a character": '{"CollectionId":"\\u0061"}',
        "spaces": ' { "CollectionId" :\t"a"\r\n} ',
    },
)
def _(service: Service, body: str) -> None:
    """JSON may be written so."""
    answer = service.raw("DescribeCollection", body.encode())
    assert answer.error in {None, "ResourceNotFoundException"}, answer.content


@case("(parsing)", "ours")
def _(service: Service) -> None:
    """Of a member given twice the last counts."""
    name = json.dumps(service[album]).encode()
    answer = service.raw("DescribeCollection", b'{"CollectionId":"nothing","CollectionId":' + name + b"}")
    found(FaceCount=4)(answer)


@case("(parsing)", "contract")
def _(service: Service) -> None:
    """A wrong type wins over a violated constraint."""
    answer = service.raw("ListFaces", {"CollectionId": "", "MaxResults": "x"})
    unreadable("STRING_VALUE can not be converted to an Integer")(answer)


@case("(parsing)", "contract")
def _(service: Service) -> None:
    """A refused body changes nothing."""
    name = service.new_name()
    service.raw("CreateCollection", {"CollectionId": name, "Tags": 1})
    error("ResourceNotFoundException")(service.call("DescribeCollection", {"CollectionId": name}))


@each("(parsing)", "ours", {"beyond 32 bits": 2**31, "below": -(2**31) - 1, "enormous": 10**30, "1e400": float("inf")})
def _(service: Service, number: float) -> None:
    """An integer that is too large is refused, and no internal error."""
    body = json.dumps({"MaxResults": number}).replace("Infinity", "1e400").encode()
    assert service.raw("ListCollections", body).error in {"SerializationException", "ValidationException"}


@case("SearchFaces", "contract")
def _(service: Service) -> None:
    """A threshold may be written with an exponent."""
    body = {"CollectionId": service[album], "FaceId": UNKNOWN_FACE, "FaceMatchThreshold": 0}
    text = json.dumps(body).replace('"FaceMatchThreshold": 0', '"FaceMatchThreshold": 8.0e1')
    not_invalid(service.raw("SearchFaces", text.encode()))


raw_exchange("ListCollections", "no members at all", b"{}", not_invalid, "model")
