"""One collection of a million faces, in the index alone.

    python -m benchmarks.index_large --dimension 512

writes ``results/index_large_512.md`` in minutes. Faces come out of memory, not out of a database, in the same parts as
a store would tell of them: what is measured here is what the index makes of them.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.albums import OWNER, Album
from benchmarks.timing import Times, figure, in_turn, recall, timed
from rekognition_emulator.domain.faces import Changes, Collection, Delta
from rekognition_emulator.domain.store import CHANGES_MAX
from rekognition_emulator.models.catalogue import DLIB as DLIB_MODEL
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.quantizers import CODED_MIN
from rekognition_emulator.search.registry import INDEXES, IndexDependencies
from rekognition_emulator.search.segment import Segment
from rekognition_emulator.search.vectors import cosines, nearest_rows
from tests.support.embeddings import ARCFACE, DLIB

FACES: Final = 1_000_000
PROBES: Final = 60
LIMIT: Final = 50
MEMORY_BYTES: Final = 2_048_000_000
SPACES: Final = {ARCFACE.dimension: ARCFACE, DLIB.dimension: DLIB}

Find = Callable[[int], Sequence[UUID]]


class Told:
    """What an index asks of a store, answered out of an album; revisions are parts of it."""

    def __init__(self, album: Album) -> None:
        self._album = album
        self._milestones: set[UUID] = set()
        parts = -(-len(album.ids) // CHANGES_MAX)
        self.collection = Collection(
            1, OWNER, "million", DLIB_MODEL.version, datetime.now(UTC), parts, len(album.ids), user_count=0
        )

    def changes(self, collection: Collection, since: int, **_: object) -> Changes:
        """Tells of the next part."""
        part = slice(since * CHANGES_MAX, (since + 1) * CHANGES_MAX)
        nobody: Delta[str] = Delta([], np.empty((0, 0), np.float32), [])
        ids, embeddings = self._album.ids[part], self._album.embeddings[part]
        return Changes(ids, embeddings, [], since + 1, collection.revision, since == 0, nobody)

    def set_history_token(self, _: Collection, milestone: UUID) -> None:
        """Remembers it."""
        self._milestones.add(milestone)

    def milestones(self, keys: Sequence[int]) -> Mapping[int, frozenset[UUID]]:
        """Returns all that were set."""
        return dict.fromkeys(keys, frozenset(self._milestones))


def measure(folder: Path, album: Album) -> report.Section:
    """Searches a collection of this album's faces by code and exactly, beside comparing all of them."""
    probes = album.embeddings[:: len(album.ids) // PROBES][:PROBES]
    told: Any = Told(album)
    collection: Collection = told.collection
    nowhere: Any = None  # the index is not in a database
    around = IndexDependencies(told, nowhere, folder, MEMORY_BYTES)
    with closing(INDEXES["faiss"](around)) as index:
        preparing = timed(lambda: index.prepare(collection, lambda *_: None))
        holding = index.holding(collection)
    # Without codes nothing is missed; so many are never searched like that by the index itself.
    exact = Segment(_packed(album.ids), album.embeddings, None, mapped=False)
    with closing(INDEXES["faiss"](around)) as index:
        first = timed(lambda: _ask(index, collection, probes, 0))
        finds: dict[str, Find] = {
            "faiss, by codes": partial(_ask, index, collection, probes),
            "faiss, rounded, without codes": partial(_ask_exact, exact, probes),
            "all compared, one by one": partial(_compare_all, album, probes),
            "NumPy, a matrix product": partial(_numpy, album, probes),
        }
        rows = _rows(finds, [_compare_all(album, probes, number) for number in range(len(probes))])
    file_bytes = sum(file.stat().st_size for file in folder.rglob("*.snapshot"))
    resident_gb = psutil.Process().memory_info().rss / 1e9
    return report.Section(
        f"{len(album.ids):,} faces × {album.embeddings.shape[1]}",
        f"The {LIMIT} nearest, without a threshold, {len(probes)} probes of the collection, all ways in turn. "
        f"Milliseconds inside the index. It searches up to {CODED_MIN:,} faces without codes.",
        ["way", *Times.HEAD[:4], "of the true nearest"],
        rows,
        notes=f"`prepare` took {preparing:.1f} s, reading from a database not included; the index then held "
        f"{holding.size_bytes / 1e6:,.0f} MB in memory ({holding.kind}) and {file_bytes / 1e6:,.0f} MB in its file. "
        f"Opened again, its first search took {figure(first * 1000)} ms. The whole process had {resident_gb:.1f} GB "
        "resident at the end, the faces as they were told and the pages of the file included.",
    )


def _rows(finds: dict[str, Find], nearest: Sequence[Sequence[UUID]]) -> list[list[str]]:
    found: dict[str, list[Sequence[UUID]]] = {name: [] for name in finds}
    runs = {name: partial(_keep, find, found[name]) for name, find in finds.items()}
    in_turn(runs, 3)  # warms up
    for answers in found.values():
        answers.clear()
    times = in_turn(runs, len(nearest))
    return [[name, *each.row()[:4], f"{recall(found[name], nearest):.4f}"] for name, each in times.items()]


def _keep(find: Find, answers: list[Sequence[UUID]], number: int) -> None:
    answers.append(find(number))


def _ask(index: FaceIndex, collection: Collection, probes: NDArray[np.float32], number: int) -> list[UUID]:
    return [match.face_id for match in index.search(collection, probes[number], cosine_min=-1, limit=LIMIT)]


def _ask_exact(exact: Segment, probes: NDArray[np.float32], number: int) -> list[UUID]:
    found = exact.nearest(probes[number], -1, LIMIT, np.zeros(len(exact), bool))
    return [face_id for face_id, _ in sorted(found, key=lambda near: (-near[1], near[0]))[:LIMIT]]


def _compare_all(album: Album, probes: NDArray[np.float32], number: int) -> list[UUID]:
    found = cosines(album.embeddings, probes[number])
    rows = nearest_rows(found, -1, LIMIT)
    return [album.ids[row] for row in rows[np.argsort(-found[rows], kind="stable")][:LIMIT]]


def _numpy(album: Album, probes: NDArray[np.float32], number: int) -> list[UUID]:
    cosines = album.embeddings @ probes[number]
    return [album.ids[row] for row in np.argpartition(-cosines, LIMIT)[:LIMIT]]


def _packed(ids: Sequence[UUID]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(face_id.bytes for face_id in ids), np.uint8).reshape(-1, 16)


def main() -> None:
    """Runs this bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, choices=SPACES, default=ARCFACE.dimension)
    dimension: int = parser.parse_args().dimension
    described = report.machine(report.INDEX_PACKAGES)
    with tempfile.TemporaryDirectory(prefix="rekognition-") as folder:
        section = measure(Path(folder), Album.drawn(FACES, 0, SPACES[dimension]))
    command = f"python -m benchmarks.index_large --dimension {dimension}"
    report.write(f"index_large_{dimension}.md", command, described, [section])


if __name__ == "__main__":
    main()
