from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.admin import indexes
from rekognition_emulator.admin.collections import find_collections
from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.admin.indexes import IndexUnsound
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.progress import no_progress
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.recall import CollectionChanging, Recall
from rekognition_emulator.search.registry import IndexDependencies
from rekognition_emulator.search.router import IndexRouter
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """Sixty faces."""
    faces = picture(embeddings(60, dimension=16))
    store.add_faces(ACTOR, store.create_collection(ACTOR, OWNER, "album", "1.1"), faces[0].face.image_id, faces)
    return store.get_collection(OWNER, "album")


@pytest.fixture
def index(store: PostgresStore, pool: ConnectionPool, tmp_path: Path) -> Iterator[IndexRouter]:
    """As a server has it that is set to pgvector."""
    dependencies = IndexDependencies(store, pool, folder=tmp_path, memory_bytes_max=10**8)
    with closing(IndexRouter("pgvector", dependencies)) as index:
        yield index


def test_a_sound_index_is_switched_to(store: PostgresStore, index: IndexRouter, album: Collection) -> None:
    """It is made ready and measured first; whoever switched stands in the audit log; None goes back to the default."""
    told: list[tuple[str, int]] = []
    recall = indexes.switch_index(
        store,
        index,
        replace(ACTOR, operation="index switch"),
        album,
        "memory",
        default="pgvector",
        probes_max=5,
        building=lambda done, _: told.append(("building", done)),
        comparing=lambda done, _: told.append(("comparing", done)),
    )
    assert recall == Recall(probes=5, wanted=250, found=250, alien=0)
    assert {("building", 60), ("comparing", 60)} <= set(told)
    present = store.get_collection(OWNER, "album")
    described = indexes.describe_index(index, present, "pgvector")
    assert (described.index, described.is_chosen, described.is_ready) == ("memory", True, True)
    indexes.switch_index(
        store,
        index,
        ACTOR,
        present,
        None,
        default="pgvector",
        probes_max=5,
        building=no_progress,
        comparing=no_progress,
    )
    described = indexes.describe_index(index, store.get_collection(OWNER, "album"), "pgvector")
    assert (described.index, described.is_chosen) == ("pgvector", False)


def test_an_unsound_index_changes_nothing(
    store: PostgresStore, pool: ConnectionPool, index: IndexRouter, album: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured comes with the refusal; the collection and the audit log stay as they were."""
    poor = Recall(probes=5, wanted=250, found=240, alien=0)
    monkeypatch.setattr(indexes, "measure_recall", lambda *_: poor)
    before = len(list(entries(pool, AuditFilter())))
    with pytest.raises(IndexUnsound) as refused:
        indexes.switch_index(
            store,
            index,
            ACTOR,
            album,
            "memory",
            default="pgvector",
            probes_max=5,
            building=no_progress,
            comparing=no_progress,
        )
    assert refused.value.recall == poor
    assert store.get_collection(OWNER, "album").index is None
    assert len(list(entries(pool, AuditFilter()))) == before


@pytest.mark.parametrize(
    ("recall", "sound"),
    [
        (Recall(1, 100, 99, 0), True),
        (Recall(1, 100, 98, 0), False),
        (Recall(1, 100, 100, 1), False),
        (Recall(0, 0, 0, 0), True),
    ],
)
def test_soundness(recall: Recall, *, sound: bool) -> None:
    """One face in a hundred may be missed, none may be made up; an empty collection is found as a whole."""
    assert indexes.is_sound(recall) is sound


def test_a_collection_that_changes_is_measured_again(
    store: PostgresStore, index: IndexRouter, album: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few times, and then the operator is told to come back."""
    looks: list[int] = []
    calm = Recall(1, 1, 1, 0)

    def look(_store: PostgresStore, _index: FaceIndex, present: Collection, *_: object) -> Recall:
        looks.append(present.revision)
        if len(looks) < indexes.ATTEMPTS:
            faces = picture(embeddings(1, dimension=16, seed=len(looks)))
            store.add_faces(ACTOR, present, faces[0].face.image_id, faces)
            raise CollectionChanging
        return calm

    monkeypatch.setattr(indexes, "measure_recall", look)
    assert indexes.verify_index(store, index, album, 5, no_progress) == calm
    assert looks == sorted(set(looks)), "each look is at the collection as it is by then"

    def never(*_: object) -> Recall:
        raise CollectionChanging

    monkeypatch.setattr(indexes, "measure_recall", never)
    with pytest.raises(Refused, match="changes all the time"):
        indexes.verify_index(store, index, album, 5, no_progress)


def test_collections_are_found_by_name_and_region(store: PostgresStore, pool: ConnectionPool) -> None:
    """All of an account in order, or those that are named; a name that is nowhere is an error."""
    for region, name in (("eu-west-1", "b"), ("eu-west-1", "a"), ("us-east-1", "a")):
        store.create_collection(ACTOR, Owner(OWNER.account, region), name, "1.1")
    store.create_collection(ACTOR, Owner("999999999999", "eu-west-1"), "c", "1.1")

    def found(names: tuple[str, ...] = (), region: str | None = None) -> list[tuple[str, str]]:
        return [(each.owner.region, each.name) for each in find_collections(pool, OWNER.account, names, region)]

    assert found() == [("eu-west-1", "a"), ("eu-west-1", "b"), ("us-east-1", "a")]
    assert found(("a",)) == [("eu-west-1", "a"), ("us-east-1", "a")]
    assert found(region="us-east-1") == [("us-east-1", "a")]
    with pytest.raises(CollectionNotFound):
        found(("c",))
    with pytest.raises(CollectionNotFound):
        found(("b",), "us-east-1")
