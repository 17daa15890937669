"""Cases on DeleteFaces: what becomes of faces that are deleted, or cannot be."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from conformance.answer import Answer
from conformance.case import Family
from conformance.expect import error, found, members
from conformance.pictures import PORTRAIT, STRANGER
from conformance.service import Service
from conformance.shared import UNKNOWN_FACE, album, empty, enroll, face, people

family = Family("deleting")
case, exchange = family.case, family.exchange

NOT_FOUND: Final = [{"FaceId": UNKNOWN_FACE, "Reasons": ["FACE_NOT_FOUND"]}]


def delete(service: Service, collection: str, *face_ids: str) -> Answer:
    """Deletes faces."""
    return service.ok("DeleteFaces", CollectionId=collection, FaceIds=list(face_ids))


def two_faces(service: Service) -> tuple[str, str, str]:
    """Returns a new collection and the ids of its faces."""
    name = service.new_collection()
    return name, enroll(service, name, Image=PORTRAIT), enroll(service, name, Image=STRANGER)


def ids_in(service: Service, collection: str) -> list[Any]:
    """Returns the ids of the collection's faces."""
    return [entry["FaceId"] for entry in service.ok("ListFaces", CollectionId=collection)["Faces"]]


@case("DeleteFaces", "recording:deletefaces-one-2023")
def _(service: Service) -> None:
    """The answer lists the face that went."""
    name, face_id, _ = two_faces(service)
    answer = delete(service, name, face_id)
    members("DeletedFaces", "UnsuccessfulFaceDeletions")(answer)
    assert answer["DeletedFaces"] == [face_id]
    assert answer["UnsuccessfulFaceDeletions"] == []


@case("DeleteFaces", "guide")
def _(service: Service) -> None:
    """Only the named face goes."""
    name, face_id, other = two_faces(service)
    delete(service, name, face_id)
    assert ids_in(service, name) == [other]


@case("DeleteFaces", "guide")
def _(service: Service) -> None:
    """Several faces go at once."""
    name, *face_ids = two_faces(service)
    assert sorted(delete(service, name, *face_ids)["DeletedFaces"]) == sorted(face_ids)
    assert ids_in(service, name) == []


exchange(
    "DeleteFaces",
    "an unknown face is told, and no error",
    {"CollectionId": empty, "FaceIds": [UNKNOWN_FACE]},
    found(DeletedFaces=[], UnsuccessfulFaceDeletions=NOT_FOUND),
    "model",
)
exchange(
    "DeleteFaces",
    "4096 unknown faces are told",
    {"CollectionId": empty, "FaceIds": [f"00000000-0000-4000-8000-{i:012x}" for i in range(4096)]},
    lambda answer: _tells(4096, answer),
    "model",
)
exchange(
    "DeleteFaces",
    "an unknown face asked for twice is told once",
    {"CollectionId": empty, "FaceIds": [UNKNOWN_FACE, UNKNOWN_FACE]},
    found(DeletedFaces=[], UnsuccessfulFaceDeletions=NOT_FOUND),
    "ours",
)


def _tells(count: int, answer: Answer) -> None:
    told = answer["UnsuccessfulFaceDeletions"]
    assert len(told) == count
    assert {tuple(entry["Reasons"]) for entry in told} == {("FACE_NOT_FOUND",)}


@case("DeleteFaces", "model")
def _(service: Service) -> None:
    """An unknown face does not keep a known one."""
    name, face_id, other = two_faces(service)
    answer = delete(service, name, UNKNOWN_FACE, face_id)
    found(DeletedFaces=[face_id], UnsuccessfulFaceDeletions=NOT_FOUND)(answer)
    assert ids_in(service, name) == [other]


@case("DeleteFaces", "ours")
def _(service: Service) -> None:
    """A face asked for twice goes once."""
    name, face_id, _ = two_faces(service)
    found(DeletedFaces=[face_id], UnsuccessfulFaceDeletions=[])(delete(service, name, face_id, face_id))


@case("DeleteFaces", "model")
def _(service: Service) -> None:
    """A face that is gone is not found by the next call."""
    name, face_id, _ = two_faces(service)
    delete(service, name, face_id)
    told = [{"FaceId": face_id, "Reasons": ["FACE_NOT_FOUND"]}]
    found(DeletedFaces=[], UnsuccessfulFaceDeletions=told)(delete(service, name, face_id))


@case("DeleteFaces", "guide")
def _(service: Service) -> None:
    """A deleted face can neither be searched nor found."""
    name, face_id, other = two_faces(service)
    delete(service, name, face_id)
    error("InvalidParameterException", "faceId was not found in the collection.")(
        service.call("SearchFaces", {"CollectionId": name, "FaceId": face_id})
    )
    matches = service.ok("SearchFacesByImage", CollectionId=name, Image=PORTRAIT, FaceMatchThreshold=0)["FaceMatches"]
    assert [match["Face"]["FaceId"] for match in matches] == [other]
    assert service.ok("SearchFaces", CollectionId=name, FaceId=other, FaceMatchThreshold=0)["FaceMatches"] == []


@case("DeleteFaces", "contract")
def _(service: Service) -> None:
    """A face of another collection is not found, and stays."""
    other = service.new_collection()
    face_id = enroll(service, other, Image=PORTRAIT)
    found(DeletedFaces=[])(delete(service, service.new_collection(), face_id))
    assert ids_in(service, other) == [face_id]


@case("DeleteFaces", "contract")
def _(service: Service) -> None:
    """A request that is refused deletes nothing."""
    name, *face_ids = two_faces(service)
    answer = service.call("DeleteFaces", {"CollectionId": name, "FaceIds": [*face_ids, "no id"]})
    assert answer.error == "ValidationException"
    assert ids_in(service, name) == sorted(face_ids)


@case("DeleteFaces", "ours")
def _(service: Service) -> None:
    """Of four calls for one face at once, one deletes it."""
    name, face_id, _ = two_faces(service)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: delete(service, name, face_id), range(4)))
    assert sorted(len(answer["DeletedFaces"]) for answer in answers) == [0, 0, 0, 1]
    assert sorted(len(answer["UnsuccessfulFaceDeletions"]) for answer in answers) == [0, 1, 1, 1]


@case("DeleteFaces", "contract")
def _(service: Service) -> None:
    """The album's face is there before and after a call for another collection."""
    delete(service, service[empty], service[face])
    assert service[face] in ids_in(service, service[album])


@case("DeleteFaces", "model")
def _(service: Service) -> None:
    """A face of a user is not deleted, and the user is named."""
    known = service[people]
    answer = delete(service, known.name, known.bob_face)
    assert answer["DeletedFaces"] == []
    (told,) = answer["UnsuccessfulFaceDeletions"]
    assert told == {"FaceId": known.bob_face, "UserId": "bob", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]}
    assert known.bob_face in ids_in(service, known.name)
