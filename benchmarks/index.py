"""What searches and writes take inside the server, by index and by album.

    python -m benchmarks.index

writes ``results/index.md``. ``make bench`` runs it after the benches of the engine, in a process of its own, because
the libraries of the peers stay in memory and keep threads.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg
from psycopg_pool import ConnectionPool

from benchmarks import index_peers, index_server, report
from benchmarks.albums import OWNER, Album, load, settle
from benchmarks.timing import Times, figure, in_turn, repeated, timed, together
from rekognition_emulator.domain.faces import EnrolledFace, NewFace
from rekognition_emulator.search.base import FaceIndex, IndexStatus
from rekognition_emulator.search.registry import INDEXES, IndexDependencies
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR

SIZES: Final = (1_000, 5_000, 15_000, 50_000)
ALBUMS: Final = 100
LIMIT: Final = 50
"""Matches asked for, without a threshold: there are always as many, most of them strangers, which is the most work."""

SECONDS: Final = 0.4
TIMES_MIN: Final = 40
"""For each number on the page, the longer of the two."""

SLOW: Final = frozenset({"milvus"})
"""Indexes that are timed in the smallest album only, and less often: Milvus Lite, which runs inside the process, takes
about a second to search 5,000 faces."""

FAST: Final = tuple(name for name in INDEXES if name not in SLOW)
SLOW_TIMES: Final = 8

NEIGHBOUR_FACES: Final = 100
NEIGHBOURS: Final = (10, 1_000)
NEIGHBOUR_ROUNDS: Final = 40
WRITERS: Final = (1, 4, 16, 64)
MEMORY_BYTES: Final = 2_048_000_000
"""As the server is set by default."""


@dataclass(frozen=True)
class Warm:
    """An index over a database, both ready: what its searches take, in the order in which a handler makes the calls."""

    pool: ConnectionPool
    index: FaceIndex
    name: str
    album: Album

    def search_faces(self, number: int) -> None:
        """Searches with a face of the album, as SearchFaces does."""
        store, face_id = PostgresStore(self.pool), self.album.ids[_somewhere(number, len(self.album.ids))]
        collection = store.get_collection(OWNER, self.name)
        probe = store.get_embedding(collection, face_id)
        found = self.index.search(collection, probe, cosine_min=-1, limit=LIMIT, without=face_id)
        store.get_faces(collection, [match.face_id for match in found])

    def search_faces_by_image(self, number: int) -> None:
        """Searches with an embedding, as SearchFacesByImage does after inference."""
        store = PostgresStore(self.pool)
        collection = store.get_collection(OWNER, self.name)
        probe = self.album.embeddings[_somewhere(number, len(self.album.ids))]
        found = self.index.search(collection, probe, cosine_min=-1, limit=LIMIT)
        store.get_faces(collection, [match.face_id for match in found])

    def search_users(self, number: int) -> None:
        """Searches with a user of the album, as SearchUsers does."""
        user_id = self.album.users[_somewhere(number, len(self.album.users))]
        collection = PostgresStore(self.pool).get_collection(OWNER, self.name)
        probe = PostgresUserStore(self.pool).get_user_embedding(collection, user_id)
        assert probe is not None
        self.index.search_users(collection, probe, cosine_min=-1, limit=LIMIT, without=user_id)


@dataclass(frozen=True)
class Measured:
    """One index in one album.

    Attributes:
        new: seconds of the first search by an index that has nothing yet, after PostgreSQL was started anew.
        again: seconds of the first search by one that has been there before.
        holding: what it holds then.
        warm: by operation.
    """

    new: float
    again: float
    holding: IndexStatus
    warm: Mapping[str, Times]


OPERATIONS: Final[Mapping[str, Callable[[Warm, int], None]]] = {
    "SearchFaces": Warm.search_faces,
    "SearchFacesByImage, without inference": Warm.search_faces_by_image,
    "SearchUsers": Warm.search_users,
}


def measure(scratch: Path, sizes: tuple[int, ...], others: int) -> list[report.Section]:
    """Makes a database of albums and measures all indexes in it, then the server over it, then peers."""
    albums = {f"album-{size}": Album.drawn(size, seed) for seed, size in enumerate(sizes)}
    data_dir = scratch / "data"
    with _opened(data_dir) as pool:
        loading = _load(pool, scratch, albums, others)
    smallest = dict(list(albums.items())[:1])
    measured = {index: _measure_index(data_dir, index, smallest if index in SLOW else albums) for index in INDEXES}
    sections = [*_searches(measured), _first(data_dir, measured)]
    sections += index_server.measure(data_dir, FAST, "album-15000", albums["album-15000"].ids)
    with _opened(data_dir) as pool:
        sections += [_writes(pool, data_dir, "album-15000"), loading]
    sections.append(_neighbours(scratch / "neighbours", scratch))
    return [*sections, *index_peers.measure(scratch / "peers", FAST, albums["album-15000"])]


@contextmanager
def _opened(data_dir: Path, database: str = "postgres") -> Iterator[ConnectionPool]:
    """Yields as many connections as a server has that runs on this machine; PostgreSQL stops with the last of them."""
    with embedded_database(data_dir) as server:
        url = server.replace("/postgres?", f"/{database}?")
        with open_pool(url, connections_max=(os.cpu_count() or 1) + 1, timeout_s=60) as pool:
            yield pool


def _load(pool: ConnectionPool, scratch: Path, albums: Mapping[str, Album], others: int) -> report.Section:
    """Fills the database; the albums beside those that are searched are the smallest one, again and again."""
    rows = []
    for name, album in albums.items():
        album.write(scratch / f"{name}.gz")
        seconds = load(pool, scratch / f"{name}.gz", name)
        rows.append([f"{len(album.ids):,}", f"{seconds:.2f}", figure(len(album.ids) / seconds)])
    smallest = next(iter(albums))
    for number in range(others):
        load(pool, scratch / f"{smallest}.gz", f"other-{number}")
    settle(pool)
    with pool.connection() as connection:
        query = "SELECT pg_total_relation_size('faces'), count(*) FROM faces"
        size_bytes, faces = connection.execute(query).fetchone() or (0, 1)
    return report.Section(
        "Bulk load",
        "`import` of an archive in which an album was exported: reading, checking, and `COPY` with all of the tables' "
        "indexes in place, as one transaction.",
        ["faces × 512", "seconds", "faces a second"],
        rows,
        notes=f"On disk the database takes {size_bytes / 1e6:,.0f} MB for {faces:,} faces in {len(albums) + others} "
        f"albums: {size_bytes / faces:,.0f} bytes a face with its box, ids and keys; its embedding has 2,048.",
    )


def _measure_index(data_dir: Path, name: str, albums: Mapping[str, Album]) -> dict[str, Measured]:
    """Measures an index in all albums; PostgreSQL is started for it anew."""
    times_min = SLOW_TIMES if name in SLOW else TIMES_MIN
    new, again, holding, warm = {}, {}, {}, {}
    with _opened(data_dir) as pool:
        around = _surroundings(pool, data_dir)
        for album_name, album in albums.items():
            with closing(INDEXES[name](around)) as index:
                new[album_name] = timed(partial(Warm(pool, index, album_name, album).search_faces, 0))
                index.prepare(PostgresStore(pool).get_collection(OWNER, album_name), lambda *_: None)
        with closing(INDEXES[name](around)) as index:
            for album_name, album in albums.items():
                searched = Warm(pool, index, album_name, album)
                again[album_name] = timed(partial(searched.search_faces, 1))
                warm[album_name] = {
                    operation: repeated(partial(run, searched), seconds=SECONDS, times_min=times_min)
                    for operation, run in OPERATIONS.items()
                }
                holding[album_name] = index.holding(PostgresStore(pool).get_collection(OWNER, album_name))
    return {each: Measured(new[each], again[each], holding[each], warm[each]) for each in albums}


def _searches(measured: Mapping[str, Mapping[str, Measured]]) -> Iterator[report.Section]:
    for operation in OPERATIONS:
        rows, lines = [], {}
        for index, by_album in measured.items():
            medians = []
            for album, found in by_album.items():
                rows.append([index, _faces(album), *found.warm[operation].row()])
                medians.append(found.warm[operation].ms(50))
            lines[index] = ([int(album.partition("-")[2]) for album in by_album], medians)
        yield report.Section(
            operation,
            f"Milliseconds inside the server, one request after another, all of them for the {LIMIT} nearest without a "
            "threshold: reading the collection's row and the probe, the search, and reading what is told of the "
            "matches. Everything was searched before. `milvus` is Milvus Lite.",
            ["index", "faces × 512", *Times.HEAD],
            rows,
            report.plot_lines("index.png", "SearchFaces, median", ("faces in the album", "ms"), lines)
            if operation == "SearchFaces"
            else None,
        )


def _first(data_dir: Path, measured: Mapping[str, Mapping[str, Measured]]) -> report.Section:
    rows = []
    for index, by_album in measured.items():
        for album, found in by_album.items():
            held = f"{found.holding.size_bytes / 1e6:.1f}", found.holding.kind
            rows.append([index, _faces(album), figure(found.new * 1000), figure(found.again * 1000), *held])
    files = {
        folder.name: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for folder in (data_dir / "indexes").glob("*")
        if folder.is_dir()
    }
    kept = [
        f"`{name}` keeps {size_bytes / 1e6:,.0f} MB of files for these albums." for name, size_bytes in files.items()
    ]
    return report.Section(
        "The first search, and what is held for the next",
        "Milliseconds of the first search in an album after PostgreSQL was started anew (the system still has its "
        "files in memory): by an index that has nothing yet, and by one that was there before and opened again. "
        "Memory is what the index itself holds of the album; `pgvector` searches the rows of the database.",
        ["index", "faces × 512", "new", "opened again", "MB held", "how"],
        rows,
        notes=" ".join(kept),
    )


def _writes(pool: ConnectionPool, data_dir: Path, name: str) -> report.Section:
    """Stores faces, one in each picture, from several threads; then has each index follow its writes."""
    store = PostgresStore(pool)
    collection = store.get_collection(OWNER, name)
    probe = Album.drawn(1_000, seed=99)

    def write(number: int) -> None:
        face = probe.face(_somewhere(number, 1_000))
        image_id = uuid4()
        enrolled = EnrolledFace(uuid4(), image_id, face.face.external_image_id, face.face.box, face.face.confidence)
        store.add_faces(ACTOR, collection, image_id, [NewFace(enrolled, face.embedding)])

    rows = []
    for writers in WRITERS:
        each = together(write, writers, SECONDS * 2)
        rows.append([f"write, {writers} at once", *each.row()])
    for index in FAST:
        with closing(INDEXES[index](_surroundings(pool, data_dir))) as opened:
            searched = Warm(pool, opened, name, probe)
            opened.prepare(store.get_collection(OWNER, name), lambda *_: None)
            times = in_turn({"write": write, "search": searched.search_faces_by_image}, TIMES_MIN)
            rows.append([f"search after each write, {index}", *times["search"].row()])
    return report.Section(
        "Writes",
        "One face in each picture, into the album of 15,000, on the disk when it is acknowledged. Milliseconds, "
        "waiting for one of the server's connections included; writers of one album wait for one another. Below: a "
        "search by embedding right after a write, which it has to see.",
        ["what", *Times.HEAD],
        rows,
    )


def _neighbours(data_dir: Path, scratch: Path) -> report.Section:
    """Searches the same album among few others and among many: two databases of one PostgreSQL, in turn."""
    rows = []
    size = min(SIZES[1], 5_000)
    album, neighbour = Album.drawn(size, seed=7), Album.drawn(NEIGHBOUR_FACES, seed=8)
    album.write(scratch / "between.gz")
    neighbour.write(scratch / "neighbour.gz")
    with embedded_database(data_dir) as url:
        for count in NEIGHBOURS:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE among_{count}")
            with _opened(data_dir, f"among_{count}") as pool:
                for number in range(count):
                    load(pool, scratch / "neighbour.gz", f"other-{number}")
                load(pool, scratch / "between.gz", "between")
                settle(pool)
        few, many = NEIGHBOURS
        for name in FAST:
            with (
                _opened(data_dir, f"among_{few}") as few_pool,
                _opened(data_dir, f"among_{many}") as many_pool,
                closing(INDEXES[name](_surroundings(few_pool, data_dir / str(few)))) as few_index,
                closing(INDEXES[name](_surroundings(many_pool, data_dir / str(many)))) as many_index,
            ):
                runs = {
                    "few": Warm(few_pool, few_index, "between", album).search_faces,
                    "many": Warm(many_pool, many_index, "between", album).search_faces,
                }
                in_turn(runs, 2)
                times = in_turn(runs, NEIGHBOUR_ROUNDS)
                medians = times["few"].ms(50), times["many"].ms(50)
                rows.append([name, *map(figure, medians), f"{medians[1] / medians[0]:.2f}"])
    return report.Section(
        "An album among others",
        f"SearchFaces in an album of {size:,} faces, in turn in two databases that differ in how many other albums of "
        f"{NEIGHBOUR_FACES} faces there are. Median milliseconds, as above.",
        ["index", *(f"among {count:,}" for count in NEIGHBOURS), "times"],
        rows,
    )


def _surroundings(pool: ConnectionPool, data_dir: Path) -> IndexDependencies:
    return IndexDependencies(PostgresStore(pool), pool, data_dir / "indexes", MEMORY_BYTES)


def _somewhere(number: int, count: int) -> int:
    """Returns places all over a list, each time another one."""
    return number * 7_919 % count


def _faces(album: str) -> str:
    return f"{int(album.partition('-')[2]):,}"


def main() -> None:
    """Runs this bench."""
    described = report.machine(report.INDEX_PACKAGES)
    with tempfile.TemporaryDirectory(prefix="rekognition-") as scratch:
        sections = measure(Path(scratch), SIZES, ALBUMS - len(SIZES))
    report.write("index.md", "python -m benchmarks.index", described, sections)


if __name__ == "__main__":
    main()
