"""Clients that do what a marketplace's do, all at once.

Each is an unmodified boto3 client with its retries on, in a thread of its own, and has pictures, users and collections
of its own, about which nobody else asks. What became of a request it does not know, it leaves alone from then on.
"""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import boto3
from botocore.config import Config

from rekognition_emulator.demo.people import PEOPLE, View, album, selfie
from tools.faults.history import History, IdempotencyKey, search

COLLECTION = "party"
BUCKET = "album"
ATTEMPTS_MAX = 15
"""Of the SDK for one request; its pauses grow to 20 s."""

PICTURES_MAX = 25
"""Of a client; then the oldest is deleted."""


@dataclass(frozen=True)
class Picture:
    """A JPEG file, and how many faces it shows."""

    jpeg: bytes
    faces: int


def make_pictures() -> list[Picture]:
    """Returns pictures of one to three people who do not exist."""
    portraits = [Picture(selfie(person, View(side_px=220)), 1) for person in PEOPLE[:6]]
    group = next(picture for picture in album(seed=1, pictures=24) if len(picture.appearances) == 3)
    return [*portraits, Picture(group.jpeg, 3)]


def make_client(url: str, attempts_max: int = ATTEMPTS_MAX) -> Any:
    """Returns an SDK client that tries so often."""
    return boto3.client(
        "rekognition",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts_max}, connect_timeout=5, read_timeout=45
        ),
    )


class Client(threading.Thread):
    """Goes on until it is told to stop.

    Attributes:
        faces_in: how many faces each picture shows that it has sent.
        crash: what it ended with, if not as it was told.
    """

    def __init__(self, number: int, url: str, history: History, pictures: list[Picture], *, in_s3: bool) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.faces_in: dict[str, int] = {}
        self.crash: BaseException | None = None
        self._client = make_client(url)
        self._history = history
        self._pictures = pictures
        self._in_s3 = in_s3
        self._random = random.Random(number)
        self._names = (f"client-{number}-{each}" for each in count())
        self._stored: dict[str, frozenset[str]] = {}
        self._sent: dict[str, int] = {}
        self._users: dict[str, set[str]] = {}
        self._over = threading.Event()

    def stop(self) -> None:
        """Lets it finish what it is at, and no more."""
        self._over.set()

    def run(self) -> None:
        """Does one thing after the other."""
        doings: Mapping[Callable[[], None], int] = {
            self._index: 30,
            self._index_again: 6,
            self._delete: 10,
            self._create_user: 8,
            self._associate: 12,
            self._disassociate: 6,
            self._delete_user: 4,
            self._search: 18,
            self._make_and_drop_collection: 6,
        }
        try:
            while not self._over.is_set():
                [do] = self._random.choices(list(doings), list(doings.values()))
                do()
        except BaseException as error:  # noqa: BLE001 # a client that broke has tested nothing
            self.crash = error

    def _index(self) -> None:
        if len(self._stored) >= PICTURES_MAX:
            self._delete()
            return
        self._send(next(self._names), self._random.randrange(len(self._pictures)))

    def _index_again(self) -> None:
        if self._stored:
            name = self._random.choice(list(self._stored))
            self._send(name, self._sent[name])

    def _send(self, name: str, which: int) -> None:
        picture = self._pictures[which]
        self.faces_in[name], self._sent[name] = picture.faces, which
        image = {"S3Object": {"Bucket": BUCKET, "Name": str(which)}} if self._in_s3 else {"Bytes": picture.jpeg}
        with self._history.attempt("IndexFaces", name) as attempt:
            answer = self._client.index_faces(CollectionId=COLLECTION, Image=image, ExternalImageId=name)
            attempt.found = frozenset(record["Face"]["FaceId"] for record in answer["FaceRecords"])
        if _is_known(attempt):
            self._stored[name] = attempt.found
        else:
            self._stored.pop(name, None)

    def _delete(self) -> None:
        taken = set[str]().union(*self._users.values())  # such faces are not deleted
        name = next((name for name, faces in self._stored.items() if not faces & taken), None)
        if name is None:
            self._disassociate()
            return
        faces = self._stored.pop(name)
        with self._history.attempt("DeleteFaces", name, faces):
            answer = self._client.delete_faces(CollectionId=COLLECTION, FaceIds=sorted(faces))
            assert {"DeletedFaces", "UnsuccessfulFaceDeletions"} <= answer.keys(), answer
            reasons = {reason for face in answer["UnsuccessfulFaceDeletions"] for reason in face["Reasons"]}
            assert reasons <= {"FACE_NOT_FOUND"}, reasons  # by a retry, after it was done

    def _create_user(self) -> None:
        name = next(self._names)
        with self._history.attempt("CreateUser", name) as attempt:
            self._client.create_user(CollectionId=COLLECTION, UserId=name)
        if _is_known(attempt):
            self._users[name] = set()

    def _associate(self) -> None:
        taken = set[str]().union(*self._users.values())
        free = [face_id for faces in self._stored.values() for face_id in faces if face_id not in taken]
        if not self._users or not free:
            return
        name, faces = self._random.choice(list(self._users)), self._random.sample(free, min(2, len(free)))
        with self._history.attempt("AssociateFaces", name, faces) as attempt:
            answer = self._client.associate_faces(
                CollectionId=COLLECTION, UserId=name, FaceIds=faces, UserMatchThreshold=0
            )
            attempt.found = frozenset(face["FaceId"] for face in answer["AssociatedFaces"])
        if _is_known(attempt):
            self._users[name] |= attempt.found
        else:
            self._leave_alone(name, faces)

    def _disassociate(self) -> None:
        name = next((name for name, faces in self._users.items() if faces), None)
        if name is None:
            return
        faces = sorted(self._users[name])[:2]
        with self._history.attempt("DisassociateFaces", name, faces) as attempt:
            self._client.disassociate_faces(CollectionId=COLLECTION, UserId=name, FaceIds=faces)
        if _is_known(attempt):
            self._users[name] -= set(faces)
        else:
            self._leave_alone(name, faces)

    def _delete_user(self) -> None:
        if not self._users:
            return
        name = next(iter(self._users))
        faces = self._users.pop(name)
        with self._history.attempt("DeleteUser", name) as attempt:
            self._client.delete_user(CollectionId=COLLECTION, UserId=name)
        if not _is_known(attempt):
            self._leave_alone(name, faces)

    def _search(self) -> None:
        name = next(reversed(self._stored), None)
        if name is None:
            return
        [probe] = self._random.sample(sorted(self._stored[name]), 1)
        with self._history.attempt("SearchFaces", name, [probe]) as attempt:
            attempt.found = frozenset(search(self._client, COLLECTION, probe))

    def _make_and_drop_collection(self) -> None:
        name = next(self._names)
        with self._history.attempt("CreateCollection", name):
            self._client.create_collection(CollectionId=name)
        if self._random.random() < 0.7:
            with self._history.attempt("DeleteCollection", name):
                self._client.delete_collection(CollectionId=name)

    def _leave_alone(self, user: str, faces: list[str] | set[str]) -> None:
        """Asks for nothing that depends on whether a user and faces go together."""
        self._users.pop(user, None)
        for name in [name for name, ids in self._stored.items() if ids & set(faces)]:
            del self._stored[name]


def _is_known(attempt: IdempotencyKey) -> bool:
    return attempt.event is not None and attempt.event.is_acknowledged
