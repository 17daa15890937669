"""Recall is only worth something if it notices an index that lies."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from rekognition_emulator.domain.faces import Collection, Embedding, Match
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.search.recall import CollectionChanging, measure_recall
from rekognition_emulator.storage import postgres
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


class Lying(MemoryIndex):
    """Searches truly, and then answers something else."""

    def __init__(self, store: FaceStore, lie: Callable[[list[Match]], list[Match]]) -> None:
        super().__init__(store, bytes_max=10**9)
        self._lie = lie

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        """Finds what is there, changed."""
        return self._lie(super().search(collection, probe, cosine_min=cosine_min, limit=limit, without=without))


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """A collection of 300 faces, two of them the same."""
    collection = store.create_collection(ACTOR, OWNER, "album", "8.1")
    vectors = embeddings(300)
    vectors[7] = vectors[8]
    for start in range(0, 300, 100):
        faces = picture(vectors[start : start + 100])
        store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    return store.get_collection(OWNER, "album")


def quietly(_done: int, _total: int) -> None:
    """Nobody watches."""


def test_exact_indexes_find_everything(index: FaceIndex, store: PostgresStore, album: Collection) -> None:
    """Every index is exact at this size, and measured so."""
    recall = measure_recall(store, index, album, 40, quietly)
    assert (recall.probes, recall.wanted, recall.found, recall.alien) == (40, 2_000, 2_000, 0)
    assert recall.rate == 1


def test_parts_make_no_difference(store: PostgresStore, album: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection that is told in many parts is compared as a whole."""
    monkeypatch.setattr(postgres, "CHANGES_MAX", 60)
    recall = measure_recall(store, MemoryIndex(store, 10**9), album, 40, quietly)
    assert (recall.probes, recall.rate, recall.alien) == (40, 1, 0)


def test_missing_faces_are_noticed(store: PostgresStore, album: Collection) -> None:
    """An index that loses every tenth match has a recall of nine tenths."""
    thinning = Lying(store, lambda matches: [match for place, match in enumerate(matches) if place % 10 != 3])
    assert measure_recall(store, thinning, album, 30, quietly).rate == pytest.approx(0.9)


def test_faces_of_others_are_noticed(store: PostgresStore, album: Collection) -> None:
    """A match of which the collection has no face is alien, and does not count as found."""
    inventing = Lying(store, lambda matches: [Match(uuid4(), matches[0].cosine), *matches[1:]])
    recall = measure_recall(store, inventing, album, 30, quietly)
    assert (recall.alien, recall.found) == (30, 30 * 49)


def test_wrong_cosines_are_noticed(store: PostgresStore, album: Collection) -> None:
    """The right faces with similarities that are not theirs are no right answer."""
    shading = Lying(store, lambda matches: [Match(match.face_id, match.cosine - 0.01) for match in matches])
    assert measure_recall(store, shading, album, 30, quietly).alien == 30 * 50


def test_a_changing_collection_is_not_judged(store: PostgresStore, album: Collection) -> None:
    """What comes in meanwhile makes two answers of two moments: no verdict."""

    def add(_done: int, _total: int) -> None:
        faces = picture(embeddings(1, seed=9))
        store.add_faces(ACTOR, album, faces[0].face.image_id, faces)

    with pytest.raises(CollectionChanging):
        measure_recall(store, MemoryIndex(store, 10**9), album, 5, add)


def test_an_empty_collection_is_sound(store: PostgresStore) -> None:
    """Of nothing, everything is found."""
    empty = store.create_collection(ACTOR, OWNER, "empty", "8.1")
    assert measure_recall(store, MemoryIndex(store, 10**9), empty, 5, quietly).rate == 1


def test_few_faces_are_all_there_is(store: PostgresStore) -> None:
    """A collection with fewer faces than neighbours are compared is found whole."""
    small = store.create_collection(ACTOR, OWNER, "small", "8.1")
    faces = picture(embeddings(3, seed=4))
    store.add_faces(ACTOR, small, faces[0].face.image_id, faces)
    recall = measure_recall(store, MemoryIndex(store, 10**9), store.get_collection(OWNER, "small"), 50, quietly)
    assert (recall.probes, recall.wanted, recall.found) == (3, 9, 9)
