"""Exact search in NumPy, in this process's memory; also the oracle of the other indexes."""

from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.faces import Changes, Collection, Delta, Embedding, Match, UserMatch
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search.base import FaceIndex, IndexStatus, Progress
from rekognition_emulator.search.collection_cache import CachedSnapshot, CollectionCache, Gallery

K = TypeVar("K", UUID, str)


class MemoryIndex(FaceIndex):
    """Holds the embeddings of the collections that are searched."""

    def __init__(self, store: FaceStore, bytes_max: int) -> None:
        self._following = CollectionCache(store, _nothing_of, bytes_max)

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        faces = self._following.follow(collection).gallery.faces
        return [Match(*near) for near in faces.nearest(probe, cosine_min, limit, without)]

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        users = self._following.follow(collection).gallery.users
        return [UserMatch(*near) for near in users.nearest(probe, cosine_min, limit, without)]

    def prepare(self, collection: Collection, progress: Progress) -> None:
        self._following.follow(collection, progress)

    def holding(self, collection: Collection) -> IndexStatus:
        return self._following.holding(collection)

    def forget(self, collection: Collection) -> None:
        self._following.forget(collection)

    def close(self) -> None:
        """Nothing goes on in the background."""


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


@dataclass(frozen=True, slots=True, eq=False)
class _Gallery(Gallery):
    """One collection's faces and users."""

    faces: _Vectors[UUID]
    users: _Vectors[str]

    def after(self, changes: Changes) -> Self:
        before = _NOTHING if changes.anew else self
        return type(self)(before.faces.after(changes), before.users.after(changes.users))

    @property
    def holding(self) -> tuple[int, int, str]:
        return len(self.faces.ids), self.faces.embeddings.nbytes + self.users.embeddings.nbytes, "exact"


_NOTHING: Final = _Gallery(
    _Vectors([], np.empty((0, 0), np.float32)),
    _Vectors([], np.empty((0, 0), np.float32)),
)


def _nothing_of(collection: Collection) -> CachedSnapshot[_Gallery]:
    return CachedSnapshot(0, collection.face_model_version, _NOTHING)
