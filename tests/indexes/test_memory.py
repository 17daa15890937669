from uuid import uuid4

import pytest

from rekognition_emulator.faces.errors import CollectionNotFound
from rekognition_emulator.indexes.memory import MemoryIndex
from rekognition_emulator.store.postgres import PostgresStore
from tests.gallery import OWNER, embeddings, picture


def test_collections_searched_longest_ago_make_room(store: PostgresStore) -> None:
    """Memory is bounded by the number of collections held, and one that was dropped is simply read again."""
    index = MemoryIndex(store, galleries_max=2)
    probe = embeddings(1)[0]
    for name in ("a", "b", "c"):
        created = store.create_collection(OWNER, name, "128.1")
        store.add_faces(created, uuid4(), picture(embeddings(3)))
    for name in ("a", "b", "c", "a", "a", "c"):
        assert len(index.search(store.get_collection(OWNER, name), probe, cosine_min=-1, limit=9)) == 3
        assert len(index._galleries) <= 2


def test_deleted_collection_is_forgotten(store: PostgresStore) -> None:
    """A collection that turns out to be deleted takes no more memory."""
    index = MemoryIndex(store)
    created = store.create_collection(OWNER, "album", "128.1")
    store.add_faces(created, uuid4(), picture(embeddings(3)))
    collection = store.get_collection(OWNER, "album")
    store.delete_collection(OWNER, "album")
    with pytest.raises(CollectionNotFound):
        index.search(collection, embeddings(1)[0], cosine_min=-1, limit=9)
    assert not index._galleries
