"""Each collection's own index, chosen when it is made.

Which one that is stands in the collection, which every search reads first: so all servers change over with their next
search, and nobody has to be told.
"""

import threading
from contextlib import ExitStack, closing
from uuid import UUID

from rekognition_emulator.domain.faces import Collection, Embedding, Match, UserMatch
from rekognition_emulator.search.base import FaceIndex, IndexStatus, Progress
from rekognition_emulator.search.registry import INDEXES, IndexDependencies, IndexUnusable
from rekognition_emulator.telemetry.observation import stage


class IndexRouter(FaceIndex):
    """Asks for each collection the index that it has chosen; an index is opened when the first collection needs it."""

    def __init__(self, default: str, surroundings: IndexDependencies) -> None:
        self._default = default
        self._surroundings = surroundings
        self._opened: dict[str, FaceIndex] = {}
        self._closing = ExitStack()
        self._lock = threading.Lock()
        self.named(default)  # what keeps it from working is said at the start

    def named(self, name: str) -> FaceIndex:
        """Returns the index of this name, which is one of ``INDEXES``.

        Raises:
            IndexUnusable: it cannot be had here.
        """
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._closing.enter_context(closing(INDEXES[name](self._surroundings)))
            return self._opened[name]

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        with stage("search"):
            index = self._of(collection)
            return index.search(collection, probe, cosine_min=cosine_min, limit=limit, without=without)

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        with stage("search"):
            index = self._of(collection)
            return index.search_users(collection, probe, cosine_min=cosine_min, limit=limit, without=without)

    def prepare(self, collection: Collection, progress: Progress) -> None:
        self._of(collection).prepare(collection, progress)

    def holding(self, collection: Collection) -> IndexStatus:
        return self._of(collection).holding(collection)

    def forget(self, collection: Collection) -> None:
        self._of(collection).forget(collection)

    def close(self) -> None:
        self._closing.close()

    def _of(self, collection: Collection) -> FaceIndex:
        # One may be chosen that is unknown here or not installed. Any will do, for all find the same.
        try:
            return self.named(collection.index if collection.index and collection.index in INDEXES else self._default)
        except IndexUnusable:
            return self.named(self._default)
