from uuid import uuid4

import pytest

from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


def test_collections_searched_longest_ago_make_room(store: PostgresStore) -> None:
    """Memory is bounded by what the collections take, and one that was dropped is simply read again."""
    index = MemoryIndex(store, bytes_max=5_000)  # two of 2,000 and some vectors
    probe = embeddings(1)[0]
    names = ("a", "b", "c")
    for name in names:
        created = store.create_collection(ACTOR, OWNER, name, "128.1")
        store.add_faces(ACTOR, created, uuid4(), picture(embeddings(3)))
    for name in ("a", "b", "c", "a", "a", "c"):
        assert len(index.search(store.get_collection(OWNER, name), probe, cosine_min=-1, limit=9)) == 3
        held = [name for name in names if index.holding(store.get_collection(OWNER, name)).faces]
        assert name in held
        assert len(held) <= 2


def test_collection_larger_than_all_memory_is_held_while_it_is_searched(store: PostgresStore) -> None:
    """Otherwise every search would read it anew."""
    index = MemoryIndex(store, bytes_max=1)
    store.add_faces(ACTOR, store.create_collection(ACTOR, OWNER, "album", "128.1"), uuid4(), picture(embeddings(3)))
    album = store.get_collection(OWNER, "album")
    index.search(album, embeddings(1)[0], cosine_min=-1, limit=9)
    assert index.holding(album).faces == 3


def test_deleted_collection_is_forgotten(store: PostgresStore) -> None:
    """A collection that turns out to be deleted takes no more memory."""
    index = MemoryIndex(store, bytes_max=100_000)
    created = store.create_collection(ACTOR, OWNER, "album", "128.1")
    store.add_faces(ACTOR, created, uuid4(), picture(embeddings(3)))
    collection = store.get_collection(OWNER, "album")
    index.search(collection, embeddings(1)[0], cosine_min=-1, limit=9)
    store.add_faces(ACTOR, created, uuid4(), picture(embeddings(3)))
    collection = store.get_collection(OWNER, "album")
    store.delete_collection(ACTOR, OWNER, "album")
    with pytest.raises(CollectionNotFound):
        index.search(collection, embeddings(1)[0], cosine_min=-1, limit=9)
    assert index.holding(collection).faces == 0
