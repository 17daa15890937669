"""What handlers work with: the adapters, and who is asking."""

from collections.abc import Callable
from dataclasses import dataclass

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import FaceModelChanged, FaceModelMismatch
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.domain.idempotency import AnswerStore
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.domain.tags import TagStore
from rekognition_emulator.domain.users import UserStore
from rekognition_emulator.inference.engine import AttributeEstimator, FaceEmbedder, FaceEngine
from rekognition_emulator.search.base import FaceIndex

FetchObject = Callable[[str, str, str | None], bytes]
"""(bucket, key, version or None for the newest) → content. Raises ObjectUnavailable, ObjectTooLarge."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every handler receives besides its request: the adapters, shared by all, and who is asking.

    Attributes:
        actor: who is asking, for what is changed.
        owner: whose collections are meant.
        keep_chips: whether faces are cut out and stored, for face models that come later.
        neutral_when_absent: whether attributes that were asked for and could not be estimated get a neutral value
            instead of being left out.
    """

    engine: FaceEngine
    attributes: AttributeEstimator
    store: FaceStore
    users: UserStore
    tags: TagStore
    answers: AnswerStore
    index: FaceIndex
    fetch_object: FetchObject
    owner: Owner
    actor: Actor
    keep_chips: bool = False
    neutral_when_absent: bool = False

    def collection(self, name: str) -> Collection:
        """Returns a collection of the caller whose face model this server runs.

        Raises:
            CollectionNotFound: the caller has none of this name.
            FaceModelMismatch: its faces come from another face model.
        """
        collection = self.store.get_collection(self.owner, name)
        self.embedder(collection)
        return collection

    def still(self, collection: Collection) -> None:
        """Returns if the collection has the face model that it had when it was read.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
            FaceModelChanged: it has another one.
        """
        if self.store.get_collection(self.owner, collection.name).face_model_version != collection.face_model_version:
            raise FaceModelChanged(collection.name)

    def embedder(self, collection: Collection) -> FaceEmbedder:
        """Returns the embedder that the collection's faces come from.

        Raises:
            FaceModelMismatch: this server does not run it.
        """
        embedder = self.engine.embedder(collection.face_model_version)
        if embedder is None:
            raise FaceModelMismatch(collection.name, collection.face_model_version)
        return embedder
