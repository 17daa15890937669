"""Cases on tenant boundaries: a collection belongs to one account and one region."""

from typing import Final

from conformance.case import Family
from conformance.expect import error
from conformance.pictures import PORTRAIT
from conformance.service import Request, Service
from conformance.shared import UNKNOWN_FACE, album, album_arn, enroll, face

family = Family("walls")
case = family.case


def elsewhere(service: Service) -> Service:
    """Returns the service in another region."""
    return service.within("eu-west-1" if service.region != "eu-west-1" else "us-east-1")


def namesakes(service: Service) -> tuple[str, Service]:
    """Creates a collection here and one of the same name elsewhere; returns the name and the other place."""
    name, there = service.new_collection(), elsewhere(service)
    there.ok("CreateCollection", CollectionId=name)
    return name, there


OF_A_COLLECTION: Final[dict[str, Request]] = {
    "DeleteCollection": {},
    "DescribeCollection": {},
    "ListFaces": {},
    "ListUsers": {},
    "DeleteFaces": {"FaceIds": [face]},
    "SearchFaces": {"FaceId": face},
    "IndexFaces": {"Image": PORTRAIT},
    "SearchFacesByImage": {"Image": PORTRAIT},
    "CreateUser": {"UserId": "ada"},
    "DeleteUser": {"UserId": "ada"},
    "AssociateFaces": {"UserId": "ada", "FaceIds": [UNKNOWN_FACE]},
    "SearchUsers": {"UserId": "ada"},
}


@family.operations("guide", OF_A_COLLECTION)
def _(service: Service, operation: str, request: Request) -> None:
    """A collection does not exist in another region."""
    answer = elsewhere(service).call(operation, {"CollectionId": album, **request})
    error("ResourceNotFoundException")(answer)
    assert service.ok("DescribeCollection", CollectionId=album)["FaceCount"] == 4


@case("ListCollections", "guide")
def _(service: Service) -> None:
    """Another region lists its own collections only."""
    there = elsewhere(service)
    name = there.new_collection()
    assert name in there.ok("ListCollections", MaxResults=4096)["CollectionIds"]
    assert service[album] not in there.ok("ListCollections", MaxResults=4096)["CollectionIds"]
    assert name not in service.ok("ListCollections", MaxResults=4096)["CollectionIds"]


@case("CreateCollection", "guide")
def _(service: Service) -> None:
    """The same name in two regions is two collections, each with the region in its resource name."""
    name, there = namesakes(service)
    assert service.ok("DescribeCollection", CollectionId=name)["CollectionARN"].split(":")[3] == service.region
    assert there.ok("DescribeCollection", CollectionId=name)["CollectionARN"].split(":")[3] == there.region
    service.ok("IndexFaces", CollectionId=name, Image=PORTRAIT)
    assert there.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 0


@case("DeleteCollection", "guide")
def _(service: Service) -> None:
    """Deleting a collection leaves its namesake in another region."""
    name, there = namesakes(service)
    service.ok("DeleteCollection", CollectionId=name)
    assert there.ok("DescribeCollection", CollectionId=name)["FaceCount"] == 0


@case("SearchFacesByImage", "guide")
def _(service: Service) -> None:
    """A search in one region finds nothing of a namesake in another."""
    name, there = namesakes(service)
    service.ok("IndexFaces", CollectionId=name, Image=PORTRAIT)
    answer = there.ok("SearchFacesByImage", CollectionId=name, Image=PORTRAIT, FaceMatchThreshold=0)
    assert answer["FaceMatches"] == []


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """A token is no good for the namesake in another region."""
    name, there = namesakes(service)
    for external in ("a", "b"):
        enroll(service, name, Image=PORTRAIT, ExternalImageId=external)
    token = service.ok("ListFaces", CollectionId=name, MaxResults=1)["NextToken"]
    answer = there.call("ListFaces", {"CollectionId": name, "NextToken": token})
    error("InvalidPaginationTokenException")(answer)


@case("DescribeCollection", "contract")
def _(service: Service) -> None:
    """All resource names of one caller have one account of twelve digits."""
    accounts = {service[album_arn].split(":")[4]}
    for place in (service, elsewhere(service)):
        created = place.ok("CreateCollection", CollectionId=place.new_name())
        accounts.add(created["CollectionArn"].split(":")[3])
    assert len(accounts) == 1
    assert all(account.isdigit() and len(account) == 12 for account in accounts), accounts


TAG_OPERATIONS: Final[dict[str, Request]] = {
    "ListTagsForResource": {},
    "TagResource": {"Tags": {"a": "b"}},
    "UntagResource": {"TagKeys": ["a"]},
}


@family.operations("ours", TAG_OPERATIONS)
def _(service: Service, operation: str, request: Request) -> None:
    """A resource of another region is not found."""
    answer = elsewhere(service).call(operation, {"ResourceArn": album_arn, **request})
    error("ResourceNotFoundException")(answer)


@case("ListUsers", "guide")
def _(service: Service) -> None:
    """The same user in two regions is two users."""
    name, there = namesakes(service)
    service.ok("CreateUser", CollectionId=name, UserId="ada")
    assert there.ok("ListUsers", CollectionId=name)["Users"] == []
    there.ok("CreateUser", CollectionId=name, UserId="ada")
