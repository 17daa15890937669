"""One collection of a million faces. Changes when something else is asked of it.

    python -m tests.bench.index_large --dimension 512 --folder SCRATCH

writes ``results/index_large_512.md``. The folder keeps the database (6 GB at 512 dimensions, made in minutes), so that
a second run only measures.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
import psutil
from numpy.typing import NDArray
from psycopg_pool import ConnectionPool

from rekognition_emulator.faces.errors import CollectionNotFound
from rekognition_emulator.faces.gallery import Collection
from rekognition_emulator.faces.index import FaceIndex
from rekognition_emulator.indexes import INDEXES, Surroundings
from rekognition_emulator.indexes.sealed import Sealed
from rekognition_emulator.store.database import open_pool
from rekognition_emulator.store.embedded import embedded_database
from rekognition_emulator.store.postgres import PostgresStore
from tests.bench import report
from tests.bench.albums import OWNER, Album, load, settle
from tests.bench.timing import Times, figure, in_turn, recall, timed
from tests.embeddings import ARCFACE, DLIB

FACES: Final = 1_000_000
PROBES: Final = 60
LIMIT: Final = 50
SPACES: Final = {ARCFACE.dimension: ARCFACE, DLIB.dimension: DLIB}
NAME: Final = "million"

Find = Callable[[int], Sequence[UUID]]


def measure(folder: Path, album: Album) -> report.Section:
    """Searches a collection of this album's faces by code and exactly, beside a bare matrix product."""
    dimension = album.embeddings.shape[1]
    probes = album.embeddings[:: len(album.ids) // PROBES][:PROBES]
    with embedded_database(folder) as url, open_pool(url, connections_max=2) as pool:
        notes = _load(pool, folder, album)
        store = PostgresStore(pool)
        collection = store.get_collection(OWNER, NAME)
        # What is compared one by one lies in memory, in the order that the codes have it in.
        exact = Sealed(_packed(album.ids), album.embeddings, None, mapped=False)
        with closing(INDEXES["faiss"](Surroundings(store, pool, folder / "indexes", 2_048_000_000))) as index:
            preparing = timed(lambda: index.prepare(collection, lambda *_: None))
            holding = index.holding(collection)
        with closing(INDEXES["faiss"](Surroundings(store, pool, folder / "indexes", 2_048_000_000))) as index:
            first = timed(lambda: _ask(index, collection, probes[0]))
            finds: dict[str, Find] = {
                "faiss, by codes": lambda number: _ask(index, collection, probes[number]),
                "faiss, all compared": lambda number: _ask_all(exact, probes[number]),
                "NumPy, a matrix product": _numpy(album, probes),
            }
            rows = _rows(finds, [_ask_all(exact, probe) for probe in probes])
    notes.append(
        f"`prepare` took {preparing:.1f} s; the index then held {holding.size_bytes / 1e6:,.0f} MB in memory and "
        f"{sum(file.stat().st_size for file in (folder / 'indexes').rglob('*.snapshot')) / 1e6:,.0f} MB in its file. "
        f"Opened again, its first search took {figure(first * 1000)} ms."
    )
    return report.Section(
        f"{len(album.ids):,} faces × {dimension}",
        f"The {LIMIT} nearest, without a threshold, {len(probes)} probes of the collection, all ways in turn. "
        "Milliseconds inside the index.",
        ["way", *Times.HEAD[:4], "of the true nearest"],
        rows,
        notes=" ".join(notes),
    )


def _load(pool: ConnectionPool, folder: Path, album: Album) -> list[str]:
    """Imports the album, unless an earlier run has done it; returns what is to be said of that."""
    try:
        PostgresStore(pool).get_collection(OWNER, NAME)
    except CollectionNotFound:
        album.write(folder / "million.gz")
        seconds = load(pool, folder / "million.gz", NAME)
        (folder / "million.gz").unlink()
        settle(pool)
        return [f"`import` took {seconds:.0f} s: {len(album.ids) / seconds:,.0f} faces a second."]
    return []


def _rows(finds: dict[str, Find], nearest: Sequence[Sequence[UUID]]) -> list[list[str]]:
    found: dict[str, list[Sequence[UUID]]] = {name: [] for name in finds}
    runs = {name: lambda number, name=name: found[name].append(finds[name](number)) for name in finds}
    in_turn(runs, 3)  # warms up
    for answers in found.values():
        answers.clear()
    times = in_turn(runs, len(nearest))
    return [[name, *each.row()[:4], f"{recall(found[name], nearest):.4f}"] for name, each in times.items()]


def _ask(index: FaceIndex, collection: Collection, probe: NDArray[np.float32]) -> list[UUID]:
    return [match.face_id for match in index.search(collection, probe, cosine_min=-1, limit=LIMIT)]


def _ask_all(exact: Sealed, probe: NDArray[np.float32]) -> list[UUID]:
    found = exact.nearest(probe, -1, LIMIT, np.zeros(len(exact), bool))
    return [face_id for face_id, _ in sorted(found, key=lambda near: (-near[1], near[0]))[:LIMIT]]


def _numpy(album: Album, probes: NDArray[np.float32]) -> Find:
    def find(number: int) -> list[UUID]:
        cosines = album.embeddings @ probes[number]
        return [album.ids[row] for row in np.argpartition(-cosines, LIMIT)[:LIMIT]]

    return find


def _packed(ids: Sequence[UUID]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(face_id.bytes for face_id in ids), np.uint8).reshape(-1, 16)


def main() -> None:
    """Runs this bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, choices=SPACES, default=ARCFACE.dimension)
    parser.add_argument("--faces", type=int, default=FACES)
    parser.add_argument("--folder", type=Path, required=True, help="where the database is kept; it may be new")
    arguments = parser.parse_args()
    described = report.machine(report.INDEX_PACKAGES)
    section = measure(arguments.folder, Album.drawn(arguments.faces, 0, SPACES[arguments.dimension]))
    resident_gb = psutil.Process().memory_info().rss / 1e9
    command = f"python -m tests.bench.index_large --dimension {arguments.dimension} --folder SCRATCH"
    described += (
        f"\nThe process had {resident_gb:.1f} GB resident at the end, all embeddings for comparison included.\n"
    )
    report.write(f"index_large_{arguments.dimension}.md", command, described, [section])


if __name__ == "__main__":
    main()
