"""Faces grouped into users, through clients that know nothing of us."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.server import Server

pytestmark = pytest.mark.every_engine

UNKNOWN = "00000000-0000-4000-8000-000000000000"
OBAMA = ("people/fr_obama_1.jpg", "people/fr_obama_2.jpg")
STRANGER = "people/df02_img8.jpg"

Index = Callable[..., list[str]]


@pytest.fixture
def index(collection: str, rekognition: Any, faces_dir: Path) -> Index:
    """Indexes pictures and returns the ids of their faces, by default of the largest one of each."""

    def index(*pictures: str, name: str = "picture", max_faces: int = 1) -> list[str]:
        return [
            record["Face"]["FaceId"]
            for picture in pictures
            for record in rekognition.index_faces(
                CollectionId=collection,
                Image={"Bytes": (faces_dir / picture).read_bytes()},
                ExternalImageId=name,
                MaxFaces=max_faces,
            )["FaceRecords"]
        ]

    return index


def refusal(operation: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """Returns code and text of the error that a request gets."""
    with pytest.raises(ClientError) as raised:
        operation(**request)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def test_life_of_a_user(collection: str, rekognition: Any, index: Index, faces_dir: Path) -> None:
    """Created, given faces, found by a face, by a picture and by another user, shown everywhere, and deleted."""
    here = {"CollectionId": collection}
    selfie = {"Bytes": (faces_dir / "groups/fr_obama_and_biden.jpg").read_bytes()}
    obama = index(*OBAMA)
    [biden] = index("people/fr_biden_1.jpg")
    for name, faces in (("obama", obama), ("biden", [biden])):
        assert set(rekognition.create_user(**here, UserId=name)) == {"ResponseMetadata"}
        answer = rekognition.associate_faces(**here, UserId=name, FaceIds=faces, UserMatchThreshold=0)
        assert answer["AssociatedFaces"] == [{"FaceId": face_id} for face_id in faces]
        assert (answer["UnsuccessfulFaceAssociations"], answer["UserStatus"]) == ([], "ACTIVE")
    rekognition.create_user(**here, UserId="nobody")
    assert rekognition.list_users(**here)["Users"] == [
        {"UserId": "biden", "UserStatus": "ACTIVE"},
        {"UserId": "nobody", "UserStatus": "CREATED"},
        {"UserId": "obama", "UserStatus": "ACTIVE"},
    ]
    assert rekognition.describe_collection(**here)["UserCount"] == 3
    assert {face["FaceId"] for face in rekognition.list_faces(**here, UserId="obama")["Faces"]} == set(obama)

    [match] = rekognition.search_users(**here, FaceId=obama[0])["UserMatches"]
    assert match["User"] == {"UserId": "obama", "UserStatus": "ACTIVE"}
    assert 80 <= match["Similarity"] <= 100
    [other] = rekognition.search_users(**here, UserId="obama", UserMatchThreshold=0)["UserMatches"]
    assert other["User"]["UserId"] == "biden"
    answer = rekognition.search_users_by_image(**here, Image=selfie)
    assert len(answer["UserMatches"]) == 1
    assert set(answer["SearchedFace"]["FaceDetail"]) == {"BoundingBox"}
    assert answer["UnsearchedFaces"]
    for unsearched in answer["UnsearchedFaces"]:
        assert unsearched["Reasons"] == ["FACE_NOT_LARGEST"]
        assert set(unsearched["FaceDetails"]) == {"BoundingBox"}

    rekognition.delete_user(**here, UserId="obama")
    assert refusal(rekognition.delete_user, **here, UserId="obama")[0] == "ResourceNotFoundException"
    assert "obama" not in {
        match["User"]["UserId"] for match in rekognition.search_users(**here, FaceId=obama[0])["UserMatches"]
    }
    assert not any("UserId" in face for face in rekognition.list_faces(**here, FaceIds=obama)["Faces"])
    assert rekognition.delete_faces(**here, FaceIds=[*obama, biden])["DeletedFaces"] == obama


def test_a_user_is_found_in_a_picture_that_none_of_its_faces_comes_from(
    collection: str, rekognition: Any, index: Index, faces_dir: Path
) -> None:
    """Some pictures make a user, another one finds it, and a stranger's finds nobody."""
    faces = index("people/df01_img2.jpg", "people/df01_img10.jpg")
    rekognition.create_user(CollectionId=collection, UserId="ann")
    rekognition.associate_faces(CollectionId=collection, UserId="ann", FaceIds=faces)
    for picture, expected in (("people/df01_img11.jpg", ["ann"]), (STRANGER, [])):
        answer = rekognition.search_users_by_image(
            CollectionId=collection, Image={"Bytes": (faces_dir / picture).read_bytes()}
        )
        assert [match["User"]["UserId"] for match in answer["UserMatches"]] == expected


def test_reasons_why_faces_are_refused(collection: str, rekognition: Any, index: Index) -> None:
    """A stranger's face, another user's and an unknown one, with what a client needs to understand each."""
    here = {"CollectionId": collection}
    first, second = index(*OBAMA)
    [stranger] = index(STRANGER)
    [taken] = index("people/fr_biden_1.jpg")
    for name, face_id in (("ann", first), ("bob", taken)):
        rekognition.create_user(**here, UserId=name)
        rekognition.associate_faces(**here, UserId=name, FaceIds=[face_id])
    answer = rekognition.associate_faces(**here, UserId="ann", FaceIds=[first, stranger, taken, UNKNOWN, second])
    assert answer["AssociatedFaces"] == [{"FaceId": second}]
    unlike, others, unknown = answer["UnsuccessfulFaceAssociations"]
    assert 0 <= unlike.pop("Confidence") < 75
    assert unlike == {"FaceId": stranger, "Reasons": ["LOW_MATCH_CONFIDENCE"]}
    assert others == {"FaceId": taken, "UserId": "bob", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]}
    assert unknown == {"FaceId": UNKNOWN, "Reasons": ["FACE_NOT_FOUND"]}

    assert rekognition.delete_faces(**here, FaceIds=[first, stranger])["UnsuccessfulFaceDeletions"] == [
        {"FaceId": first, "UserId": "ann", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]}
    ]
    answer = rekognition.disassociate_faces(**here, UserId="ann", FaceIds=[taken, first, UNKNOWN, second])
    assert answer["DisassociatedFaces"] == [{"FaceId": first}, {"FaceId": second}]
    assert answer["UnsuccessfulFaceDisassociations"] == [
        {"FaceId": taken, "UserId": "bob", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]},
        {"FaceId": UNKNOWN, "Reasons": ["FACE_NOT_FOUND"]},
    ]
    assert answer["UserStatus"] == "CREATED"
    assert rekognition.delete_faces(**here, FaceIds=[first])["DeletedFaces"] == [first]


def test_a_hundred_faces_are_a_users_limit(collection: str, rekognition: Any, index: Index) -> None:
    """The surplus is listed, and once the user is full nothing more is taken."""
    here = {"CollectionId": collection}
    faces: list[str] = []
    while len(faces) < 102:
        faces += index("groups/bbt_1.jpg", name=f"copy-{len(faces)}", max_faces=100)
    rekognition.create_user(**here, UserId="ann")
    rekognition.associate_faces(**here, UserId="ann", FaceIds=faces[:98], UserMatchThreshold=0)
    answer = rekognition.associate_faces(**here, UserId="ann", FaceIds=faces[98:102], UserMatchThreshold=0)
    assert answer["AssociatedFaces"] == [{"FaceId": face_id} for face_id in faces[98:100]]
    assert answer["UnsuccessfulFaceAssociations"] == [{"FaceId": face_id, "Reasons": []} for face_id in faces[100:102]]
    code, _ = refusal(rekognition.associate_faces, **here, UserId="ann", FaceIds=[faces[100]])
    assert code == "ServiceQuotaExceededException"
    assert len(rekognition.list_faces(**here, UserId="ann")["Faces"]) == 100


def test_a_retry_has_no_second_effect(collection: str, rekognition: Any, index: Index) -> None:
    """Every operation that takes a token answers it again as it did first, and refuses it for anything else."""
    here = {"CollectionId": collection, "UserId": "ann"}
    faces = index(*OBAMA)
    for operation, members in (
        (rekognition.create_user, {}),
        (rekognition.associate_faces, {"FaceIds": faces}),
        (rekognition.disassociate_faces, {"FaceIds": faces}),
        (rekognition.delete_user, {}),
    ):
        token = f"{collection[:40]}-token"
        request = {**here, **members, "ClientRequestToken": token}
        first, again = operation(**request), operation(**request)
        for answer in (first, again):
            assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        assert again == first
        assert refusal(operation, **{**request, "UserId": "bob"}) == (
            "IdempotentParameterMismatchException",
            f"The ClientRequestToken: {token} you have supplied is already in use.",
        )


def test_two_calls_are_two_requests(collection: str, rekognition: Any, server: Server) -> None:
    """An SDK makes a token for each call; without one, too, a request is answered for what it asks now."""
    rekognition.create_user(CollectionId=collection, UserId="ann")
    assert refusal(rekognition.create_user, CollectionId=collection, UserId="ann")[0] == "ConflictException"

    request = {"CollectionId": collection, "UserId": "ann"}  # unsigned, so in the default region
    answers = [
        server.post(operation, members)
        for operation, members in (
            ("CreateCollection", {"CollectionId": collection}),
            ("CreateUser", request),
            ("CreateUser", request),
            ("DeleteUser", request),
            ("DeleteUser", request),
            ("DeleteCollection", {"CollectionId": collection}),
        )
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 400, 200, 400, 200]
    assert answers[2].json()["__type"] == "ConflictException"
    assert answers[3].content == b"{}"
    assert answers[4].json()["__type"] == "ResourceNotFoundException"


def test_users_are_listed_in_pages(collection: str, rekognition: Any) -> None:
    """The SDK's own paginator sees every user once; a token that is none of ours is refused."""
    names = [f"user:{number:02}" for number in range(7)]
    for name in names:
        rekognition.create_user(CollectionId=collection, UserId=name)
    pages = list(
        rekognition.get_paginator("list_users").paginate(CollectionId=collection, PaginationConfig={"PageSize": 3})
    )
    assert [user["UserId"] for page in pages for user in page["Users"]] == names
    assert len(pages) == 3
    code, _ = refusal(rekognition.list_users, CollectionId=collection, NextToken="x")
    assert code == "InvalidPaginationTokenException"
    code, text = refusal(rekognition.list_users, CollectionId=collection, MaxResults=501)
    assert code == "ValidationException"
    assert re.search(r"'501' at 'maxResults'.*less than or equal to 500", text)


def test_users_go_with_their_collection(rekognition: Any, collection: str) -> None:
    """A new collection of the same name has neither users nor tags."""
    here = {"CollectionId": f"{collection[:100]}-again"}
    rekognition.create_collection(**here, Tags={"Dept": "Sales"})
    rekognition.create_user(**here, UserId="ann")
    rekognition.delete_collection(**here)
    rekognition.create_collection(**here)
    described = rekognition.describe_collection(**here)
    assert described["UserCount"] == 0
    assert rekognition.list_users(**here)["Users"] == []
    assert rekognition.list_tags_for_resource(ResourceArn=described["CollectionARN"])["Tags"] == {}
    rekognition.delete_collection(**here)


def test_tags_of_a_collection(collection: str, rekognition: Any, server: Server) -> None:
    """Tagged by the name that DescribeCollection gives; keys of AWS's own are refused; other regions see nothing."""
    arn = rekognition.describe_collection(CollectionId=collection)["CollectionARN"]
    rekognition.tag_resource(ResourceArn=arn, Tags={"Dept": "Sales", "Größe +": "1 m", "empty": ""})
    rekognition.untag_resource(ResourceArn=arn, TagKeys=["Dept", "nothing"])
    assert rekognition.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"Größe +": "1 m", "empty": ""}
    for code, request in (
        ("ValidationException", {"ResourceArn": arn, "Tags": {"aws:x": "1"}}),
        ("ValidationException", {"ResourceArn": "short", "Tags": {}}),
        ("ServiceQuotaExceededException", {"ResourceArn": arn, "Tags": {str(n): "" for n in range(49)}}),
        ("InvalidParameterException", {"ResourceArn": arn.removeprefix("arn:"), "Tags": {"a": "b"}}),
        ("ResourceNotFoundException", {"ResourceArn": f"{arn}-not", "Tags": {"a": "b"}}),
        ("ResourceNotFoundException", {"ResourceArn": f"{arn}\ud800", "Tags": {"a": "b"}}),
    ):
        assert refusal(rekognition.tag_resource, **request)[0] == code
    elsewhere = server.client(region="us-east-1")
    assert refusal(elsewhere.list_tags_for_resource, ResourceArn=arn)[0] == "ResourceNotFoundException"
