"""Pictures without a face and names of nothing: every client shows AWS's answer, to the letter of its messages."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.clients import environment
from tests.server import Server

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

Call = tuple[str, dict[str, Any]]


def with_pictures(request: dict[str, Any], picture: Callable[[str], Any]) -> dict[str, Any]:
    """Puts something else in the place of each picture's name."""
    return {
        name: {"Bytes": picture(value["Bytes"])} if isinstance(value, dict) else value
        for name, value in request.items()
    }


def through_boto3(server: Server, calls: list[Call]) -> list[dict[str, Any]]:
    """Makes the calls with boto3."""
    client = server.client()

    def outcome(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        read = with_pictures(request, lambda name: Path(name).read_bytes())
        try:
            answer = getattr(client, xform_name(operation))(**read)
        except ClientError as error:
            told = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return {"status": status, "code": told["Code"], "message": told["Message"]}
        del answer["ResponseMetadata"]
        return {"answer": answer}

    return [outcome(*call) for call in calls]


def through_the_aws_cli(server: Server, calls: list[Call]) -> list[dict[str, Any]]:
    """Makes the calls as a person would at a terminal."""

    def outcome(call: Call) -> dict[str, Any]:
        operation, request = call
        command = [sys.executable, "-m", "awscli", "rekognition", xform_name(operation, "-"), "--output", "json"]
        for name, value in request.items():
            option = f"--{xform_name(name, '-')}"
            is_picture = isinstance(value, dict)
            command += [f"{option}-bytes", f"fileb://{value['Bytes']}"] if is_picture else [option, value]
        run = subprocess.run(command, env=environment(server), capture_output=True, text=True, check=False, timeout=60)
        if run.returncode == 0:
            return {"answer": json.loads(run.stdout)}
        told = re.fullmatch(r"\s*An error occurred \((\w+)\) when calling the \w+ operation: (.*)\s*", run.stderr)
        assert told, run.stderr
        return {"status": ANY, "code": told[1], "message": told[2]}  # it does not tell the status

    with ThreadPoolExecutor(2) as terminals:
        return list(terminals.map(outcome, calls))


@pytest.fixture(scope="module", params=["boto3", "AWS CLI", "JavaScript", "aiobotocore"])
def outcomes(request: pytest.FixtureRequest, server: Server, rekognition: Any, party: Path) -> Any:
    """What one client tells of every case, by the case's name."""
    calls = [
        (operation, with_pictures(asked, lambda name: str(party / name))) for operation, asked, _ in CASES.values()
    ]
    rekognition.create_collection(**HERE)
    try:
        match request.param:
            case "boto3":
                told = through_boto3(server, calls)
            case "AWS CLI":
                told = through_the_aws_cli(server, calls)
            case "JavaScript":
                told = request.getfixturevalue("javascript").run(server, "calls.mjs", json.dumps(calls))
            case _:
                told = request.getfixturevalue("aiobotocore").run(server, "calls_aio.py", json.dumps(calls))
    finally:
        rekognition.delete_collection(**HERE)
    return dict(zip(CASES, told, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_every_client_tells_what_aws_would(case: str, outcomes: Any) -> None:
    """What is empty is empty, and what is an error has AWS's code and AWS's words, whoever reads it."""
    if outcomes[case].get("code") == "UnsupportedOperationException":
        pytest.skip(f"{CASES[case][0]} is not there yet")
    assert outcomes[case] == CASES[case][2]
