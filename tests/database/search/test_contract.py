"""What every index owes, whichever table entry it is."""

import threading
from contextlib import suppress
from uuid import UUID, uuid4

import numpy as np
import pytest

from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.storage import changes, tombstones
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.concurrency import search_while_written
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

EAST = np.array([1, 0, 0], np.float32)


def fill(store: PostgresStore, name: str, vectors: np.ndarray, ids: list[UUID] | None = None) -> Collection:
    """Makes a collection of faces with these embeddings and reads it as a search does."""
    collection = store.create_collection(ACTOR, OWNER, name, "128.1")
    faces = picture(vectors, ids=ids or [])
    store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    return store.get_collection(OWNER, name)


def found(index: FaceIndex, collection: Collection, *, cosine_min: float = -1, limit: int = 100) -> list[UUID]:
    """Searches from the east."""
    return [match.face_id for match in index.search(collection, EAST, cosine_min=cosine_min, limit=limit)]


def at(cosine: float) -> list[float]:
    """A unit vector with this cosine to the east."""
    return [cosine, float(np.sqrt(1 - cosine**2)), 0]


def test_nearest_come_first_with_their_cosines(store: PostgresStore, index: FaceIndex) -> None:
    """Matches are ordered by descending cosine, and the cosine is that of the stored embedding."""
    cosines = [0.2, 1.0, -1.0, 0.7, -0.3]
    ids = [uuid4() for _ in cosines]
    collection = fill(store, "album", np.array([at(cosine) for cosine in cosines], np.float32), ids)
    matches = index.search(collection, EAST, cosine_min=-1, limit=100)
    expected = sorted(zip(cosines, ids, strict=True), reverse=True)
    assert [match.face_id for match in matches] == [face_id for _, face_id in expected]
    assert [match.cosine for match in matches] == pytest.approx([cosine for cosine, _ in expected], abs=1e-6)
    assert all(type(match.cosine) is float for match in matches)


def test_selective_collection_in_a_large_table_returns_as_many_as_exist(store: PostgresStore, index: FaceIndex) -> None:
    """Nearer faces of forty other collections, older and younger ones, neither appear nor use up the limit."""
    vectors = embeddings(50, dimension=3)
    ids = [uuid4() for _ in vectors]
    for number in range(40):
        fill(store, f"other-{number}", np.repeat(EAST[None], 50, axis=0))
        if number == 20:
            fill(store, "album", vectors, ids)
    assert set(found(index, store.get_collection(OWNER, "album"), limit=50)) == set(ids)


def test_ties_are_ordered_by_face_id(store: PostgresStore, index: FaceIndex) -> None:
    """Equal embeddings answer in ascending order of their ids, also where the limit cuts through them."""
    cosines = [(0.5, 0.9, 0.7)[number % 3] for number in range(99)]
    ids = [uuid4() for _ in cosines]
    collection = fill(store, "album", np.array([at(cosine) for cosine in cosines], np.float32), ids)
    expected = [
        face_id for _, face_id in sorted((-cosine, face_id) for cosine, face_id in zip(cosines, ids, strict=True))
    ]
    assert found(index, collection) == expected
    assert found(index, collection, limit=40) == expected[:40]


def test_threshold_is_inclusive(store: PostgresStore, index: FaceIndex) -> None:
    """A face exactly at the smallest cosine matches, one below it does not; −1 lets everything through."""
    ids = [uuid4() for _ in range(4)]
    collection = fill(store, "album", np.array([at(0.5), at(0.499999), at(0.75), at(-1)], np.float32), ids)
    assert found(index, collection, cosine_min=0.5) == [ids[2], ids[0]]
    assert len(found(index, collection, cosine_min=-1)) == 4
    assert found(index, collection, cosine_min=1) == []


def test_one_face_can_be_left_out(store: PostgresStore, index: FaceIndex) -> None:
    """The face that is searched with does not appear, and does not count against the limit."""
    ids = [uuid4() for _ in range(3)]
    collection = fill(store, "album", np.array([at(1), at(0.9), at(0.8)], np.float32), ids)
    for without, expected in ((ids[0], ids[1:]), (ids[2], ids[:2]), (uuid4(), ids[:2]), (None, ids[:2])):
        matches = index.search(collection, EAST, cosine_min=-1, limit=2, without=without)
        assert [match.face_id for match in matches] == expected


def test_empty_collection_matches_nothing(store: PostgresStore, index: FaceIndex) -> None:
    """Neither a new collection nor one whose faces are all gone is an error."""
    assert found(index, store.create_collection(ACTOR, OWNER, "new", "128.1")) == []
    collection = fill(store, "emptied", EAST[None])
    [face_id] = found(index, collection)
    store.delete_faces(ACTOR, collection, [face_id])
    assert found(index, store.get_collection(OWNER, "emptied")) == []


def test_changes_are_seen_by_the_next_search(store: PostgresStore, index: FaceIndex) -> None:
    """What was acknowledged as added is found, and as deleted is not, without anything in between."""
    collection = fill(store, "album", np.array([at(0.9)], np.float32))
    [first] = found(index, collection)
    [added] = picture(np.array([at(0.8)], np.float32))
    store.add_faces(ACTOR, collection, added.face.image_id, [added])
    assert found(index, store.get_collection(OWNER, "album")) == [first, added.face.face_id]
    store.delete_faces(ACTOR, collection, [first])
    assert found(index, store.get_collection(OWNER, "album")) == [added.face.face_id]


def test_face_that_returns_under_its_old_id_is_found(store: PostgresStore, index: FaceIndex) -> None:
    """Deleted and added again between two searches, a face is there, with its new embedding."""
    face_id = uuid4()
    collection = fill(store, "album", np.array([at(0.9)], np.float32), [face_id])
    found(index, collection)
    store.delete_faces(ACTOR, collection, [face_id])
    [again] = picture(np.array([at(0.1)], np.float32), ids=[face_id])
    store.add_faces(ACTOR, collection, again.face.image_id, [again])
    [match] = index.search(store.get_collection(OWNER, "album"), EAST, cosine_min=-1, limit=9)
    assert (match.face_id, round(match.cosine, 6)) == (face_id, 0.1)


def test_collection_of_the_same_name_starts_empty(store: PostgresStore, index: FaceIndex) -> None:
    """A collection that replaced a deleted one shows none of its faces."""
    assert found(index, fill(store, "album", EAST[None]))
    store.delete_collection(ACTOR, OWNER, "album")
    assert found(index, store.create_collection(ACTOR, OWNER, "album", "128.1")) == []


def test_search_in_a_deleted_collection_comes_to_an_end(store: PostgresStore, index: FaceIndex) -> None:
    """Who still holds a collection that is gone and was never searched gets no match, or is told so."""
    deleted = fill(store, "album", EAST[None])
    store.delete_collection(ACTOR, OWNER, "album")
    with suppress(CollectionNotFound):
        assert index.search(deleted, EAST, cosine_min=-1, limit=9) == []


def test_searches_during_writes_see_whole_pictures(store: PostgresStore, index: FaceIndex) -> None:
    """Many threads search while others index: each sees at least what was there, and three faces of every picture."""
    collection = store.create_collection(ACTOR, OWNER, "album", "128.1")

    def write() -> None:
        for _ in range(20):
            faces = picture(np.repeat(EAST[None], 3, axis=0))
            store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)

    def search(written: threading.Event) -> None:
        seen = 0
        while not written.is_set():
            before = store.get_collection(OWNER, "album")
            count = len(found(index, before, limit=1_000))
            assert count % 3 == 0
            assert count >= max(before.face_count, seen)
            seen = count

    search_while_written(write, search, writers=2)
    assert len(found(index, store.get_collection(OWNER, "album"), limit=1_000)) == 120


def test_changes_in_many_parts_are_all_found(
    store: PostgresStore, index: FaceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little is told at once, from nothing or later: a search knows all faces that came and none that went."""
    monkeypatch.setattr(changes, "CHANGES_MAX", 4)
    collection = store.create_collection(ACTOR, OWNER, "album", "128.1")
    present: set[UUID] = set()
    for size in (3, 1, 7, 2, 5):
        for number in range(3):
            faces = picture(embeddings(size, dimension=3, seed=number))
            stored = [face.face_id for face in store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)]
            store.delete_faces(ACTOR, collection, stored[:1])
            present |= {*stored[1:]}
        if size in {1, 2}:
            assert set(found(index, store.get_collection(OWNER, "album"))) == present
    assert set(found(index, store.get_collection(OWNER, "album"))) == present


def test_index_that_missed_forgotten_removals_begins_anew(
    store: PostgresStore, index: FaceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removals are not remembered for ever; who has not heard of some in time still finds nothing that is gone."""
    monkeypatch.setattr(tombstones, "REMOVALS_KEPT", 2)
    monkeypatch.setattr(tombstones, "PRUNE_EVERY", 1)
    monkeypatch.setattr(changes, "CHANGES_MAX", 3)
    collection = store.create_collection(ACTOR, OWNER, "album", "128.1")
    ids: list[UUID] = []
    for _ in range(5):
        faces = picture(embeddings(2, dimension=3))
        ids += [face.face_id for face in store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)]
    assert set(found(index, store.get_collection(OWNER, "album"))) == set(ids)
    for face_id in ids[:6]:
        store.delete_faces(ACTOR, collection, [face_id])
    assert set(found(index, store.get_collection(OWNER, "album"))) == set(ids[6:])


def test_prepared_collection_is_held_until_it_is_forgotten(store: PostgresStore, index: FaceIndex) -> None:
    """Preparing says how far it is and ends at the collection's revision; forgetting loses nothing but time."""
    collection = fill(store, "album", embeddings(20, dimension=3))
    steps: list[tuple[int, int | None]] = []
    index.prepare(collection, lambda done, total: steps.append((done, total)))
    assert steps[-1] == (20, 20)
    holding = index.holding(collection)
    assert (holding.revision, holding.faces) == (collection.revision, 20)
    before = found(index, collection)
    index.forget(collection)
    assert found(index, collection) == before
    index.prepare(collection, lambda *_: None)  # the search may have begun it in the background
    again = index.holding(collection)
    assert (again.revision, again.faces, again.kind) == (holding.revision, 20, holding.kind)


def test_preparing_a_deleted_collection_comes_to_an_end(store: PostgresStore, index: FaceIndex) -> None:
    """As a search in it does."""
    deleted = fill(store, "album", EAST[None])
    store.delete_collection(ACTOR, OWNER, "album")
    with suppress(CollectionNotFound):
        index.prepare(deleted, lambda *_: None)
    index.forget(deleted)
