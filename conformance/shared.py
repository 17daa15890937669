"""Collections that many cases look at and none changes."""

import time
from dataclasses import dataclass
from typing import Any, Final

from conformance.answer import Answer
from conformance.pictures import MIRRORED, PAIR, PORTRAIT, STRANGER
from conformance.service import Service, given

UNKNOWN_FACE: Final = "00000000-0000-4000-8000-000000000000"
UPDATE_TRIES: Final = 60
"""Seconds that a user may take to become active. Source: developer guide, "up to a minute"."""


@dataclass(frozen=True)
class Album:
    """A collection with four faces, and what IndexFaces answered for its three pictures.

    Attributes:
        name: of the collection.
        portrait: one face, ExternalImageId ``portrait``.
        mirrored: the same mirrored, without an ExternalImageId.
        pair: two faces, the larger one the portrait's, ExternalImageId ``pair``.
    """

    name: str
    portrait: Answer
    mirrored: Answer
    pair: Answer

    @property
    def faces(self) -> list[Any]:
        """The stored faces as IndexFaces showed them."""
        return [
            record["Face"] for answer in (self.portrait, self.mirrored, self.pair) for record in answer["FaceRecords"]
        ]


@given
def missing(service: Service) -> str:
    """Returns the name of a collection that does not exist."""
    return service.new_name()


@given
def empty(service: Service) -> str:
    """Returns the name of a collection without faces."""
    return service.new_collection()


@given
def indexed(service: Service) -> Album:
    """Makes the album."""
    name = service.new_collection()

    def index(**request: Any) -> Answer:  # noqa: ANN401 # any member
        return service.ok("IndexFaces", CollectionId=name, QualityFilter="NONE", **request)

    made = Album(
        name,
        index(Image=PORTRAIT, ExternalImageId="portrait"),
        index(Image=MIRRORED),
        index(Image=PAIR, ExternalImageId="pair"),
    )
    assert len(made.faces) == 4, f"{len(made.faces)} faces found in pictures of one, one and two"
    return made


@given
def album(service: Service) -> str:
    """Returns the album's name."""
    name: str = service[indexed].name
    return name


@given
def face(service: Service) -> str:
    """Returns the id of the portrait's face in the album."""
    face_id: str = service[indexed].portrait["FaceRecords"][0]["Face"]["FaceId"]
    return face_id


@given
def album_arn(service: Service) -> str:
    """Returns the album's full resource name."""
    arn: str = service.ok("DescribeCollection", CollectionId=album)["CollectionARN"]
    return arn


@dataclass(frozen=True)
class People:
    """A collection with users.

    Attributes:
        name: of the collection.
        ada_faces: the faces of the user ``ada``, who is active: the portrait and its mirror image.
        bob_face: the only face of the user ``bob``, who is active: the stranger.
        free_face: a face of no user: the portrait once more.
    """

    name: str
    ada_faces: list[str]
    bob_face: str
    free_face: str


@given
def people(service: Service) -> People:
    """Makes a collection with three users; ``eve`` has no faces."""
    name = service.new_collection()
    portrait, mirrored, stranger, free = (
        enroll(service, name, Image=picture, ExternalImageId=external)
        for picture, external in ((PORTRAIT, "1"), (MIRRORED, "2"), (STRANGER, "3"), (PORTRAIT, "4"))
    )
    for user, faces in (("ada", [portrait, mirrored]), ("bob", [stranger]), ("eve", [])):
        service.ok("CreateUser", CollectionId=name, UserId=user)
        if faces:
            service.ok("AssociateFaces", CollectionId=name, UserId=user, FaceIds=faces, UserMatchThreshold=0)
            await_active(service, name, user)
    return People(name, [portrait, mirrored], stranger, free)


@given
def users(service: Service) -> str:
    """Returns the name of the collection with users."""
    name: str = service[people].name
    return name


def enroll(service: Service, collection: str, **request: Any) -> str:  # noqa: ANN401 # any member
    """Indexes a picture of one face and returns the face's id."""
    records = service.ok("IndexFaces", CollectionId=collection, QualityFilter="NONE", **request)["FaceRecords"]
    assert len(records) == 1, f"{len(records)} faces in a picture of one"
    face_id: str = records[0]["Face"]["FaceId"]
    return face_id


def await_active(service: Service, collection: str, user: str) -> None:
    """Waits until a user's faces can be searched."""
    for _ in range(UPDATE_TRIES):
        if status_of(service, collection, user) != "UPDATING":
            return
        time.sleep(1)
    raise AssertionError(f"user {user} is still UPDATING")


def status_of(service: Service, collection: str, user: str) -> str:
    """Returns a user's status."""
    listed = service.ok("ListUsers", CollectionId=collection)["Users"]
    statuses: list[str] = [entry["UserStatus"] for entry in listed if entry["UserId"] == user]
    assert len(statuses) == 1, f"{user} is listed {len(statuses)} times"
    return statuses[0]
