"""The search beside its peers, over the same album in the same run.

Each peer is used as its documentation begins, with its defaults of storage, index and search. All answer for the same
probes, in turn.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Final, LiteralString

import faiss
import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector.psycopg import register_vector
from psycopg import Connection
from psycopg.rows import TupleRow

from benchmarks.albums import OWNER, Album, load, settle
from benchmarks.report import Section, plot_bars
from benchmarks.timing import Times, figure, in_turn, recall, timed
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.registry import INDEXES, IndexDependencies
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR

LIMIT: Final = 50
ROUNDS: Final = 30
OURS: Final = ("ours, pgvector", "ours, faiss")
"""What the peers are held against."""

OTHERS: Final = 20
OTHER_FACES: Final = 500
INSERTED: Final = 200
"""Faces that DeepFace's own call inserts; at its speed, the others would take a minute."""


Find = Callable[[int], Sequence[int]]
"""Number of a probe → rows of the album that were found."""


def measure(scratch: Path, indexes: Sequence[str], album: Album) -> list[Section]:
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
        around = IndexDependencies(store, pool, scratch / "indexes", 2_048_000_000)
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        register_vector(connection)
        connection.execute("SET maintenance_work_mem = '1GB'")
        others = [Album.drawn(OTHER_FACES, seed=100 + number) for number in range(OTHERS)]
        _fill(connection, [album, *others])
        theirs, insert_ms = _deepface(url, connection, album, probes)
        finds = {
            f"ours, {name}": _ours(stack.enter_context(closing(INDEXES[name](around))), collection, album, probes)
            for name in indexes
        }
        finds |= {
            "NumPy, a matrix product": _numpy(album, probes),
            "FAISS, flat": _faiss(album, probes),
            "qdrant-client, in memory": _qdrant(album, probes),
            "pgvector, default storage, exact": _pgvector(connection, "peers", 0, probes),
            "DeepFace, pgvector": theirs,
        }
        kernel = _kernel(connection, collection, probes)
        alone = _beside(finds, nearest, insert_ms, kernel)
        return [alone, _missing(connection, others)]


def _kernel(connection: Connection[TupleRow], collection: Collection, probes: NDArray[np.float32]) -> Times:
    """Has the database compute the distances in our table and do nothing else: less than any search in it can take."""
    connection.execute("SET max_parallel_workers_per_gather = 0; SET enable_seqscan = off")
    query = "SELECT min(embedding <#> %s) FROM faces WHERE collection_id = %s"

    def compute(number: int) -> None:
        connection.execute(query, [probes[number % len(probes)], collection.key]).fetchone()

    in_turn({"kernel": compute}, 5)  # warms up
    return in_turn({"kernel": compute}, ROUNDS)["kernel"]


def _beside(finds: Mapping[str, Find], nearest: Sequence[Sequence[int]], insert_ms: float, kernel: Times) -> Section:
    found: dict[str, list[Sequence[int]]] = {name: [] for name in finds}
    runs = {name: partial(_keep, find, found[name]) for name, find in finds.items()}
    in_turn(runs, 2)  # warms up
    for answers in found.values():
        answers.clear()
    times = in_turn(runs, len(nearest))
    rows = []
    for name, each in times.items():
        came = np.mean([len(answer) for answer in found[name]])
        share = recall(found[name], nearest)
        ratios = [f"{each.ms(50) / times[ours].ms(50):.1f}" for ours in OURS]
        rows.append(
            [name, figure(each.ms(0)), figure(each.ms(50)), figure(each.ms(95)), *ratios, f"{came:.1f}", f"{share:.3f}"]
        )
    return Section(
        "Beside its peers",
        f"The {LIMIT} nearest in one album of 15,000 faces × 512, without what a server does around it; all in turn, "
        f"{len(nearest)} probes of the album. NumPy and FAISS know no ids, no other albums and no writes, and take all "
        "cores. DeepFace has no collections: its table holds this album alone. Its own `insert_embeddings` took "
        f"{insert_ms:.0f} ms a face, so that only the first {INSERTED} came in by it. What was left out of its search "
        "is loading a model, of which it wants to know the dimension.",
        [
            "way",
            "least",
            "p50",
            "p95",
            *(f"times {name}" for name in OURS),
            f"came, of {LIMIT}",
            "of the true nearest",
        ],
        rows,
        plot_bars(
            "index_peers.png",
            f"The {LIMIT} nearest of 15,000",
            "ms, median",
            {name: {"ms": each.ms(50)} for name, each in times.items()},
            stacked=False,
        ),
        notes=f"To compute the distances in our table and do nothing with them takes PostgreSQL {figure(kernel.ms(0))} "
        f"ms at the least and {figure(kernel.ms(50))} in the median: pgvector's arithmetic, and what reading 15,000 "
        "rows of 2 kB takes.",
    )


def _keep(find: Find, answers: list[Sequence[int]], number: int) -> None:
    answers.append(find(number))


def _missing(connection: Connection[TupleRow], albums: Sequence[Album]) -> Section:
    """Makes a graph with pgvector's defaults over all collections and counts what it does not find in one."""
    connection.execute("CREATE TABLE graphed AS SELECT * FROM peers WHERE collection > 0")
    making = timed(lambda: connection.execute("CREATE INDEX graph ON graphed USING hnsw (embedding vector_cosine_ops)"))
    connection.execute("VACUUM ANALYZE graphed")
    album = albums[0]
    probes = album.embeddings[:ROUNDS]
    nearest = [np.argsort(-(album.embeddings @ probe), kind="stable")[:LIMIT].tolist() for probe in probes]
    connection.prepare_threshold = None  # a prepared query keeps the plan that it had before the settings changed
    rows = []
    for title, settings in (
        ("as the planner chooses", "SET hnsw.iterative_scan = off"),
        ("the graph", "SET enable_sort = off"),
        ("the graph, scanned on", "SET hnsw.iterative_scan = relaxed_order"),
    ):
        connection.execute(settings)
        plan = connection.execute("EXPLAIN " + _nearest("graphed"), [1, probes[0]]).fetchall()
        asked = "yes" if any("using graph on" in line for (line,) in plan) else "no"
        find, answers = _pgvector(connection, "graphed", 1, probes), list[Sequence[int]]()
        times = in_turn({title: partial(_keep, find, answers)}, len(probes))[title]
        missing = LIMIT - sum(map(len, answers)) / len(answers)
        rows.append([title, asked, figure(times.ms(50)), f"{missing:.1f}", f"{recall(answers, nearest):.3f}"])
    return Section(
        "One graph over all collections, as pgvector makes it by default",
        f"`USING hnsw` over a table of {len(albums)} collections of {len(album.ids)} faces × 512, made in "
        f"{making:.0f} s, and the {LIMIT} nearest of one collection, which has as many. Scanning on "
        "(`hnsw.iterative_scan`) is off by default. Whether the graph is asked is the planner's choice, which is in so "
        "small a table to compare all; it chooses as in a large one where it may not sort (`enable_sort` off).",
        ["what there is", "graph asked", "p50", f"missing, of {LIMIT}", "of the true nearest"],
        rows,
        notes="Our `pgvector` makes no such graph, and none is missing.",
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
    client.create_collection(ACTOR, "album", vectors_config=vectors)
    client.upload_collection("album", album.embeddings, ids=range(len(album.ids)))
    return lambda number: [
        int(point.id) for point in client.query_points("album", query=probes[number].tolist(), limit=LIMIT).points
    ]


def _fill(connection: Connection[TupleRow], albums: Sequence[Album]) -> None:
    """Makes a table as pgvector's documentation does; a face's number is its row in its album."""
    dimension = albums[0].embeddings.shape[1]
    connection.execute(f"CREATE TABLE peers (collection int, face int, embedding vector({dimension}))")
    connection.execute("CREATE INDEX ON peers (collection)")
    with connection.cursor() as cursor, cursor.copy("COPY peers FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "int4", "vector"])
        for number, album in enumerate(albums):
            for row, embedding in enumerate(album.embeddings):
                copy.write_row((number, row, embedding))
    connection.execute("VACUUM ANALYZE peers")


def _pgvector(connection: Connection[TupleRow], table: str, number: int, probes: NDArray[np.float32]) -> Find:
    query = _nearest(table)
    return lambda each: [face for (face,) in connection.execute(query, [number, probes[each]]).fetchall()]


def _nearest(table: str) -> LiteralString:
    """Returns the query of pgvector's documentation for the nearest within a category."""
    return f"SELECT face FROM {table} WHERE collection = %s ORDER BY embedding <=> %s LIMIT {LIMIT}"


def _deepface(
    url: str, connection: Connection[TupleRow], album: Album, probes: NDArray[np.float32]
) -> tuple[Find, float]:
    """Fills DeepFace's table, by its own call as far as there is time; returns also the milliseconds of that, a face.

    The rest is copied while the graph is put aside, and then the graph is made as DeepFace has made it.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from deepface.modules.database import pgvector

    pgvector.build_model = lambda **_: SimpleNamespace(output_shape=album.embeddings.shape[1])
    client = pgvector.PGVectorClient(connection_details=url)
    defaults = {"model_name": "ArcFace", "detector_backend": "opencv", "aligned": True, "l2_normalized": True}
    pixel = np.zeros((1, 1, 3))
    faces = [
        {"img_name": str(row), "face": pixel, "embedding": embedding.tolist(), **defaults}
        for row, embedding in enumerate(album.embeddings[:INSERTED])
    ]
    client.initialize_database(**defaults)
    seconds = timed(lambda: client.insert_embeddings(faces))
    query = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'"
    table, graph, definition = connection.execute(query).fetchall()[0]
    connection.execute(f"DROP INDEX {graph}")
    connection.execute(
        f"""
        INSERT INTO {table} (img_name, face, face_shape, model_name, detector_backend, embedding, face_hash,
                             embedding_hash)
        SELECT face::text, '', '{{1,1,3}}', 'ArcFace', 'opencv', embedding, face::text, face::text FROM peers
        WHERE collection = 0 AND face >= {INSERTED}
        """
    )
    connection.execute(definition)
    connection.execute(f"VACUUM ANALYZE {table}")
    return lambda number: [
        int(found["img_name"]) for found in client.search_by_vector(probes[number].tolist(), **defaults, limit=LIMIT)
    ], seconds / INSERTED * 1000
