"""Cases on ListFaces: what a collection keeps of a face."""

import struct
from typing import Any, Final

from conformance.case import Family
from conformance.cases.faces_found import STORED
from conformance.expect import error, found, members
from conformance.pictures import PORTRAIT
from conformance.service import Service
from conformance.shared import UNKNOWN_FACE, album, empty, enroll, face, indexed, missing, people, users

family = Family("listing")
case, exchange = family.case, family.exchange

EVERY_FACE: Final = {"CollectionId": album, "MaxResults": 4096}


def listed(service: Service, **request: Any) -> list[Any]:  # noqa: ANN401 # any member
    """Returns the listed faces of the album."""
    faces: list[Any] = service.ok("ListFaces", **{"CollectionId": album, **request})["Faces"]
    return faces


def float32(value: float) -> float:
    """Returns the nearest 32-bit float."""
    nearest: float = struct.unpack("f", struct.pack("f", value))[0]
    return nearest


exchange(
    "ListFaces",
    "the answer has two members",
    EVERY_FACE,
    members("Faces", "FaceModelVersion"),
    "recording:listfaces-v6-one-image-three-faces",
)
exchange("ListFaces", "an empty collection has an empty list", {"CollectionId": empty}, found(Faces=[]), "contract")
exchange(
    "ListFaces",
    "an empty collection has a model version",
    {"CollectionId": empty},
    members("Faces", "FaceModelVersion"),
    "contract",
)


@case("ListFaces", "recording:listfaces-v6-one-image-three-faces")
def _(service: Service) -> None:
    """A face shows its model version, its name if it has one, and no user."""
    for entry in listed(service):
        assert set(entry) - {"ExternalImageId"} == STORED, sorted(entry)
    assert sum("ExternalImageId" in entry for entry in listed(service)) == 3


@case("ListFaces", "recording:listfaces-v6-one-image-three-faces")
def _(service: Service) -> None:
    """IndexFacesModelVersion is the collection's FaceModelVersion."""
    answer = service.ok("ListFaces", CollectionId=album)
    assert {entry["IndexFacesModelVersion"] for entry in answer["Faces"]} == {answer["FaceModelVersion"]}


@case("ListFaces", "recording:cli-list-faces")
def _(service: Service) -> None:
    """Faces ascend by id."""
    ids = [entry["FaceId"] for entry in listed(service)]
    assert ids == sorted(ids)


@case("ListFaces", "guide")
def _(service: Service) -> None:
    """What IndexFaces answered is listed, each face once."""
    assert sorted(entry["FaceId"] for entry in listed(service)) == sorted(
        entry["FaceId"] for entry in service[indexed].faces
    )


@case("ListFaces", "recording:searchfacesbyimage-v6-exact")
def _(service: Service) -> None:
    """A stored box has six significant digits, widened from 32 bits, of the one that IndexFaces showed."""
    shown = {entry["FaceId"]: entry["BoundingBox"] for entry in service[indexed].faces}
    for entry in listed(service):
        for side, value in entry["BoundingBox"].items():
            assert value == float32(float(f"{shown[entry['FaceId']][side]:.6g}")), (side, value)


@case("ListFaces", "recording:searchfacesbyimage-v6-exact")
def _(service: Service) -> None:
    """A stored confidence has six decimals of the ratio that IndexFaces showed as a percentage."""
    shown = {entry["FaceId"]: entry["Confidence"] for entry in service[indexed].faces}
    for entry in listed(service):
        ratio = float32(round(shown[entry["FaceId"]] / 100, 6))
        assert entry["Confidence"] == float32(ratio * 100), entry["Confidence"]


@case("ListFaces", "recording:listfaces-v6-one-image-three-faces")
def _(service: Service) -> None:
    """ImageId and ExternalImageId are those of IndexFaces."""
    shown = {entry["FaceId"]: (entry["ImageId"], entry.get("ExternalImageId")) for entry in service[indexed].faces}
    assert {entry["FaceId"]: (entry["ImageId"], entry.get("ExternalImageId")) for entry in listed(service)} == shown


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """The same call twice has the same answer."""
    assert listed(service) == listed(service)


@case("ListFaces", "guide")
def _(service: Service) -> None:
    """FaceIds lists these faces only."""
    wanted = sorted(entry["FaceId"] for entry in service[indexed].faces)[1:3]
    assert [entry["FaceId"] for entry in listed(service, FaceIds=wanted)] == wanted


@case("ListFaces", "ours")
def _(service: Service) -> None:
    """Faces asked for by id still ascend, whatever the order of the request."""
    wanted = sorted(entry["FaceId"] for entry in service[indexed].faces)
    assert [entry["FaceId"] for entry in listed(service, FaceIds=wanted[::-1])] == wanted


exchange(
    "ListFaces",
    "an unknown face is not listed",
    {"CollectionId": album, "FaceIds": [UNKNOWN_FACE]},
    found(Faces=[]),
    "ours",
)
exchange(
    "ListFaces",
    "an unknown face does not hide a known one",
    {"CollectionId": album, "FaceIds": [UNKNOWN_FACE, face]},
    lambda answer: _lists_one(answer["Faces"]),
    "ours",
)
exchange(
    "ListFaces",
    "a face asked for twice is listed once",
    {"CollectionId": album, "FaceIds": [face, face]},
    lambda answer: _lists_one(answer["Faces"]),
    "ours",
)
exchange(
    "ListFaces",
    "4096 ids may be asked for",
    {"CollectionId": album, "FaceIds": [f"00000000-0000-4000-8000-{i:012x}" for i in range(4095)] + [face]},
    lambda answer: _lists_one(answer["Faces"]),
    "model",
)


def _lists_one(faces: list[Any]) -> None:
    assert len(faces) == 1, f"{len(faces)} faces"


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """A face of another collection is not listed."""
    other = enroll(service, service.new_collection(), Image=PORTRAIT)
    assert listed(service, FaceIds=[other]) == []


@case("ListFaces", "contract")
def _(service: Service) -> None:
    """A deleted face is not listed."""
    name = service.new_collection()
    gone, kept = (enroll(service, name, Image=PORTRAIT, ExternalImageId=external) for external in ("a", "b"))
    service.ok("DeleteFaces", CollectionId=name, FaceIds=[gone])
    assert [entry["FaceId"] for entry in listed(service, CollectionId=name)] == [kept]
    assert listed(service, CollectionId=name, FaceIds=[gone]) == []


exchange(
    "ListFaces",
    "an unknown user is an error",
    {"CollectionId": album, "UserId": "nobody"},
    error("ResourceNotFoundException"),
    "ours",
)
exchange(
    "ListFaces",
    "a missing collection is noticed before an unknown user",
    {"CollectionId": missing, "UserId": "nobody"},
    error("ResourceNotFoundException", "The collection id: {CollectionId} does not exist"),
    "contract",
)


@case("ListFaces", "guide")
def _(service: Service) -> None:
    """UserId lists the faces of that user."""
    faces = listed(service, CollectionId=users, UserId="ada")
    assert {entry["FaceId"] for entry in faces} == set(service[people].ada_faces)
    assert {entry["UserId"] for entry in faces} == {"ada"}


@case("ListFaces", "recording:model-listfaces")
def _(service: Service) -> None:
    """A face of a user shows the user, and others show none."""
    shown = {entry["FaceId"]: entry.get("UserId") for entry in listed(service, CollectionId=users)}
    known = service[people]
    assert shown == {**dict.fromkeys(known.ada_faces, "ada"), known.bob_face: "bob", known.free_face: None}


@case("ListFaces", "guide")
def _(service: Service) -> None:
    """A user without faces has an empty list."""
    service[people]
    assert listed(service, CollectionId=users, UserId="eve") == []


@case("ListFaces", "ours")
def _(service: Service) -> None:
    """UserId and FaceIds together list the faces that are in both."""
    known = service[people]
    faces = listed(service, CollectionId=users, UserId="ada", FaceIds=[known.ada_faces[0], known.bob_face])
    assert [entry["FaceId"] for entry in faces] == [known.ada_faces[0]]
