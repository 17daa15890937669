from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.errors import CollectionNotFound, TooManyTags
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from tests.support.gallery import ACTOR, OWNER


@pytest.fixture
def tags(pool: ConnectionPool) -> PostgresTagStore:
    """The tags of the same database."""
    return PostgresTagStore(pool)


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """A collection with one tag."""
    return store.create_collection(ACTOR, OWNER, "album", "128.1", {"Dept": "Sales"})


def test_tags_come_go_and_change(tags: PostgresTagStore, album: Collection) -> None:
    """Adding keeps the others and overwrites equal keys, whose case counts; removing ignores what is not there."""
    tags.add_tags(ACTOR, album, {"dept": "x", "Owner": "", "Größe +": "1\u2003m"})
    tags.add_tags(ACTOR, album, {"dept": "y"})
    assert tags.get_tags(album) == {"Dept": "Sales", "dept": "y", "Owner": "", "Größe +": "1\u2003m"}
    tags.remove_tags(ACTOR, album, ["Dept", "Owner", "nothing"])
    assert tags.get_tags(album) == {"dept": "y", "Größe +": "1\u2003m"}
    tags.add_tags(ACTOR, album, {})
    tags.remove_tags(ACTOR, album, [])
    assert len(tags.get_tags(album)) == 2


def test_fifty_tags_are_enough(store: PostgresStore, tags: PostgresTagStore, album: Collection) -> None:
    """More are refused as a whole, at creation too; new values for the fifty are not more."""
    tags.add_tags(ACTOR, album, {str(number): "" for number in range(49)})
    full = tags.get_tags(album)
    with pytest.raises(TooManyTags):
        tags.add_tags(ACTOR, album, {"0": "changed", "one more": ""})
    assert tags.get_tags(album) == full
    tags.add_tags(ACTOR, album, {"0": "changed"})
    with pytest.raises(TooManyTags):
        store.create_collection(ACTOR, OWNER, "other", "128.1", {str(number): "" for number in range(51)})
    with pytest.raises(CollectionNotFound):
        store.get_collection(OWNER, "other")


def test_tags_go_with_their_collection(store: PostgresStore, tags: PostgresTagStore, album: Collection) -> None:
    """A new collection of the same name has none, and who holds the old one is told that it is gone."""
    store.delete_collection(ACTOR, OWNER, "album")
    new = store.create_collection(ACTOR, OWNER, "album", "128.1")
    assert tags.get_tags(new) == {}
    with pytest.raises(CollectionNotFound):
        tags.get_tags(album)
    with pytest.raises(CollectionNotFound):
        tags.add_tags(ACTOR, album, {"a": "b"})
    with pytest.raises(CollectionNotFound):
        tags.remove_tags(ACTOR, album, ["a"])


def test_tagging_at_once_loses_nothing(
    store: PostgresStore, tags: PostgresTagStore, album: Collection, pool: ConnectionPool
) -> None:
    """Many clients that tag one collection at the same moment, and one that looks away: all tags are there."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: tags.add_tags(ACTOR, album, {f"tag-{number}": ""}), range(40)))
    assert len(tags.get_tags(album)) == 41
    elsewhere = store.create_collection(ACTOR, replace(OWNER, account="111111111111"), "album", "128.1")
    assert tags.get_tags(elsewhere) == {}
