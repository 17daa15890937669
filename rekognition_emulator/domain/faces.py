"""Collections, faces and matches: the values that cross between operations, store and index."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar
from uuid import UUID, uuid3

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox

T = TypeVar("T")

RETENTION_DAYS_MAX: Final = 36_500
"""For which a collection keeps its faces, if not for ever: a hundred years. Ours, as the table has it."""

_PICTURES: Final = UUID("8e7c8a3e-54f1-4ef0-9f0d-6f5f0f2f6d10")
"""Name space of the ids of pictures, drawn once at random."""

Embedding = NDArray[np.float32]
"""(d,) float32 of unit length; d and the space it lives in belong to one face model."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The wall around collections: nobody sees a collection of another account or region."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A named container of faces that all come from one face model.

    Attributes:
        key: the store's own id, never reused, so that an index cannot mistake a new collection for a deleted
            one of the same name.
        revision: grows with every change of the collection's faces, and of its users' ones.
        face_count: faces stored at the moment of asking.
        user_count: users there are at the moment of asking.
        index: the name of the index that it is searched by; None for whichever the server is set to.
    """

    key: int
    owner: Owner
    name: str
    face_model_version: str
    created_at: datetime
    revision: int
    face_count: int
    user_count: int
    index: str | None = None


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A face stored in a collection. Box and confidence are rounded as AWS rounds what it stores.

    Attributes:
        user_id: the user whose face it is; None for nobody's, as every new one.
    """

    face_id: UUID
    image_id: UUID
    external_image_id: str | None
    box: BoundingBox
    confidence: float
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Where a picture was read from: an object in S3.

    Attributes:
        version: the object's; None for whichever was the newest.
    """

    bucket: str
    key: str
    version: str | None


@dataclass(frozen=True, slots=True, eq=False)
class FaceChip:
    """A face cut out of its picture, for face models that come later. As personal as the face itself.

    Attributes:
        jpeg: the crop, upright as far as the picture was; black nowhere, so smaller at the picture's edge.
        landmarks: (5, 2) float32, in ratios of the crop, in the order of ``LANDMARKS``; some may lie outside.
    """

    jpeg: bytes
    landmarks: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class NewFace:
    """A face on its way into a collection. The id is made above the store, so that stores are deterministic.

    Attributes:
        chip: None where the deployment keeps none.
        created_at: when it came into the collection first; None: now.
    """

    face: EnrolledFace
    embedding: Embedding
    chip: FaceChip | None = None
    created_at: datetime | None = None


def name_picture(picture: bytes, external_image_id: str | None) -> UUID:
    """Returns the id of a picture: a version-3 UUID as AWS's, the same whenever the same picture comes again."""
    # SHA-256 first, because version 3 is MD5 and two pictures of one MD5 are easily made.
    return uuid3(_PICTURES, f"{hashlib.sha256(picture).hexdigest()}/{external_image_id or ''}")


@dataclass(frozen=True, slots=True)
class Match:
    """A face near the probe, as an index knows it."""

    face_id: UUID
    cosine: float


@dataclass(frozen=True, slots=True)
class UserMatch:
    """A user near the probe, as an index knows it."""

    user_id: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Deletion:
    """What came of deleting faces.

    Attributes:
        deleted: ids that were there and are gone now.
        held: ids that are still there, because they are a user's, and whose.
    """

    deleted: frozenset[UUID]
    held: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list in key order; ``more`` says whether anything follows its last item."""

    items: Sequence[T]
    more: bool


@dataclass(frozen=True, slots=True, eq=False)
class Delta(Generic[T]):
    """What came and went; an id that did both came last.

    Attributes:
        added: ids that came, or got another embedding, and are still there.
        embeddings: (len(added), d) float32, row by row those of ``added``.
        removed: ids that went; may name some that the index never saw.
    """

    added: Sequence[T]
    embeddings: NDArray[np.float32]
    removed: Sequence[T]


@dataclass(frozen=True, slots=True, eq=False)
class Changes(Delta[UUID]):
    """What happened to a collection's faces since some revision; for indexes that live outside the store.

    Attributes:
        revision: up to which every addition is told. Where it is below the collection's own, there is more to ask for.
        removals_revision: up to which every removal is told; not below ``revision``.
        anew: whether what was held before has to be dropped, because the changes begin at nothing.
        users: what happened to the users, as far as they have faces.
    """

    revision: int
    removals_revision: int
    anew: bool
    users: Delta[str]
