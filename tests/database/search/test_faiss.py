"""What is particular to the index ``faiss``: codes, snapshots, and what becomes of them in a crash."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.search import faiss, quantizers, snapshots
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.faiss import FaissIndex
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.search.quantizers import ProductQuantizer
from rekognition_emulator.search.registry import IndexDependencies
from rekognition_emulator.search.router import IndexRouter
from rekognition_emulator.search.segment import Segment
from rekognition_emulator.search.vectors import cosines
from rekognition_emulator.storage import changes
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.concurrency import search_while_written
from tests.support.embeddings import ARCFACE, DLIB, faces_of_people
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

NAMES = count()


class Restarted:
    """An index over one folder that is closed and opened again, as a server is."""

    def __init__(self, surroundings: IndexDependencies) -> None:
        self._surroundings = surroundings
        self._open = ExitStack()
        self.folder = surroundings.folder / "faiss"
        self.again()

    def again(self) -> None:
        """Starts anew: what was in memory is gone."""
        self._open.close()
        self.index = self._open.enter_context(closing(IndexRouter("faiss", self._surroundings)))

    def close(self) -> None:
        """Ends it."""
        self._open.close()


@pytest.fixture
def restarted(surroundings: IndexDependencies) -> Iterator[Restarted]:
    """An index that can be restarted."""
    with closing(Restarted(surroundings)) as restarted:
        yield restarted


def fill(store: PostgresStore, name: str, vectors: np.ndarray) -> list[UUID]:
    """Makes a collection of faces with these embeddings."""
    collection = store.create_collection(ACTOR, OWNER, name, "128.1")
    faces = picture(vectors)
    return [face.face_id for face in store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)]


def now(store: PostgresStore, name: str = "album") -> Collection:
    """Reads the collection as a search does."""
    return store.get_collection(OWNER, name)


def found(index: FaceIndex, collection: Collection) -> set[UUID]:
    """Returns all faces that a search finds."""
    return {match.face_id for match in index.search(collection, embeddings(1)[0], cosine_min=-1, limit=9_999)}


def told(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes how many faces the store is made to tell."""
    counts: list[int] = []
    changes = store.changes

    def note(collection: Collection, since: int, *, removals_since: int | None = None) -> object:
        answer = changes(collection, since, removals_since=removals_since)
        counts.append(len(answer.added))
        return answer

    monkeypatch.setattr(store, "changes", note)
    return counts


@pytest.fixture(scope="module", params=[ARCFACE, DLIB], ids=["arcface", "dlib"])
def coded(request: pytest.FixtureRequest) -> Segment:
    """Faces with codes."""
    vectors, _ = faces_of_people(6_000, request.param)
    ids = np.sort(np.frombuffer(np.random.default_rng(0).bytes(16 * len(vectors)), "V16").reshape(-1, 1), axis=0)
    return Segment(ids.view(np.uint8), vectors, ProductQuantizer.of(vectors), mapped=False)


def test_codes_find_nearly_all_of_the_nearest_fifty(coded: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the true 50 nearest, strangers included, 99 in 100 are found; their cosines are the embeddings' own."""
    monkeypatch.setattr(quantizers, "_CODED_CANDIDATES", 256)
    rows = {UUID(bytes=name.tobytes()): row for row, name in enumerate(coded.ids)}
    nobody = np.zeros(len(coded), bool)
    hits = 0
    for probe in coded.embeddings[::150]:
        true = cosines(coded.embeddings, probe)
        matches = coded.nearest(probe, -1, 50, nobody)
        assert len(matches) == 50
        assert all(cosine == true[rows[name]] for name, cosine in matches)
        hits += len({rows[name] for name, _ in matches} & {*np.argsort(-true)[:50].tolist()})
    assert hits >= 0.99 * 40 * 50


@pytest.mark.parametrize(("cosine_min", "limit"), [(0.3, 50), (0.1, 500), (0.9, 700), (-1, 4_096), (-1, 6_000)])
def test_codes_return_as_many_as_exist(
    coded: Segment, monkeypatch: pytest.MonkeyPatch, cosine_min: float, limit: int
) -> None:
    """Whatever is asked for, no fewer faces come than there are above the threshold, and none that went."""
    monkeypatch.setattr(quantizers, "_CODED_CANDIDATES", 64)
    gone = np.random.default_rng(1).random(len(coded)) < 0.4
    left = {UUID(bytes=name.tobytes()) for name in coded.ids[~gone]}
    for probe in coded.embeddings[:5]:
        matches = coded.nearest(probe, cosine_min, limit, gone)
        present = cosines(coded.embeddings[~gone], probe)
        assert len(matches) == min(limit, np.count_nonzero(present >= cosine_min))
        assert {name for name, _ in matches} <= left


def test_restart_reads_only_what_came_since(
    store: PostgresStore, restarted: Restarted, surroundings: IndexDependencies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prepared collection survives a restart without being read from the database again."""
    ids = {*fill(store, "album", embeddings(30))}
    restarted.index.prepare(now(store), lambda *_: None)
    [more] = picture(embeddings(1, seed=1))
    store.add_faces(ACTOR, now(store), uuid4(), [more])
    restarted.again()
    counts = told(store, monkeypatch)
    assert found(restarted.index, now(store)) == {*ids, more.face.face_id}
    assert counts == [1]


def test_many_changes_are_written_down_in_the_background(
    store: PostgresStore, restarted: Restarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After enough of them, closing waits for the snapshot, and the next start begins with it."""
    monkeypatch.setattr(faiss, "_UNSEALED_MIN", 10)
    fill(store, "album", embeddings(30))
    fill(store, "small", embeddings(5))
    for name in ("album", "small"):
        found(restarted.index, now(store, name))
    path = restarted.folder / f"{now(store).key}.snapshot"
    while not path.exists():
        time.sleep(0.01)
    restarted.again()
    assert list(restarted.folder.iterdir()) == [path]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    counts = told(store, monkeypatch)
    assert len(found(restarted.index, now(store))) == 30
    assert counts == []


@pytest.mark.parametrize("damage", ["cut", "emptied", "header", "ids", "embeddings", "users", "other", "deleted"])
def test_damaged_snapshot_is_thrown_away(store: PostgresStore, restarted: Restarted, damage: str) -> None:
    """One wrong byte, or a file that is another collection's, and everything is read from the database again."""
    ids = {*fill(store, "album", embeddings(30))}
    fill(store, "other", embeddings(20, seed=1))
    for name in ("album", "other"):
        restarted.index.prepare(now(store, name), lambda *_: None)
    restarted.again()
    path = restarted.folder / f"{now(store).key}.snapshot"
    content = bytearray(path.read_bytes())
    flips = {"header": 100, "ids": 4_096 + 5, "embeddings": 8_192 + 77, "users": 12_288 + 1}
    if damage in flips:
        content[flips[damage]] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[: 8_192 + 40])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "deleted":
        path.unlink()
    else:
        path.write_bytes((restarted.folder / f"{now(store, 'other').key}.snapshot").read_bytes())
    assert found(restarted.index, now(store)) == ids
    assert not path.exists()


def test_snapshot_of_a_history_that_never_was_is_thrown_away(store: PostgresStore, restarted: Restarted) -> None:
    """A database that was restored to an earlier moment, and went another way to the same revision, is believed."""
    ids = fill(store, "album", embeddings(30))
    album = now(store)
    with store._pool.connection() as connection:
        backup = {
            table: connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("faces", "milestones", "removed_faces")
        }
    store.delete_faces(ACTOR, album, ids[:5])
    restarted.index.prepare(now(store), lambda *_: None)
    restarted.again()
    with store._pool.connection() as connection:
        for table, rows in backup.items():
            connection.execute(f"DELETE FROM {table}")
            for row in rows:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)
        connection.execute("UPDATE collections SET revision = %s, face_count = 30", [album.revision])
    store.delete_faces(ACTOR, album, ids[20:])
    assert found(restarted.index, now(store)) == {*ids[:20]}


def test_snapshots_of_deleted_collections_are_removed(store: PostgresStore, restarted: Restarted) -> None:
    """With the next start at the latest, together with what a crash left half written."""
    for name in ("album", "other"):
        fill(store, name, embeddings(5))
        restarted.index.prepare(now(store, name), lambda *_: None)
    keys = {name: now(store, name).key for name in ("album", "other")}
    store.delete_collection(ACTOR, OWNER, "other")
    (restarted.folder / "1.4711").write_bytes(b"half of it")
    restarted.again()
    found(restarted.index, now(store))
    while len(list(restarted.folder.iterdir())) > 1:
        time.sleep(0.01)
    assert [path.name for path in restarted.folder.iterdir()] == [f"{keys['album']}.snapshot"]


def test_memory_is_bounded(store: PostgresStore, tmp_path: Path) -> None:
    """Those searched longest ago make room, and are found as before afterwards."""
    with closing(FaissIndex(store, tmp_path, bytes_max=60_000)) as index:
        names = [f"album-{number}" for number in range(5)]
        ids = {name: {*fill(store, name, embeddings(50, dimension=64))} for name in names}
        for name in [*names, *names]:
            assert found_in(index, now(store, name)) == ids[name]
            held = [index.holding(now(store, name)) for name in names]
            assert sum(holding.size_bytes for holding in held) <= 60_000
        assert 0 < sum(holding.faces > 0 for holding in held) < 5


def found_in(index: FaissIndex, collection: Collection) -> set[UUID]:
    """Returns all faces of 64 dimensions that a search finds."""
    probe = embeddings(1, dimension=64)[0]
    return {match.face_id for match in index.search(collection, probe, cosine_min=-1, limit=99)}


def test_searches_while_an_album_is_indexed_and_sealed_miss_nothing(
    store: PostgresStore, restarted: Restarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshots come and go in the background: each search sees at least what was there, and whole pictures."""
    monkeypatch.setattr(faiss, "_UNSEALED_MIN", 7)
    monkeypatch.setattr(snapshots, "CODED_MIN", 10**9)
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")

    def write() -> None:
        for number in range(40):
            store.add_faces(ACTOR, album, uuid4(), picture(embeddings(3, seed=number)))

    def search(written: threading.Event) -> None:
        seen = 0
        while not written.is_set():
            before = now(store)
            matches = found(restarted.index, before)
            assert len(matches) % 3 == 0
            assert len(matches) >= max(before.face_count, seen)
            seen = before.face_count

    search_while_written(write, search)
    assert len(found(restarted.index, now(store))) == 120


STEPS = (
    st.tuples(st.just("add"), st.lists(st.integers(0, 11), min_size=1, max_size=5))
    | st.tuples(st.just("delete"), st.lists(st.integers(0, 40), min_size=1, max_size=4))
    | st.tuples(st.sampled_from(["give", "take"]), st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 40))))
    | st.tuples(st.just("switch"), st.sampled_from(["pgvector", "memory", "faiss", None]))
    | st.tuples(st.sampled_from(["search", "prepare", "forget", "crash", "cut", "lose", "old"]), st.integers(0, 11))
)
VECTORS = embeddings(12, dimension=16)


def change(store: PostgresStore, users: PostgresUserStore, album: Collection, ids: list[UUID], step: object) -> None:
    """Does what a client would, if the step is one of theirs."""
    match step:
        case ("add", list() as rows):
            ids += [face.face_id for face in store.add_faces(ACTOR, album, uuid4(), picture(VECTORS[rows]))]
        case ("delete", list() as chosen) if ids:
            store.delete_faces(ACTOR, album, [ids[number % len(ids)] for number in chosen])
        case ("give", (str() as user, list() as chosen)) if ids:
            faces = [ids[number % len(ids)] for number in chosen]
            users.associate_faces(ACTOR, album, user, faces, near_enough=lambda _: True)
        case ("take", (str() as user, list() as chosen)) if ids:
            users.disassociate_faces(ACTOR, album, user, [ids[number % len(ids)] for number in chosen])
        case ("switch", (str() | None) as index):
            store.choose_index(ACTOR, album, index)


def operate(restarted: Restarted, album: Collection, path: Path, older: list[bytes], how: object) -> None:
    """Does what an operator, or an accident, would."""
    match how:
        case "prepare":
            restarted.index.prepare(album, lambda *_: None)
            assert restarted.index.holding(album).revision >= album.revision
            older.append(path.read_bytes() if path.exists() else b"")
        case "forget":
            restarted.index.forget(album)
        case "cut" if path.exists():
            path.write_bytes(path.read_bytes()[:4_200])
        case "lose":
            path.unlink(missing_ok=True)
        case "old" if older and path.parent.exists():  # no folder before the first snapshot
            path.write_bytes(older[0])
    if how in {"crash", "cut", "lose", "old"}:
        restarted.again()


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(STEPS, min_size=3, max_size=30))
def test_agrees_with_the_oracle_through_crashes(
    store: PostgresStore,
    users: PostgresUserStore,
    surroundings: IndexDependencies,
    history: list[tuple[str, object]],
) -> None:
    """Faces and users come and go, snapshots are lost, cut short or replaced by older ones, indexes change over."""
    name = f"album-{next(NAMES)}"
    album = store.create_collection(ACTOR, OWNER, name, "128.1")
    oracle = MemoryIndex(store, 10**9)
    path = surroundings.folder / "faiss" / f"{album.key}.snapshot"
    ids: list[UUID] = []
    older: list[bytes] = []
    for user in "ab":
        users.create_user(ACTOR, album, user)
    with pytest.MonkeyPatch.context() as monkeypatch, closing(Restarted(surroundings)) as restarted:
        monkeypatch.setattr(faiss, "_UNSEALED_MIN", 9)
        monkeypatch.setattr(changes, "CHANGES_MAX", 6)
        for what, how in [*history, ("search", 0)]:
            change(store, users, album, ids, (what, how))
            present = now(store, name)
            operate(restarted, present, path, older, what)
            if what == "search" and isinstance(how, int):
                asked = (present, VECTORS[how])
                ours, theirs = (
                    {match.face_id: match.cosine for match in index.search(*asked, cosine_min=-1, limit=99)}
                    for index in (restarted.index, oracle)
                )
                assert ours == pytest.approx(theirs, abs=1e-5)
                our_users, their_users = (
                    {match.user_id: match.cosine for match in index.search_users(*asked, cosine_min=-1, limit=99)}
                    for index in (restarted.index, oracle)
                )
                assert our_users == pytest.approx(their_users, abs=1e-5)


def test_codes_are_written_and_read(
    store: PostgresStore, restarted: Restarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large collection is coded when it is sealed, after a restart too, and follows what comes and goes."""
    monkeypatch.setattr(snapshots, "CODED_MIN", 600)
    monkeypatch.setattr(quantizers, "_CODED_CANDIDATES", 64)
    vectors, _ = faces_of_people(1_000, DLIB)
    ids = fill(store, "album", vectors)
    restarted.index.prepare(now(store), lambda *_: None)
    assert restarted.index.holding(now(store)).kind == "coded"
    store.delete_faces(ACTOR, now(store), ids[:10])
    [more] = picture(vectors[3:4])
    store.add_faces(ACTOR, now(store), uuid4(), [more])
    for _ in range(2):
        matches = restarted.index.search(now(store), vectors[3], cosine_min=-1, limit=20)
        true = cosines(vectors, vectors[3])
        true[:10] = -2
        best = np.argsort(-true)[:19]
        assert matches[0].face_id == more.face.face_id
        assert len({match.face_id for match in matches} & {ids[row] for row in best}) >= 17
        restarted.again()
    assert restarted.index.holding(now(store)).faces == 0
    restarted.index.search(now(store), vectors[3], cosine_min=-1, limit=20)
    assert restarted.index.holding(now(store)).faces == 991
    assert restarted.index.holding(now(store)).kind == "coded"
