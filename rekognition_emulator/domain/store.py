"""The interface of what stores collections and faces.

A store owns collections, faces and their embeddings. What it acknowledges is durable; everything else (an index, a
cache) can be rebuilt from it. No SQL and no AWS name crosses this line.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.faces import (
    Changes,
    Collection,
    Deletion,
    Embedding,
    EnrolledFace,
    NewFace,
    Owner,
    Page,
    PictureSource,
)

CHANGES_MAX: Final = 50_000
"""Added faces, and users, that are told at once: 100 MB of 512 dimensions, read in a second."""


class FaceStore(ABC):
    """Collections and their faces.

    What changes data takes the ``Actor`` who has asked for it; the audit row is part of the change's transaction.
    Methods that take a ``Collection`` address it by ``key``; they raise ``CollectionNotFound`` when it was deleted
    since it was read, even if another of the same name exists by now. Those that have to do with its faces raise
    ``FaceModelChanged`` when it was given another face model since: so neither answer nor change mixes two.
    """

    @abstractmethod
    def create_collection(
        self, actor: Actor, owner: Owner, name: str, face_model_version: str, tags: Mapping[str, str] | None = None
    ) -> Collection:
        """Creates an empty collection, bound to a face model.

        Raises:
            CollectionExists: the owner has one of this name.
            TooManyTags: more than ``tags.TAGS_MAX``.
        """

    @abstractmethod
    def get_collection(self, owner: Owner, name: str) -> Collection:
        """Returns the collection as it is now.

        Raises:
            CollectionNotFound: the owner has none of this name.
        """

    @abstractmethod
    def delete_collection(self, actor: Actor, owner: Owner, name: str) -> None:
        """Deletes the collection with all its faces, users and tags.

        Raises:
            CollectionNotFound: the owner has none of this name.
        """

    @abstractmethod
    def list_collections(self, owner: Owner, *, after: str | None, limit: int) -> Page[Collection]:
        """Returns the owner's collections by ascending name, in byte order, those greater than ``after``."""

    @abstractmethod
    def add_faces(
        self,
        actor: Actor,
        collection: Collection,
        image_id: UUID,
        faces: Sequence[NewFace],
        source: PictureSource | None = None,
    ) -> list[EnrolledFace]:
        """Stores the faces of one picture: all of them or, if anything fails, none.

        A face that the collection already holds for this picture (same ``image_id``, boxes that overlap by more
        than half) is not stored again. It gets the chip, though, if it has none.

        Args:
            actor: who stores them.
            collection: that gets them.
            image_id: the picture's.
            faces: with their embeddings, and chips if those are kept.
            source: where the picture was read from, if that is known; it counts for all faces of the picture.

        Returns:
            As many as ``faces``, in their order: the stored face, or the one that was there before.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """

    @abstractmethod
    def list_faces(
        self,
        collection: Collection,
        *,
        after: UUID | None,
        limit: int,
        face_ids: Sequence[UUID] | None = None,
        user_id: str | None = None,
    ) -> Page[EnrolledFace]:
        """Returns faces by ascending id, those greater than ``after``.

        Only those of ``face_ids`` if given, only the user's if one is given, and only what is both if both are.

        Raises:
            UserNotFound: the collection has no such user.
        """

    @abstractmethod
    def get_faces(self, collection: Collection, face_ids: Sequence[UUID]) -> dict[UUID, EnrolledFace]:
        """Returns the faces that exist among ``face_ids``, by id."""

    @abstractmethod
    def get_embedding(self, collection: Collection, face_id: UUID) -> Embedding:
        """Returns one face's embedding.

        Raises:
            FaceNotFound: the collection holds no such face.
        """

    @abstractmethod
    def delete_faces(self, actor: Actor, collection: Collection, face_ids: Sequence[UUID]) -> Deletion:
        """Deletes faces that are no user's; ids that are not there are ignored.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """

    @abstractmethod
    def changes(self, collection: Collection, since: int, *, removals_since: int | None = None) -> Changes:
        """Returns what an index misses, or the beginning of it: ``CHANGES_MAX`` additions or few more.

        To be repeated, from what the answer has reached, until that is the collection's revision.

        Args:
            collection: whose changes.
            since: the revision up to which additions are known; 0 for an index that holds nothing.
            removals_since: the revision up to which removals are known, where that is another one: in an answer of
                many parts they run ahead.

        Returns:
            ``anew`` where ``since`` is 0, or where removals are forgotten that the index has not heard of.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """

    @abstractmethod
    def choose_index(self, actor: Actor, collection: Collection, index: str | None) -> None:
        """Has the collection searched by this index from its next search on, by every server.

        Args:
            actor: who chooses it.
            collection: whose index is chosen.
            index: its name; None for whichever a server is set to.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """

    @abstractmethod
    def set_history_token(self, collection: Collection, milestone: UUID) -> None:
        """Remembers that the collection's history has passed this moment; of many milestones, the latest.

        Who writes down what a collection holds writes the milestone with it. As long as the store knows the milestone,
        the collection's present has come from there. A store that was restored to an earlier moment knows it no more.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
        """

    @abstractmethod
    def milestones(self, keys: Sequence[int]) -> Mapping[int, frozenset[UUID]]:
        """Returns the milestones that are remembered of collections, by key; those that are gone have none."""
