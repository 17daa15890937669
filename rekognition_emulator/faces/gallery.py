"""Changes when a collection has to remember more: the values that cross between operations, store and index."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.faces.detection import BoundingBox

T = TypeVar("T")

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
        revision: grows with every change of the collection's faces.
        face_count: faces stored at the moment of asking.
    """

    key: int
    owner: Owner
    name: str
    face_model_version: str
    created_at: datetime
    revision: int
    face_count: int


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A face stored in a collection. Box and confidence are rounded as AWS rounds what it stores."""

    face_id: UUID
    image_id: UUID
    external_image_id: str | None
    box: BoundingBox
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class NewFace:
    """A face on its way into a collection. The id is made above the store, so that stores are deterministic."""

    face: EnrolledFace
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Match:
    """A face near the probe, as an index knows it."""

    face_id: UUID
    cosine: float


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list in key order; ``more`` says whether anything follows its last item."""

    items: Sequence[T]
    more: bool


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What happened to a collection's faces between two revisions; for indexes that live outside the store.

    Attributes:
        revision: the revision that is reached by applying the changes.
        added: ids of faces that came and are still there.
        embeddings: (len(added), d) float32, row by row those of ``added``.
        removed: ids of faces that went; may name faces the index never saw.
    """

    revision: int
    added: Sequence[UUID]
    embeddings: NDArray[np.float32]
    removed: Sequence[UUID]
