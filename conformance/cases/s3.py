"""Cases on images that lie in S3."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from botocore.config import Config

from conformance.case import Family
from conformance.cases.images import UNREADABLE
from conformance.expect import error
from conformance.pictures import PORTRAIT
from conformance.service import NotRun, Request, Service
from conformance.shared import album, empty, users

family = Family("s3")
case, each, exchange = family.case, family.each, family.exchange

UNREACHABLE: Final = error(
    "InvalidS3ObjectException",
    "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
)
PATH_STYLE: Final = {"addressing_style": "path"}
NOWHERE: Final = {"Bucket": "no-such-bucket-5b0fd06e9b1f4f0c", "Name": "missing.jpg"}

TAKERS: Final[Mapping[str, tuple[str, Request]]] = {
    "DetectFaces": ("Image", {}),
    "IndexFaces": ("Image", {"CollectionId": empty}),
    "SearchFacesByImage": ("Image", {"CollectionId": album}),
    "SearchUsersByImage": ("Image", {"CollectionId": users}),
    "CompareFaces": ("TargetImage", {"SourceImage": PORTRAIT}),
}


for operation, (member, others) in TAKERS.items():
    exchange(
        operation,
        "an object in a bucket that does not exist",
        {**others, member: {"S3Object": NOWHERE}},
        UNREACHABLE,
        "recording:error-invalids3object-detectfaces",
    )
exchange(
    "CompareFaces",
    "an object in a bucket that does not exist, as the source",
    {"SourceImage": {"S3Object": NOWHERE}, "TargetImage": PORTRAIT},
    UNREACHABLE,
    "recording:error-invalids3object-detectfaces",
)


@case("DetectFaces", "ours")
def _(service: Service) -> None:
    """Where a request carries bytes and names an object, the bytes are read."""
    answer = service.ok("DetectFaces", Image={**service[PORTRAIT], "S3Object": NOWHERE})
    assert answer.content == service.ok("DetectFaces", Image=PORTRAIT).content


@each(
    "DetectFaces",
    "guide",
    {"no members": {}, "no name": {"Bucket": "bucket"}, "no bucket": {"Name": "n.jpg"}},
)
def _(service: Service, lacking: Mapping[str, str]) -> None:
    """An object that is not named whole is refused."""
    answer = service.call("DetectFaces", {"Image": {"S3Object": lacking}})
    error("InvalidS3ObjectException", "Request has invalid S3 object.")(answer)


def in_bucket(service: Service, content: bytes) -> dict[str, Any]:
    """Puts an object where the service can read it and returns the picture that names it."""
    bucket = service.target.s3_bucket
    if bucket is None:
        raise NotRun("needs --s3-bucket")
    name = f"{service.session.prefix}{secrets.token_hex(4)}"
    storage = service.session.boto.client(
        "s3", region_name=service.region, endpoint_url=service.target.s3_endpoint_url, config=Config(s3=PATH_STYLE)
    )
    storage.put_object(Bucket=bucket, Key=name, Body=content)
    service.session.undo.callback(storage.delete_object, Bucket=bucket, Key=name)
    return {"S3Object": {"Bucket": bucket, "Name": name}}


@case("DetectFaces", "guide")
def _(service: Service) -> None:
    """A picture in S3 has the faces of the same bytes."""
    picture = in_bucket(service, service[PORTRAIT]["Bytes"])
    assert service.ok("DetectFaces", Image=picture).content == service.ok("DetectFaces", Image=PORTRAIT).content


@case("DetectFaces", "recording:error-invalidimageformat")
def _(service: Service) -> None:
    """An object that is no picture is refused as such."""
    UNREADABLE(service.call("DetectFaces", {"Image": in_bucket(service, b"no picture")}))


@case("DetectFaces", "guide")
def _(service: Service) -> None:
    """An object over 15 MB is too large."""
    picture = in_bucket(service, service[PORTRAIT]["Bytes"] + bytes(15 * 2**20))
    error("ImageTooLargeException", "Image size is too large.")(service.call("DetectFaces", {"Image": picture}))


@case("DetectFaces", "recording:error-invalids3object-detectfaces")
def _(service: Service) -> None:
    """A missing object of a bucket that exists is refused."""
    there = in_bucket(service, b"x")["S3Object"]
    UNREACHABLE(service.call("DetectFaces", {"Image": {"S3Object": {**there, "Name": "missing"}}}))


@each("DetectFaces", "guide", {"to an object": "missing/../{}", "to itself": "./{}", "encoded": "missing/%2e%2e/{}"})
def _(service: Service, leading: str) -> None:
    """A name is no path: what one with dots would lead to is another object, which is not read."""
    there = in_bucket(service, service[PORTRAIT]["Bytes"])["S3Object"]
    UNREACHABLE(service.call("DetectFaces", {"Image": {"S3Object": {**there, "Name": leading.format(there["Name"])}}}))


@case("SearchFacesByImage", "guide")
def _(service: Service) -> None:
    """A picture in S3 finds its face."""
    picture = in_bucket(service, service[PORTRAIT]["Bytes"])
    answer = service.ok("SearchFacesByImage", CollectionId=album, Image=picture)
    assert answer["FaceMatches"][0]["Similarity"] == 100


@case("IndexFaces", "guide")
def _(service: Service) -> None:
    """A picture in S3 can be indexed."""
    picture = in_bucket(service, service[PORTRAIT]["Bytes"])
    assert len(service.ok("IndexFaces", CollectionId=service.new_collection(), Image=picture)["FaceRecords"]) == 1
