"""The search beside its peers, over the same album in the same run. Changes when a peer does.

Each peer is used as its documentation begins, with its defaults of storage, index and search. All answer for the same
probes, in turn.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import faiss
import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector.psycopg import register_vector
from psycopg import Connection
from psycopg.rows import TupleRow

from rekognition_emulator.faces.gallery import Collection
from rekognition_emulator.faces.index import FaceIndex
from rekognition_emulator.indexes import INDEXES, Surroundings
from rekognition_emulator.store.database import open_pool
from rekognition_emulator.store.embedded import embedded_database
from rekognition_emulator.store.postgres import PostgresStore
from tests.bench.albums import OWNER, Album, load, settle
from tests.bench.report import Section, plot_bars
from tests.bench.timing import figure, in_turn, recall, timed

LIMIT: Final = 50
ROUNDS: Final = 30
OURS: Final = tuple(f"ours, {name}" for name in INDEXES)
OTHERS: Final = 15
OTHER_FACES: Final = 1_000

Find = Callable[[int], Sequence[int]]
"""Number of a probe → rows of the album that were found."""


def measure(scratch: Path, album: Album) -> list[Section]:
    """Fills everybody's storage with the album, and with others where a storage knows of several, and asks in turn."""
    scratch.mkdir()
    probes = album.embeddings[:: len(album.ids) // ROUNDS][:ROUNDS]
    nearest = [np.argsort(-(album.embeddings @ probe), kind="stable")[:LIMIT].tolist() for probe in probes]
    album.write(scratch / "album.gz")
    with embedded_database(scratch) as url, ExitStack() as stack:
        pool = stack.enter_context(open_pool(url, connections_max=4))
        load(pool, scratch / "album.gz", "album")
        settle(pool)
        store = PostgresStore(pool)
        collection = store.get_collection(OWNER, "album")
        around = Surroundings(store, pool, scratch / "indexes", 2_048_000_000)
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        register_vector(connection)
        connection.execute("SET maintenance_work_mem = '1GB'")
        others = [Album.drawn(OTHER_FACES, seed=100 + number) for number in range(OTHERS)]
        _fill(connection, [album, *others])
        theirs, inserted = _deepface(url, connection, album, probes)
        finds = {
            name: _ours(stack.enter_context(closing(INDEXES[index](around))), collection, album, probes)
            for name, index in zip(OURS, INDEXES, strict=True)
        }
        finds |= {
            "NumPy, a matrix product": _numpy(album, probes),
            "FAISS, flat": _faiss(album, probes),
            "qdrant-client, in memory": _qdrant(album, probes),
            "pgvector, default storage, exact": _pgvector(connection, 0, probes),
            "DeepFace, pgvector": theirs,
        }
        alone = _beside(finds, nearest, inserted)
        return [alone, _missing(connection, album, others[0], probes)]


def _beside(finds: Mapping[str, Find], nearest: Sequence[Sequence[int]], inserted: float) -> Section:
    found: dict[str, list[Sequence[int]]] = {name: [] for name in finds}
    runs = {name: lambda number, name=name: found[name].append(finds[name](number)) for name in finds}
    in_turn(runs, 2)  # warms up
    for answers in found.values():
        answers.clear()
    times = in_turn(runs, len(nearest))
    rows = []
    for name, each in times.items():
        came = np.mean([len(answer) for answer in found[name]])
        share = recall(found[name], nearest)
        ratios = [f"{each.ms(50) / times[ours].ms(50):.1f}" for ours in OURS[:2]]
        rows.append([name, figure(each.ms(50)), figure(each.ms(95)), *ratios, f"{came:.1f}", f"{share:.3f}"])
    return Section(
        "Beside its peers",
        f"The {LIMIT} nearest in one album of 15,000 faces × 512, without what a server does around it; all in turn, "
        f"{len(nearest)} probes of the album. NumPy and FAISS know no ids, no other albums and no writes, and take all "
        "cores. DeepFace has no collections: its table holds this album alone, "
        f"and its own `insert_embeddings` took {inserted:.0f} s to fill it, with faces of one pixel, which it stores, "
        "too, and its graph made only afterwards. What was left out of its search is loading a model, of which it "
        "wants to know the dimension.",
        ["way", "p50", "p95", *(f"times {name}" for name in OURS[:2]), f"came, of {LIMIT}", "of the true nearest"],
        rows,
        plot_bars(
            "index_peers.png",
            f"The {LIMIT} nearest of 15,000",
            "ms, median",
            {name: {"ms": each.ms(50)} for name, each in times.items()},
            stacked=False,
        ),
    )


def _missing(connection: Connection[TupleRow], large: Album, small: Album, probes: NDArray[np.float32]) -> Section:
    """Makes a graph with pgvector's defaults over all collections and counts what it does not find in one."""
    making = timed(lambda: connection.execute("CREATE INDEX ON peers USING hnsw (embedding vector_cosine_ops)"))
    connection.execute("ANALYZE peers")
    rows = []
    for number, album, asked in ((0, large, probes), (1, small, small.embeddings[:ROUNDS])):
        nearest = [np.argsort(-(album.embeddings @ probe), kind="stable")[:LIMIT].tolist() for probe in asked]
        for setting in ("off", "relaxed_order"):
            connection.execute(f"SET hnsw.iterative_scan = {setting}")
            answers: list[Sequence[int]] = []
            find = _pgvector(connection, number, asked)
            times = in_turn({"graph": lambda each: answers.append(find(each))}, len(asked))["graph"]  # noqa: B023 - runs within the loop
            came = sum(map(len, answers)) / len(asked)
            share = recall(answers, nearest)
            rows.append([f"{len(album.ids):,}", setting, figure(times.ms(50)), f"{LIMIT - came:.1f}", f"{share:.3f}"])
    plan = "\n".join(row[0] for row in connection.execute("EXPLAIN " + _NEAREST, [1, probes[0]]).fetchall())
    way = "uses the graph" if "hnsw" in plan.lower() or "embedding_idx" in plan else "reads the collection instead"
    return Section(
        "One graph over all collections, as pgvector makes it by default",
        f"The same with `USING hnsw` over a table of {len(large.ids) + OTHERS * OTHER_FACES:,} faces in {OTHERS + 1} "
        f"collections, made in {making:.0f} s, and a query that wants the {LIMIT} nearest of one collection. What is "
        "missing was there. `hnsw.iterative_scan` is off by default. Our `pgvector` refused this graph and misses "
        "none.",
        ["collection of", "iterative scan", "p50", f"missing, of {LIMIT}", "of the true nearest"],
        rows,
        notes=f"For the collection of {len(small.ids):,} PostgreSQL's planner {way}.",
    )


def _ours(index: FaceIndex, collection: Collection, album: Album, probes: NDArray[np.float32]) -> Find:
    rows = {face_id: row for row, face_id in enumerate(album.ids)}
    index.prepare(collection, lambda *_: None)

    def find(number: int) -> list[int]:
        found = index.search(collection, probes[number], cosine_min=-1, limit=LIMIT)
        return [rows[match.face_id] for match in found]

    return find


def _numpy(album: Album, probes: NDArray[np.float32]) -> Find:
    def find(number: int) -> list[int]:
        cosines = album.embeddings @ probes[number]
        near = np.argpartition(-cosines, LIMIT)[:LIMIT]
        ranked: list[int] = near[np.argsort(-cosines[near])].tolist()
        return ranked

    return find


def _faiss(album: Album, probes: NDArray[np.float32]) -> Find:
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index = faiss.IndexFlatIP(album.embeddings.shape[1])
    index.add(album.embeddings)
    return lambda number: index.search(probes[number][None], LIMIT)[1][0].tolist()


def _qdrant(album: Album, probes: NDArray[np.float32]) -> Find:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    vectors = models.VectorParams(size=album.embeddings.shape[1], distance=models.Distance.COSINE)
    client.create_collection("album", vectors_config=vectors)
    client.upload_collection("album", album.embeddings, ids=range(len(album.ids)))
    return lambda number: [
        int(point.id) for point in client.query_points("album", query=probes[number].tolist(), limit=LIMIT).points
    ]


def _fill(connection: Connection[TupleRow], albums: Sequence[Album]) -> None:
    """Makes a table as pgvector's documentation does; a face's number is its row in its album."""
    dimension = albums[0].embeddings.shape[1]
    connection.execute(
        f"CREATE TABLE peers (collection int, face int, embedding vector({dimension}), PRIMARY KEY (collection, face))"
    )
    with connection.cursor() as cursor, cursor.copy("COPY peers FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "int4", "vector"])
        for number, album in enumerate(albums):
            for row, embedding in enumerate(album.embeddings):
                copy.write_row((number, row, embedding))
    connection.execute("VACUUM ANALYZE peers")


def _pgvector(connection: Connection[TupleRow], number: int, probes: NDArray[np.float32]) -> Find:
    def find(each: int) -> list[int]:
        probe = probes[each]
        return [face for (face,) in connection.execute(_NEAREST, [number, probe]).fetchall()]

    return find


_NEAREST: Final = f"SELECT face FROM peers WHERE collection = %s ORDER BY embedding <=> %s LIMIT {LIMIT}"


def _deepface(
    url: str, connection: Connection[TupleRow], album: Album, probes: NDArray[np.float32]
) -> tuple[Find, float]:
    """Fills DeepFace's table by its own call, and searches it likewise; returns also the seconds of the first.

    Its graph is put aside meanwhile: with it, each face takes some milliseconds.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from deepface.modules.database import pgvector

    pgvector.build_model = lambda **_: SimpleNamespace(output_shape=album.embeddings.shape[1])
    client = pgvector.PGVectorClient(connection_details=url)
    defaults = {"model_name": "ArcFace", "detector_backend": "opencv", "aligned": True, "l2_normalized": True}
    pixel = np.zeros((1, 1, 3))
    faces = [
        {"img_name": str(row), "face": pixel, "embedding": embedding.tolist(), **defaults}
        for row, embedding in enumerate(album.embeddings)
    ]
    client.initialize_database(**defaults)
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'embeddings_%' AND indexdef LIKE '%hnsw%'"
    name, definition = connection.execute(query).fetchall()[0]
    connection.execute(f"DROP INDEX {name}")
    seconds = timed(lambda: client.insert_embeddings(faces))
    connection.execute(definition)
    return lambda number: [
        int(found["img_name"]) for found in client.search_by_vector(probes[number].tolist(), **defaults, limit=LIMIT)
    ], seconds
