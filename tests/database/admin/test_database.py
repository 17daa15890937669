from pathlib import Path

from psycopg_pool import ConnectionPool

from rekognition_emulator.admin.database import ErasedData, erase_deleted, verify_database
from rekognition_emulator.progress import no_progress
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.erasure import STEPS, Erased
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


def test_a_sound_database_and_a_damaged_one(store: PostgresStore, pool: ConnectionPool) -> None:
    """All collections are counted; what is wrong is told of each, and of the tables."""
    for name in ("album", "empty"):
        store.create_collection(ACTOR, OWNER, name, "1.1")
    faces = picture(embeddings(3))
    store.add_faces(ACTOR, store.get_collection(OWNER, "album"), faces[0].face.image_id, faces)
    told: list[int] = []
    verified = verify_database(pool, lambda done, _total: told.append(done))
    assert (verified.collections, verified.faces, verified.fault_count) == (2, 3, 0)
    assert told == [1, 2]
    with pool.connection() as connection:
        connection.execute("UPDATE collections SET face_count = 7, user_count = 1 WHERE name = 'album'")
        connection.execute("INSERT INTO users (collection_id, user_id, face_count, revision) VALUES (99, 'ann', 0, 1)")
    verified = verify_database(pool, no_progress)
    (faulty,) = verified.faulty
    assert (faulty.name, faulty.region, len(faulty.faults)) == ("album", OWNER.region, 2)
    (fault,) = verified.table_faults
    assert "users has rows of a collection 99" in fault
    assert verified.fault_count == 3


def test_erasing_tells_what_is_left_for_others(store: PostgresStore, pool: ConnectionPool, tmp_path: Path) -> None:
    """Snapshots of indexes go at once; what is not ours to remove is named, and stays."""
    store.delete_collection(ACTOR, OWNER, store.create_collection(ACTOR, OWNER, "album", "1.1").name)
    snapshot = tmp_path / "indexes" / "faiss" / "1.snapshot"
    snapshot.parent.mkdir(parents=True)
    snapshot.touch()
    told: list[tuple[int, int | None]] = []
    erased = erase_deleted(pool, ACTOR, tmp_path, lambda done, total: told.append((done, total)))
    assert (erased.snapshots, erased.milvus_folder, erased.set_aside, erased.is_complete) == (1, None, [], True)
    assert not snapshot.exists()
    assert told == [(step, len(STEPS)) for step in range(len(STEPS))]
    (logged,) = entries(pool, AuditFilter(operation=ACTOR.operation, limit=1))
    assert logged.collection is None
    milvus, aside = tmp_path / "indexes" / "milvus", tmp_path / "postgres.20260101T000000"
    milvus.mkdir()
    aside.mkdir()
    erased = erase_deleted(pool, ACTOR, tmp_path, no_progress)
    assert (erased.snapshots, erased.milvus_folder, erased.set_aside, erased.is_complete) == (0, milvus, [aside], False)
    assert milvus.exists()
    assert aside.exists()


def test_an_erasure_is_complete_only_if_nothing_is_left() -> None:
    """Samples, the log of changes and its older files are the database's share."""

    def is_complete(*, samples: bool = True, log_bytes: int | None = 1, held_segments: int = 0) -> bool:
        return ErasedData(Erased(2, 1, samples, log_bytes, held_segments), 0, None, []).is_complete

    assert is_complete()
    assert is_complete(log_bytes=0)
    assert not is_complete(samples=False)
    assert not is_complete(log_bytes=None)
    assert not is_complete(held_segments=1)
