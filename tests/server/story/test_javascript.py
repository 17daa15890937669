"""The main job through AWS's SDK for JavaScript."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.clients import Client
from tests.support.server import Server


@pytest.fixture(scope="module")
def story(server: Server, javascript: Client, party: Path) -> Any:
    """What a program saw that did the main job."""
    return javascript.run(server, "main_job.mjs", str(party))


def test_javascript_indexes_every_face_of_an_album(story: Any) -> None:
    """The collection is where it was asked for, and each picture has as many faces as people."""
    assert story["arn"] == "aws:rekognition:eu-central-1:000000000000:collection/javascript"
    assert story["listed"]
    assert {name: len(faces) for name, faces in story["indexed"].items()} == {
        "ada-plain.jpg": 1,
        "ada-tilted.jpg": 1,
        "ben.jpg": 1,
        "ada-and-ben.jpg": 2,
    }


def test_javascript_s_paginator_sees_every_face_once(story: Any) -> None:
    """The SDK follows the token to the last page and then stops."""
    assert [len(page) for page in story["pages"]] == [2, 2, 1]
    listed = [face for page in story["pages"] for face in page]
    assert listed == sorted(face for faces in story["indexed"].values() for face in faces)


def test_javascript_finds_a_person_by_picture_and_by_face(story: Any) -> None:
    """A selfie, sent as a Uint8Array, finds the person's pictures and nobody else's; so does one of the faces."""
    found = dict(story["foundByImage"])
    assert set(found) == {"ada-plain.jpg", "ada-tilted.jpg", "ada-and-ben.jpg"}
    assert all(80 <= similarity <= 100 for similarity in found.values())
    assert set(story["foundByFace"]) == {"ada-tilted.jpg", "ada-and-ben.jpg"}
    assert story["detected"] == 2


def test_javascript_deletes_what_it_made(story: Any) -> None:
    """Answers of every kind arrive as the SDK's types: lists, numbers, and the time of creation as a Date."""
    assert story["deleted"] == story["indexed"]["ada-plain.jpg"]
    assert story["facesLeft"] == 4
    assert 0 <= story["ageSeconds"] < 60
    assert story["dropped"] == 200
    assert UUID(story["requestId"]).version == 4


def test_javascript_gets_the_error_s_class_and_members(story: Any) -> None:
    """A program may ask for the class, the name or the Code of an error; it was not worth a second attempt."""
    error = story["error"]
    assert error["isResourceNotFoundException"]
    assert error["name"] == error["Code"] == "ResourceNotFoundException"
    assert error["message"] == "The collection id: javascript does not exist"
    assert (error["fault"], error["status"], error["attempts"]) == ("client", 400, 1)
    assert UUID(error["Logref"]) != UUID(error["requestId"])
