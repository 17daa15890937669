from collections.abc import Mapping
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.errors import CollectionNotFound, FaceModelChanged
from rekognition_emulator.domain.faces import Collection, FaceChip, NewFace, PictureSource
from rekognition_emulator.reembedding import store as reembedding
from rekognition_emulator.reembedding.model import AlreadyReembedding
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.storage import postgres
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

CHIP = FaceChip(b"a jpeg", np.linspace(-0.5, 1.5, 10, dtype=np.float32).reshape(5, 2))
SOURCE = PictureSource("event-photos", "album 7/1.jpg", "v1")


@pytest.fixture
def staging(pool: JoiningPool) -> PostgresReembeddingStore:
    """Where embeddings of other models wait."""
    return PostgresReembeddingStore(pool)


@pytest.fixture
def users(pool: ConnectionPool) -> PostgresUserStore:
    """The users of the same database."""
    return PostgresUserStore(pool)


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """An empty collection."""
    return store.create_collection(ACTOR, OWNER, "album", "1.1")


def add(store: PostgresStore, album: Collection, vectors: NDArray[np.float32]) -> list[UUID]:
    """Stores a picture's faces, with chips and with the picture's source."""
    faces = [NewFace(each.face, each.embedding, CHIP) for each in picture(vectors)]
    return [face.face_id for face in store.add_faces(ACTOR, album, faces[0].face.image_id, faces, SOURCE)]


def stage(
    staging: PostgresReembeddingStore, album: Collection, version: str, dimension: int
) -> dict[UUID, NDArray[np.float32]]:
    """Stages an embedding of this dimension for every face that lacks one of this version."""
    lacking = [origin.face.face_id for origin in staging.lacking(album, version, since=0, after=None, limit=1_000)]
    made = dict(zip(lacking, embeddings(len(lacking), dimension, seed=9), strict=True))
    staging.stage(album, version, made)
    return made


def exchange(store: PostgresStore, staging: PostgresReembeddingStore, album: Collection, version: str) -> Collection:
    """Exchanges the embeddings and returns the collection as it is then."""
    with staging.exclusive(album):
        staging.exchange(ACTOR, album, version)
    return store.get_collection(OWNER, album.name)


def present(store: PostgresStore, album: Collection) -> Mapping[UUID, NDArray[np.float32]]:
    """Every face's embedding."""
    faces = store.list_faces(album, after=None, limit=1_000).items
    return {face.face_id: store.get_embedding(album, face.face_id) for face in faces}


def equal(these: Mapping[UUID, NDArray[np.float32]], those: Mapping[UUID, NDArray[np.float32]]) -> bool:
    """Compares bit by bit."""
    return these.keys() == those.keys() and all(np.array_equal(these[name], those[name]) for name in these)


def count(pool: ConnectionPool, table: str) -> int:
    """How many rows there are, of whichever collection."""
    with pool.connection() as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row
    return int(row[0])


def test_origins_are_read_back_picture_by_picture(
    store: PostgresStore, staging: PostgresReembeddingStore, album: Collection
) -> None:
    """Chip and source come back as they were stored, those that have none without, and no face twice or never."""
    ids = [*add(store, album, embeddings(3)), *add(store, album, embeddings(2, seed=1))]
    (bare,) = store.add_faces(ACTOR, album, uuid4(), picture(embeddings(1)))
    origins, after = [], None
    while page := staging.lacking(album, "2.1", since=0, after=after, limit=2):
        origins += page
        after = (page[-1].face.image_id, page[-1].face.face_id)
    assert sorted(origin.face.face_id for origin in origins) == sorted([*ids, bare.face_id])
    assert [origin.face.image_id for origin in origins] == sorted(origin.face.image_id for origin in origins)
    for origin in origins:
        if origin.face.face_id == bare.face_id:
            assert (origin.chip, origin.source) == (None, None)
        else:
            assert origin.source == SOURCE
            assert origin.chip
            assert origin.chip.jpeg == CHIP.jpeg
            assert np.array_equal(origin.chip.landmarks, CHIP.landmarks)
    staging.stage(album, "2.1", {ids[0]: embeddings(1)[0]})
    assert len(staging.lacking(album, "2.1", since=0, after=None, limit=99)) == len(ids)
    assert len(staging.lacking(album, "3.1", since=0, after=None, limit=99)) == len(ids) + 1


def test_a_picture_sent_again_brings_what_its_faces_lack(
    store: PostgresStore, staging: PostgresReembeddingStore, album: Collection
) -> None:
    """Faces that were stored without chips get them, and the source is the last one that was named."""
    image_id = uuid4()
    faces = picture(embeddings(2), image_id=image_id)
    store.add_faces(ACTOR, album, image_id, faces)
    again = [NewFace(each.face, each.embedding, CHIP) for each in picture(embeddings(2), image_id=image_id)]
    store.add_faces(ACTOR, album, image_id, again, PictureSource("elsewhere", "2.jpg", None))
    store.add_faces(ACTOR, album, image_id, again, SOURCE)
    assert [(bool(o.chip), o.source) for o in staging.lacking(album, "2.1", since=0, after=None, limit=9)] == [
        (True, SOURCE)
    ] * 2
    assert [o.face.face_id for o in staging.lacking(album, "2.1", since=0, after=None, limit=9)] == sorted(
        each.face.face_id for each in faces
    )


def test_exchange_and_back_leaves_what_was(
    store: PostgresStore, users: PostgresUserStore, staging: PostgresReembeddingStore, album: Collection
) -> None:
    """All embeddings change at once, users' with them; the way back brings the old ones bit by bit."""
    ids = add(store, album, embeddings(6))
    users.create_user(ACTOR, album, "ann")
    users.create_user(ACTOR, album, "nobody")
    users.associate_faces(ACTOR, album, "ann", ids[:3], near_enough=lambda _: True)
    album = store.get_collection(OWNER, "album")
    before, ann = present(store, album), users.get_user_embedding(album, "ann")
    faces = store.list_faces(album, after=None, limit=99).items
    made = stage(staging, album, "2.1", 16)
    assert equal(present(store, album), before)

    there = exchange(store, staging, album, "2.1")
    assert (there.key, there.face_model_version, there.face_count) == (album.key, "2.1", 6)
    assert store.list_faces(there, after=None, limit=99).items == faces
    assert equal(present(store, there), made)
    mean = np.sum([made[name] for name in ids[:3]], axis=0)
    assert users.get_user_embedding(there, "ann") == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert users.get_user_embedding(there, "nobody") is None
    standing = staging.standing(there)
    assert (standing.kept, standing.staged) == ("1.1", {"1.1": 6})

    back = exchange(store, staging, there, "1.1")
    assert equal(present(store, back), before)
    assert users.get_user_embedding(back, "ann") == pytest.approx(ann, abs=1e-6)
    assert staging.discard(ACTOR, back, ["2.1"]) == 6
    assert (staging.standing(back).kept, staging.standing(back).staged) == (None, {})


def test_whoever_read_the_collection_before_is_told(
    store: PostgresStore, users: PostgresUserStore, staging: PostgresReembeddingStore, album: Collection
) -> None:
    """Nothing is answered and nothing written that would mix two models, whatever the call."""
    ids = add(store, album, embeddings(2))
    users.create_user(ACTOR, album, "ann")
    stage(staging, album, "2.1", 8)
    exchange(store, staging, album, "2.1")
    for call in (
        lambda: add(store, album, embeddings(1, seed=5)),
        lambda: store.get_embedding(album, ids[0]),
        lambda: store.get_faces(album, ids),
        lambda: store.changes(album, 0),
        lambda: users.get_user_embedding(album, "ann"),
        lambda: users.associate_faces(ACTOR, album, "ann", ids, near_enough=lambda _: True),
        lambda: staging.stage(album, "3.1", {ids[0]: embeddings(1)[0]}),
    ):
        with pytest.raises(FaceModelChanged):
            call()
    assert store.get_collection(OWNER, "album").face_count == 2


def test_a_face_without_its_embedding_prevents_the_exchange(
    store: PostgresStore, staging: PostgresReembeddingStore, album: Collection
) -> None:
    """Where one face was forgotten nothing at all changes."""
    add(store, album, embeddings(3))
    stage(staging, album, "2.1", 16)
    add(store, album, embeddings(1, seed=4))
    album = store.get_collection(OWNER, "album")
    before = present(store, album)
    with pytest.raises(AssertionError):
        exchange(store, staging, album, "2.1")
    assert store.get_collection(OWNER, "album") == album
    assert equal(present(store, album), before)
    assert staging.standing(album).staged == {"2.1": 3}


def test_indexes_outside_start_anew_in_parts(
    store: PostgresStore,
    users: PostgresUserStore,
    staging: PostgresReembeddingStore,
    album: Collection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A follower forgets what it holds, is told all faces in bounded parts, and has neither a lost nor an old one."""
    for module in (postgres, reembedding):
        monkeypatch.setattr(module, "CHANGES_MAX", 2)
    ids = add(store, album, embeddings(5))
    store.delete_faces(ACTOR, album, ids[4:])
    users.create_user(ACTOR, album, "ann")
    users.associate_faces(ACTOR, album, "ann", ids[:2], near_enough=lambda _: True)
    old = store.get_collection(OWNER, "album")
    made = stage(staging, album, "2.1", 16)
    new = exchange(store, staging, album, "2.1")
    changes = store.changes(new, old.revision)
    assert changes.anew
    told = dict(zip(changes.added, changes.embeddings, strict=True))
    parts = 1
    while changes.revision < new.revision:
        changes = store.changes(new, changes.revision, removals_since=changes.removals_revision)
        assert not changes.anew
        assert not changes.removed
        told |= dict(zip(changes.added, changes.embeddings, strict=True))
        parts += 1
    assert parts == 2
    assert equal(told, made)
    assert list(changes.users.added) == ["ann"]


def test_what_is_deleted_leaves_nothing_behind(
    store: PostgresStore, staging: PostgresReembeddingStore, album: Collection, pool: ConnectionPool
) -> None:
    """Chips, staged embeddings and sources go with the face and with the picture's last face."""
    ids = add(store, album, embeddings(2))
    stage(staging, album, "2.1", 8)
    store.delete_faces(ACTOR, album, ids[:1])
    assert [count(pool, table) for table in ("face_chips", "staged_embeddings", "picture_sources")] == [1, 1, 1]
    # What was being embedded while its face was deleted is not staged any more.
    staging.stage(album, "2.1", {ids[0]: embeddings(1)[0]})
    assert count(pool, "staged_embeddings") == 1
    store.delete_faces(ACTOR, album, ids[1:])
    assert [count(pool, table) for table in ("face_chips", "staged_embeddings", "picture_sources")] == [0, 0, 0]


def test_a_deleted_collection_takes_everything_along(
    store: PostgresStore,
    staging: PostgresReembeddingStore,
    album: Collection,
    pool: ConnectionPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where it is swept in several goes, after a restart; and nothing is staged for it any more."""
    monkeypatch.setattr(postgres, "SWEEP_FACES", 2)
    for seed in range(3):
        ids = add(store, album, embeddings(3, seed=seed))
    stage(staging, album, "2.1", 8)
    store.delete_collection(ACTOR, OWNER, "album")
    with pytest.raises(CollectionNotFound):
        staging.stage(album, "2.1", {ids[0]: embeddings(1)[0]})
    assert count(pool, "face_chips") == 7
    store.sweep()
    tables = ("faces", "face_chips", "staged_embeddings", "picture_sources", "deleted_collections")
    assert [count(pool, table) for table in tables] == [0] * 5


def test_one_process_at_a_time(staging: PostgresReembeddingStore, album: Collection, database_url: str) -> None:
    """A second one is refused until the first has ended, whatever way it ended."""
    with open_pool(database_url, connections_max=1) as other:
        second = PostgresReembeddingStore(other)
        with staging.alone(album), pytest.raises(AlreadyReembedding), second.alone(album):
            pass
        with second.alone(album):
            pass
