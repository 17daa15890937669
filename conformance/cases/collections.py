"""Cases on CreateCollection, DeleteCollection, DescribeCollection and ListCollections."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final

from conformance.case import Family
from conformance.expect import body, error, found, members
from conformance.pictures import PORTRAIT
from conformance.service import NotRun, Request, Service
from conformance.shared import UNKNOWN_FACE, album, empty, enroll, face, indexed, missing

family = Family("collections")
case, exchange = family.case, family.exchange

DESCRIPTION: Final = ("FaceCount", "FaceModelVersion", "CollectionARN", "CreationTimestamp", "UserCount")


@case("CreateCollection", "recording:createcollection-v5-2021")
def _(service: Service) -> None:
    """The answer has three members and status 200."""
    answer = service.ok("CreateCollection", CollectionId=service.new_name())
    members("StatusCode", "CollectionArn", "FaceModelVersion")(answer)
    assert answer["StatusCode"] == 200


@case("CreateCollection", "recording:createcollection-v2-2017")
def _(service: Service) -> None:
    """CollectionArn lacks the leading arn: that other resource names have."""
    name = service.new_name()
    arn = service.ok("CreateCollection", CollectionId=name)["CollectionArn"]
    assert re.fullmatch(rf"aws:rekognition:{service.region}:\d{{12}}:collection/{re.escape(name)}", arn), arn


@case("CreateCollection", "recording:createcollection-v5-2021")
def _(service: Service) -> None:
    """FaceModelVersion is a number with one decimal, as text."""
    version = service.ok("CreateCollection", CollectionId=service.new_name())["FaceModelVersion"]
    assert re.fullmatch(r"\d+\.\d", version), version


exchange(
    "CreateCollection",
    "a name that is taken is refused",
    {"CollectionId": album},
    error("ResourceAlreadyExistsException", "The collection id: {CollectionId} already exists"),
    "recording:error-collection-exists",
)
exchange(
    "CreateCollection",
    "a name that is taken is refused with other tags too",
    {"CollectionId": album, "Tags": {"a": "b"}},
    error("ResourceAlreadyExistsException", "The collection id: {CollectionId} already exists"),
    "contract",
)


@case("CreateCollection", "guide")
def _(service: Service) -> None:
    """Names are case-sensitive."""
    name = service.new_collection()
    other = f"{name}-a"
    service.ok("CreateCollection", CollectionId=other)
    service.ok("CreateCollection", CollectionId=f"{name}-A")
    error("ResourceAlreadyExistsException")(service.call("CreateCollection", {"CollectionId": other}))


@case("CreateCollection", "model")
def _(service: Service) -> None:
    """A name may have every character of the pattern, and 255 of them."""
    name = (service.new_name() + "aA0_.-" * 60)[:255]
    arn = service.ok("CreateCollection", CollectionId=name)["CollectionArn"]
    assert arn.endswith(f":collection/{name}")
    assert service.ok("DescribeCollection", CollectionId=name)["CollectionARN"] == f"arn:{arn}"


@case("CreateCollection", "contract")
def _(service: Service) -> None:
    """A name of digits only is valid."""
    service.ok("CreateCollection", CollectionId=str(time.time_ns()))


@case("CreateCollection", "contract")
def _(service: Service) -> None:
    """A name of dots only is valid, and no path."""
    if service.target.is_aws:
        raise NotRun("a collection of this name may be yours")
    service.ok("CreateCollection", CollectionId="." * 40)
    found(FaceCount=0)(service.call("DescribeCollection", {"CollectionId": "." * 40}))


@case("CreateCollection", "ours")
def _(service: Service) -> None:
    """Of four calls for one name at once, one succeeds and the others are refused."""
    name = service.new_name()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: service.call("CreateCollection", {"CollectionId": name}), range(4)))
    assert sorted(str(answer.error) for answer in answers) == ["None"] + ["ResourceAlreadyExistsException"] * 3


@case("CreateCollection", "contract")
def _(service: Service) -> None:
    """A deleted collection's name is free, and its successor is empty."""
    name = service.new_collection()
    old = enroll(service, name, Image=PORTRAIT)
    service.ok("DeleteCollection", CollectionId=name)
    service.ok("CreateCollection", CollectionId=name)
    found(FaceCount=0)(service.call("DescribeCollection", {"CollectionId": name}))
    found(Faces=[])(service.call("ListFaces", {"CollectionId": name}))
    error("InvalidParameterException")(service.call("SearchFaces", {"CollectionId": name, "FaceId": old}))


@case("CreateCollection", "contract")
def _(service: Service) -> None:
    """A collection that could not be made is not there."""
    name = service.new_name()
    refused = service.call("CreateCollection", {"CollectionId": name, "Tags": {"aws:a": "b"}})
    assert refused.error == "ValidationException"
    error("ResourceNotFoundException")(service.call("DescribeCollection", {"CollectionId": name}))


@case("DeleteCollection", "recording:deletecollection-2023")
def _(service: Service) -> None:
    """The answer is eighteen bytes."""
    body(b'{"StatusCode":200}')(service.call("DeleteCollection", {"CollectionId": service.new_collection()}))


exchange(
    "DeleteCollection",
    "a collection that is missing",
    {"CollectionId": missing},
    error("ResourceNotFoundException", "The collection id: {CollectionId} does not exist"),
    "recording:error-collection-missing-deletecollection",
)


@case("DeleteCollection", "contract")
def _(service: Service) -> None:
    """The second call for one collection finds it missing."""
    name = service.new_collection()
    service.ok("DeleteCollection", CollectionId=name)
    error("ResourceNotFoundException")(service.call("DeleteCollection", {"CollectionId": name}))


@case("DeleteCollection", "guide")
def _(service: Service) -> None:
    """A collection with faces goes with them."""
    name = service.new_collection()
    enroll(service, name, Image=PORTRAIT)
    service.ok("DeleteCollection", CollectionId=name)
    requests: Final[dict[str, Request]] = {
        "ListFaces": {},
        "SearchFaces": {"FaceId": UNKNOWN_FACE},
        "SearchFacesByImage": {"Image": PORTRAIT},
    }
    for operation, request in requests.items():
        error("ResourceNotFoundException")(service.call(operation, {"CollectionId": name, **request}))


@case("DeleteCollection", "guide")
def _(service: Service) -> None:
    """Other collections keep their faces."""
    name, other = service.new_collection(), service.new_collection()
    enroll(service, name, Image=PORTRAIT)
    kept = enroll(service, other, Image=PORTRAIT)
    service.ok("DeleteCollection", CollectionId=name)
    assert [entry["FaceId"] for entry in service.ok("ListFaces", CollectionId=other)["Faces"]] == [kept]


@case("DeleteCollection", "ours")
def _(service: Service) -> None:
    """Of four calls for one collection at once, one succeeds."""
    name = service.new_collection()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: service.call("DeleteCollection", {"CollectionId": name}), range(4)))
    assert sorted(str(answer.error) for answer in answers) == ["None"] + ["ResourceNotFoundException"] * 3


exchange(
    "DescribeCollection",
    "the answer has five members",
    {"CollectionId": album},
    members(*DESCRIPTION),
    "recording:describecollection-cli2-2020",
)
exchange(
    "DescribeCollection",
    "counts of an empty collection are sent as zero",
    {"CollectionId": empty},
    found(FaceCount=0, UserCount=0),
    "recording:describecollection-cli2-2020",
)
exchange("DescribeCollection", "FaceCount counts faces", {"CollectionId": album}, found(FaceCount=4), "guide")
exchange(
    "DescribeCollection",
    "a collection that is missing is worded as nowhere else",
    {"CollectionId": missing},
    error("ResourceNotFoundException", "Collection:{CollectionId} not found!"),
    "recording:error-collection-missing-describecollection",
)


@case("DescribeCollection", "recording:describecollection-cli2-2020")
def _(service: Service) -> None:
    """CollectionARN is CreateCollection's with a leading arn:."""
    name = service.new_name()
    created = service.ok("CreateCollection", CollectionId=name)
    described = service.ok("DescribeCollection", CollectionId=name)
    assert described["CollectionARN"] == "arn:" + created["CollectionArn"]
    assert described["FaceModelVersion"] == created["FaceModelVersion"]


@case("DescribeCollection", "recording:guide-describecollection-e9")
def _(service: Service) -> None:
    """CreationTimestamp is in seconds, with milliseconds, as Java prints a double."""
    content = service.ok("DescribeCollection", CollectionId=album).content
    assert re.search(rb'"CreationTimestamp":1\.\d{1,12}E9[,}]', content), content


@case("DescribeCollection", "guide")
def _(service: Service) -> None:
    """CreationTimestamp is the time of creation, and the SDK reads it as a time with a zone."""
    answer = service.ok("DescribeCollection", CollectionId=service.new_collection())
    assert abs(answer.sdk["CreationTimestamp"] - datetime.now(UTC)) < timedelta(minutes=5)


@case("DescribeCollection", "contract")
def _(service: Service) -> None:
    """CreationTimestamp does not change when faces come."""
    name = service.new_collection()
    before = service.ok("DescribeCollection", CollectionId=name)["CreationTimestamp"]
    enroll(service, name, Image=PORTRAIT)
    found(CreationTimestamp=before, FaceCount=1)(service.call("DescribeCollection", {"CollectionId": name}))


@case("DescribeCollection", "guide")
def _(service: Service) -> None:
    """FaceCount follows IndexFaces and DeleteFaces."""
    name = service.new_collection()
    face_id = enroll(service, name, Image=PORTRAIT)
    found(FaceCount=1)(service.call("DescribeCollection", {"CollectionId": name}))
    service.ok("DeleteFaces", CollectionId=name, FaceIds=[face_id])
    found(FaceCount=0)(service.call("DescribeCollection", {"CollectionId": name}))


@case("DescribeCollection", "guide")
def _(service: Service) -> None:
    """A name in other letters is another collection."""
    name = service.new_name() + "-a"
    service.ok("CreateCollection", CollectionId=name)
    error("ResourceNotFoundException")(service.call("DescribeCollection", {"CollectionId": name.upper()}))


exchange(
    "ListCollections",
    "the answer is two lists of one length",
    {"MaxResults": 4096},
    lambda answer: _is_parallel(answer["CollectionIds"], answer["FaceModelVersions"]),
    "recording:guide-listcollections-page",
)
exchange(
    "ListCollections",
    "ids ascend",
    {"MaxResults": 4096},
    lambda answer: _ascends(answer["CollectionIds"]),
    "contract",
)


def _is_parallel(ids: list[str], versions: list[str]) -> None:
    assert len(ids) == len(versions)
    assert all(re.fullmatch(r"\d+\.\d", version) for version in versions), versions


def _ascends(ids: list[str]) -> None:
    assert ids == sorted(ids), ids


@case("ListCollections", "guide")
def _(service: Service) -> None:
    """A collection is listed from its creation until its deletion."""
    name = service.new_collection()
    assert name in service.ok("ListCollections", MaxResults=4096)["CollectionIds"]
    service.ok("DeleteCollection", CollectionId=name)
    assert name not in service.ok("ListCollections", MaxResults=4096)["CollectionIds"]


@case("ListCollections", "guide")
def _(service: Service) -> None:
    """A collection's version is the one that CreateCollection answered."""
    name = service.new_name()
    version = service.ok("CreateCollection", CollectionId=name)["FaceModelVersion"]
    listed = service.ok("ListCollections", MaxResults=4096)
    assert dict(zip(listed["CollectionIds"], listed["FaceModelVersions"], strict=True))[name] == version


MISSING: Final[dict[str, Request]] = {
    "AssociateFaces": {"UserId": "u", "FaceIds": [UNKNOWN_FACE]},
    "CreateUser": {"UserId": "u"},
    "DeleteFaces": {"FaceIds": [UNKNOWN_FACE]},
    "DeleteUser": {"UserId": "u"},
    "DisassociateFaces": {"UserId": "u", "FaceIds": [UNKNOWN_FACE]},
    "IndexFaces": {"Image": PORTRAIT},
    "ListFaces": {},
    "ListUsers": {},
    "SearchFaces": {"FaceId": UNKNOWN_FACE},
    "SearchFacesByImage": {"Image": PORTRAIT},
    "SearchUsers": {"UserId": "u"},
    "SearchUsersByImage": {"Image": PORTRAIT},
}
for operation, request in MISSING.items():
    exchange(
        operation,
        "a collection that is missing",
        {"CollectionId": missing, **request},
        error("ResourceNotFoundException", "The collection id: {CollectionId} does not exist"),
        "recording:error-collection-missing-listfaces" if operation == "ListFaces" else "contract",
    )

for operation in ("IndexFaces", "SearchFacesByImage"):
    exchange(
        operation,
        "a missing collection is noticed before an unreadable picture",
        {"CollectionId": missing, "Image": {"Bytes": b"no picture"}},
        error("ResourceNotFoundException"),
        "ours",
    )


@case("SearchFaces", "contract")
def _(service: Service) -> None:
    """A face of another collection does not make a missing one exist."""
    assert service[indexed].faces
    error("ResourceNotFoundException")(service.call("SearchFaces", {"CollectionId": missing, "FaceId": face}))
