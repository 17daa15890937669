"""Changes when the search in process memory is done in another way: exact, in NumPy; also the oracle of the others."""

import threading
from collections import OrderedDict
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.faces.errors import CollectionNotFound
from rekognition_emulator.faces.gallery import Changes, Collection, Embedding, Match
from rekognition_emulator.faces.index import FaceIndex
from rekognition_emulator.faces.store import FaceStore

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
        with self._lock:
            gallery = self._galleries.setdefault(collection.key, _Gallery())
            self._galleries.move_to_end(collection.key)
            if len(self._galleries) > self._galleries_max:
                self._galleries.popitem(last=False)
        try:
            face_ids, embeddings = gallery.follow(self._store, collection)
        except CollectionNotFound:
            with self._lock:
                self._galleries.pop(collection.key, None)
            raise
        # A matrix product would round the same embedding differently in different rows and so break ties at random.
        cosines = np.einsum("ij,j->i", embeddings, probe).clip(-1, 1) if face_ids else np.empty(0, np.float32)
        near = np.flatnonzero(cosines >= cosine_min)
        ranked = near[np.argsort(-cosines[near], kind="stable")]  # stable: equal ones stay in the order of their ids
        found = (Match(face_ids[row], float(cosines[row])) for row in ranked[: limit + 1])
        return [match for match in found if match.face_id != without][:limit]


class _Gallery:
    """One collection's embeddings, by ascending face id. What ``follow`` returned is never changed afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revision = 0
        self._face_ids: list[UUID] = []
        self._embeddings: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def follow(self, store: FaceStore, collection: Collection) -> tuple[list[UUID], NDArray[np.float32]]:
        """Returns ids and (n, d) embeddings at the collection's revision or a later one."""
        with self._lock:
            if self._revision < collection.revision:
                self._apply(store.changes(collection, self._revision))
            return self._face_ids, self._embeddings

    def _apply(self, changes: Changes) -> None:
        removed = set(changes.removed)
        kept = [row for row, face_id in enumerate(self._face_ids) if face_id not in removed]
        face_ids = [self._face_ids[row] for row in kept] + list(changes.added)
        parts = [part for part in (self._embeddings[kept], changes.embeddings) if len(part)]
        embeddings = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
        order = sorted(range(len(face_ids)), key=face_ids.__getitem__)
        self._face_ids = [face_ids[row] for row in order]
        self._embeddings = embeddings[order]
        self._revision = changes.revision
