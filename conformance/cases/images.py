"""Cases on the images that an operation takes or refuses, by format and size."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from conformance.case import Family
from conformance.cases.faces_found import assert_upright, overlap
from conformance.expect import Check, error, heap_buffer, invalid, length_max, length_min, not_invalid, violation
from conformance.pictures import (
    BYTES_MAX,
    LARGEST,
    LARGEST_BYTES,
    NO_BYTES,
    NOTHING,
    ORIENTATIONS,
    ORIENTED_TWICE,
    PORTRAIT,
    READABLE,
    REFUSED,
    SMALLEST,
    TOO_LARGE,
    TOO_MANY_BYTES,
    TOO_SMALL,
    TURNED_PNGS,
    UPRIGHT,
    WITHOUT_END,
)
from conformance.service import Given, Request, Service
from conformance.shared import album, empty, users

family = Family("images")
each, exchange = family.each, family.exchange

TAKERS: Final[Mapping[tuple[str, str], Request]] = {
    ("DetectFaces", "Image"): {},
    ("IndexFaces", "Image"): {"CollectionId": empty},
    ("SearchFacesByImage", "Image"): {"CollectionId": album},
    ("CompareFaces", "SourceImage"): {"TargetImage": PORTRAIT},
    ("CompareFaces", "TargetImage"): {"SourceImage": PORTRAIT},
    ("SearchUsersByImage", "Image"): {"CollectionId": users},
}
"""Every place for a picture in a request, and what else the request needs."""

UNREADABLE: Final = error("InvalidImageFormatException", "Request has invalid image format")
TINY: Final = error("InvalidParameterException", "Request has invalid parameters")


def sides_too_long(width_px: int, height_px: int) -> Check:
    """Expects the error that names the sides."""
    text = f"Input image dimensions {width_px} x {height_px} exceed maximum dimension size of 10000 pixels"
    return error("ImageTooLargeException", text)


def refusals(path: str) -> Iterator[tuple[str, Given, Check, str]]:
    """Yields what is refused wherever a picture is taken: name, picture, expectation, source."""
    yield (
        "neither bytes nor an object",
        NOTHING,
        error("InvalidParameterException", "Requested image should either contain bytes or s3 object."),
        "recording:error-image-neither-bytes-nor-s3",
    )
    yield (
        "no bytes",
        NO_BYTES,
        invalid(violation(f"{path}.bytes", heap_buffer(0), length_min(1))),
        "recording:error-validation-image-bytes-empty-raw",
    )
    yield (
        "one byte more than 5 MiB",
        TOO_MANY_BYTES,
        invalid(violation(f"{path}.bytes", heap_buffer(BYTES_MAX + 1), length_max(BYTES_MAX))),
        "recording:error-validation-image-bytes-too-long",
    )
    for name, picture in REFUSED.items():
        yield name, picture, UNREADABLE, "recording:error-invalidimageformat"
    for name, picture in TOO_SMALL.items():
        yield name, picture, TINY, "recording:error-small-image-detectlabels-2018"
    for (width_px, height_px), picture in TOO_LARGE.items():
        yield (
            f"{width_px} x {height_px} pixels",
            picture,
            sides_too_long(width_px, height_px),
            "recording:error-imagetoolarge-dimensions",
        )


for (operation, member), others in TAKERS.items():
    for name, picture, expected, source in refusals(member[0].lower() + member[1:]):
        exchange(operation, f"{member} is refused: {name}", {**others, member: picture}, expected, source)
    exchange(operation, f"{member} may be 80 x 80 pixels", {**others, member: SMALLEST}, not_invalid, "guide")


def box(service: Service, picture: Given) -> Any:  # noqa: ANN401 # a BoundingBox
    """Returns where the only face of a picture is, and checks that its points are upright."""
    (detail,) = service.ok("DetectFaces", Image=picture)["FaceDetails"]
    assert_upright(detail)
    return detail["BoundingBox"]


@each("DetectFaces", "guide", READABLE)
def _(service: Service, picture: Given) -> None:
    """The portrait's face is found in this kind of file."""
    assert overlap(box(service, PORTRAIT), box(service, picture)) > 0.8


@each("IndexFaces", "guide", READABLE)
def _(service: Service, picture: Given) -> None:
    """The portrait, indexed from this kind of file, is found by its JPEG."""
    name = service.new_collection()
    (record,) = service.ok("IndexFaces", CollectionId=name, Image=picture, QualityFilter="NONE")["FaceRecords"]
    (match,) = service.ok("SearchFacesByImage", CollectionId=name, Image=PORTRAIT, FaceMatchThreshold=80)["FaceMatches"]
    assert match["Face"]["FaceId"] == record["Face"]["FaceId"]


@each("DetectFaces", "guide", {str(number): picture for number, picture in ORIENTATIONS.items()})
def _(service: Service, picture: Given) -> None:
    """Boxes and points are those of the upright picture, at this EXIF orientation."""
    assert overlap(box(service, UPRIGHT), box(service, picture)) > 0.8


@each("DetectFaces", "ours", ORIENTED_TWICE)
def _(service: Service, picture: Given) -> None:
    """Of two EXIF segments the first counts."""
    assert overlap(box(service, UPRIGHT), box(service, picture)) > 0.8


@each("DetectFaces", "model", TURNED_PNGS)
def _(service: Service, picture: Given) -> None:
    """Boxes and points are those of a PNG's stored pixels, whatever EXIF orientation it claims."""
    assert overlap(box(service, UPRIGHT), box(service, picture)) > 0.8


@each("DetectFaces", "ours", WITHOUT_END)
def _(service: Service, picture: Given) -> None:
    """A JPEG that lacks no more than its last two bytes shows what it shows with them."""
    assert overlap(box(service, PORTRAIT), box(service, picture)) > 0.8


@each("DetectFaces", "guide", LARGEST)
def _(service: Service, picture: Given) -> None:
    """A side may have 10000 pixels."""
    assert service.ok("DetectFaces", Image=picture)["FaceDetails"] == []


@each("DetectFaces", "model", {"exactly 5 MiB": LARGEST_BYTES})
def _(service: Service, picture: Given) -> None:
    """A picture may be as long as this."""
    assert overlap(box(service, PORTRAIT), box(service, picture)) > 0.8


def _with_bytes(change: Callable[[bytes], bytes]) -> Callable[[Service], Request]:
    return lambda service: {"Image": {"Bytes": change(service[PORTRAIT]["Bytes"])}}


for name, change in {
    "half of a JPEG": lambda jpeg: jpeg[: len(jpeg) // 2],
    "a JPEG with a hole": lambda jpeg: jpeg[:2000] + jpeg[2600:-600],
}.items():

    @each("DetectFaces", "ours", {name: _with_bytes(change)})
    def _(service: Service, request: Callable[[Service], Request]) -> None:
        """A damaged picture is read as far as it goes or refused, and never an internal error."""
        answer = service.call("DetectFaces", request(service))
        assert answer.status == 200 or answer.error == "InvalidImageFormatException", answer.content
