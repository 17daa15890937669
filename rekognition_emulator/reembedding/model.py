"""The interface of what gives a collection another face model.

Faces are embedded by the new model one after the other, beside everything else, and what comes of it is staged. When
no face lacks its second embedding, all are exchanged at once; those that were there before are staged from then on, so
that the way back is the same as the way there.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.faces import Collection, Embedding, EnrolledFace, FaceChip, PictureSource


@dataclass(frozen=True, slots=True)
class ReembedSource:
    """A face, and what it can be embedded from anew; neither is known of some.

    Attributes:
        chip: cut out of the picture when the face was stored.
        source: where the picture was read from.
    """

    face: EnrolledFace
    chip: FaceChip | None
    source: PictureSource | None


@dataclass(frozen=True, slots=True)
class ReembedStatus:
    """How far a collection is on its way from one face model to another.

    Attributes:
        face_model_version: what it is searched with.
        kept: the model before, whose embeddings are kept; None if none are.
        faces: how many it has.
        staged: model → of how many faces an embedding is staged.
        chips: of how many faces there is a chip.
        sources: of how many faces it is known where the picture was read from.
    """

    face_model_version: str
    kept: str | None
    faces: int
    staged: Mapping[str, int]
    chips: int
    sources: int


class AlreadyReembedding(Exception):
    """Another process works on the same collection."""


class ReembeddingStore(ABC):
    """Collections on their way from one face model to another. What it acknowledges is durable.

    Methods raise ``CollectionNotFound`` when the collection was deleted since it was read, and ``FaceModelChanged``
    when it was given another face model since.
    """

    @abstractmethod
    def alone(self, collection: Collection) -> AbstractContextManager[None]:
        """Keeps other processes from changing the collection's face model; ends with this process at the latest.

        Raises:
            AlreadyReembedding: another process does.
        """

    @abstractmethod
    def standing(self, collection: Collection) -> ReembedStatus:
        """Returns how far the collection is."""

    @abstractmethod
    def revision(self, collection: Collection) -> int:
        """Returns the collection's revision as it is now."""

    @abstractmethod
    def lacking(
        self, collection: Collection, version: str, *, since: int, after: tuple[UUID, UUID] | None, limit: int
    ) -> list[ReembedSource]:
        """Returns faces without a staged embedding of a model, the faces of a picture one after the other.

        Args:
            collection: whose faces.
            version: the model's.
            since: only those that came after this revision.
            after: image id and face id of the last one that is known; None from the beginning.
            limit: at most so many.
        """

    @abstractmethod
    def stage(self, collection: Collection, version: str, embeddings: Mapping[UUID, Embedding]) -> None:
        """Keeps embeddings of a model beside those that count, of faces that are still there."""

    @abstractmethod
    def exclusive(self, collection: Collection) -> AbstractContextManager[None]:
        """Lets nobody else write into the collection; what this thread asks of this store is committed at the end."""

    @abstractmethod
    def exchange(self, actor: Actor, collection: Collection, version: str) -> None:
        """Gives every face its staged embedding, and every user the mean of them; keeps those that were there.

        Indexes outside the store start anew. To be called inside ``exclusive``, when no face lacks its embedding.
        """

    @abstractmethod
    def discard(self, actor: Actor, collection: Collection, versions: Sequence[str]) -> int:
        """Drops staged embeddings of models, and the way back to them; returns how many there were."""
