"""A visitor finds the pictures they are in: the main job through clients that know nothing of us."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.server import Server

pytestmark = pytest.mark.every_engine

ALBUM = (
    "people/df01_img2.jpg",
    "people/df01_img10.jpg",
    "people/df02_img8.jpg",
    "people/df02_img9.jpg",
    "people/fr_obama_1.jpg",
    "people/fr_biden_1.jpg",
    "people/synth01_ref.jpg",
    "people/synth04_ref.jpg",
    "groups/fr_obama_and_biden.jpg",
    "groups/bbt_1.jpg",
)
SELFIES = {
    "people/df01_img11.jpg": {"people/df01_img2.jpg", "people/df01_img10.jpg"},
    "people/fr_obama_2.jpg": {"people/fr_obama_1.jpg", "groups/fr_obama_and_biden.jpg"},
    "people/fr_biden_2.jpg": {"people/fr_biden_1.jpg", "groups/fr_obama_and_biden.jpg"},
}


def external_id(picture: str) -> str:
    """A path as an ExternalImageId, which may not hold slashes."""
    return picture.replace("/", ":")


@pytest.fixture(scope="module")
def album(rekognition: Any, faces_dir: Path) -> Iterator[str]:
    """A collection with ten pictures of people and groups."""
    rekognition.create_collection(CollectionId="album")
    for picture in ALBUM:
        rekognition.index_faces(
            CollectionId="album",
            Image={"Bytes": (faces_dir / picture).read_bytes()},
            ExternalImageId=external_id(picture),
        )
    yield "album"
    rekognition.delete_collection(CollectionId="album")


@pytest.mark.parametrize("selfie", SELFIES)
def test_selfie_finds_the_pictures_its_person_is_in(selfie: str, album: str, rekognition: Any, faces_dir: Path) -> None:
    """At the default threshold a selfie finds its person's pictures and no stranger's."""
    answer = rekognition.search_faces_by_image(CollectionId=album, Image={"Bytes": (faces_dir / selfie).read_bytes()})
    found = {match["Face"]["ExternalImageId"] for match in answer["FaceMatches"]}
    assert found == {external_id(picture) for picture in SELFIES[selfie]}
    similarities = [match["Similarity"] for match in answer["FaceMatches"]]
    assert similarities == sorted(similarities, reverse=True)
    assert min(similarities) >= 80


def test_every_picture_finds_itself_first(album: str, rekognition: Any, faces_dir: Path) -> None:
    """A picture that was indexed finds its own face with similarity 100."""
    for picture in ALBUM:
        answer = rekognition.search_faces_by_image(
            CollectionId=album, Image={"Bytes": (faces_dir / picture).read_bytes()}, FaceMatchThreshold=100
        )
        (match,) = answer["FaceMatches"]
        assert match["Similarity"] == 100.0
        assert match["Face"]["ExternalImageId"] == external_id(picture)


def test_search_by_face_id_leaves_the_face_itself_out(album: str, rekognition: Any) -> None:
    """A face finds the same person's other pictures, and not itself."""
    faces = rekognition.list_faces(CollectionId=album)["Faces"]
    (face,) = (face for face in faces if face["ExternalImageId"] == external_id("people/df01_img2.jpg"))
    answer = rekognition.search_faces(CollectionId=album, FaceId=face["FaceId"])
    assert answer["SearchedFaceId"] == face["FaceId"]
    assert [match["Face"]["ExternalImageId"] for match in answer["FaceMatches"]] == [
        external_id("people/df01_img10.jpg")
    ]


def test_listing_in_pages_gives_every_face_once_in_order(album: str, rekognition: Any) -> None:
    """The SDK's own paginator sees all faces, by ascending id."""
    pages = rekognition.get_paginator("list_faces").paginate(CollectionId=album, PaginationConfig={"PageSize": 3})
    faces = [face["FaceId"] for page in pages for face in page["Faces"]]
    assert faces == sorted(set(faces))
    assert len(faces) == rekognition.describe_collection(CollectionId=album)["FaceCount"]


def test_indexing_the_same_picture_again_stores_nothing_new(collection: str, rekognition: Any, faces_dir: Path) -> None:
    """The same picture under the same name answers the same faces; under another name it is another picture."""
    picture = {"Bytes": (faces_dir / "groups/bbt_1.jpg").read_bytes()}

    def index(name: str) -> Any:
        return rekognition.index_faces(CollectionId=collection, Image=picture, ExternalImageId=name)["FaceRecords"]

    first, again, other = index("one"), index("one"), index("two")
    assert [record["Face"] for record in again] == [record["Face"] for record in first]
    assert {record["Face"]["FaceId"] for record in other}.isdisjoint(record["Face"]["FaceId"] for record in first)
    (image_id,) = {record["Face"]["ImageId"] for record in first}
    assert UUID(image_id).version == 3
    assert all(record["Face"]["ImageId"] != image_id for record in other)
    assert rekognition.describe_collection(CollectionId=collection)["FaceCount"] == 2 * len(first)


def test_a_deleted_face_is_gone_and_comes_back_as_another(collection: str, rekognition: Any, faces_dir: Path) -> None:
    """After DeleteFaces nothing finds the face; the picture indexed again keeps its ImageId and gets a new FaceId."""
    picture = {"Bytes": (faces_dir / "people/synth01_ref.jpg").read_bytes()}
    (first,) = rekognition.index_faces(CollectionId=collection, Image=picture)["FaceRecords"]
    face_id = first["Face"]["FaceId"]
    unknown = "00000000-0000-4000-8000-000000000000"
    answer = rekognition.delete_faces(CollectionId=collection, FaceIds=[unknown, face_id])
    assert answer["DeletedFaces"] == [face_id]
    assert answer["UnsuccessfulFaceDeletions"] == [{"FaceId": unknown, "Reasons": ["FACE_NOT_FOUND"]}]
    assert rekognition.search_faces_by_image(CollectionId=collection, Image=picture)["FaceMatches"] == []
    (second,) = rekognition.index_faces(CollectionId=collection, Image=picture)["FaceRecords"]
    assert second["Face"]["ImageId"] == first["Face"]["ImageId"]
    assert second["Face"]["FaceId"] != face_id


def test_max_faces_keeps_the_largest_and_reports_the_others(collection: str, rekognition: Any, faces_dir: Path) -> None:
    """Beyond MaxFaces, faces come back unindexed with the reason; what is indexed comes largest first."""
    picture = {"Bytes": (faces_dir / "groups/bbt_5.jpg").read_bytes()}
    answer = rekognition.index_faces(CollectionId=collection, Image=picture, MaxFaces=2, QualityFilter="NONE")
    assert len(answer["FaceRecords"]) == 2
    assert {tuple(face["Reasons"]) for face in answer["UnindexedFaces"]} == {("EXCEEDS_MAX_FACES",)}
    areas = [box["Width"] * box["Height"] for box in (r["Face"]["BoundingBox"] for r in answer["FaceRecords"])]
    assert areas == sorted(areas, reverse=True)


def aws(server: Server, *arguments: str) -> Any:
    """Runs the AWS CLI as a person would, with nothing but the endpoint added."""
    run = subprocess.run(
        [sys.executable, "-m", "awscli", "rekognition", *arguments, "--endpoint-url", server.url, "--output", "json"],
        env={
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-central-1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_aws_cli_does_the_main_job(server: Server, faces_dir: Path) -> None:
    """Create, index, list, search both ways, delete: each command works and prints what its next one needs."""
    name = ("--collection-id", "cli")

    def picture(path: str) -> tuple[str, str]:
        return "--image-bytes", f"fileb://{faces_dir / path}"

    created = aws(server, "create-collection", *name)
    assert created["CollectionArn"] == "aws:rekognition:eu-central-1:000000000000:collection/cli"
    for path in ("people/df01_img2.jpg", "people/df01_img10.jpg", "people/df02_img8.jpg"):
        indexed = aws(server, "index-faces", *name, *picture(path), "--external-image-id", external_id(path))
        assert len(indexed["FaceRecords"]) == 1
    assert "cli" in aws(server, "list-collections")["CollectionIds"]
    faces = aws(server, "list-faces", *name, "--page-size", "2")["Faces"]
    assert len(faces) == 3
    found = aws(server, "search-faces-by-image", *name, *picture("people/df01_img11.jpg"))["FaceMatches"]
    assert {match["Face"]["ExternalImageId"] for match in found} == {
        "people:df01_img2.jpg",
        "people:df01_img10.jpg",
    }
    others = aws(server, "search-faces", *name, "--face-id", found[0]["Face"]["FaceId"])["FaceMatches"]
    assert [match["Face"]["FaceId"] for match in others] == [found[1]["Face"]["FaceId"]]
    assert len(aws(server, "detect-faces", *picture("groups/bbt_1.jpg"))["FaceDetails"]) >= 4
    assert aws(server, "delete-faces", *name, "--face-ids", found[0]["Face"]["FaceId"])["DeletedFaces"]
    assert aws(server, "describe-collection", *name)["FaceCount"] == 2
    assert aws(server, "delete-collection", *name) == {"StatusCode": 200}
