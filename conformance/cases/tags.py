"""Cases on TagResource, UntagResource and ListTagsForResource."""

from collections.abc import Mapping
from typing import Final

from conformance.case import Family
from conformance.expect import error, found, members
from conformance.service import Request, Service
from conformance.shared import album_arn

family = Family("tags")
case, each, exchange = family.case, family.each, family.exchange


def new_arn(service: Service, **tags: str) -> str:
    """Creates a collection with tags and returns its full resource name."""
    created = service.call("CreateCollection", {"CollectionId": service.new_name(), "Tags": tags})
    return f"arn:{created['CollectionArn']}"


def tags_of(service: Service, arn: str) -> dict[str, str]:
    """Returns a resource's tags."""
    tags: dict[str, str] = service.ok("ListTagsForResource", ResourceArn=arn)["Tags"]
    return tags


exchange(
    "ListTagsForResource",
    "the answer has one member",
    {"ResourceArn": album_arn},
    members("Tags"),
    "recording:guide-listtags",
)
exchange(
    "ListTagsForResource",
    "a collection without tags has an empty map",
    {"ResourceArn": album_arn},
    found(Tags={}),
    "contract",
)


@case("ListTagsForResource", "guide")
def _(service: Service) -> None:
    """Tags given at creation are listed."""
    tags = {"stage": "test", "owner": "nobody"}
    assert tags_of(service, new_arn(service, **tags)) == tags


@case("TagResource", "guide")
def _(service: Service) -> None:
    """The answer is empty, and the tags are there."""
    arn = new_arn(service)
    assert service.ok("TagResource", ResourceArn=arn, Tags={"a": "1"}).body == {}
    assert tags_of(service, arn) == {"a": "1"}


@case("TagResource", "guide")
def _(service: Service) -> None:
    """A tag that exists is overwritten, and others stay."""
    arn = new_arn(service, a="1", b="2")
    service.ok("TagResource", ResourceArn=arn, Tags={"a": "3", "c": "4"})
    assert tags_of(service, arn) == {"a": "3", "b": "2", "c": "4"}


@case("TagResource", "model")
def _(service: Service) -> None:
    """Keys are case-sensitive, and a value may be empty."""
    arn = new_arn(service)
    service.ok("TagResource", ResourceArn=arn, Tags={"a": "", "A": "1"})
    assert tags_of(service, arn) == {"a": "", "A": "1"}


@each(
    "TagResource",
    "model",
    {
        "letters of any script": {"Größe": "日本語"},
        "spaces": {"a b": "c d"},
        "punctuation": {"_.:/=+-@": "_.:/=+-@"},
        "the longest": {"k" * 128: "v" * 256},
    },
)
def _(service: Service, tags: Mapping[str, str]) -> None:
    """A tag may be made of this, and comes back as it was given."""
    arn = new_arn(service)
    service.ok("TagResource", ResourceArn=arn, Tags=tags)
    assert tags_of(service, arn) == tags


@case("TagResource", "contract")
def _(service: Service) -> None:
    """No tags change nothing."""
    arn = new_arn(service, a="1")
    service.ok("TagResource", ResourceArn=arn, Tags={})
    assert tags_of(service, arn) == {"a": "1"}


@case("TagResource", "contract")
def _(service: Service) -> None:
    """A refused request tags nothing."""
    arn = new_arn(service)
    assert service.call("TagResource", {"ResourceArn": arn, "Tags": {"a": "1", "aws:b": "2"}}).error
    assert tags_of(service, arn) == {}


@case("TagResource", "ours")
def _(service: Service) -> None:
    """A resource has at most fifty tags."""
    arn = new_arn(service)
    service.ok("TagResource", ResourceArn=arn, Tags={f"key{number}": "v" for number in range(50)})
    one_more = service.call("TagResource", {"ResourceArn": arn, "Tags": {"one-more": "v"}})
    error("ServiceQuotaExceededException")(one_more)
    assert len(tags_of(service, arn)) == 50


@case("UntagResource", "guide")
def _(service: Service) -> None:
    """The answer is empty, and only the named tags go."""
    arn = new_arn(service, a="1", b="2", c="3")
    assert service.ok("UntagResource", ResourceArn=arn, TagKeys=["a", "c"]).body == {}
    assert tags_of(service, arn) == {"b": "2"}


@each(
    "UntagResource",
    "contract",
    {"absent": ["x"], "absent beside present": ["x", "a"], "twice": ["a", "a"], "none": []},
)
def _(service: Service, keys: list[str]) -> None:
    """Keys that are not there are no error."""
    arn = new_arn(service, a="1", b="2")
    service.ok("UntagResource", ResourceArn=arn, TagKeys=keys)
    assert tags_of(service, arn) == {name: value for name, value in {"a": "1", "b": "2"}.items() if name not in keys}


@case("ListTagsForResource", "contract")
def _(service: Service) -> None:
    """A new collection does not inherit the tags of its namesake."""
    arn = new_arn(service, a="1")
    name = arn.rsplit("/", 1)[1]
    service.ok("DeleteCollection", CollectionId=name)
    service.ok("CreateCollection", CollectionId=name)
    assert tags_of(service, arn) == {}


ALL: Final[dict[str, Request]] = {
    "ListTagsForResource": {},
    "TagResource": {"Tags": {"a": "b"}},
    "UntagResource": {"TagKeys": ["a"]},
}


@family.operations("contract", ALL)
def _(service: Service, operation: str, request: Request) -> None:
    """A resource that is missing is not found."""
    arn = f"{service[album_arn]}-missing"
    error("ResourceNotFoundException")(service.call(operation, {"ResourceArn": arn, **request}))


@family.operations("ours", ALL)
def _(service: Service, operation: str, request: Request) -> None:
    """The name that CreateCollection answers, without arn:, is no resource name."""
    arn = service[album_arn].removeprefix("arn:")
    error("InvalidParameterException")(service.call(operation, {"ResourceArn": arn, **request}))


@family.operations("ours", ALL)
def _(service: Service, operation: str, request: Request) -> None:
    """Another service's resource name is a wrong parameter."""
    arn = "arn:aws:s3:::bucket/with/a/long/name"
    error("InvalidParameterException")(service.call(operation, {"ResourceArn": arn, **request}))


@family.operations("ours", ALL)
def _(service: Service, operation: str, request: Request) -> None:
    """Another account's resource is not found."""
    parts = service[album_arn].split(":")
    parts[4] = "999999999999"
    error("ResourceNotFoundException")(service.call(operation, {"ResourceArn": ":".join(parts), **request}))
