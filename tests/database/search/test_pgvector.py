from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.search import hnsw, pgvector
from rekognition_emulator.search.hnsw import Graph
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

DIMENSION = 64
FACES_OF_ONE = 10


@pytest.fixture
def open_with_graphs(pool: ConnectionPool) -> Iterator[Callable[[], PgvectorIndex]]:
    """Opens indexes, as several servers do, to which a hundred faces are many."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(PgvectorIndex(pool, exact_max=100)))


@pytest.fixture
def index(open_with_graphs: Callable[[], PgvectorIndex]) -> PgvectorIndex:
    """One such index."""
    return open_with_graphs()


@pytest.fixture
def exact(pool: ConnectionPool) -> PgvectorIndex:
    """What is right."""
    return PgvectorIndex(pool)


def crowd(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Returns (count, 64) float32: people with ten faces each, cosines of 0.6 among them and 0 between strangers."""
    people = np.repeat(embeddings(count // FACES_OF_ONE + 1, DIMENSION, seed), FACES_OF_ONE, axis=0)[:count]
    faces = np.sqrt(0.6) * people + np.sqrt(0.4) * embeddings(count, DIMENSION, seed + 1_000)
    unit: NDArray[np.float32] = (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32)
    return unit


def fill(store: PostgresStore, name: str, vectors: NDArray[np.float32]) -> Collection:
    """Makes a collection of faces with these embeddings and reads it as a search does."""
    created = store.create_collection(ACTOR, OWNER, name, "128.1")
    store.add_faces(ACTOR, created, uuid4(), picture(vectors))
    return store.get_collection(OWNER, name)


def silent(_done: int, _there_are: int) -> None:
    """Takes no notice of progress."""


def graphs(pool: ConnectionPool) -> dict[str, bool]:
    """The names of all graphs, and whether they can be used."""
    with pool.connection() as connection:
        return dict(
            connection.execute(
                "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
                " WHERE relname LIKE '%\\_hnsw\\_%'"
            ).fetchall()
        )


def test_the_first_search_in_a_large_collection_has_its_graph_made(
    store: PostgresStore, pool: ConnectionPool, index: PgvectorIndex
) -> None:
    """Until the graph is there the exact search answers; a small collection never gets one."""
    large, small = fill(store, "large", crowd(101)), fill(store, "small", crowd(100))
    for collection in (large, small):
        assert len(index.search(collection, crowd(1)[0], cosine_min=-1, limit=4096)) == collection.face_count
    index._builder.begin(Graph("faces", large.key, DIMENSION)).result(30)
    assert graphs(pool) == {f"faces_hnsw_{large.key}_{DIMENSION}": True}
    assert (index.holding(large).kind, index.holding(small).kind) == ("hnsw", "exact")
    assert index.holding(large).size_bytes > 0 == index.holding(small).size_bytes


def test_the_planner_uses_the_graph(
    store: PostgresStore, pool: ConnectionPool, index: PgvectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search reads the collection's own graph and sorts nothing, also after many like it."""
    collection = fill(store, "album", crowd(300))
    fill(store, "other", crowd(300))
    index.prepare(collection, silent)
    plans: list[str] = []
    execute = psycopg.Cursor.execute

    def explained(
        cursor: psycopg.Cursor[tuple[object, ...]], query: object, *args: object, **options: object
    ) -> object:
        if "embedding::halfvec" in (text := query if isinstance(query, str) else query.as_string(cursor)):  # type: ignore[attr-defined] # psycopg's own kinds of queries
            plan = execute(psycopg.Cursor(cursor.connection), f"EXPLAIN {text}", *args, binary=False)  # type: ignore[call-overload] # as the test's subject calls it
            plans.append("\n".join(line for (line,) in plan.fetchall()))
        return execute(cursor, query, *args, **options)  # type: ignore[call-overload] # likewise

    monkeypatch.setattr(psycopg.Cursor, "execute", explained)
    for probe in crowd(12, seed=1):
        index.search(collection, probe, cosine_min=0, limit=20)
    assert 12 <= len(plans) <= 24  # one look or two
    for plan in plans:
        assert f"Index Scan using faces_hnsw_{collection.key}_{DIMENSION}" in plan
        assert "Sort" not in plan


def test_a_graph_finds_what_the_exact_search_finds(
    store: PostgresStore, index: PgvectorIndex, exact: PgvectorIndex
) -> None:
    """Never another collection's faces, never fewer than there are, and at least 99 in 100 of the right ones."""
    for name, count in (("before", 500), ("album", 5_000), ("after", 500)):
        collection = fill(store, name, crowd(count))  # the same people everywhere
        index.prepare(collection, silent)
    album = store.get_collection(OWNER, "album")
    for cosine_min, limit in ((-1.0, 1), (-1.0, 50), (-1.0, 4096), (0.2, 100), (0.5, 4096)):
        right = found = 0
        for probe in crowd(200)[::FACES_OF_ONE]:
            expected = exact.search(album, probe, cosine_min=cosine_min, limit=limit)
            actual = index.search(album, probe, cosine_min=cosine_min, limit=limit)
            assert actual == sorted(actual, key=lambda match: (-match.cosine, match.face_id))
            assert min(match.cosine for match in actual) >= cosine_min
            if cosine_min == -1:
                assert len(actual) == limit
            right += len(expected)
            found += len(set(actual) & set(expected))
        assert right > 0
        assert found >= 0.99 * right


def test_a_graph_knows_what_came_and_went(store: PostgresStore, index: PgvectorIndex) -> None:
    """What was acknowledged as added or deleted is so for the next search, without anything being made anew."""
    vectors = crowd(300)
    album = fill(store, "album", vectors)
    index.prepare(album, silent)
    [nearest, *_] = index.search(album, vectors[0], cosine_min=0.9, limit=10)
    store.delete_faces(ACTOR, album, [nearest.face_id])
    [again] = picture(vectors[:1])
    store.add_faces(ACTOR, album, uuid4(), [again])
    found = index.search(store.get_collection(OWNER, "album"), vectors[0], cosine_min=0.9, limit=10)
    assert [match.face_id for match in found] == [again.face.face_id]


def test_users_have_a_graph_of_their_own(store: PostgresStore, pool: ConnectionPool, index: PgvectorIndex) -> None:
    """A collection of many users is searched for users through their graph, users without faces left out."""
    users = PostgresUserStore(pool)
    vectors = crowd(102)
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")
    for number, face in enumerate(store.add_faces(ACTOR, album, uuid4(), picture(vectors))):
        users.create_user(ACTOR, album, f"user-{number}")
        if number:
            users.associate_faces(ACTOR, album, f"user-{number}", [face.face_id], near_enough=lambda _: True)
    album = store.get_collection(OWNER, "album")
    index.prepare(album, silent)
    assert set(graphs(pool)) == {f"faces_hnsw_{album.key}_{DIMENSION}", f"users_hnsw_{album.key}_{DIMENSION}"}
    for number in (1, 50, 101):
        [found] = index.search_users(album, vectors[number], cosine_min=0.99, limit=10)
        assert found.user_id == f"user-{number}"
    assert len(index.search_users(album, vectors[0], cosine_min=-1, limit=4096)) == 101


def test_a_graph_that_proposes_too_few_is_not_believed(
    store: PostgresStore, index: PgvectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a scan ends early, the exact search gives what is missing."""
    album = fill(store, "album", crowd(300))
    index.prepare(album, silent)
    monkeypatch.setattr(hnsw, "SCAN_FACES_MAX", 1)
    monkeypatch.setattr(pgvector, "MANY_WIDTH", 10)
    assert len(index.search(album, crowd(1)[0], cosine_min=-1, limit=250)) == 250


def test_many_equal_faces_are_ordered_by_their_ids(store: PostgresStore, index: PgvectorIndex) -> None:
    """Candidates that cut through the midst of equal ones are not believed."""
    album = fill(store, "album", np.repeat(crowd(1), 300, axis=0))
    index.prepare(album, silent)
    ids = sorted(face.face_id for face in store.list_faces(album, after=None, limit=300).items)
    assert [match.face_id for match in index.search(album, crowd(1)[0], cosine_min=0.5, limit=20)] == ids[:20]


def test_several_servers_make_one_graph(
    store: PostgresStore, pool: ConnectionPool, open_with_graphs: Callable[[], PgvectorIndex]
) -> None:
    """Servers that notice a large collection at the same time neither fail nor make its graph twice."""
    album = fill(store, "album", crowd(500))
    reports: list[tuple[int, int]] = []
    with ThreadPoolExecutor(4) as threads:
        for prepared in [
            threads.submit(open_with_graphs().prepare, album, lambda *report: reports.append(report)) for _ in range(4)
        ]:
            prepared.result()
    assert graphs(pool) == {f"faces_hnsw_{album.key}_{DIMENSION}": True}
    assert reports[-1] == (500, 500)


def test_a_graph_that_a_killed_server_left_half_made_is_made_anew(
    store: PostgresStore, pool: ConnectionPool, index: PgvectorIndex
) -> None:
    """What PostgreSQL calls invalid is dropped by whoever makes the graph next, and until then not used."""
    album = fill(store, "album", crowd(200))
    index.prepare(album, silent)
    with pool.connection() as connection:
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text LIKE '%hnsw%'")
    assert index.holding(album).kind == "exact"
    assert len(index.search(album, crowd(1)[0], cosine_min=-1, limit=4096)) == 200
    index.prepare(album, silent)
    assert graphs(pool) == {f"faces_hnsw_{album.key}_{DIMENSION}": True}


def test_graphs_go_with_their_collections(store: PostgresStore, pool: ConnectionPool, index: PgvectorIndex) -> None:
    """A collection's graph is dropped when told to, and that of a deleted one at the latest by who makes the next."""
    deleted, forgotten, kept = (fill(store, name, crowd(200)) for name in ("deleted", "forgotten", "kept"))
    for collection in (deleted, forgotten):
        index.prepare(collection, silent)
    index.forget(forgotten)
    assert index.holding(forgotten).kind == "exact"
    store.delete_collection(ACTOR, OWNER, "deleted")
    index.prepare(kept, silent)
    assert graphs(pool) == {f"faces_hnsw_{kept.key}_{DIMENSION}": True}


def test_embeddings_of_another_length_do_not_break_a_graph(store: PostgresStore, index: PgvectorIndex) -> None:
    """A collection whose faces are embedded anew by a larger model can be written to, and is searched exactly."""
    album = fill(store, "album", crowd(200))
    index.prepare(album, silent)
    longer = embeddings(3, DIMENSION * 2)
    store.delete_faces(ACTOR, album, [face.face_id for face in store.list_faces(album, after=None, limit=200).items])
    store.add_faces(ACTOR, album, uuid4(), picture(longer))
    found = index.search(store.get_collection(OWNER, "album"), longer[0], cosine_min=-1, limit=10)
    assert len(found) == 3


def test_closing_ends_what_is_being_made(
    store: PostgresStore, pool: ConnectionPool, open_with_graphs: Callable[[], PgvectorIndex]
) -> None:
    """A server that is told to stop does not wait for a graph, and the next one makes it."""
    album = fill(store, "album", crowd(200))
    index = open_with_graphs()
    with psycopg.connect(pool.conninfo) as writer:  # type: ignore[arg-type] # a string, as open_pool makes it
        writer.execute("UPDATE faces SET confidence = 1 WHERE collection_id = %s", [album.key])
        made = index._builder.begin(Graph("faces", album.key, DIMENSION))  # waits for the writer
        while not graphs(pool):
            assert not made.done()
        index.close()
        assert made.exception()
    open_with_graphs().prepare(album, silent)
    assert set(graphs(pool).values()) == {True}
