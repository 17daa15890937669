"""Pictures without a face and names of nothing: every client shows AWS's answer, to the letter of its messages."""

from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from tests.support.calls import CLIENTS, with_pictures
from tests.support.server import Server

pytestmark = pytest.mark.every_engine

HERE = {"CollectionId": "wordings"}
NOWHERE = {"CollectionId": "nowhere"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
WALL, FACE = {"Bytes": "wall.jpg"}, {"Bytes": "selfie.jpg"}
"""Pictures without a face and with one. In a call that is not yet made, ``Bytes`` names a file."""


def refused(code: str, message: str) -> dict[str, Any]:
    """What a client tells of an error."""
    return {"status": 400, "code": code, "message": message}


NO_FACE = refused("InvalidParameterException", "There are no faces in the image. Should be at least 1.")
INVALID = refused("InvalidParameterException", "Request has invalid parameters")
MISSING = refused("ResourceNotFoundException", "The collection id: nowhere does not exist")

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "detect no face": ("DetectFaces", {"Image": WALL}, {"answer": {"FaceDetails": []}}),
    "index no face": (
        "IndexFaces",
        HERE | {"Image": WALL},
        {"answer": {"FaceRecords": [], "UnindexedFaces": [], "FaceModelVersion": ANY}},
    ),
    "search faces for no face": ("SearchFacesByImage", HERE | {"Image": WALL}, NO_FACE),
    "search users for no face": (
        "SearchUsersByImage",
        HERE | {"Image": WALL},
        {"answer": {"UserMatches": [], "UnsearchedFaces": [], "FaceModelVersion": ANY}},
    ),
    "compare no face": ("CompareFaces", {"SourceImage": WALL, "TargetImage": FACE}, INVALID),
    "compare with no face": ("CompareFaces", {"SourceImage": FACE, "TargetImage": WALL}, INVALID),
    "list a missing collection": ("ListFaces", NOWHERE, MISSING),
    "delete a missing collection": ("DeleteCollection", NOWHERE, MISSING),
    "describe a missing collection": (
        "DescribeCollection",
        NOWHERE,
        refused("ResourceNotFoundException", "Collection:nowhere not found!"),
    ),
    "index into a missing collection": ("IndexFaces", NOWHERE | {"Image": FACE}, MISSING),
    "search a missing collection": ("SearchFacesByImage", NOWHERE | {"Image": FACE}, MISSING),
    "search for an unknown face": (
        "SearchFaces",
        HERE | {"FaceId": UNKNOWN},
        refused("InvalidParameterException", "faceId was not found in the collection."),
    ),
}
"""Name → operation, request, and what a client tells of the answer. Source: answers of the service, recorded or
reported by its users; that indexing and searching word a missing collection as listing does is assumed."""


@pytest.fixture(scope="module", params=CLIENTS)
def outcomes(request: pytest.FixtureRequest, server: Server, rekognition: Any, party: Path) -> Any:
    """What one client tells of every case, by the case's name."""
    calls = [
        (operation, with_pictures(asked, lambda name: str(party / name))) for operation, asked, _ in CASES.values()
    ]
    rekognition.create_collection(**HERE)
    try:
        told = CLIENTS[request.param](server, calls)
    finally:
        rekognition.delete_collection(**HERE)
    return dict(zip(CASES, told, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_every_client_tells_what_aws_would(case: str, outcomes: Any) -> None:
    """What is empty is empty, and what is an error has AWS's code and AWS's words, whoever reads it."""
    assert outcomes[case] == CASES[case][2]
