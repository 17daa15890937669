"""Cases on SearchUsers and SearchUsersByImage."""

from typing import Any

from conformance.case import Family
from conformance.cases.faces_found import area
from conformance.expect import error, members
from conformance.pictures import NOISE, PAIR, PORTRAIT, STRANGER
from conformance.service import Service
from conformance.shared import UNKNOWN_FACE, await_active, enroll, people, users

family = Family("user_search")
case, each, exchange = family.case, family.each, family.exchange


def search_users(service: Service, **request: Any) -> Any:  # noqa: ANN401 # any member, any answer
    """Searches the users of the collection that all share."""
    return service.ok("SearchUsers", CollectionId=users, **request)


@case("SearchUsers", "recording:model-searchusers")
def _(service: Service) -> None:
    """A search by user names the user, who is not among the matches."""
    answer = search_users(service, UserId="ada", UserMatchThreshold=0)
    members("UserMatches", "FaceModelVersion", "SearchedUser")(answer)
    assert answer["SearchedUser"] == {"UserId": "ada"}
    assert [match["User"]["UserId"] for match in answer["UserMatches"]] == ["bob"]


@case("SearchUsers", "guide")
def _(service: Service) -> None:
    """A search by face names the face."""
    answer = search_users(service, FaceId=service[people].free_face, UserMatchThreshold=0)
    members("UserMatches", "FaceModelVersion", "SearchedFace")(answer)
    assert answer["SearchedFace"] == {"FaceId": service[people].free_face}


@case("SearchUsers", "guide")
def _(service: Service) -> None:
    """A face finds the user whose face it is like, most similar first; users without faces are not found."""
    matches = search_users(service, FaceId=service[people].free_face, UserMatchThreshold=0)["UserMatches"]
    assert [match["User"]["UserId"] for match in matches] == ["ada", "bob"]
    assert matches[0]["Similarity"] >= matches[1]["Similarity"]


@case("SearchUsers", "recording:model-searchusers")
def _(service: Service) -> None:
    """A match is a similarity and a user with a status."""
    for match in search_users(service, UserId="ada", UserMatchThreshold=0)["UserMatches"]:
        assert set(match) == {"Similarity", "User"}
        assert match["User"] == {"UserId": "bob", "UserStatus": "ACTIVE"}


@case("SearchUsers", "guide")
def _(service: Service) -> None:
    """The default threshold is 80, and a match reaches its threshold."""
    known = service[people].free_face
    everything = search_users(service, FaceId=known, UserMatchThreshold=0)["UserMatches"]
    default = search_users(service, FaceId=known)["UserMatches"]
    assert default == [match for match in everything if match["Similarity"] >= 80]
    for threshold in (50, 99, 100):
        matches = search_users(service, FaceId=known, UserMatchThreshold=threshold)["UserMatches"]
        assert matches == [match for match in everything if match["Similarity"] >= threshold]


@each("SearchUsers", "model", {"1": 1, "500": 500})
def _(service: Service, count: int) -> None:
    """MaxUsers keeps the most similar."""
    answer = search_users(service, FaceId=service[people].free_face, UserMatchThreshold=0, MaxUsers=count)
    assert [match["User"]["UserId"] for match in answer["UserMatches"]] == ["ada", "bob"][:count]


@case("SearchUsers", "guide")
def _(service: Service) -> None:
    """A user's own face finds the user."""
    answer = search_users(service, FaceId=service[people].bob_face, UserMatchThreshold=0)
    assert "bob" in [match["User"]["UserId"] for match in answer["UserMatches"]]


exchange(
    "SearchUsers",
    "neither a user nor a face",
    {"CollectionId": users},
    error("InvalidParameterException"),
    "ours",
)
exchange(
    "SearchUsers",
    "both a user and a face",
    {"CollectionId": users, "UserId": "ada", "FaceId": UNKNOWN_FACE},
    error("InvalidParameterException"),
    "ours",
)
exchange(
    "SearchUsers",
    "an unknown face is a wrong parameter, as in SearchFaces",
    {"CollectionId": users, "FaceId": UNKNOWN_FACE},
    error("InvalidParameterException", "faceId was not found in the collection."),
    "ours",
)


@case("SearchUsers", "ours")
def _(service: Service) -> None:
    """A user without faces is searched in vain."""
    service[people]
    answer = search_users(service, UserId="eve", UserMatchThreshold=0)
    assert answer["SearchedUser"] == {"UserId": "eve"}
    assert answer["UserMatches"] == []


@case("SearchUsers", "contract")
def _(service: Service) -> None:
    """A deleted user is not found any more, though the faces are there."""
    name = service.new_collection()
    face_id = enroll(service, name, Image=PORTRAIT)
    service.ok("CreateUser", CollectionId=name, UserId="u")
    service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    await_active(service, name, "u")
    assert len(service.ok("SearchUsersByImage", CollectionId=name, Image=PORTRAIT)["UserMatches"]) == 1
    service.ok("DeleteUser", CollectionId=name, UserId="u")
    assert service.ok("SearchUsersByImage", CollectionId=name, Image=PORTRAIT)["UserMatches"] == []
    assert len(service.ok("SearchFacesByImage", CollectionId=name, Image=PORTRAIT)["FaceMatches"]) == 1


@case("SearchUsersByImage", "recording:docs-searchusersbyimage-two")
def _(service: Service) -> None:
    """The answer shows the searched face, of which only the box."""
    answer = service.ok("SearchUsersByImage", CollectionId=users, Image=PORTRAIT, UserMatchThreshold=0)
    assert {"UserMatches", "FaceModelVersion", "SearchedFace"} <= set(answer.body)
    assert set(answer["SearchedFace"]) == {"FaceDetail"}
    (detail,) = service.ok("DetectFaces", Image=PORTRAIT)["FaceDetails"]
    assert answer["SearchedFace"]["FaceDetail"] == {"BoundingBox": detail["BoundingBox"]}


@case("SearchUsersByImage", "recording:docs-searchusersbyimage-two")
def _(service: Service) -> None:
    """Users come by similarity, and those without faces do not."""
    answer = service.ok("SearchUsersByImage", CollectionId=users, Image=PORTRAIT, UserMatchThreshold=0)
    assert [match["User"]["UserId"] for match in answer["UserMatches"]] == ["ada", "bob"]
    values = [match["Similarity"] for match in answer["UserMatches"]]
    assert values == sorted(values, reverse=True)


@case("SearchUsersByImage", "guide")
def _(service: Service) -> None:
    """The largest face is searched, and the others come back with the reason."""
    answer = service.ok("SearchUsersByImage", CollectionId=users, Image=PAIR, UserMatchThreshold=0)
    (left,) = answer["UnsearchedFaces"]
    assert set(left) == {"FaceDetails", "Reasons"}
    assert left["Reasons"] == ["FACE_NOT_LARGEST"]
    assert area(left["FaceDetails"]) < area(answer["SearchedFace"]["FaceDetail"])


@case("SearchUsersByImage", "contract")
def _(service: Service) -> None:
    """A picture without a face is a success without SearchedFace."""
    answer = service.ok("SearchUsersByImage", CollectionId=users, Image=NOISE)
    assert "SearchedFace" not in answer.body
    assert answer["UserMatches"] == []


@case("SearchUsersByImage", "guide")
def _(service: Service) -> None:
    """The default threshold is 80."""
    everything = service.ok("SearchUsersByImage", CollectionId=users, Image=STRANGER, UserMatchThreshold=0)
    default = service.ok("SearchUsersByImage", CollectionId=users, Image=STRANGER)
    assert default["UserMatches"] == [match for match in everything["UserMatches"] if match["Similarity"] >= 80]


@each("SearchUsersByImage", "model", {"1": 1, "500": 500})
def _(service: Service, count: int) -> None:
    """MaxUsers keeps the most similar."""
    answer = service.ok("SearchUsersByImage", CollectionId=users, Image=PORTRAIT, UserMatchThreshold=0, MaxUsers=count)
    assert [match["User"]["UserId"] for match in answer["UserMatches"]] == ["ada", "bob"][:count]
