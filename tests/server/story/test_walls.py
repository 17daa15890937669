"""Accounts and regions are walls: every operation, from three foreign places, against everything of one owner."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from rekognition_emulator.operations.registry import OPERATIONS
from tests.support.server import Keys, Server, create_key

HERE, ELSEWHERE = "eu-central-1", "us-east-1"
OWNER, STRANGER = "111111111111", "222222222222"
FOREIGN = {"another region": (OWNER, ELSEWHERE), "another account": (STRANGER, HERE), "both": (STRANGER, ELSEWHERE)}
NAME, NAMESAKE = "wedding", "party"

WITHOUT_A_RESOURCE = {"CompareFaces", "DetectFaces", "ListCollections"}
"""They see nothing that is stored, or only what is the caller's own."""


@pytest.fixture(scope="module")
def keys(new_data_dir: Callable[[], Path]) -> tuple[Path, dict[str, Keys]]:
    """A data directory with a key of everything for each of two accounts, and narrow ones of the first."""
    data_dir = new_data_dir()
    narrowed = ("--account", OWNER, "--collection", NAMESAKE)
    return data_dir, {
        OWNER: create_key(data_dir, "owner", "--policy", "full", "--account", OWNER),
        STRANGER: create_key(data_dir, "stranger", "--policy", "full", "--account", STRANGER),
        "narrow": create_key(data_dir, "narrow", "--policy", "full", *narrowed),
        "search": create_key(data_dir, "search", "--policy", "search", *narrowed),
    }


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server], keys: tuple[Path, dict[str, Keys]]) -> Server:
    """A server that asks for them."""
    return start_server(keys[0])


@pytest.fixture(scope="module")
def client(server: Server, keys: tuple[Path, dict[str, Keys]]) -> Callable[..., Any]:
    """Makes the client of a key in a region."""

    @cache  # making one takes longer than asking it
    def client(who: str, region: str = HERE) -> Any:
        return server.client(region=region, keys=keys[1][who])

    return client


@pytest.fixture(scope="module")
def picture(party: Path) -> dict[str, bytes]:
    """A picture of two people."""
    return {"Bytes": (party / "album/ada-and-ben.jpg").read_bytes()}


@pytest.fixture(scope="module")
def faces(client: Any, picture: Any) -> list[str]:
    """Faces of the owner: in a collection that only they have, and in one whose name everybody has."""
    for who, region in ((OWNER, HERE), *FOREIGN.values()):
        client(who, region).create_collection(CollectionId=NAMESAKE)
    owner = client(OWNER)
    owner.create_collection(CollectionId=NAME, Tags={"event": "wedding"})
    found: list[str] = []
    for name in (NAME, NAMESAKE):
        records = owner.index_faces(CollectionId=name, Image=picture, ExternalImageId="a")["FaceRecords"]
        found = [record["Face"]["FaceId"] for record in records]
        owner.create_user(CollectionId=name, UserId="ada", ClientRequestToken=f"token-{name}")
        owner.associate_faces(CollectionId=name, UserId="ada", FaceIds=found[:1], UserMatchThreshold=0)
    return found


def requests(name: str, faces: list[str], picture: Any) -> dict[str, dict[str, Any]]:
    """Every operation, asked of a collection of the owner."""
    here = {"CollectionId": name}
    ada = here | {"UserId": "ada"}
    arn = {"ResourceArn": f"arn:aws:rekognition:{HERE}:{OWNER}:collection/{name}"}
    return {
        "AssociateFaces": ada | {"FaceIds": faces},
        "CompareFaces": {"SourceImage": picture, "TargetImage": picture},
        "CreateCollection": here,
        "CreateUser": here | {"UserId": "ben"},
        "DeleteCollection": here,
        "DeleteFaces": here | {"FaceIds": faces},
        "DeleteUser": ada,
        "DescribeCollection": here,
        "DetectFaces": {"Image": picture},
        "DisassociateFaces": ada | {"FaceIds": faces[:1]},
        "IndexFaces": here | {"Image": picture},
        "ListCollections": {},
        "ListFaces": here,
        "ListTagsForResource": arn,
        "ListUsers": here,
        "SearchFaces": here | {"FaceId": faces[0]},
        "SearchFacesByImage": here | {"Image": picture},
        "SearchUsers": ada,
        "SearchUsersByImage": here | {"Image": picture},
        "TagResource": arn | {"Tags": {"a": "b"}},
        "UntagResource": arn | {"TagKeys": ["event"]},
    }


def ask(client: Any, operation: str, request: dict[str, Any]) -> tuple[str | None, Any]:
    """Calls an operation; returns the error's code and None, or None and the answer."""
    try:
        answer = getattr(client, xform_name(operation))(**request)
    except ClientError as error:
        return error.response["Error"]["Code"], None
    del answer["ResponseMetadata"]
    return None, answer


def everything(client: Any) -> list[Any]:
    """What an owner sees of their collections."""
    return [
        ask(client, operation, request)
        for name in client.list_collections()["CollectionIds"]
        for operation, request in (
            ("DescribeCollection", {"CollectionId": name}),
            ("ListFaces", {"CollectionId": name}),
            ("ListUsers", {"CollectionId": name}),
            ("ListTagsForResource", {"ResourceArn": f"arn:aws:rekognition:{HERE}:{OWNER}:collection/{name}"}),
        )
    ]


def test_the_matrix_has_every_operation(faces: list[str], picture: Any) -> None:
    """An operation that is added must be added here."""
    assert requests(NAME, faces, picture).keys() == OPERATIONS.keys()


@pytest.mark.parametrize("place", FOREIGN)
@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - WITHOUT_A_RESOURCE - {"CreateCollection"}))
def test_what_is_behind_a_wall_does_not_exist(
    place: str, operation: str, client: Any, faces: list[str], picture: Any
) -> None:
    """Whatever is asked of somebody else's collection, by name or by ARN, it is not found, and stays as it is."""
    before = everything(client(OWNER))
    code, _ = ask(client(*FOREIGN[place]), operation, requests(NAME, faces, picture)[operation])
    assert code == "ResourceNotFoundException"
    assert everything(client(OWNER)) == before


@pytest.mark.parametrize("place", FOREIGN)
def test_a_list_is_of_one_s_own(place: str, client: Any, faces: list[str]) -> None:
    """Nobody learns which collections others have."""
    assert faces
    assert client(*FOREIGN[place]).list_collections()["CollectionIds"] == [NAMESAKE]
    assert client(OWNER).list_collections()["CollectionIds"] == [NAMESAKE, NAME]


@pytest.mark.parametrize("place", FOREIGN)
def test_a_namesake_holds_nothing_of_the_other(place: str, client: Any, faces: list[str], picture: Any) -> None:
    """Faces, users and page tokens of a collection are of no use in one of the same name."""
    before, there = everything(client(OWNER)), client(*FOREIGN[place])
    asked = requests(NAMESAKE, faces, picture)

    def outcome(operation: str, **more: Any) -> tuple[str | None, Any]:
        return ask(there, operation, asked[operation] | more)

    assert outcome("SearchFaces")[0] == "InvalidParameterException"
    assert outcome("SearchUsers")[0] == "ResourceNotFoundException"
    assert outcome("DeleteUser")[0] == "ResourceNotFoundException"
    assert outcome("DisassociateFaces")[0] == "ResourceNotFoundException"
    assert outcome("ListFaces")[1]["Faces"] == []
    assert outcome("ListUsers")[1]["Users"] == []
    assert outcome("SearchFacesByImage", FaceMatchThreshold=0)[1]["FaceMatches"] == []
    assert outcome("SearchUsersByImage", UserMatchThreshold=0)[1]["UserMatches"] == []
    assert outcome("DeleteFaces")[1]["DeletedFaces"] == []
    # The same token again, which in the owner's place stands for a user that exists.
    assert outcome("CreateUser", UserId="ada", ClientRequestToken=f"token-{NAMESAKE}")[0] is None
    assert outcome("AssociateFaces")[1]["AssociatedFaces"] == []
    token = client(OWNER).list_faces(CollectionId=NAMESAKE, MaxResults=1)["NextToken"]
    assert outcome("ListFaces", NextToken=token)[0] == "InvalidPaginationTokenException"
    assert everything(client(OWNER)) == before


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_narrow_key_is_denied_everything_else(
    operation: str, client: Any, server: Server, faces: list[str], picture: Any
) -> None:
    """Every operation asks the policies, whatever it is about; and without a signature there is none at all."""
    before, request = everything(client(OWNER)), requests(NAME, faces, picture)[operation]
    for who in ("narrow", "search"):
        assert ask(client(who), operation, request)[0] == "AccessDeniedException"
    unsigned = server.post(operation, {})
    assert unsigned.json()["__type"] == "MissingAuthenticationTokenException"
    assert everything(client(OWNER)) == before


def test_a_narrow_key_opens_its_own_collection(client: Any, faces: list[str], picture: Any) -> None:
    """The one for searches finds, and changes nothing."""
    asked = requests(NAMESAKE, faces, picture)
    assert ask(client("narrow"), "ListFaces", asked["ListFaces"])[0] is None
    assert ask(client("search"), "SearchFacesByImage", asked["SearchFacesByImage"])[1]["FaceMatches"]
    for operation in ("DeleteFaces", "IndexFaces", "ListFaces", "DescribeCollection", "DeleteCollection"):
        assert ask(client("search"), operation, asked[operation])[0] == "AccessDeniedException"
