"""The main job through aiobotocore, which does several things at once."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import Client
from tests.support.server import Server


@pytest.fixture(scope="module")
def story(server: Server, aiobotocore: Client, party: Path) -> Any:
    """What a program saw that did the main job."""
    return aiobotocore.run(server, "main_job_aio.py", str(party))


def test_aiobotocore_indexes_pictures_concurrently(story: Any) -> None:
    """No face is lost or counted twice, whichever picture is done first."""
    assert story["arn"] == "aws:rekognition:eu-central-1:000000000000:collection/aiobotocore"
    assert {name: len(faces) for name, faces in story["indexed"].items()} == {
        "ada-plain.jpg": 1,
        "ada-tilted.jpg": 1,
        "ben.jpg": 1,
        "ada-and-ben.jpg": 2,
    }


def test_aiobotocore_s_paginator_sees_every_face_once(story: Any) -> None:
    """The asynchronous paginator follows the token to the last page and then stops."""
    assert [len(page) for page in story["pages"]] == [2, 2, 1]
    listed = [face for page in story["pages"] for face in page]
    assert listed == sorted(face for faces in story["indexed"].values() for face in faces)


def test_aiobotocore_finds_a_person_by_picture_and_by_face(story: Any) -> None:
    """Three questions at once get each its own answer."""
    found = dict(story["foundByImage"])
    assert set(found) == {"ada-plain.jpg", "ada-tilted.jpg", "ada-and-ben.jpg"}
    assert all(80 <= similarity <= 100 for similarity in found.values())
    assert set(story["foundByFace"]) == {"ada-tilted.jpg", "ada-and-ben.jpg"}
    assert story["detected"] == 1


def test_aiobotocore_deletes_what_it_made(story: Any) -> None:
    """A face and then the collection go, and the next question is told so by an error of the modelled class."""
    assert story["deleted"] == story["indexed"]["ada-plain.jpg"]
    assert story["facesLeft"] == 4
    assert story["dropped"] == 200
    assert story["gone"] == "The collection id: aiobotocore does not exist"
