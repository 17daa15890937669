"""Valid inputs that are worth spoiling: images of every format and mode, a request for each operation."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image

from rekognition_emulator.demo.people import PEOPLE, View, selfie
from tests.support.bombs import baseline, chunk, header, notes, png, progressive, rows, segment

COLLECTION = "fuzz"
FACE = "00000000-0000-4000-8000-000000000000"
ARN = f"arn:aws:rekognition:us-east-1:000000000000:collection/{COLLECTION}"
PHOTOGRAPH_BYTES_MAX = 100_000


def pictures() -> list[bytes]:
    """Returns valid pictures, small enough to be decoded by the thousand, and some that are none or that hurt."""
    one, two = (PIL.Image.open(io.BytesIO(selfie(who, View(side_px=200)))) for who in PEOPLE[:2])
    made = [_file(one, "JPEG"), _file(one, "JPEG", progressive=True, quality=60), _file(two, "JPEG", subsampling=0)]
    made += [_file(two, "JPEG", exif=b"Exif\0\0" + notes(number), icc_profile=bytes(3000)) for number in (3, 6)]
    made += [_file(one.convert(mode), "JPEG") for mode in ("L", "CMYK")]
    small = one.resize((160, 160))
    made += [_file(small.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    made += [_file(small, "PNG", exif=notes(8)), _file(small.quantize(16), "PNG", transparency=3)]
    made += [_file(small, kind, save_all=True, append_images=[small.rotate(90)]) for kind in ("PNG", "MPO")]
    made += [_file(small, kind) for kind in ("GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "ICO", "PDF", "EPS", "TGA")]
    made += [png(header(90, 90, *kind), rows(90, 90, *kind)) for kind in ((16, 2), (16, 4), (16, 6), (2, 0), (4, 3))]
    made += [png(header(120, 120, 8, 6, 1), rows(120, 200, 8, 6)), png(header(5000, 90), rows(5000, 90, filtered=4))]
    made += [png(header(90, 90), chunk(b"zTXt", b"a\0\0" + bytes(99)), chunk(b"iCCP", b"a\0\0x"), rows(90, 90))]
    made += [progressive(160, 160, 30), progressive(4200, 160, 5), baseline(160, 160, segment(0xE1, b"Exif\0\0II"))]
    return made + _photographs()


def _file(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if kind in {"BMP", "ICO", "PDF", "EPS", "TGA", "JPEG2000", "MPO"}:
        picture = picture.convert("RGB")
    picture.save(file, kind, **options)
    return file.getvalue()


def _photographs() -> list[bytes]:
    """Returns real photographs where they are at hand, in the order of their names."""
    folder = os.environ.get("REKOGNITION_TEST_FACES", Path(__file__).parents[3] / "shared" / "faces")
    files = [path for path in sorted(Path(folder).rglob("*.*")) if path.suffix in {".jpg", ".png"}]
    return [path.read_bytes() for path in files if 0 < path.stat().st_size < PHOTOGRAPH_BYTES_MAX]


def requests() -> Sequence[tuple[str, dict[str, Any]]]:
    """Returns a valid request for each operation that has a handler, and some others."""
    image = {"Bytes": "/9j/4AAQSkZJRgABAQAAAQABAAD/"}
    stored = {"S3Object": {"Bucket": "album-7", "Name": "../a b/é.jpg", "Version": "1"}}
    here = {"CollectionId": COLLECTION}
    page = {"MaxResults": 10, "NextToken": "eyJhIjoxfQ=="}
    user = {**here, "UserId": "ann"}
    return [
        ("AssociateFaces", {**user, "FaceIds": [FACE], "UserMatchThreshold": 75.0, "ClientRequestToken": "t-1"}),
        (
            "CompareFaces",
            {"SourceImage": image, "TargetImage": stored, "SimilarityThreshold": 80, "QualityFilter": "LOW"},
        ),
        ("CreateCollection", {**here, "Tags": {"a": "b", "é": "日本"}}),
        ("CreateUser", {**user, "ClientRequestToken": "t-2"}),
        ("DeleteCollection", {"CollectionId": "fuzz-other"}),
        ("DeleteFaces", {**here, "FaceIds": [FACE, FACE]}),
        ("DeleteUser", {**user, "ClientRequestToken": "t-3"}),
        ("DescribeCollection", here),
        ("DetectFaces", {"Image": image, "Attributes": ["ALL", "DEFAULT"]}),
        ("DisassociateFaces", {**user, "FaceIds": [FACE]}),
        (
            "IndexFaces",
            {**here, "Image": image, "ExternalImageId": "a:1", "DetectionAttributes": ["ALL"], "MaxFaces": 3},
        ),
        ("ListCollections", page),
        ("ListFaces", {**here, **page, "UserId": "ann", "FaceIds": [FACE]}),
        ("ListTagsForResource", {"ResourceArn": ARN}),
        ("ListUsers", {**here, **page}),
        ("SearchFaces", {**here, "FaceId": FACE, "MaxFaces": 10, "FaceMatchThreshold": 80.5}),
        ("SearchFacesByImage", {**here, "Image": stored, "MaxFaces": 4096, "QualityFilter": "AUTO"}),
        ("SearchUsers", {**user, "MaxUsers": 10, "UserMatchThreshold": 0}),
        ("SearchUsersByImage", {**here, "Image": image, "MaxUsers": 500}),
        ("TagResource", {"ResourceArn": ARN, "Tags": {"a": "b"}}),
        ("UntagResource", {"ResourceArn": ARN, "TagKeys": ["a", "b"]}),
        ("DetectLabels", {"Image": image, "MaxLabels": 3}),
        ("StartFaceSearch", {**here, "Video": stored, "NotificationChannel": {"SNSTopicArn": ARN, "RoleArn": ARN}}),
        ("NoSuchOperation", {}),
    ]
