"""What is particular about Milvus: that it is asked at all, and what becomes of it when something else goes wrong."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from psycopg_pool import ConnectionPool

# By our own module, which keeps its client out of children; imported by itself, it would not.
pytest.importorskip("rekognition_emulator.search.milvus", reason="Milvus is an extra", exc_type=ImportError)

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search import milvus
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.milvus import MilvusIndex
from rekognition_emulator.search.registry import INDEXES, IndexDependencies
from rekognition_emulator.storage import postgres
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

VECTORS = embeddings(60, dimension=16)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> FaceIndex:
    """An index that must not be asked."""
    return None  # type: ignore[return-value] # whoever asks it fails


@pytest.fixture
def opened(
    store: PostgresStore, pool: ConnectionPool, tmp_path: Path, nobody: FaceIndex
) -> Iterator[Callable[[], MilvusIndex]]:
    """Opens the index over one Milvus, each time as after a restart; the database may not stand in."""
    indexes: list[MilvusIndex] = []

    def open_again() -> MilvusIndex:
        if indexes:
            indexes[-1].close()
        indexes.append(MilvusIndex(store, pool, str(tmp_path / "milvus.db"), "", nobody))
        return indexes[-1]

    yield open_again
    indexes[-1].close()


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """A collection of 60 faces."""
    collection = store.create_collection(ACTOR, OWNER, "album", "16.1")
    faces = picture(VECTORS)
    store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    return store.get_collection(OWNER, "album")


def found(index: FaceIndex, collection: Collection, limit: int = 100) -> list[UUID]:
    """Searches for the first face."""
    return [match.face_id for match in index.search(collection, VECTORS[0], cosine_min=-1, limit=limit)]


def truth(store: FaceStore, collection: Collection) -> list[UUID]:
    """What is to be found."""
    changes = store.changes(collection, 0)
    order = np.argsort(-(changes.embeddings @ VECTORS[0]), kind="stable")
    return [changes.added[row] for row in order]


def test_milvus_itself_answers(store: PostgresStore, album: Collection, opened: Callable[[], MilvusIndex]) -> None:
    """Faces are found in Milvus, in order, also after a restart; deleted ones are not."""
    index = opened()
    assert found(index, album) == truth(store, album)
    assert index.holding(album) == (holding := index.holding(album))
    assert (holding.revision, holding.faces, holding.kind) == (album.revision, 60, "milvus, exact")
    store.delete_faces(ACTOR, album, truth(store, album)[:5])
    present = store.get_collection(OWNER, "album")
    again = opened()
    assert found(again, present) == truth(store, present)
    assert again.holding(present).faces == 55


def test_what_came_in_parts_is_one_gallery(
    store: PostgresStore, album: Collection, opened: Callable[[], MilvusIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large collection is told and sent in pieces, and found as a whole."""
    for start in range(0, 60, 20):
        faces = picture(VECTORS[start : start + 20])
        store.add_faces(ACTOR, album, faces[0].face.image_id, faces)
    monkeypatch.setattr(postgres, "CHANGES_MAX", 15)
    monkeypatch.setattr(milvus, "BATCH", 7)
    present = store.get_collection(OWNER, "album")
    index = opened()
    seen: list[tuple[int, int]] = []
    index.prepare(present, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (120, 120)
    stored = {face.face_id for face in store.list_faces(present, after=None, limit=1_000).items}
    assert set(found(index, present, 200)) == stored


@pytest.mark.parametrize("instant", ["before the mark", "before the last piece"])
def test_a_crash_while_filling_leaves_nothing_behind(
    store: PostgresStore,
    album: Collection,
    opened: Callable[[], MilvusIndex],
    monkeypatch: pytest.MonkeyPatch,
    instant: str,
) -> None:
    """A gallery that nobody finished is never searched, and is emptied by whoever fills the next."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    index = opened()
    with monkeypatch.context() as patch:
        patch.setattr(MilvusIndex, "_set_mark" if instant == "before the mark" else "_send", crash)
        with pytest.raises(KeyboardInterrupt):
            index.prepare(album, lambda *_: None)
    again = opened()
    assert found(again, album) == truth(store, album)
    rows = again._client.query(milvus._name(16), filter="collection >= 0", output_fields=["count(*)"])
    assert rows[0]["count(*)"] == 60


def test_a_restored_database_is_noticed(
    store: PostgresStore, pool: ConnectionPool, album: Collection, opened: Callable[[], MilvusIndex]
) -> None:
    """Where the database was set back, faces that it no longer knows are not found, at whatever revision it is now."""
    index = opened()
    assert len(found(index, album)) == 60
    with pool.connection() as connection:  # what a restored backup does not know
        connection.execute("DELETE FROM milestones WHERE collection_id = %s", [album.key])
        connection.execute("DELETE FROM faces WHERE collection_id = %s AND box_left > 30", [album.key])
    left = truth(store, album)
    assert 0 < len(left) < 60
    assert found(opened(), album) == left


def test_rebuilding_beside_a_search_hides_nothing(
    store: PostgresStore, album: Collection, opened: Callable[[], MilvusIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gallery that is emptied between a search's mark and its answer does not give a short answer."""
    index = opened()
    index.prepare(album, lambda *_: None)
    ask = MilvusIndex._ask
    forgotten: list[bool] = []

    def emptied(self: MilvusIndex, *arguments: object) -> object:
        if not forgotten:
            forgotten.append(True)
            self.forget(album)
        return ask(self, *arguments)  # type: ignore[arg-type] # handed on

    monkeypatch.setattr(MilvusIndex, "_ask", emptied)
    assert found(index, album) == truth(store, album)


def test_the_database_answers_while_somebody_else_fills(
    store: PostgresStore,
    pool: ConnectionPool,
    album: Collection,
    surroundings: IndexDependencies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another server that is sending a large collection keeps no search waiting, and none incomplete."""
    monkeypatch.setattr(milvus, "PATIENCE_S", 0.05)
    with closing(INDEXES["milvus"](surroundings)) as index, pool.connection() as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [milvus.LOCK_CLASS, album.key])
        assert found(index, album) == truth(store, album)
        assert index.holding(album).faces == 0
        other.execute("SELECT pg_advisory_unlock(%s, %s)", [milvus.LOCK_CLASS, album.key])
        assert found(index, album) == truth(store, album)
        assert index.holding(album).faces == 60


def test_the_database_answers_while_milvus_does_not(
    store: PostgresStore, album: Collection, surroundings: IndexDependencies
) -> None:
    """A Milvus that is down costs time and a line in the log, but no answer."""
    nowhere = replace(surroundings, milvus_uri="http://127.0.0.1:9")
    with closing(INDEXES["milvus"](nowhere)) as index:
        assert found(index, album) == truth(store, album)
        assert index.search_users(album, VECTORS[0], cosine_min=-1, limit=5) == []


def test_galleries_of_two_dimensions_do_not_meet(store: PostgresStore, opened: Callable[[], MilvusIndex]) -> None:
    """Collections of two face models are kept apart, each with its own vectors."""
    index = opened()
    for name, dimension in (("small", 8), ("large", 32)):
        collection = store.create_collection(ACTOR, OWNER, name, f"{dimension}.1")
        vectors = embeddings(10, dimension=dimension)
        faces = picture(vectors, ids=(ids := [uuid4() for _ in vectors]))
        store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
        matches = index.search(store.get_collection(OWNER, name), vectors[3], cosine_min=-1, limit=100)
        assert {match.face_id for match in matches} == set(ids)
        assert matches[0].face_id == ids[3]


def test_programs_start_while_milvus_is_asked(
    album: Collection, opened: Callable[[], MilvusIndex], capfd: pytest.CaptureFixture[str]
) -> None:
    """As PostgreSQL's, which root starts as another user and Python therefore by a fork: one in a hundred crashed."""
    index, over = opened(), threading.Event()
    found(index, album)

    def ask() -> None:
        while not over.wait(0.005):
            found(index, album)

    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(ask)
        ends = [subprocess.run(["true"], check=False, preexec_fn=int).returncode for _ in range(50)]
        over.set()
        asked.result()
    assert set(ends) == {0}
    assert "fork" not in capfd.readouterr().err  # gRPC's client says so when it was not able to prepare for one
