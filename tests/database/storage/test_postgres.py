import ast
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from psycopg_pool import ConnectionPool

import rekognition_emulator
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.errors import CollectionExists, CollectionNotFound, FaceNotFound
from rekognition_emulator.domain.faces import Collection, Deletion, EnrolledFace, NewFace, Owner
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage import postgres, tombstones
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """An empty collection."""
    return store.create_collection(ACTOR, OWNER, "album", "128.1")


def add(store: PostgresStore, collection: Collection, faces: Sequence[NewFace]) -> list[EnrolledFace]:
    """Adds the faces of one picture."""
    return store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)


def now(store: PostgresStore, collection: Collection) -> Collection:
    """Reads the collection again."""
    return store.get_collection(collection.owner, collection.name)


def test_collection_is_read_back_as_created(store: PostgresStore) -> None:
    """A new collection is empty, bound to its face model, and the same whoever reads it."""
    created = store.create_collection(ACTOR, OWNER, "album", "128.1")
    assert (created.owner, created.name, created.face_model_version) == (OWNER, "album", "128.1")
    assert (created.revision, created.face_count) == (0, 0)
    assert store.get_collection(OWNER, "album") == created


def test_collection_name_is_taken_once_per_owner(store: PostgresStore, album: Collection) -> None:
    """A second collection of the same name is refused, but not to another account or region."""
    with pytest.raises(CollectionExists):
        store.create_collection(ACTOR, OWNER, "album", "128.1")
    for owner in (replace(OWNER, account="111111111111"), replace(OWNER, region="us-east-1")):
        assert store.create_collection(ACTOR, owner, "album", "128.1").key != album.key


def test_collection_of_another_owner_does_not_exist(store: PostgresStore, album: Collection) -> None:
    """Nobody reads, lists or deletes a collection of another account or region."""
    for owner in (replace(OWNER, account="111111111111"), replace(OWNER, region="us-east-1")):
        with pytest.raises(CollectionNotFound):
            store.get_collection(owner, "album")
        with pytest.raises(CollectionNotFound):
            store.delete_collection(ACTOR, owner, "album")
        assert not store.list_collections(owner, after=None, limit=10).items


def test_collections_are_listed_in_byte_order_page_by_page(store: PostgresStore) -> None:
    """Paging shows every name once, capitals before small letters, and says when nothing follows."""
    names = ["B", "a", "A", "b", "_", "a.1", "a-1", "a1", "0"]
    for name in names:
        store.create_collection(ACTOR, OWNER, name, "128.1")
    seen: list[str] = []
    more = True
    while more:
        page = store.list_collections(OWNER, after=seen[-1] if seen else None, limit=2)
        seen += [collection.name for collection in page.items]
        more = page.more
    assert seen == sorted(names)


def test_page_of_nothing_says_whether_there_is_something(store: PostgresStore, album: Collection) -> None:
    """A limit of 0 is a legal question."""
    assert store.list_collections(OWNER, after=None, limit=0).more
    add(store, album, picture(embeddings(1)))
    page = store.list_faces(album, after=None, limit=0)
    assert (list(page.items), page.more) == ([], True)


USES: dict[str, Callable[[PostgresStore, Collection], object]] = {
    "add_faces": lambda store, album: store.add_faces(ACTOR, album, uuid4(), picture(embeddings(1))),
    "add_no_faces": lambda store, album: store.add_faces(ACTOR, album, uuid4(), []),
    "list_faces": lambda store, album: store.list_faces(album, after=None, limit=10),
    "list_chosen_faces": lambda store, album: store.list_faces(album, after=None, limit=10, face_ids=[uuid4()]),
    "get_faces": lambda store, album: store.get_faces(album, [uuid4()]),
    "get_embedding": lambda store, album: store.get_embedding(album, uuid4()),
    "delete_faces": lambda store, album: store.delete_faces(ACTOR, album, [uuid4()]),
    "changes": lambda store, album: store.changes(album, 0),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_deleted_collection_is_noticed_even_if_its_name_lives_on(
    store: PostgresStore, album: Collection, use: Callable[[PostgresStore, Collection], object]
) -> None:
    """Who holds a collection that was deleted never touches the new one of the same name."""
    store.delete_collection(ACTOR, OWNER, "album")
    store.create_collection(ACTOR, OWNER, "album", "128.1")
    with pytest.raises(CollectionNotFound):
        use(store, album)
    assert now(store, album).face_count == 0


def test_faces_are_read_back_bit_by_bit(store: PostgresStore, album: Collection) -> None:
    """Numbers come back as they went in: what is rounded is rounded above the store, once."""
    faces = picture(embeddings(3, dimension=512))
    faces[2] = replace(faces[2], face=replace(faces[2].face, external_image_id=None))
    assert add(store, album, faces) == [new.face for new in faces]
    expected = {new.face.face_id: new.face for new in faces}
    assert store.get_faces(album, [*expected, uuid4()]) == expected
    assert {face.face_id: face for face in store.list_faces(album, after=None, limit=9).items} == expected
    for new in faces:
        stored = store.get_embedding(album, new.face.face_id)
        assert stored.dtype == np.float32
        assert np.array_equal(stored, new.embedding)


def test_unknown_face_has_no_embedding(store: PostgresStore, album: Collection) -> None:
    """A face of another collection is as unknown as one that never was."""
    other = store.create_collection(ACTOR, OWNER, "other", "128.1")
    [face] = add(store, other, picture(embeddings(1)))
    for face_id in (face.face_id, uuid4()):
        with pytest.raises(FaceNotFound):
            store.get_embedding(album, face_id)


def test_same_picture_again_stores_nothing(store: PostgresStore, album: Collection) -> None:
    """A repeated request answers with the faces of the first one and leaves the collection as it was."""
    image_id = uuid4()
    first = add(store, album, picture(embeddings(3), image_id=image_id))
    before = now(store, album)
    assert before.face_count == 3
    assert add(store, album, picture(embeddings(3), image_id=image_id)) == first
    assert now(store, album) == before


def test_face_missing_from_a_known_picture_is_added(store: PostgresStore, album: Collection) -> None:
    """After one face was deleted, indexing the picture again brings back that face only, under its new id."""
    image_id = uuid4()
    first = add(store, album, picture(embeddings(3), image_id=image_id))
    store.delete_faces(ACTOR, album, [first[1].face_id])
    again = picture(embeddings(3), image_id=image_id)
    assert add(store, album, again) == [first[0], again[1].face, first[2]]
    assert now(store, album).face_count == 3


@pytest.mark.parametrize(("left", "stored"), [(0.33, 1), (0.34, 2)])
def test_boxes_that_overlap_by_more_than_half_are_one_face(
    store: PostgresStore, album: Collection, left: float, stored: int
) -> None:
    """Two boxes 1 wide and 0.33 apart share 0.67 of 1.33, more than half; 0.34 apart 0.66 of 1.34, less."""
    image_id = uuid4()
    for offset in (0.0, left):
        [new] = picture(embeddings(1), image_id=image_id)
        add(store, album, [replace(new, face=replace(new.face, box=BoundingBox(offset, 0.0, 1.0, 1.0)))])
    assert now(store, album).face_count == stored


def test_picture_is_stored_wholly_or_not_at_all(store: PostgresStore, album: Collection) -> None:
    """If one face of a picture cannot be stored, none is, and the collection has not changed."""
    faces = picture(embeddings(3))
    before = now(store, album)
    with pytest.raises(psycopg.errors.UniqueViolation):
        add(store, album, [*faces, faces[0]])
    assert now(store, album) == before
    assert not store.list_faces(album, after=None, limit=9).items
    add(store, album, faces)


def test_picture_without_faces_changes_nothing(store: PostgresStore, album: Collection) -> None:
    """No face, no new revision."""
    assert store.add_faces(ACTOR, album, uuid4(), []) == []
    assert now(store, album) == album


def test_deleted_faces_are_reported_once(store: PostgresStore, album: Collection) -> None:
    """Deleting says which faces were there; ids that are unknown, repeated or gone are ignored."""
    stored = add(store, album, picture(embeddings(3)))
    ids = [face.face_id for face in stored]
    assert store.delete_faces(ACTOR, album, [ids[0], ids[0], ids[1], uuid4()]) == Deletion(frozenset(ids[:2]), {})
    after = now(store, album)
    assert after.face_count == 1
    assert store.delete_faces(ACTOR, album, ids[:2]) == Deletion(frozenset(), {})
    assert now(store, album) == after
    assert store.list_faces(album, after=None, limit=9).items == [stored[2]]


def test_listing_survives_changes_between_pages(store: PostgresStore, album: Collection) -> None:
    """Faces that stay are shown exactly once, in the order of their ids, whatever comes and goes meanwhile."""
    staying = {face.face_id for n in range(10) for face in add(store, album, picture(embeddings(3, seed=n)))}
    passing = [add(store, album, picture(embeddings(1)))[0].face_id for _ in range(10)]
    seen: list[UUID] = []
    more = True
    while more:
        page = store.list_faces(album, after=seen[-1] if seen else None, limit=4)
        seen += [face.face_id for face in page.items]
        more = page.more
        store.delete_faces(ACTOR, album, [passing.pop()] if passing else [])
        add(store, album, picture(embeddings(1)))
        if len(seen) > 60:
            break  # each page brings one more face; they come to an end because ids are random
    assert seen == sorted(set(seen))
    assert staying <= set(seen)


def test_listing_of_chosen_faces_pages_through_them_alone(store: PostgresStore, album: Collection) -> None:
    """The filter by id narrows the list and leaves order and paging as they are."""
    ids = sorted(face.face_id for face in add(store, album, picture(embeddings(6))))
    chosen = [ids[4], uuid4(), ids[0], ids[2], ids[2]]
    first = store.list_faces(album, after=None, limit=2, face_ids=chosen)
    assert ([face.face_id for face in first.items], first.more) == ([ids[0], ids[2]], True)
    second = store.list_faces(album, after=ids[2], limit=2, face_ids=chosen)
    assert ([face.face_id for face in second.items], second.more) == ([ids[4]], False)
    assert not store.list_faces(album, after=None, limit=2, face_ids=[]).items


def test_changes_lead_from_any_revision_to_the_present(store: PostgresStore, album: Collection) -> None:
    """An index that holds revision n is told what came and went since, and nothing else."""
    vectors = embeddings(4)
    first = [face.face_id for face in add(store, album, picture(vectors[:2]))]
    middle = now(store, album).revision
    second = [face.face_id for face in add(store, album, picture(vectors[2:]))]
    store.delete_faces(ACTOR, album, [first[0], second[0]])
    present = now(store, album).revision

    since_middle = store.changes(album, middle)
    assert (since_middle.revision, since_middle.added) == (present, [second[1]])
    assert set(since_middle.removed) == {first[0], second[0]}
    assert np.array_equal(since_middle.embeddings, vectors[3:])

    everything = store.changes(album, 0)
    assert set(everything.added) == {first[1], second[1]}

    nothing = store.changes(album, present)
    assert (nothing.revision, list(nothing.added), list(nothing.removed)) == (present, [], [])
    assert (everything.anew, since_middle.anew, nothing.anew) == (True, False, False)


def test_changes_are_told_in_parts_of_whole_revisions(
    store: PostgresStore, album: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part ends before it becomes too large, but a single large picture is told at once; removals run ahead."""
    monkeypatch.setattr(postgres, "CHANGES_MAX", 4)
    for size in (2, 2, 1, 9, 3):
        last = add(store, album, picture(embeddings(size)))
    store.delete_faces(ACTOR, album, [last[0].face_id])
    sizes, revision, removals = [], 1, 1
    while revision < now(store, album).revision:
        part = store.changes(album, revision, removals_since=removals)
        sizes.append((len(part.added), len(part.removed), part.anew))
        revision, removals = part.revision, part.removals_revision
    assert sizes == [(3, 1, False), (9, 0, False), (2, 0, False)]


def test_old_removals_are_forgotten(
    store: PostgresStore, album: Collection, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay bounded however long a collection lives; who has not heard of them is told to begin anew."""
    monkeypatch.setattr(tombstones, "REMOVALS_KEPT", 5)
    monkeypatch.setattr(tombstones, "PRUNE_EVERY", 4)
    for number in range(20):
        [face] = add(store, album, picture(embeddings(1, seed=number)))
        store.delete_faces(ACTOR, album, [face.face_id])
    stayed = add(store, album, picture(embeddings(2)))
    assert rows(pool) - 2 <= 5 + 4
    present = now(store, album).revision
    assert not store.changes(album, present - 5).anew
    anew = store.changes(album, 3)
    assert (anew.anew, set(anew.added)) == (True, {face.face_id for face in stayed})
    assert not store.changes(album, 3, removals_since=present).anew


def test_milestones_are_known_as_long_as_their_collection(store: PostgresStore, album: Collection) -> None:
    """The latest of each collection are remembered; a deleted collection, whatever its name, has passed none."""
    passed = [uuid4() for _ in range(postgres.MILESTONES_KEPT + 2)]
    for milestone in passed:
        store.set_history_token(album, milestone)
    other = store.create_collection(ACTOR, OWNER, "other", "128.1")
    assert store.milestones([album.key, other.key]) == {album.key: {*passed[2:]}, other.key: set()}
    store.delete_collection(ACTOR, OWNER, "album")
    store.create_collection(ACTOR, OWNER, "album", "128.1")
    assert store.milestones([album.key]) == {album.key: set()}
    with pytest.raises(CollectionNotFound):
        store.set_history_token(album, uuid4())


def test_same_picture_sent_at_once_is_stored_once(store: PostgresStore, album: Collection) -> None:
    """Eight clients that index one picture at the same moment all get the same three faces."""
    images = [uuid4() for _ in range(20)]
    start = threading.Barrier(8)

    def index() -> list[list[EnrolledFace]]:
        answers = []
        for image_id in images:
            faces = picture(embeddings(3), image_id=image_id)
            start.wait()
            answers.append(add(store, album, faces))
        return answers

    with ThreadPoolExecutor(8) as threads:
        answers = [future.result() for future in [threads.submit(index) for _ in range(8)]]
    assert all(answer == answers[0] for answer in answers)
    assert now(store, album).face_count == 3 * len(images)


def test_follower_misses_nothing_while_others_write(store: PostgresStore, album: Collection) -> None:
    """Following changes step by step during concurrent writes ends at exactly what is stored."""
    held: set[UUID] = set()
    revision = 0

    def write(seed: int) -> None:
        for n in range(15):
            stored = add(store, album, picture(embeddings(2, seed=seed * 100 + n)))
            store.delete_faces(ACTOR, album, [stored[0].face_id] if n % 3 == 0 else [])

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write, seed) for seed in range(4)]
        finished = False
        while not finished:
            finished = all(writer.done() for writer in writers)
            step = store.changes(album, revision)
            assert held.isdisjoint(step.added)
            held = (held - set(step.removed)) | set(step.added)
            revision = step.revision
        for writer in writers:
            writer.result()
    assert held == {face.face_id for face in store.list_faces(album, after=None, limit=1_000).items}
    assert len(held) == now(store, album).face_count == 4 * (15 * 2 - 5)


def test_collection_deleted_under_writers_leaves_nothing(
    store: PostgresStore, album: Collection, pool: ConnectionPool
) -> None:
    """Writers that are under way when a collection is deleted are told so, and no face of theirs stays behind."""

    def write() -> int:
        for n in range(10_000):
            try:
                add(store, album, picture(embeddings(2, seed=n)))
            except CollectionNotFound:
                return n
        raise AssertionError("the collection was never seen to be deleted")

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write) for _ in range(4)]
        time.sleep(0.2)
        store.delete_collection(ACTOR, OWNER, "album")
        assert sum(writer.result() for writer in writers) > 0
    assert rows(pool) == 0


def rows(pool: ConnectionPool) -> int:
    """Counts what is stored of any collection, deleted or not."""
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM faces) + (SELECT count(*) FROM removed_faces)"
            " + (SELECT count(*) FROM deleted_collections)"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_large_collection_disappears_at_once_and_is_swept_later(
    store: PostgresStore, album: Collection, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting does not wait for millions of rows; what is left over is invisible, and gone after a sweep."""
    monkeypatch.setattr(postgres, "SWEEP_FACES", 2)
    stored = add(store, album, picture(embeddings(7)))
    store.delete_faces(ACTOR, album, [stored[0].face_id])
    store.delete_collection(ACTOR, OWNER, "album")
    assert rows(pool) > 0
    with pytest.raises(CollectionNotFound):
        store.list_faces(album, after=None, limit=9)
    store.sweep()
    assert rows(pool) == 0


WRITER = """
import sys
from uuid import UUID
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

store = PostgresStore(open_pool(sys.argv[1], connections_max=1))
album = store.get_collection(OWNER, "album")
number = int(sys.argv[2])
while True:
    number += 1
    image_id = UUID(int=number)
    store.add_faces(ACTOR, album, image_id, picture(embeddings(20, dimension=512), image_id=image_id))
    print(number, flush=True)
"""


def test_writer_killed_at_any_moment_leaves_whole_pictures(
    store: PostgresStore, album: Collection, database_url: str
) -> None:
    """After kill -9, every acknowledged picture is there, and every picture that is there has all its faces."""
    acknowledged: set[int] = set()
    for attempt, delay_s in enumerate((0.01, 0.033, 0.057)):
        command = [sys.executable, "-c", WRITER, database_url, str(attempt * 1_000_000)]
        root = Path(rekognition_emulator.__file__).parents[1]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
            assert writer.stdout is not None
            acknowledged.add(int(writer.stdout.readline()))
            time.sleep(delay_s)
            writer.kill()
            acknowledged |= {int(line) for line in writer.stdout if line.endswith("\n")}
    store.add_faces(ACTOR, album, uuid4(), [])  # waits for whatever the last one has left in PostgreSQL's hands
    faces = store.list_faces(album, after=None, limit=1_000_000).items
    per_picture: dict[int, int] = {}
    for face in faces:
        per_picture[face.image_id.int] = per_picture.get(face.image_id.int, 0) + 1
    assert set(per_picture.values()) == {20}
    assert acknowledged <= per_picture.keys()
    assert now(store, album).face_count == len(faces)


def test_store_recovers_when_its_connections_are_cut(
    store: PostgresStore, album: Collection, database_url: str
) -> None:
    """After PostgreSQL dropped every connection, as it does when it restarts, the next calls succeed at once."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: store.ping(), range(64)))
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    started = time.monotonic()
    for n in range(8):
        assert add(store, album, picture(embeddings(1, seed=n)))
    assert time.monotonic() - started < 3  # trying one broken connection after the other takes twice as long


def test_every_statement_on_faces_names_its_collection() -> None:
    """The tables can be distributed by collection, because no statement ever asks across collections."""
    package = Path(rekognition_emulator.__file__).parent
    statements = [
        node.value
        for path in (
            package / "store" / "postgres.py",
            package / "store" / "tombstones.py",
            package / "indexes" / "pgvector.py",
        )
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    on_faces = [text for text in statements if re.search(r"(FROM|UPDATE|INTO)\s+(removed_)?faces\b", text)]
    assert len(on_faces) > 8
    for statement in on_faces:
        for clause in re.split(r"(?=\b(?:FROM|UPDATE|INTO)\s+(?:removed_)?faces\b)", statement)[1:]:
            table = r"(FROM|UPDATE|INTO)\s+(removed_)?faces"
            assert re.match(rf"{table}\s+(WHERE\s+collection_id = %|\(collection_id,)", clause), statement


def test_no_statement_reads_all_collections(database_url: str) -> None:
    """Every operation finds its collection's rows by index, even where one collection is nearly all there is."""
    with open_pool(database_url, connections_max=1) as pool:
        store = PostgresStore(pool)
        giant = store.create_collection(ACTOR, OWNER, "giant", "128.1")
        for number in range(6):
            add(store, giant, picture(embeddings(100, seed=number)))
        with pool.connection() as connection:
            connection.execute("ANALYZE")
        PgvectorIndex(pool).search(giant, embeddings(1)[0], cosine_min=0.0, limit=5)
        for number in range(20):
            album = store.create_collection(ACTOR, OWNER, f"album-{number}", "128.1")
            stored = add(store, album, picture(embeddings(20, seed=number)))
            store.list_faces(album, after=None, limit=5)
            store.list_faces(album, after=stored[3].face_id, limit=5, face_ids=[face.face_id for face in stored])
            store.get_embedding(album, stored[0].face_id)
            store.delete_faces(ACTOR, album, [stored[0].face_id])
            store.changes(album, 0)
            PgvectorIndex(pool).search(album, embeddings(1)[0], cosine_min=0.0, limit=5)
        store.delete_collection(ACTOR, Owner(OWNER.account, OWNER.region), "album-3")
        with pool.connection() as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")
            scans = connection.execute(
                "SELECT relname, seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname ~ 'faces'"
            ).fetchall()
    assert {relname: seq_scan for relname, seq_scan, _ in scans} == {"faces": 0, "removed_faces": 0}
    assert all(idx_scan > 0 for _, _, idx_scan in scans)
