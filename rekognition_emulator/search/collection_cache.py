"""How indexes outside the database follow its changes, and make room in memory.

What an index holds of a collection is a value that is never changed: a change makes the next one. So a search works on
one moment of the collection, whatever comes in meanwhile, and holds no lock.
"""

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Self, TypeVar

from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Changes, Collection
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search.base import IndexStatus, Progress
from rekognition_emulator.telemetry.observation import current

GALLERY_BYTES: Final = 2_000
"""What a gallery takes besides its vectors, so that empty ones have their bound, too."""


class Gallery(ABC):
    """The faces and users of one collection at one moment."""

    @abstractmethod
    def after(self, changes: Changes) -> Self:
        """Returns what it becomes; this one stays as it is."""

    @property
    @abstractmethod
    def holding(self) -> tuple[int, int, str]:
        """How many faces, how many bytes of memory, and how they are searched."""


G = TypeVar("G", bound=Gallery)


@dataclass(frozen=True, slots=True)
class CachedSnapshot(Generic[G]):
    """A gallery, and the revision and the face model of the collection that it is of."""

    revision: int
    face_model_version: str
    gallery: G

    def serves(self, collection: Collection) -> bool:
        """Returns whether the collection as it was read can be searched in it."""
        return self.revision >= collection.revision and self.face_model_version == collection.face_model_version


@dataclass(eq=False)
class _Place(Generic[G]):
    """Where one collection's gallery is held. Whoever brings it up to date has the lock."""

    held: CachedSnapshot[G] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class CollectionCache(Generic[G]):
    """The galleries of the collections that are searched, each at the collection's revision whenever it is asked for.

    Those searched longest ago make room. So deleted collections fade away without a message.
    """

    def __init__(self, store: FaceStore, begin: Callable[[Collection], CachedSnapshot[G]], bytes_max: int) -> None:
        """Makes an empty one.

        Args:
            store: what is followed.
            begin: makes the gallery of a collection that is held no longer or not yet: an empty one at revision 0, or
                one that was written down.
            bytes_max: what all galleries may take together; the one searched last is held even if it alone takes more.
        """
        self._store = store
        self._begin = begin
        self._bytes_max = bytes_max
        self._places: OrderedDict[int, _Place[G]] = OrderedDict()
        self._lock = threading.Lock()

    def follow(self, collection: Collection, progress: Progress | None = None) -> CachedSnapshot[G]:
        """Returns the gallery at the collection's revision or a later one.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
            FaceModelChanged: it was given another face model meanwhile.
        """
        with self._lock:
            place = self._places.setdefault(collection.key, _Place())
            self._places.move_to_end(collection.key)
        held = place.held
        current().count("index_lag", max(0, collection.revision - (held.revision if held else 0)))
        if held is None or not held.serves(collection):
            try:
                with place.lock:
                    held = self._catch_up(place, collection, progress)
            except CollectionNotFound:
                self.forget(collection)
                raise
            self._make_room()
        return held

    def replace(self, collection: Collection, held: CachedSnapshot[G]) -> None:
        """Holds this in place of what is held of the collection; what it lacks is told again before the next answer."""
        with self._lock:
            place = self._places.get(collection.key)
        if place is not None:
            with place.lock:
                place.held = held

    def held(self, collection: Collection) -> CachedSnapshot[G] | None:
        """Returns what is held of the collection, however old."""
        with self._lock:
            place = self._places.get(collection.key)
        return place.held if place else None

    def holding(self, collection: Collection) -> IndexStatus:
        """Returns the same as operators see it."""
        held = self.held(collection)
        return IndexStatus(held.revision, *held.gallery.holding) if held else IndexStatus(0, 0, 0, "nothing")

    def forget(self, collection: Collection) -> None:
        """Holds no longer what is held of the collection."""
        with self._lock:
            self._places.pop(collection.key, None)

    def _catch_up(self, place: _Place[G], collection: Collection, progress: Progress | None) -> CachedSnapshot[G]:
        held = place.held or self._begin(collection)
        gallery = held.gallery
        # Of another model nothing is of use. Which of the two is behind, the gallery or who asks, the store will say.
        revision = removals = held.revision if held.face_model_version == collection.face_model_version else 0
        behind = not held.serves(collection)
        while behind:
            changes = self._store.changes(collection, revision, removals_since=removals)
            gallery = gallery.after(changes)
            revision, removals = changes.revision, changes.removals_revision
            if progress:
                faces, _, _ = gallery.holding
                progress(faces, max(faces, collection.face_count))
            behind = revision < collection.revision
        place.held = CachedSnapshot(revision, collection.face_model_version, gallery)
        return place.held

    def _make_room(self) -> None:
        with self._lock:
            sizes = {
                key: GALLERY_BYTES + place.held.gallery.holding[1] for key, place in self._places.items() if place.held
            }
            total = sum(sizes.values())
            last = next(reversed(self._places), None)
            for key, size in sizes.items():
                if total <= self._bytes_max or key == last:
                    break
                del self._places[key]
                total -= size
