"""Databases of many albums, in which searches are measured.

Albums of people who do not exist come in by the product's own import, as archives do. The server under test runs dlib's
model, whose version they bear, with embeddings of 512 dimensions: no operation on stored faces looks into an embedding,
and so a server can be measured with the larger ones without the licence of a model that makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg_pool import ConnectionPool

from benchmarks.timing import timed
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.faces import EnrolledFace, NewFace, Owner
from rekognition_emulator.domain.users import User
from rekognition_emulator.models.catalogue import DLIB as DLIB_MODEL
from rekognition_emulator.storage.archive import PART, Part, create_archive
from rekognition_emulator.storage.archive_lines import Described
from rekognition_emulator.storage.transfer import import_collection
from tests.support.embeddings import ARCFACE, Space, faces_of_people
from tests.support.gallery import ACTOR

OWNER: Final = Owner("000000000000", "us-east-1")


@dataclass(frozen=True, eq=False)
class Album:
    """Faces by ascending id; each is some user's.

    Attributes:
        embeddings: (n, d) float32 of unit length.
        people: (n,) int64, whose each is.
    """

    ids: Sequence[UUID]
    embeddings: NDArray[np.float32]
    people: NDArray[np.int64]

    @classmethod
    def drawn(cls, faces: int, seed: int, space: Space = ARCFACE) -> "Album":
        """Draws so many faces; always the same for the same arguments."""
        embeddings, people = faces_of_people(faces, space, seed)
        numbers = np.random.default_rng(seed).integers(0, 256, (faces, 16), np.uint8)
        return cls(sorted(UUID(bytes=number.tobytes(), version=4) for number in numbers), embeddings, people)

    @cached_property
    def users(self) -> list[str]:
        """Who has a face here, by ascending id."""
        return [_user_id(person) for person in np.unique(self.people)]

    def write(self, path: Path) -> None:
        """Writes an archive that can be imported."""
        _, firsts, counts = np.unique(self.people, return_index=True, return_counts=True)
        sums = np.zeros((len(firsts), self.embeddings.shape[1]), np.float32)
        np.add.at(sums, np.searchsorted(np.unique(self.people), self.people), self.embeddings)
        means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        described = Described(
            *(OWNER.region, path.stem, DLIB_MODEL.version, self.embeddings.shape[1], datetime.now(UTC), {}),
            face_count=len(self.ids),
            user_count=len(firsts),
        )
        users = [(User(name, int(count)), mean) for name, count, mean in zip(self.users, counts, means, strict=True)]
        with create_archive(path, described) as archive:
            for start in range(0, len(users), PART):
                archive.write(Part(users=users[start : start + PART]))
            for start in range(0, len(self.ids), PART):
                archive.write(Part(faces=[self.face(row) for row in range(start, min(start + PART, len(self.ids)))]))

    def face(self, row: int) -> NewFace:
        """Returns a face with all that a store wants to know; each was alone in its picture."""
        box = BoundingBox(0.25, 0.25, 0.5, 0.5)
        name = self.ids[row]
        enrolled = EnrolledFace(name, name, f"IMG_{row:06}.jpg", box, 99.9, _user_id(self.people[row]))
        return NewFace(enrolled, self.embeddings[row])


def load(pool: ConnectionPool, path: Path, name: str) -> float:
    """Imports an archive as a collection of this name; returns the seconds that it took."""
    return timed(
        lambda: import_collection(pool, ACTOR, path, lambda _: None, lambda _: (OWNER, name), lambda _: lambda _: None)
    )


def settle(pool: ConnectionPool) -> None:
    """Does now what PostgreSQL would do in the background some time after so much has come in."""
    with pool.connection() as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("VACUUM (ANALYZE) faces, users, collections")
        connection.execute("CHECKPOINT")
        connection.execute("SET statement_timeout = '60s'")  # as open_pool sets it


def _user_id(person: np.int64) -> str:
    return f"person-{person:06}"
