from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import numpy as np
import pytest

from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.registry import INDEXES, IndexDependencies, IndexUnusable
from rekognition_emulator.search.router import IndexRouter
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

PROBE = embeddings(1)[0]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the indexes that were opened, as they are."""
    opened: list[str] = []

    def noting(name: str, make: Callable[[IndexDependencies], FaceIndex]) -> Callable[[IndexDependencies], FaceIndex]:
        def note(surroundings: IndexDependencies) -> FaceIndex:
            opened.append(name)
            return make(surroundings)

        return note

    for name, make in list(INDEXES.items()):
        monkeypatch.setitem(INDEXES, name, noting(name, make))
    return opened


@pytest.fixture
def chosen(names: list[str], surroundings: IndexDependencies) -> Iterator[IndexRouter]:  # names before it opens any
    """Searches in memory, unless a collection has chosen otherwise."""
    with closing(IndexRouter("memory", surroundings)) as index:
        yield index


def test_collection_is_searched_by_the_index_that_it_has_chosen(
    store: PostgresStore, chosen: IndexRouter, names: list[str]
) -> None:
    """From the next search on, and back again; an index that no collection needs is never opened."""
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")
    store.add_faces(ACTOR, album, uuid4(), picture(embeddings(5)))
    answers = []
    for name, opened in ((None, ["memory"]), ("pgvector", ["memory", "pgvector"]), (None, ["memory", "pgvector"])):
        store.choose_index(ACTOR, album, name)
        collection = store.get_collection(OWNER, "album")
        assert collection.index == name
        answers.append(chosen.search(collection, PROBE, cosine_min=-1, limit=9))
        assert names == opened
    cosines = [[match.cosine for match in answer] for answer in answers]
    assert np.allclose(cosines[0], cosines[1])
    assert answers[0] == answers[2]


def test_unknown_choice_is_searched_by_the_default(store: PostgresStore, chosen: IndexRouter, names: list[str]) -> None:
    """What a later version has chosen keeps no earlier one from searching."""
    store.choose_index(ACTOR, store.create_collection(ACTOR, OWNER, "album", "128.1"), "one of tomorrow")
    assert chosen.search(store.get_collection(OWNER, "album"), PROBE, cosine_min=-1, limit=9) == []
    assert names == ["memory"]


def test_an_index_that_is_not_installed_is_stood_in_for(
    store: PostgresStore, chosen: IndexRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without the extra searches its collections by its own index; as its own, it refuses it at the start."""

    def unusable(_: IndexDependencies) -> FaceIndex:
        raise IndexUnusable("not here")

    monkeypatch.setitem(INDEXES, "milvus", unusable)
    store.choose_index(ACTOR, store.create_collection(ACTOR, OWNER, "album", "128.1"), "milvus")
    assert chosen.search(store.get_collection(OWNER, "album"), PROBE, cosine_min=-1, limit=9) == []


def test_choice_for_a_deleted_collection_is_refused(store: PostgresStore) -> None:
    """Also when another of the same name exists by now."""
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")
    store.delete_collection(ACTOR, OWNER, "album")
    store.create_collection(ACTOR, OWNER, "album", "128.1")
    with pytest.raises(CollectionNotFound):
        store.choose_index(ACTOR, album, "memory")
    assert store.get_collection(OWNER, "album").index is None
