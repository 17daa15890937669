"""Cases on pages and their tokens."""

from dataclasses import dataclass
from typing import Any, Final

from conformance.case import Family
from conformance.expect import error
from conformance.pictures import PORTRAIT
from conformance.service import Given, Request, Service, given
from conformance.shared import album, empty, enroll, indexed

QUIET_REGION: Final = "ap-southeast-2"
"""Where no other case creates collections, so that their list stands still."""
BUSY_REGION: Final = "ap-northeast-1"
"""Where the list of collections changes while it is read."""

family = Family("pagination")
case, each, exchange = family.case, family.each, family.exchange

INVALID_TOKEN: Final = error("InvalidPaginationTokenException", "Invalid Pagination Token")


@given
def several_collections(service: Service) -> list[str]:
    """Creates five collections, one with the longest name that there may be, and returns their names in order."""
    names = [service.new_name() for _ in range(4)]
    names.append((service.new_name() + "z" * 255)[:255])
    for name in names:
        service.within(QUIET_REGION).ok("CreateCollection", CollectionId=name)
    return sorted(names)


@given
def many_users(service: Service) -> str:
    """Creates a collection with five users and returns its name."""
    name = service.new_collection()
    for user in "edcba":
        service.ok("CreateUser", CollectionId=name, UserId=user)
    return name


@dataclass(frozen=True)
class Paged:
    """An operation that answers in pages.

    Attributes:
        request: what it needs besides the page.
        member: the list in its answer.
        prepared: has to exist before.
        least: how many items there are at least.
    """

    request: Request
    member: str
    prepared: Given
    least: int


LISTS: Final = {
    "ListCollections": Paged({}, "CollectionIds", several_collections, 5),
    "ListFaces": Paged({"CollectionId": album}, "Faces", indexed, 4),
    "ListUsers": Paged({"CollectionId": many_users}, "Users", many_users, 5),
}


def place(service: Service, operation: str) -> Service:
    """Prepares what the operation lists, and returns where it is."""
    service[LISTS[operation].prepared]
    return service.within(QUIET_REGION) if operation == "ListCollections" else service


def items(service: Service, operation: str, size: int) -> list[Any]:
    """Walks through all pages by hand and returns what they list."""
    listed: list[Any] = []
    token: dict[str, str] = {}
    while True:
        answer = service.ok(operation, **LISTS[operation].request, MaxResults=size, **token)
        page = answer[LISTS[operation].member]
        assert len(page) <= size
        listed += page
        if "NextToken" not in answer.body:
            return listed
        assert page, "an empty page has a token"
        assert 0 < len(answer["NextToken"]) <= 255, "a token of this length would be refused when it comes back"
        token = {"NextToken": answer["NextToken"]}


for operation in LISTS:

    @each(operation, "guide", {str(size): (operation, size) for size in (1, 2, 3)})
    def _(service: Service, asked: tuple[str, int]) -> None:
        """Pages of this size list every item once, in the order of one large page."""
        operation, size = asked
        there = place(service, operation)
        whole = there.ok(operation, **LISTS[operation].request)[LISTS[operation].member]
        assert len(whole) >= LISTS[operation].least
        assert items(there, operation, size) == whole


REQUESTS: Final = {operation: paged.request for operation, paged in LISTS.items()}


@family.operations("guide", REQUESTS)
def _(service: Service, operation: str, request: Request) -> None:
    """A full page has a token, and a page that holds everything has none."""
    there = place(service, operation)
    assert "NextToken" in there.ok(operation, **request, MaxResults=1).body
    most = 500 if operation == "ListUsers" else 4096
    answer = there.ok(operation, **request, MaxResults=most)
    assert "NextToken" not in answer.body
    assert len(answer[LISTS[operation].member]) >= LISTS[operation].least


@family.operations("contract", REQUESTS)
def _(service: Service, operation: str, request: Request) -> None:
    """The last page has no token, though it is full."""
    there = place(service, operation)
    everything = there.ok(operation, **request)[LISTS[operation].member]
    assert "NextToken" not in there.ok(operation, **request, MaxResults=len(everything)).body


@family.operations("contract", REQUESTS)
def _(service: Service, operation: str, request: Request) -> None:
    """A token works more than once, and with another page size."""
    there, member = place(service, operation), LISTS[operation].member
    token = there.ok(operation, **request, MaxResults=1)["NextToken"]
    once = there.ok(operation, **request, MaxResults=1, NextToken=token)[member]
    more = there.ok(operation, **request, MaxResults=2, NextToken=token)[member]
    assert len(more) == 2
    assert more[:1] == once


@family.operations("guide", REQUESTS)
def _(service: Service, operation: str, request: Request) -> None:
    """The SDK's own paginator sees every item."""
    there = place(service, operation)
    method = {"ListCollections": "list_collections", "ListFaces": "list_faces", "ListUsers": "list_users"}[operation]
    paginator = service.session.client(there.region).get_paginator(method)
    resolved = {name: service[value] for name, value in request.items()}
    pages = list(paginator.paginate(**resolved, PaginationConfig={"PageSize": 2}))
    listed = [item for page in pages for item in page[LISTS[operation].member]]
    assert listed == there.ok(operation, **request)[LISTS[operation].member]


@family.operations("recording:error-doc-pagination", REQUESTS)
def _(service: Service, operation: str, request: Request) -> None:
    """A token that nobody gave is refused."""
    there = place(service, operation)
    for token in ("nonsense", "AAAA", "0", "=" * 255, "\u00e9", "../../etc/passwd", "a" * 255):
        INVALID_TOKEN(there.call(operation, {**request, "NextToken": token}))


@family.operations("contract", REQUESTS)
def _(service: Service, operation: str, request: Request) -> None:
    """A token that was changed is refused."""
    there = place(service, operation)
    token = there.ok(operation, **request, MaxResults=1)["NextToken"]
    other = "A" if token[0] != "A" else "B"
    for changed in (token[:-1], token[1:], other + token[1:], token + "A"):
        if len(changed) <= 255:
            INVALID_TOKEN(there.call(operation, {**request, "NextToken": changed}))


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """A token of another collection is refused."""
    token = service.ok("ListFaces", CollectionId=album, MaxResults=1)["NextToken"]
    INVALID_TOKEN(service.call("ListFaces", {"CollectionId": empty, "NextToken": token}))


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """A token of another operation is refused."""
    token = place(service, "ListCollections").ok("ListCollections", MaxResults=1)["NextToken"]
    INVALID_TOKEN(service.call("ListFaces", {"CollectionId": album, "NextToken": token}))


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """A token stays good when the face before it is deleted."""
    name = service.new_collection()
    for number in range(3):
        enroll(service, name, Image=PORTRAIT, ExternalImageId=str(number))
    everything = [entry["FaceId"] for entry in service.ok("ListFaces", CollectionId=name)["Faces"]]
    token = service.ok("ListFaces", CollectionId=name, MaxResults=1)["NextToken"]
    service.ok("DeleteFaces", CollectionId=name, FaceIds=everything[:1])
    rest = service.ok("ListFaces", CollectionId=name, NextToken=token)["Faces"]
    assert [entry["FaceId"] for entry in rest] == everything[1:]


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """When all that was left is deleted, the next page is empty and the last."""
    name = service.new_collection()
    for number in range(2):
        enroll(service, name, Image=PORTRAIT, ExternalImageId=str(number))
    first = service.ok("ListFaces", CollectionId=name, MaxResults=1)
    gone = [entry["FaceId"] for entry in service.ok("ListFaces", CollectionId=name)["Faces"]][1:]
    service.ok("DeleteFaces", CollectionId=name, FaceIds=gone)
    rest = service.ok("ListFaces", CollectionId=name, NextToken=first["NextToken"])
    assert rest["Faces"] == []
    assert "NextToken" not in rest.body


@case("ListCollections", "contract")
def _(service: Service) -> None:
    """A collection created meanwhile behind the token is listed."""
    there, first = service.within(BUSY_REGION), service.new_name()
    for name in (first, f"{first}-b"):
        there.ok("CreateCollection", CollectionId=name)
    token = there.ok("ListCollections", MaxResults=1)["NextToken"]
    there.ok("CreateCollection", CollectionId=f"{first}-c")
    rest = there.ok("ListCollections", MaxResults=4096, NextToken=token)["CollectionIds"]
    assert f"{first}-c" in rest


@family.operations("ours", {name: paged for name, paged in REQUESTS.items() if name != "ListUsers"})
def _(service: Service, operation: str, request: Request) -> None:
    """MaxResults 0 is as none."""
    there = place(service, operation)
    assert there.ok(operation, **request, MaxResults=0).body == there.ok(operation, **request).body


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """Pages of asked-for faces are cut as well."""
    wanted = sorted(entry["FaceId"] for entry in service[indexed].faces)[:3]
    first = service.ok("ListFaces", CollectionId=album, FaceIds=wanted, MaxResults=2)
    rest = service.ok("ListFaces", CollectionId=album, FaceIds=wanted, NextToken=first["NextToken"])
    assert [entry["FaceId"] for entry in first["Faces"] + rest["Faces"]] == wanted
