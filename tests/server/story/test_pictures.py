"""Every photograph at hand gets the right answer or the right error, whatever its format, light or rotation."""

import base64
import csv
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.server import Server

pytestmark = pytest.mark.every_engine

REFUSED = {
    "noface/ed_32x24.jpg": ("InvalidParameterException", "Request has invalid parameters"),
    "people/insp_rd_1.jpg": ("InvalidImageFormatException", "Request has invalid image format"),
    "people/insp_rd_2.jpg": ("InvalidImageFormatException", "Request has invalid image format"),
}


def manifest(faces_dir: Path, folder: str) -> list[dict[str, str]]:
    """The rows of one folder of photographs."""
    with (faces_dir / "manifest.csv").open() as rows:
        return [row for row in csv.DictReader(rows) if row["file"].startswith(f"{folder}/")]


def detect(rekognition: Any, path: Path) -> Any:
    """The faces of a photograph."""
    return rekognition.detect_faces(Image={"Bytes": path.read_bytes()})["FaceDetails"]


def box(face: Any) -> tuple[float, ...]:
    """Left, top, width, height."""
    return tuple(face["BoundingBox"][side] for side in ("Left", "Top", "Width", "Height"))


@pytest.mark.parametrize("name", ["cf_corrupted.png", "cf_empty.png", "cf_truncated.jpg"])
def test_broken_pictures_are_refused_with_aws_s_error(name: str, server: Server, faces_dir: Path) -> None:
    """What does not decode completely is an invalid image format; an empty body is already too short."""
    picture = (faces_dir / "broken" / name).read_bytes()
    answer = server.post("DetectFaces", {"Image": {"Bytes": base64.b64encode(picture).decode()}})
    assert answer.status_code == 400
    assert answer.json()["__type"] == ("InvalidImageFormatException" if picture else "ValidationException")


def test_every_format_of_one_photograph_shows_the_same_face(rekognition: Any, faces_dir: Path) -> None:
    """Grey, CMYK, progressive, palette and alpha variants of a picture have its face at its place."""
    (original,) = detect(rekognition, faces_dir / "rotated/exif_2.jpg")
    _, _, width, height = box(original)
    for row in manifest(faces_dir, "formats"):
        (face,) = detect(rekognition, faces_dir / row["file"])
        assert face["Confidence"] > 99
        # exif_2 is the same photograph, mirrored in storage and made upright by its orientation.
        assert box(face)[::2] == pytest.approx(box(original)[::2], abs=0.1 * width), row["file"]
        assert box(face)[1::2] == pytest.approx(box(original)[1::2], abs=0.1 * height), row["file"]


def test_exif_orientation_gives_the_boxes_of_the_upright_picture(rekognition: Any, faces_dir: Path) -> None:
    """All eight ways to store one photograph give the same face within 2 % of its size."""
    (upright,) = detect(rekognition, faces_dir / "formats/progressive.jpg")
    for orientation in range(2, 9):
        (face,) = detect(rekognition, faces_dir / f"rotated/exif_{orientation}.jpg")
        assert box(face) == pytest.approx(box(upright), abs=0.02 * box(upright)[2]), orientation
        left, right = (
            next(point["X"] for point in face["Landmarks"] if point["Type"] == name) for name in ("eyeLeft", "eyeRight")
        )
        assert left < right


def test_a_group_stored_on_its_side_is_found_upright(rekognition: Any, faces_dir: Path) -> None:
    """Orientation holds for groups, too."""
    faces = detect(rekognition, faces_dir / "rotated/group_exif_6.jpg")
    assert len(faces) == 4
    assert all(abs(face["Pose"]["Roll"]) < 45 for face in faces)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_face_is_found_at_any_quarter_turn(degrees: int, rekognition: Any, faces_dir: Path) -> None:
    """A picture whose pixels lie on their side shows the upright picture's face, where it lies now."""
    (upright,) = detect(rekognition, faces_dir / "rotated/insp_rot_0.jpg")
    (turned,) = detect(rekognition, faces_dir / f"rotated/insp_rot_{degrees}.jpg")
    _, _, width, height = box(upright)
    expected = (height, width) if degrees % 180 else (width, height)
    assert box(turned)[2:] == pytest.approx(expected, rel=0.1)
    assert abs(turned["Pose"]["Roll"] - upright["Pose"]["Roll"]) == pytest.approx(min(degrees, 360 - degrees), abs=5)


@pytest.mark.parametrize("folder", ["noface", "people", "groups", "rotated"])
def test_faces_found_are_faces_that_are_there(folder: str, rekognition: Any, faces_dir: Path) -> None:
    """Counts lie in the manifest's bounds for at least 90 % of the pictures."""
    rows = [row for row in manifest(faces_dir, folder) if row["file"] not in REFUSED]
    counts = {row["file"]: len(detect(rekognition, faces_dir / row["file"])) for row in rows}
    outside = {
        row["file"]: counts[row["file"]]
        for row in rows
        if not int(row["faces_min"]) <= counts[row["file"]] <= int(row["faces_max"])
    }
    assert len(outside) <= 0.1 * len(rows), outside


@pytest.mark.parametrize("name", REFUSED)
def test_pictures_that_aws_does_not_take_are_refused(name: str, rekognition: Any, faces_dir: Path) -> None:
    """A side under 80 px and a WebP that calls itself JPEG get the errors that AWS gives."""
    with pytest.raises(ClientError) as refused:
        detect(rekognition, faces_dir / name)
    assert (refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]) == REFUSED[name]
