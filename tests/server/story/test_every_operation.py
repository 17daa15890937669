"""Every operation through every client: each is called, answered and understood, and shows what boto3 shows."""

from pathlib import Path
from typing import Any

import pytest

from rekognition_emulator.operations.registry import OPERATIONS
from tests.support.calls import CLIENTS, Call, Outcome
from tests.support.server import Server

ARN = "arn:aws:rekognition:eu-central-1:000000000000:collection/"


def calls(name: str, party: Path, face_ids: list[str]) -> list[Call]:
    """A story in which every operation has its place, told of a collection that holds three faces."""
    here = {"CollectionId": name}
    ada = here | {"UserId": "ada"}
    selfie, group = {"Bytes": str(party / "selfie.jpg")}, {"Bytes": str(party / "album/ada-and-ben.jpg")}
    resource = {"ResourceArn": f"{ARN}{name}"}
    return [
        ("CreateCollection", {"CollectionId": f"{name}-2", "Tags": {"event": "wedding"}}),
        ("DeleteCollection", {"CollectionId": f"{name}-2"}),
        ("TagResource", resource | {"Tags": {"event": "wedding", "year": "2026"}}),
        ("UntagResource", resource | {"TagKeys": ["year"]}),
        ("ListTagsForResource", resource),
        ("DetectFaces", {"Image": group, "Attributes": ["ALL"]}),
        ("CompareFaces", {"SourceImage": selfie, "TargetImage": group}),
        ("IndexFaces", here | {"Image": selfie, "ExternalImageId": "selfie", "MaxFaces": 1}),
        ("CreateUser", ada),
        ("AssociateFaces", ada | {"FaceIds": face_ids, "UserMatchThreshold": 1.5}),
        ("ListUsers", here),
        ("ListFaces", ada),
        ("SearchUsers", ada | {"UserMatchThreshold": 0}),
        ("SearchUsersByImage", here | {"Image": selfie}),
        ("SearchFaces", here | {"FaceId": face_ids[0], "FaceMatchThreshold": 0.5}),
        ("SearchFacesByImage", here | {"Image": selfie, "MaxFaces": 2}),
        ("DisassociateFaces", ada | {"FaceIds": face_ids[:1]}),
        ("DeleteFaces", here | {"FaceIds": face_ids}),
        ("DeleteUser", ada),
        ("DescribeCollection", here),
        ("ListCollections", {}),
    ]


def tell(client: str, server: Server, party: Path) -> list[tuple[str, Outcome]]:
    """Tells the story through a client, in a collection of its own; boto3 makes and removes what it begins with."""
    name, rekognition = client.replace(" ", "-"), server.client()
    rekognition.create_collection(CollectionId=name)
    face_ids = [
        record["Face"]["FaceId"]
        for picture in ("ada-plain.jpg", "ada-tilted.jpg", "ben.jpg")
        for record in rekognition.index_faces(
            CollectionId=name, Image={"Bytes": (party / "album" / picture).read_bytes()}, ExternalImageId=picture
        )["FaceRecords"]
    ]
    story = calls(name, party, face_ids)
    outcomes = CLIENTS[client](server, story)
    rekognition.delete_collection(CollectionId=name)
    return [(operation, outcome) for (operation, _), outcome in zip(story, outcomes, strict=True)]


@pytest.fixture(scope="module")
def reference(server: Server, party: Path) -> list[tuple[str, Outcome]]:
    """What boto3 tells."""
    return tell("boto3", server, party)


def test_the_story_has_every_operation(reference: list[tuple[str, Outcome]]) -> None:
    """An operation that is added must be added here."""
    assert {operation for operation, _ in reference} == set(OPERATIONS)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "boto3"])
def test_every_client_understands_every_operation(
    client: str, reference: list[tuple[str, Outcome]], server: Server, party: Path
) -> None:
    """No call fails, and each answer has the members, and lists as long, as in boto3."""
    for (operation, expected), (_, outcome) in zip(reference, tell(client, server, party), strict=True):
        assert "answer" in outcome, (operation, outcome)
        assert shape(outcome["answer"]) == shape(expected["answer"]), operation


def shape(answer: dict[str, Any]) -> dict[str, int]:
    """Members, and the lengths of lists; collections that other tests have made do not count."""
    return {
        name: len(value) if isinstance(value, list) and name not in {"CollectionIds", "FaceModelVersions"} else 1
        for name, value in answer.items()
    }
