"""Changes when the search in process memory is done in another way: exact, in NumPy; also the oracle of the others."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.faces.errors import CollectionNotFound
from rekognition_emulator.faces.gallery import Collection, Delta, Embedding, Match, UserMatch
from rekognition_emulator.faces.index import FaceIndex
from rekognition_emulator.faces.store import FaceStore

K = TypeVar("K", UUID, str)

GALLERIES_MAX: Final = 1_000
"""Collections held at once; the one searched longest ago makes room. So deleted ones fade away without a message."""


class MemoryIndex(FaceIndex):
    """Holds the embeddings of the collections that are searched, and follows the store by their revisions."""

    def __init__(self, store: FaceStore, galleries_max: int = GALLERIES_MAX) -> None:
        self._store = store
        self._galleries_max = galleries_max
        self._galleries: OrderedDict[int, _Gallery] = OrderedDict()
        self._lock = threading.Lock()

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        faces, _ = self._follow(collection)
        return [Match(*near) for near in faces.nearest(probe, cosine_min, limit, without)]

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        _, users = self._follow(collection)
        return [UserMatch(*near) for near in users.nearest(probe, cosine_min, limit, without)]

    def _follow(self, collection: Collection) -> "tuple[_Vectors[UUID], _Vectors[str]]":
        with self._lock:
            gallery = self._galleries.setdefault(collection.key, _Gallery())
            self._galleries.move_to_end(collection.key)
            if len(self._galleries) > self._galleries_max:
                self._galleries.popitem(last=False)
        try:
            return gallery.follow(self._store, collection)
        except CollectionNotFound:
            with self._lock:
                self._galleries.pop(collection.key, None)
            raise


class _Gallery:
    """One collection's faces and users as of one revision. What ``follow`` returned is never changed afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revision = 0
        self._faces: _Vectors[UUID] = _Vectors([], np.empty((0, 0), np.float32))
        self._users: _Vectors[str] = _Vectors([], np.empty((0, 0), np.float32))

    def follow(self, store: FaceStore, collection: Collection) -> "tuple[_Vectors[UUID], _Vectors[str]]":
        """Returns the faces and the users at the collection's revision or a later one."""
        with self._lock:
            if self._revision < collection.revision:
                changes = store.changes(collection, self._revision)
                self._faces = self._faces.after(changes)
                self._users = self._users.after(changes.users)
                self._revision = changes.revision
            return self._faces, self._users


@dataclass(frozen=True, slots=True, eq=False)
class _Vectors(Generic[K]):
    """Embeddings, (n, d) float32, of faces or of users, by ascending id."""

    ids: list[K]
    embeddings: NDArray[np.float32]

    def after(self, delta: Delta[K]) -> "_Vectors[K]":
        """Returns the same with what came and without what went."""
        gone = {*delta.removed, *delta.added}
        kept = [row for row, name in enumerate(self.ids) if name not in gone]
        ids = [self.ids[row] for row in kept] + list(delta.added)
        parts = [part for part in (self.embeddings[kept], delta.embeddings) if len(part)]
        embeddings = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        return _Vectors([ids[row] for row in order], embeddings[order])

    def nearest(self, probe: Embedding, cosine_min: float, limit: int, without: K | None) -> list[tuple[K, float]]:
        """Returns ids and cosines of what is nearest, by descending cosine, equal ones by ascending id."""
        if not self.ids:
            return []
        # A matrix product would round the same embedding differently in different rows and so break ties at random.
        cosines = np.einsum("ij,j->i", self.embeddings, probe).clip(-1, 1)
        near = np.flatnonzero(cosines >= cosine_min)
        ranked = near[np.argsort(-cosines[near], kind="stable")]  # stable: equal ones stay in the order of their ids
        found = ((self.ids[row], float(cosines[row])) for row in ranked[: limit + 1])
        return [(name, cosine) for name, cosine in found if name != without][:limit]
