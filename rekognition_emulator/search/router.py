"""Each collection's own index, chosen when it is made.

Which one that is stands in the collection, which every search reads first: so all servers change over with their next
search, and nobody has to be told.
"""

import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from types import MappingProxyType
from uuid import UUID

from rekognition_emulator.domain.faces import Collection, Embedding, Match, UserMatch
from rekognition_emulator.progress import Progress
from rekognition_emulator.search.base import FaceIndex, IndexStatus
from rekognition_emulator.search.registry import IndexDependencies, IndexUnusable, find_index
from rekognition_emulator.search.url import IndexUrl
from rekognition_emulator.telemetry.observation import stage


class IndexRouter(FaceIndex):
    """Asks for each collection the index that it has chosen; an index is opened when the first collection needs it.

    Args:
        default: the name of the index of collections that have chosen none.
        surroundings: what indexes are made of, without address and options.
        urls: name → address and options, of indexes that have any.
    """

    def __init__(
        self, default: str, surroundings: IndexDependencies, urls: Mapping[str, IndexUrl] = MappingProxyType({})
    ) -> None:
        self._default = default
        self._surroundings = surroundings
        self._urls = urls
        self._opened: dict[str, FaceIndex] = {}
        self._unusable: dict[str, str] = {}
        self._closing = ExitStack()
        self._lock = threading.Lock()
        self.named(default)  # what keeps it from working is said at the start

    def named(self, name: str) -> FaceIndex:
        """Returns the index of this name.

        Raises:
            IndexUnusable: it cannot be had here, which stays so until the next start.
        """
        with self._lock:
            if name in self._unusable:
                raise IndexUnusable(self._unusable[name])  # a new one: each raising makes a traceback longer
            if name not in self._opened:
                try:
                    self._opened[name] = self._closing.enter_context(closing(self._open(name)))
                except IndexUnusable as error:
                    self._unusable[name] = str(error)
                    raise
            return self._opened[name]

    def _open(self, name: str) -> FaceIndex:
        url = self._urls.get(name, IndexUrl(name))
        try:
            record = find_index(name)
        except ValueError as error:
            raise IndexUnusable(f"The index {name} {error}.") from error
        return record.open(replace(self._surroundings, address=url.address, options=url.options))

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
            return self.named(collection.index or self._default)
        except IndexUnusable:
            return self.named(self._default)
