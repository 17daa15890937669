"""The index ``faiss``: collections in this process's memory, exact while they are small, by codes beyond.

The bulk of a collection is sealed: written to a file, with short codes where it is large. What came since is held
beside it and searched one by one, until it is worth to seal both anew, in the background.
"""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray

from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Changes, Collection, Embedding, Match, UserMatch
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search.base import FaceIndex, IndexStatus, Progress
from rekognition_emulator.search.collection_cache import CachedSnapshot, CollectionCache, Gallery
from rekognition_emulator.search.segment import Segment
from rekognition_emulator.search.snapshots import Snapshot, Snapshots
from rekognition_emulator.search.vectors import Vectors, ranked

_UNSEALED_MIN: Final = 2_000
"""Changes that are worth a snapshot: to read so many from the database takes 50 ms."""

_UNSEALED_MAX: Final = 50_000
"""Changes that are sealed at the latest: to search so many one by one takes 5 ms."""

_UNSEALED_PART: Final = 4
"""In between: one change for so many sealed faces. Each face is written to the disk that often, in the mean."""

_LOG: Final = structlog.get_logger()


class FaissIndex(FaceIndex):
    """Holds the collections that are searched, and writes down the larger ones."""

    def __init__(self, store: FaceStore, folder: Path, bytes_max: int) -> None:
        """Makes one.

        Args:
            store: what is followed.
            folder: where snapshots are; nothing else is.
            bytes_max: as ``CollectionCache`` understands it.
        """
        self._snapshots = Snapshots(folder, store)
        self._following = CollectionCache(store, self._begin, bytes_max)
        self._sealing: set[int] = set()
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshots")
        self._background.submit(self._snapshots.tidy).add_done_callback(_report)

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        gallery = self._follow(collection)
        wanted = limit + (without is not None)
        found = gallery.faces.nearest(probe, cosine_min, wanted)
        if gallery.sealed:
            found += gallery.sealed.nearest(probe, cosine_min, wanted, gallery.gone)
        return [Match(*near) for near in ranked(found, limit, without)]

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        found = self._follow(collection).users.nearest(probe, cosine_min, limit + (without is not None))
        return [UserMatch(*near) for near in ranked(found, limit, without)]

    def prepare(self, collection: Collection, progress: Progress) -> None:
        held = self._following.follow(collection, progress)
        if held.gallery.unsealed:
            self._seal(collection)
        faces = self.holding(collection).faces
        progress(faces, faces)

    def holding(self, collection: Collection) -> IndexStatus:
        return self._following.holding(collection)

    def forget(self, collection: Collection) -> None:
        self._following.forget(collection)
        self._snapshots.remove(collection)

    def close(self) -> None:
        self._background.shutdown(cancel_futures=True)

    def _begin(self, collection: Collection) -> "CachedSnapshot[_Gallery]":
        snapshot, version = self._snapshots.read(collection), collection.face_model_version
        return _held(snapshot, version) if snapshot else CachedSnapshot(0, version, _NOTHING)

    def _follow(self, collection: Collection) -> "_Gallery":
        gallery = self._following.follow(collection).gallery
        bulk = len(gallery.sealed) if gallery.sealed else 0
        if gallery.unsealed >= min(_UNSEALED_MAX, max(_UNSEALED_MIN, bulk // _UNSEALED_PART)):
            with self._lock:
                begun = collection.key in self._sealing
                self._sealing.add(collection.key)
            if not begun:
                self._background.submit(self._seal_later, collection).add_done_callback(_report)
        return gallery

    def _seal_later(self, collection: Collection) -> None:
        try:
            self._seal(collection)
            self._snapshots.tidy()
        except CollectionNotFound:
            self._snapshots.remove(collection)
        finally:
            with self._lock:
                self._sealing.discard(collection.key)

    def _seal(self, collection: Collection) -> None:
        """Writes down what is held, and holds what was written: changes since then are told again."""
        held = self._following.held(collection)
        if held is not None:
            gallery = held.gallery
            snapshot = self._snapshots.write(collection, held.revision, gallery.pieces(), gallery.users)
            self._following.replace(collection, _held(snapshot, held.face_model_version))


@dataclass(frozen=True, slots=True, eq=False)
class _Gallery(Gallery):
    """A collection at one moment.

    Attributes:
        sealed: the bulk of its faces, if any was sealed.
        gone: (len(sealed),) which of them went since.
        faces: those that came since.
        users: all of them; they are few beside faces.
        unsealed: how many changes would have to be made again without this moment.
    """

    sealed: Segment | None
    gone: NDArray[np.bool_]
    faces: Vectors[UUID]
    users: Vectors[str]
    unsealed: int

    def after(self, changes: Changes) -> Self:
        before = _NOTHING if changes.anew else self
        ids = [*changes.removed, *changes.added]
        gone = before.gone
        if before.sealed and (rows := list(before.sealed.rows(ids))):
            gone = gone.copy()
            gone[rows] = True
        users = len(changes.users.added) + len(changes.users.removed)
        return type(self)(
            before.sealed,
            gone,
            before.faces.after(changes),
            before.users.after(changes.users),
            before.unsealed + len(ids) + users,
        )

    def pieces(self) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """Returns all faces, as ids (n, 16) uint8 and embeddings (n, d) float32, in one piece or two."""
        ids, embeddings = self.faces.present()
        pieces = [(np.frombuffer(b"".join(name.bytes for name in ids), np.uint8).reshape(-1, 16), embeddings)]
        if self.sealed and self.gone.any():
            pieces.append((self.sealed.ids[~self.gone], self.sealed.embeddings[~self.gone]))
        elif self.sealed:
            pieces.append((self.sealed.ids, self.sealed.embeddings))
        return pieces

    @property
    def holding(self) -> tuple[int, int, str]:
        sealed = len(self.sealed) - int(np.count_nonzero(self.gone)) if self.sealed else 0
        size_bytes = self.gone.nbytes + self.faces.size_bytes + self.users.size_bytes
        kind = "coded" if self.sealed and self.sealed.codes else "exact"
        return sealed + len(self.faces), size_bytes + (self.sealed.size_bytes if self.sealed else 0), kind


_NOTHING: Final = _Gallery(None, np.zeros(0, bool), Vectors(), Vectors(), 0)


def _held(snapshot: Snapshot, face_model_version: str) -> CachedSnapshot[_Gallery]:
    faces = snapshot.faces
    gallery = _Gallery(faces, np.zeros(len(faces), bool), Vectors(), snapshot.users, 0)
    return CachedSnapshot(snapshot.revision, face_model_version, gallery)


def _report(work: "Future[None]") -> None:
    """Tells what went wrong in the background. Searches do without snapshots, and try for the next one later."""
    if not work.cancelled() and (error := work.exception()):
        _LOG.warning("no snapshot", error=str(error) or type(error).__name__)
