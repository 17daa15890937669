"""Cases on users and their faces."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from conformance.case import Family
from conformance.expect import error, found, members
from conformance.pictures import CROWD, MIRRORED, PORTRAIT, STRANGER
from conformance.service import Request, Service
from conformance.shared import UNKNOWN_FACE, await_active, empty, enroll, people, status_of, users

family = Family("users")
case, each, exchange = family.case, family.each, family.exchange

STATES: Final = {"ACTIVE", "UPDATING", "CREATING", "CREATED"}


def new_user(service: Service) -> tuple[str, str]:
    """Returns a new collection with the user ``u``, and the id of a face of nobody."""
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId="u")
    return name, enroll(service, name, Image=PORTRAIT, ExternalImageId="p")


def associated(service: Service) -> tuple[str, str]:
    """Returns a new collection with the active user ``u``, and the id of the user's face."""
    name, face_id = new_user(service)
    service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    await_active(service, name, "u")
    return name, face_id


def user_ids(service: Service, name: str) -> list[str]:
    """Returns the ids of the collection's users."""
    return [entry["UserId"] for entry in service.ok("ListUsers", CollectionId=name)["Users"]]


@case("CreateUser", "recording:model-createuser")
def _(service: Service) -> None:
    """The answer is empty."""
    answer = service.ok("CreateUser", CollectionId=service.new_collection(), UserId="u")
    assert answer.body == {}


@case("CreateUser", "guide")
def _(service: Service) -> None:
    """A new user is CREATED and counted."""
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId="u")
    assert status_of(service, name, "u") == "CREATED"
    assert service.ok("DescribeCollection", CollectionId=name)["UserCount"] == 1


@case("CreateUser", "guide")
def _(service: Service) -> None:
    """An id that is taken is a conflict."""
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId="u")
    error("ConflictException")(service.call("CreateUser", {"CollectionId": name, "UserId": "u"}))
    assert user_ids(service, name) == ["u"]


@case("CreateUser", "guide")
def _(service: Service) -> None:
    """The same id in another collection is another user."""
    for name in (service.new_collection(), service.new_collection()):
        service.ok("CreateUser", CollectionId=name, UserId="u")


@case("CreateUser", "contract")
def _(service: Service) -> None:
    """Ids are case-sensitive."""
    name = service.new_collection()
    for user in ("user", "USER"):
        service.ok("CreateUser", CollectionId=name, UserId=user)
    assert sorted(user_ids(service, name)) == ["USER", "user"]


@each("CreateUser", "model", {"every character": "aA0_.-:", "128": "x" * 128, "digits": "1"})
def _(service: Service, user: str) -> None:
    """An id may have these characters, and comes back as it was given."""
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId=user)
    assert user_ids(service, name) == [user]


@case("DeleteUser", "recording:model-deleteuser")
def _(service: Service) -> None:
    """The answer is empty, and the user gone."""
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId="u")
    assert service.ok("DeleteUser", CollectionId=name, UserId="u").content in {b"{}", b""}
    assert user_ids(service, name) == []
    assert service.ok("DescribeCollection", CollectionId=name)["UserCount"] == 0


@case("DeleteUser", "guide")
def _(service: Service) -> None:
    """The user's faces stay, and belong to nobody."""
    name, face_id = associated(service)
    service.ok("DeleteUser", CollectionId=name, UserId="u")
    (left,) = service.ok("ListFaces", CollectionId=name)["Faces"]
    assert left["FaceId"] == face_id
    assert "UserId" not in left
    assert service.ok("DeleteFaces", CollectionId=name, FaceIds=[face_id])["DeletedFaces"] == [face_id]


@case("DeleteUser", "guide")
def _(service: Service) -> None:
    """The second call finds the user missing."""
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId="u")
    service.ok("DeleteUser", CollectionId=name, UserId="u")
    error("ResourceNotFoundException")(service.call("DeleteUser", {"CollectionId": name, "UserId": "u"}))


UNKNOWN_USER: Final[dict[str, Request]] = {
    "AssociateFaces": {"FaceIds": [UNKNOWN_FACE]},
    "DeleteUser": {},
    "DisassociateFaces": {"FaceIds": [UNKNOWN_FACE]},
    "SearchUsers": {},
}
for operation, others in UNKNOWN_USER.items():
    exchange(
        operation,
        "an unknown user is not found",
        {"CollectionId": empty, "UserId": "nobody", **others},
        error("ResourceNotFoundException"),
        "guide",
    )

exchange(
    "ListUsers", "the answer has one member", {"CollectionId": users}, members("Users"), "recording:model-listusers"
)
exchange("ListUsers", "a collection without users", {"CollectionId": empty}, found(Users=[]), "contract")


@case("ListUsers", "recording:model-listusers")
def _(service: Service) -> None:
    """A user is an id and a status."""
    listed = service.ok("ListUsers", CollectionId=users)["Users"]
    assert {entry["UserId"]: entry["UserStatus"] for entry in listed} == {
        "ada": "ACTIVE",
        "bob": "ACTIVE",
        "eve": "CREATED",
    }
    assert all(set(entry) == {"UserId", "UserStatus"} for entry in listed)


@case("AssociateFaces", "recording:model-associatefaces")
def _(service: Service) -> None:
    """The answer has three members and lists the face."""
    name, face_id = new_user(service)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    members("AssociatedFaces", "UnsuccessfulFaceAssociations", "UserStatus")(answer)
    found(AssociatedFaces=[{"FaceId": face_id}], UnsuccessfulFaceAssociations=[])(answer)
    assert answer["UserStatus"] in {"UPDATING", "ACTIVE"}


@case("AssociateFaces", "guide")
def _(service: Service) -> None:
    """Afterwards the user is ACTIVE and the face shows the user."""
    name, face_id = associated(service)
    assert status_of(service, name, "u") == "ACTIVE"
    (listed,) = service.ok("ListFaces", CollectionId=name, UserId="u")["Faces"]
    assert (listed["FaceId"], listed["UserId"]) == (face_id, "u")


@case("AssociateFaces", "guide")
def _(service: Service) -> None:
    """A face that the user has already is in neither list."""
    name, face_id = associated(service)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    found(AssociatedFaces=[], UnsuccessfulFaceAssociations=[])(answer)


@case("AssociateFaces", "model")
def _(service: Service) -> None:
    """An unknown face is told, and does not keep a known one."""
    name, face_id = new_user(service)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[UNKNOWN_FACE, face_id])
    assert answer["AssociatedFaces"] == [{"FaceId": face_id}]
    assert answer["UnsuccessfulFaceAssociations"] == [{"FaceId": UNKNOWN_FACE, "Reasons": ["FACE_NOT_FOUND"]}]


@case("AssociateFaces", "recording:model-associatefaces")
def _(service: Service) -> None:
    """A face of another user is told with that user."""
    name, face_id = associated(service)
    service.ok("CreateUser", CollectionId=name, UserId="other")
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="other", FaceIds=[face_id])
    assert answer["AssociatedFaces"] == []
    (told,) = answer["UnsuccessfulFaceAssociations"]
    assert told == {"FaceId": face_id, "UserId": "u", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]}


@case("AssociateFaces", "guide")
def _(service: Service) -> None:
    """The threshold does not count for a user without faces."""
    name, face_id = new_user(service)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id], UserMatchThreshold=100)
    assert answer["AssociatedFaces"] == [{"FaceId": face_id}]


@case("AssociateFaces", "recording:model-associatefaces")
def _(service: Service) -> None:
    """A face too unlike the user's is told with the confidence."""
    name, _ = associated(service)
    other = enroll(service, name, Image=STRANGER)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[other], UserMatchThreshold=100)
    assert answer["AssociatedFaces"] == []
    (told,) = answer["UnsuccessfulFaceAssociations"]
    assert told["Reasons"] == ["LOW_MATCH_CONFIDENCE"]
    assert set(told) == {"FaceId", "Confidence", "Reasons"}
    assert 0 <= told["Confidence"] < 100


@case("AssociateFaces", "guide")
def _(service: Service) -> None:
    """The default UserMatchThreshold is 75."""
    name, _ = associated(service)
    other = enroll(service, name, Image=STRANGER)
    strict = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[other], UserMatchThreshold=100)
    (told,) = strict["UnsuccessfulFaceAssociations"]
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[other])
    assert (answer["AssociatedFaces"] == [{"FaceId": other}]) == (told["Confidence"] >= 75)


@case("AssociateFaces", "guide")
def _(service: Service) -> None:
    """The same face from another picture joins its user at threshold 0."""
    name, face_id = associated(service)
    other = enroll(service, name, Image=MIRRORED)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[other], UserMatchThreshold=0)
    assert answer["AssociatedFaces"] == [{"FaceId": other}]
    faces = service.ok("ListFaces", CollectionId=name, UserId="u")["Faces"]
    assert {entry["FaceId"] for entry in faces} == {face_id, other}


@case("AssociateFaces", "contract")
def _(service: Service) -> None:
    """A face of another collection is not found."""
    name, _ = new_user(service)
    other = enroll(service, service.new_collection(), Image=PORTRAIT)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[other])
    assert answer["UnsuccessfulFaceAssociations"] == [{"FaceId": other, "Reasons": ["FACE_NOT_FOUND"]}]


@case("AssociateFaces", "ours")
def _(service: Service) -> None:
    """A face named twice is associated once."""
    name, face_id = new_user(service)
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id, face_id])
    found(AssociatedFaces=[{"FaceId": face_id}], UnsuccessfulFaceAssociations=[])(answer)


@case("DisassociateFaces", "recording:model-disassociatefaces")
def _(service: Service) -> None:
    """The answer has three members and lists the face, which stays in the collection."""
    name, face_id = associated(service)
    answer = service.ok("DisassociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    members("DisassociatedFaces", "UnsuccessfulFaceDisassociations", "UserStatus")(answer)
    found(DisassociatedFaces=[{"FaceId": face_id}], UnsuccessfulFaceDisassociations=[])(answer)
    (left,) = service.ok("ListFaces", CollectionId=name)["Faces"]
    assert "UserId" not in left


@case("DisassociateFaces", "guide")
def _(service: Service) -> None:
    """A face of nobody is in neither list."""
    name, face_id = new_user(service)
    answer = service.ok("DisassociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    found(DisassociatedFaces=[], UnsuccessfulFaceDisassociations=[])(answer)


@case("DisassociateFaces", "model")
def _(service: Service) -> None:
    """An unknown face is told."""
    name, _ = new_user(service)
    answer = service.ok("DisassociateFaces", CollectionId=name, UserId="u", FaceIds=[UNKNOWN_FACE])
    assert answer["UnsuccessfulFaceDisassociations"] == [{"FaceId": UNKNOWN_FACE, "Reasons": ["FACE_NOT_FOUND"]}]


@case("DisassociateFaces", "recording:model-disassociatefaces")
def _(service: Service) -> None:
    """A face of another user is told with that user, and stays with it."""
    name, face_id = associated(service)
    service.ok("CreateUser", CollectionId=name, UserId="other")
    answer = service.ok("DisassociateFaces", CollectionId=name, UserId="other", FaceIds=[face_id])
    (told,) = answer["UnsuccessfulFaceDisassociations"]
    assert told == {"FaceId": face_id, "UserId": "u", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]}
    assert len(service.ok("ListFaces", CollectionId=name, UserId="u")["Faces"]) == 1


@case("DisassociateFaces", "guide")
def _(service: Service) -> None:
    """A face that was freed may be deleted or join another user."""
    name, face_id = associated(service)
    service.ok("DisassociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    service.ok("CreateUser", CollectionId=name, UserId="other")
    answer = service.ok("AssociateFaces", CollectionId=name, UserId="other", FaceIds=[face_id])
    assert answer["AssociatedFaces"] == [{"FaceId": face_id}]


@case("DisassociateFaces", "ours")
def _(service: Service) -> None:
    """A user whose last face went is CREATED again."""
    name, face_id = associated(service)
    service.ok("DisassociateFaces", CollectionId=name, UserId="u", FaceIds=[face_id])
    await_active(service, name, "u")
    assert status_of(service, name, "u") == "CREATED"


@case("CreateUser", "ours")
def _(service: Service) -> None:
    """Of four calls for one id at once, one succeeds."""
    name = service.new_collection()
    with ThreadPoolExecutor(4) as pool:
        calls = pool.map(lambda _: service.call("CreateUser", {"CollectionId": name, "UserId": "u"}), range(4))
        assert sorted(str(answer.error) for answer in calls) == ["ConflictException"] * 3 + ["None"]


@case("AssociateFaces", "ours")
def _(service: Service) -> None:
    """A face that four users want at once goes to one of them."""
    name, face_id = new_user(service)
    wanting = ["u", "v", "w", "x"]
    for user in wanting[1:]:
        service.ok("CreateUser", CollectionId=name, UserId=user)

    def associate(user: str) -> int:
        answer = service.ok("AssociateFaces", CollectionId=name, UserId=user, FaceIds=[face_id])
        return len(answer["AssociatedFaces"])

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(associate, wanting)) == [0, 0, 0, 1]


@case("DescribeCollection", "model")
def _(service: Service) -> None:
    """UserCount counts users."""
    service[people]
    found(UserCount=3, FaceCount=4)(service.call("DescribeCollection", {"CollectionId": users}))


@case("DeleteCollection", "guide")
def _(service: Service) -> None:
    """A collection's users go with it."""
    name, _ = associated(service)
    service.ok("DeleteCollection", CollectionId=name)
    service.ok("CreateCollection", CollectionId=name)
    assert user_ids(service, name) == []


@case("AssociateFaces", "guide")
def _(service: Service) -> None:
    """A user has at most 100 faces: one more is a quota."""
    name = service.new_collection()
    service.ok("CreateUser", CollectionId=name, UserId="u")
    faces: list[str] = []
    while len(faces) <= 100:
        request = {"Image": CROWD, "ExternalImageId": str(len(faces)), "QualityFilter": "NONE"}
        records = service.ok("IndexFaces", CollectionId=name, **request)["FaceRecords"]
        faces += [record["Face"]["FaceId"] for record in records]
    first = {"FaceIds": faces[:100], "UserMatchThreshold": 0}
    assert len(service.ok("AssociateFaces", CollectionId=name, UserId="u", **first)["AssociatedFaces"]) == 100
    await_active(service, name, "u")
    one_more = {"CollectionId": name, "UserId": "u", "FaceIds": faces[100:101]}
    error("ServiceQuotaExceededException")(service.call("AssociateFaces", one_more))
