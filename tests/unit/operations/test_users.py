"""Users, tags and tokens between AWS's words and a real store; the engine finds what the test scripted."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import PIL.Image
import pytest

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.api.rekognition import InvalidPaginationTokenException, InvalidParameterException
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.errors import FaceModelMismatch
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.inference.details.face_details import FaceDetails
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.error_map import translate_error
from rekognition_emulator.operations.paging import read_token, write_token
from rekognition_emulator.operations.registry import OPERATIONS
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage.answers import PostgresAnswerStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, picture
from tests.support.scripted import FRONTAL, ScriptedEngine

UNKNOWN = "00000000-0000-4000-8000-000000000000"
ARN = "arn:aws:rekognition:eu-central-1:000000000000:collection/album"


def seen(left: float, side: float, confidence: float = 99.9) -> Detection:
    """A frontal face in a picture."""
    return Detection(BoundingBox(left, 0.1, side, side), (FRONTAL * side + (left, 0.1)).astype(np.float32), confidence)


def photograph() -> dict[str, bytes]:
    """Any picture: the engine does not look."""
    file = io.BytesIO()
    PIL.Image.effect_noise((400, 400), 90).convert("RGB").save(file, "png")
    return {"Bytes": file.getvalue()}


def no_object(*_: object) -> bytes:
    """There is no S3 here."""
    raise AssertionError


@pytest.fixture
def context(store: PostgresStore, pool: JoiningPool) -> Context:
    """A server whose engine sees two faces, the smaller one first; every face points east."""
    return Context(
        engine=ScriptedEngine([seen(0.6, 0.2), seen(0.1, 0.4, confidence=50)]),
        attributes=FaceDetails([]),
        store=store,
        users=PostgresUserStore(pool),
        tags=PostgresTagStore(pool),
        answers=PostgresAnswerStore(pool),
        index=PgvectorIndex(pool),
        fetch_object=no_object,
        owner=OWNER,
        actor=ACTOR,
    )


Call = Callable[..., Any]


def caller(context: Context) -> Call:
    """Calls an operation on the album, as this context's owner, and answers errors as AWS has them."""

    def call(operation: str, **request: Any) -> Any:
        if "ResourceArn" not in request:
            request = {"CollectionId": "album", **request}
        handler: Callable[[Context, Any], Any] = OPERATIONS[operation].handler  # type: ignore[literal-required] # any of them
        try:
            return handler(context, request)
        except Exception as error:
            translated = translate_error(error, operation)
            if translated is None:
                raise
            raise translated from error

    return call


@pytest.fixture
def call(context: Context) -> Call:
    """Calls an operation on an album that exists."""
    call = caller(context)
    call("CreateCollection")
    return call


def add(context: Context, *cosines: float) -> list[str]:
    """Stores faces whose embeddings have these cosines to the east."""
    vectors = np.array([[cosine, np.sqrt(1 - cosine**2)] for cosine in cosines], np.float32)
    album = context.store.get_collection(OWNER, "album")
    return [str(face.face_id) for face in context.store.add_faces(ACTOR, album, uuid4(), picture(vectors))]


def refusal(call: Call, operation: str, **request: Any) -> tuple[str, str | None]:
    """Returns code and text of the error that a call gets."""
    with pytest.raises(ServiceError) as raised:
        call(operation, **request)
    return raised.value.code, raised.value.message


def test_threshold_of_association_counts_once_the_user_has_faces(context: Context, call: Call) -> None:
    """By default 75, inclusive: cosines 0.5 and 0.49 are similarities 75 and 74.5 with this engine."""
    first, near, far = add(context, 1, 0.5, 0.49)
    call("CreateUser", UserId="ann")
    call("AssociateFaces", UserId="ann", FaceIds=[first], UserMatchThreshold=100.0)
    answer = call("AssociateFaces", UserId="ann", FaceIds=[far, near])
    assert answer["AssociatedFaces"] == [{"FaceId": near}]
    [unsuccessful] = answer["UnsuccessfulFaceAssociations"]
    assert unsuccessful.pop("Confidence") == pytest.approx(74.5, abs=1e-3)
    assert unsuccessful == {"FaceId": far, "Reasons": ["LOW_MATCH_CONFIDENCE"]}
    answer = call("AssociateFaces", UserId="ann", FaceIds=[far], UserMatchThreshold=0.0)
    assert answer["AssociatedFaces"] == [{"FaceId": far}]


def test_status_follows_the_faces(context: Context, call: Call) -> None:
    """CREATED without faces, ACTIVE with them, CREATED again after the last one went."""
    [face_id] = add(context, 1)
    call("CreateUser", UserId="ann")

    def listed() -> str:
        [user] = call("ListUsers")["Users"]
        return str(user["UserStatus"])

    assert listed() == "CREATED"
    assert call("AssociateFaces", UserId="ann", FaceIds=[UNKNOWN])["UserStatus"] == "CREATED"
    assert call("AssociateFaces", UserId="ann", FaceIds=[face_id])["UserStatus"] == listed() == "ACTIVE"
    assert call("DisassociateFaces", UserId="ann", FaceIds=[face_id])["UserStatus"] == listed() == "CREATED"


def test_errors_about_users(context: Context, call: Call) -> None:
    """Codes are AWS's; texts, which nothing public has, are ours."""
    call("CreateUser", UserId="ann")
    assert refusal(call, "CreateUser", UserId="ann") == ("ConflictException", "The user id: ann already exists")
    unknown = ("ResourceNotFoundException", "The user id: bob does not exist")
    assert refusal(call, "DeleteUser", UserId="bob") == unknown
    assert refusal(call, "AssociateFaces", UserId="bob", FaceIds=[UNKNOWN]) == unknown
    assert refusal(call, "DisassociateFaces", UserId="bob", FaceIds=[UNKNOWN]) == unknown
    assert refusal(call, "SearchUsers", UserId="bob") == unknown
    assert refusal(call, "ListFaces", UserId="bob") == unknown
    assert refusal(call, "SearchUsers", FaceId=UNKNOWN) == (
        "InvalidParameterException",
        "faceId was not found in the collection.",
    )
    for neither_or_both in ({}, {"FaceId": UNKNOWN, "UserId": "ann"}):
        assert refusal(call, "SearchUsers", **neither_or_both)[0] == "InvalidParameterException"


def test_users_are_behind_the_wall(context: Context, call: Call) -> None:
    """Another account or region has no such collection, whatever it asks of its users."""
    call("CreateUser", UserId="ann")
    for owner in (replace(OWNER, account="111111111111"), replace(OWNER, region="us-east-1")):
        elsewhere = caller(replace(context, owner=owner))
        requests: dict[str, dict[str, Any]] = {
            "CreateUser": {"UserId": "bob"},
            "DeleteUser": {"UserId": "ann"},
            "ListUsers": {},
            "AssociateFaces": {"UserId": "ann", "FaceIds": [UNKNOWN]},
            "DisassociateFaces": {"UserId": "ann", "FaceIds": [UNKNOWN]},
            "SearchUsers": {"UserId": "ann"},
            "SearchUsersByImage": {"Image": photograph()},
            "ListTagsForResource": {"ResourceArn": ARN},
        }
        for operation, request in requests.items():
            assert refusal(elsewhere, operation, **request)[0] == "ResourceNotFoundException"


def test_search_by_face_and_by_user(context: Context, call: Call) -> None:
    """Best first, at or above 80 unless told otherwise, and never the user that is searched with."""
    faces = add(context, 1, 0.8, 0.6, 0.59, -1)
    for name, face_id in zip(("east", "near", "edge", "below", "west"), faces, strict=True):
        call("CreateUser", UserId=name)
        call("AssociateFaces", UserId=name, FaceIds=[face_id])
    call("CreateUser", UserId="nobody")

    def found(**request: Any) -> list[str]:
        return [match["User"]["UserId"] for match in call("SearchUsers", **request)["UserMatches"]]

    answer = call("SearchUsers", FaceId=faces[0])
    assert answer["SearchedFace"] == {"FaceId": faces[0]}
    assert "SearchedUser" not in answer
    assert answer["FaceModelVersion"] == "99.0"
    assert [match["User"] for match in answer["UserMatches"]] == [
        {"UserId": name, "UserStatus": "ACTIVE"} for name in ("east", "near", "edge")
    ]
    assert [match["Similarity"] for match in answer["UserMatches"]] == pytest.approx([100, 90, 80], abs=1e-4)
    assert found(FaceId=faces[0], MaxUsers=1) == ["east"]
    assert found(FaceId=faces[0], UserMatchThreshold=0.0) == ["east", "near", "edge", "below", "west"]

    assert call("SearchUsers", UserId="east")["SearchedUser"] == {"UserId": "east"}
    assert found(UserId="east") == ["near", "edge"]
    assert found(UserId="east", MaxUsers=1) == ["near"]
    assert found(UserId="nobody", UserMatchThreshold=0.0) == []


def test_search_by_picture_says_why_it_passed_faces_over(context: Context, call: Call) -> None:
    """The largest face is searched with, the other one is not the largest; boxes only, as AWS shows them."""
    [face_id] = add(context, 1)
    call("CreateUser", UserId="ann")
    call("AssociateFaces", UserId="ann", FaceIds=[face_id])
    answer = call("SearchUsersByImage", Image=photograph())
    large = {"BoundingBox": {"Left": 0.1, "Top": 0.1, "Width": 0.4, "Height": 0.4}}
    small = {"BoundingBox": {"Left": 0.6, "Top": 0.1, "Width": 0.2, "Height": 0.2}}
    assert answer == {
        "FaceModelVersion": "99.0",
        "SearchedFace": {"FaceDetail": large},
        "UserMatches": [{"Similarity": 100.0, "User": {"UserId": "ann", "UserStatus": "ACTIVE"}}],
        "UnsearchedFaces": [{"FaceDetails": small, "Reasons": ["FACE_NOT_LARGEST"]}],
    }
    # The largest one is too uncertain for the filter: nothing is searched, and both are accounted for.
    filtered = call("SearchUsersByImage", Image=photograph(), QualityFilter="AUTO")
    assert filtered == {
        "FaceModelVersion": "99.0",
        "UserMatches": [],
        "UnsearchedFaces": [
            {"FaceDetails": large, "Reasons": ["LOW_CONFIDENCE"]},
            {"FaceDetails": small, "Reasons": ["FACE_NOT_LARGEST"]},
        ],
    }
    blind = caller(replace(context, engine=ScriptedEngine([])))
    assert blind("SearchUsersByImage", Image=photograph()) == {
        "FaceModelVersion": "99.0",
        "UserMatches": [],
        "UnsearchedFaces": [],
    }


def test_comparing_needs_the_collections_own_face_model(context: Context) -> None:
    """Where faces are compared, a collection of another model is refused; its users can still be managed."""
    context.store.create_collection(ACTOR, OWNER, "album", "1.0")
    call = caller(context)
    call("CreateUser", UserId="ann")
    requests: dict[str, dict[str, Any]] = {
        "AssociateFaces": {"UserId": "ann", "FaceIds": [UNKNOWN]},
        "SearchUsers": {"UserId": "ann"},
        "SearchUsersByImage": {"Image": photograph()},
    }
    for operation, request in requests.items():
        with pytest.raises(InvalidParameterException) as raised:
            call(operation, **request)
        assert isinstance(raised.value.__cause__, FaceModelMismatch)
    call("DisassociateFaces", UserId="ann", FaceIds=[UNKNOWN])
    call("DeleteUser", UserId="ann")


def test_users_are_listed_in_pages(call: Call) -> None:
    """A page's token leads to the next one, for ids of every shape and length, and for no other list."""
    names = sorted(["a:b", ":", "0", "00", "x" * 128, ":" * 128, "Z"])
    for name in names:
        call("CreateUser", UserId=name)
    assert [user["UserId"] for user in call("ListUsers")["Users"]] == names
    listed = []
    request: dict[str, Any] = {"MaxResults": 2}
    while True:
        page = call("ListUsers", **request)
        listed += [user["UserId"] for user in page["Users"]]
        if "NextToken" not in page:
            break
        assert len(page["NextToken"]) <= 255
        request["NextToken"] = page["NextToken"]
    assert listed == names
    with pytest.raises(InvalidPaginationTokenException):
        call("ListFaces", NextToken=request["NextToken"])


@pytest.mark.parametrize("name", [":" * 128, "." * 255, "0" * 255, "Z"])
def test_tokens_keep_within_what_the_api_allows(name: str) -> None:
    """The longest names of the greatest characters (a user's have 128) make a token of at most 255 and come back."""
    token = write_token(name, "list")
    assert len(token) <= 255
    assert read_token(token, "list") == name


def test_repeated_requests_have_one_effect(context: Context, call: Call) -> None:
    """Each of the four operations with the same token again: the first answer, though it could not be given now."""
    near, far = add(context, 1, -1)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("CreateUser", {}),
        ("AssociateFaces", {"FaceIds": [near]}),
        ("AssociateFaces", {"FaceIds": [far], "UserMatchThreshold": 99.5}),
        ("DisassociateFaces", {"FaceIds": [near, far]}),
        ("DeleteUser", {}),
    ]
    for operation, members in asked:
        request = {**members, "UserId": "ann", "ClientRequestToken": str(uuid4())}
        first = call(operation, **request)
        assert call(operation, **request) == first
        other = {**request, "UserId": "bob"}
        assert refusal(call, operation, **other) == (
            "IdempotentParameterMismatchException",
            f"The ClientRequestToken: {request['ClientRequestToken']} you have supplied is already in use.",
        )
    assert call("ListUsers")["Users"] == []


def test_errors_are_not_remembered(call: Call) -> None:
    """What failed may be tried again with the same token, and succeeds once the cause is gone."""
    request = {"UserId": "ann", "ClientRequestToken": "again"}
    assert refusal(call, "DeleteUser", **request)[0] == "ResourceNotFoundException"
    call("CreateUser", UserId="ann")
    assert call("DeleteUser", **request) == {}


def test_without_a_token_every_request_counts(call: Call) -> None:
    """A client that sends none is answered for what it asks now."""
    call("CreateUser", UserId="ann")
    assert refusal(call, "CreateUser", UserId="ann")[0] == "ConflictException"


def test_deleting_faces_of_users(context: Context, call: Call) -> None:
    """A user's face stays and is reported with its user; each id is accounted for once, in the order asked for."""
    held, free = add(context, 1, 1)
    call("CreateUser", UserId="ann")
    call("AssociateFaces", UserId="ann", FaceIds=[held])
    assert call("DeleteFaces", FaceIds=[UNKNOWN, free, held, free]) == {
        "DeletedFaces": [free],
        "UnsuccessfulFaceDeletions": [
            {"FaceId": UNKNOWN, "Reasons": ["FACE_NOT_FOUND"]},
            {"FaceId": held, "UserId": "ann", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]},
        ],
    }


def test_users_show_on_faces_and_collections(context: Context, call: Call) -> None:
    """ListFaces and SearchFaces say whose a face is, and leave the member out where it is nobody's."""
    mine, nobodys = add(context, 1, 1)
    call("CreateUser", UserId="ann")
    call("AssociateFaces", UserId="ann", FaceIds=[mine])
    whose = {face["FaceId"]: face.get("UserId") for face in call("ListFaces")["Faces"]}
    assert whose == {mine: "ann", nobodys: None}
    assert [face["FaceId"] for face in call("ListFaces", UserId="ann")["Faces"]] == [mine]
    assert call("ListFaces", UserId="ann", FaceIds=[nobodys])["Faces"] == []
    assert call("SearchFaces", FaceId=nobodys)["FaceMatches"][0]["Face"]["UserId"] == "ann"
    described = call("DescribeCollection")
    assert (described["FaceCount"], described["UserCount"]) == (2, 1)


def test_tags(call: Call) -> None:
    """They come with the collection or later, change, go, and are listed."""
    call("CreateCollection", CollectionId="tagged", Tags={"Dept": "Sales"})
    tagged = ARN.replace("album", "tagged")
    assert call("ListTagsForResource", ResourceArn=tagged) == {"Tags": {"Dept": "Sales"}}
    assert call("ListTagsForResource", ResourceArn=ARN) == {"Tags": {}}
    assert call("TagResource", ResourceArn=ARN, Tags={"a": "1", "b": "2"}) == {}
    assert call("TagResource", ResourceArn=ARN, Tags={"b": "3"}) == {}
    assert call("UntagResource", ResourceArn=ARN, TagKeys=["a", "z"]) == {}
    assert call("ListTagsForResource", ResourceArn=ARN) == {"Tags": {"b": "3"}}
    too_many = {str(number): "" for number in range(51)}
    assert refusal(call, "TagResource", ResourceArn=ARN, Tags=too_many)[0] == "ServiceQuotaExceededException"
    assert refusal(call, "CreateCollection", CollectionId="other", Tags=too_many)[0] == "ServiceQuotaExceededException"


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (ARN.removeprefix("arn:"), "InvalidParameterException"),
        ("collection/album-of-the-year", "InvalidParameterException"),
        (ARN.replace("rekognition", "s3"), "InvalidParameterException"),
        (ARN.replace("album", "missing"), "ResourceNotFoundException"),
        (ARN.replace("album", ""), "ResourceNotFoundException"),
        (ARN.replace("album", "album\0"), "ResourceNotFoundException"),
        (ARN.replace("album", "album/x"), "ResourceNotFoundException"),
        (ARN.replace("album", "album\n"), "ResourceNotFoundException"),
        (ARN.replace("000000000000", "111111111111"), "ResourceNotFoundException"),
        (ARN.replace("eu-central-1", "us-east-1"), "ResourceNotFoundException"),
        (ARN.replace("collection/album", "streamprocessor/album"), "ResourceNotFoundException"),
        (ARN.replace("collection/album", "project/p/version/v/1"), "ResourceNotFoundException"),
    ],
)
def test_resource_names_that_are_no_collection_of_ours(call: Call, arn: str, code: str) -> None:
    """What is no resource name is invalid; what may be one elsewhere does not exist here. Nothing makes us stumble."""
    assert refusal(call, "ListTagsForResource", ResourceArn=arn)[0] == code
    assert refusal(call, "TagResource", ResourceArn=arn, Tags={"a": "b"})[0] == code
    assert refusal(call, "UntagResource", ResourceArn=arn, TagKeys=["a"])[0] == code


def test_tokens_belong_to_an_account_and_region(context: Context, call: Call) -> None:
    """Two owners may happen to use one token for different things."""
    request = {"UserId": "ann", "ClientRequestToken": "same"}
    call("CreateUser", **request)
    elsewhere = caller(replace(context, owner=Owner("111111111111", OWNER.region)))
    elsewhere("CreateCollection", CollectionId="theirs")
    assert elsewhere("CreateUser", CollectionId="theirs", **request) == {}
