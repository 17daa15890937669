"""Snapshots: what an index holds of a collection, written to disk and read again.

A snapshot spares a restart the reading of everything; it is never needed. So whatever is wrong with one, it is thrown
away: damaged, of another collection, of another face model, or of a history that the database knows nothing of, because
it was restored to an earlier moment. The last is told by a milestone that lies in both.
"""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import faiss
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search import segment_file
from rekognition_emulator.search.quantizers import CODED_MIN, ProductQuantizer
from rekognition_emulator.search.segment import Segment
from rekognition_emulator.search.segment_file import SegmentFileUnreadable
from rekognition_emulator.search.vectors import Vectors

_FORMAT: Final = 1
_SUFFIX: Final = ".snapshot"
_BLOCK: Final = 10_000
"""Faces that are written at once; 20 MB of 512 dimensions."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What was written down of a collection: its faces and users at a revision."""

    revision: int
    faces: Segment
    users: Vectors[str]


class Snapshots:
    """One file for each collection that is worth one."""

    def __init__(self, folder: Path, store: FaceStore) -> None:
        self._folder = folder
        self._store = store
        self._lock = threading.Lock()  # one is written at a time: each takes memory and keeps a core busy

    def write(
        self,
        collection: Collection,
        revision: int,
        faces: list[tuple[NDArray[np.uint8], NDArray[np.float32]]],
        users: Vectors[str],
    ) -> Snapshot:
        """Writes down a collection and reads it back.

        Args:
            collection: whose face model and key the file names.
            revision: what is written down.
            faces: ids (n, 16) uint8 and embeddings (n, d) float32, in as many pieces as there are.
            users: all of them.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
            SegmentFileUnreadable: what was written cannot be read.
            OSError: it cannot be written.
        """
        with self._lock:
            self._folder.mkdir(0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)  # an earlier version of this program may have made it
            path = self._path(collection.key)
            draft = path.with_suffix(f".{os.getpid()}")
            milestone = uuid4()
            try:
                _write(draft, _heading(collection, revision, milestone), faces, users)
                self._store.set_history_token(collection, milestone)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            return _snapshot(*segment_file.read(path))

    def read(self, collection: Collection) -> Snapshot | None:
        """Returns the collection's snapshot, if it has one that can be trusted."""
        path = self._path(collection.key)
        try:
            heading, parts = segment_file.read(path)
            if self._is_of(heading, collection):
                return _snapshot(heading, parts)
        except (SegmentFileUnreadable, KeyError, TypeError, ValueError):
            pass  # as good as foreign
        path.unlink(missing_ok=True)
        return None

    def remove(self, collection: Collection) -> None:
        """Removes the collection's snapshot, if it has one."""
        self._path(collection.key).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Removes the snapshots of collections that are gone, and what a crash has left half written."""
        with self._lock:
            paths = {path: path.stem for path in self._folder.glob("*.*")} if self._folder.exists() else {}
            keys = [int(stem) for path, stem in paths.items() if path.suffix == _SUFFIX and stem.isdecimal()]
            known = {str(key) for key, milestones in self._store.milestones(keys).items() if milestones}
            for path, stem in paths.items():
                if path.suffix != _SUFFIX or stem not in known:
                    path.unlink(missing_ok=True)

    def _is_of(self, heading: dict[str, Any], collection: Collection) -> bool:
        """Tells whether a snapshot is of this collection, and of its past."""
        revision, milestone = heading["revision"], UUID(heading["milestone"])
        if heading != {**heading, **_heading(collection, revision, milestone)} or revision > collection.revision:
            return False
        return milestone in self._store.milestones([collection.key])[collection.key]

    def _path(self, key: int) -> Path:
        return self._folder / f"{key}{_SUFFIX}"


def _heading(collection: Collection, revision: int, milestone: UUID) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "faiss": faiss.__version__,  # whose way to write codes down may change
        "collection": collection.key,
        "face_model_version": collection.face_model_version,
        "revision": revision,
        "milestone": str(milestone),
    }


def _write(
    path: Path,
    heading: dict[str, object],
    faces: list[tuple[NDArray[np.uint8], NDArray[np.float32]]],
    users: Vectors[str],
) -> None:
    ids = np.concatenate([piece for piece, _ in faces])
    halves = ids.view(">u8")
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    ordered = _Ordered(order, [rows for _, rows in faces if len(rows)])
    codes = ProductQuantizer.of(ordered) if len(ordered) >= CODED_MIN else None
    user_ids, user_embeddings = users.present()
    segment_file.write(
        path,
        {
            **heading,
            "dimension": ordered.dimension,
            "user_dimension": user_embeddings.shape[1],
            "error": codes and codes.error,
        },
        {
            "ids": [ids[order]],
            "embeddings": (ordered[start : start + _BLOCK] for start in range(0, len(ordered), _BLOCK)),
            "user_ids": [np.frombuffer(json.dumps(user_ids).encode(), np.uint8)],
            "user_embeddings": [user_embeddings],
            "codes": [faiss.serialize_index(codes.index)] if codes else [],
            "mean": [codes.mean] if codes else [],
        },
    )


class _Ordered:
    """Rows of several arrays in another order, without a copy of them all."""

    def __init__(self, order: NDArray[np.intp], pieces: list[NDArray[np.float32]]) -> None:
        self._order = order
        self._pieces = pieces
        self._starts = np.cumsum([0, *(len(piece) for piece in pieces)])
        self.dimension = pieces[0].shape[1] if pieces else 0

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, rows: "slice | NDArray[np.int64]") -> NDArray[np.float32]:
        wanted = self._order[rows]
        block = np.empty((len(wanted), self.dimension), np.float32)
        for start, piece in zip(self._starts, self._pieces, strict=False):
            here = (wanted >= start) & (wanted < start + len(piece))
            block[here] = piece[wanted[here] - start]
        return block


def _snapshot(heading: dict[str, Any], read: dict[str, segment_file.Bytes]) -> Snapshot:
    ids = np.array(read["ids"]).reshape(-1, 16)
    embeddings = _vectors(read["embeddings"], heading["dimension"])
    codes = None
    if heading["error"] is not None:
        index = faiss.deserialize_index(np.array(read["codes"]))
        assert isinstance(index, faiss.IndexPQFastScan)
        codes = ProductQuantizer(index, read["mean"].view("<f4"), heading["error"])
    # Large ones stay in the file. A small one is read, so that nothing done to the file can do anything to a search.
    faces = Segment(ids, embeddings if codes else np.array(embeddings), codes, mapped=codes is not None)
    user_ids = json.loads(read["user_ids"].tobytes())
    users = Vectors(user_ids, _vectors(read["user_embeddings"], heading["user_dimension"]))
    return Snapshot(heading["revision"], faces, users)


def _vectors(section: NDArray[np.uint8], dimension: Any) -> NDArray[np.float32]:  # noqa: ANN401 - out of JSON
    return section.view("<f4").reshape(-1, dimension) if dimension else np.empty((0, 0), np.float32)
