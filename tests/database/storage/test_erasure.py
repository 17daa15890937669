import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Collection, FaceChip, NewFace, PictureSource
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage import erasure
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.erasure import Erased, ErasureBlocked, erase
from rekognition_emulator.storage.integrity import check_collections, check_tables
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.conftest import named, run
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

DIMENSION = 32
CHIP = FaceChip(b"", np.zeros((5, 2), np.float32))


@pytest.fixture
def directory() -> Iterator[Path]:
    """A data directory of this test alone."""
    directory = Path(tempfile.mkdtemp(prefix="rekognition-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def own_pool(directory: Path) -> Iterator[JoiningPool]:
    """Connections to a database whose files nobody else writes; it wraps around its log of changes soon."""
    settings = {"fsync": "off", "max_wal_size": "64MB", "min_wal_size": "64MB"}
    with embedded_database(directory, settings) as url, open_pool(url, connections_max=2) as pool:
        yield pool


def nothing(_done: int, _total: int | None) -> None:
    """Hears of progress."""


def faces(count: int, seed: int) -> list[NewFace]:
    """Faces of one picture, with chips that nothing can make smaller."""
    draw = np.random.default_rng(seed)
    return [
        NewFace(new.face, new.embedding, FaceChip(b"\xff\xd8" + draw.bytes(3_000), CHIP.landmarks))
        for new in picture(embeddings(count, DIMENSION, seed))
    ]


def traces(new: NewFace, staged: np.ndarray[tuple[int], np.dtype[np.float32]]) -> dict[str, bytes]:
    """What could be found of a face, by what it is."""
    assert new.chip is not None
    return {
        "embedding": new.embedding.astype("<f4").tobytes(),
        "half precision": new.embedding.astype("<f2").tobytes(),
        "staged": staged.astype("<f4").tobytes(),
        "chip": new.chip.jpeg[1_000:1_060],
        "object": f"album-{new.face.image_id}.jpg".encode(),
    }


def without_headers(log: bytes) -> bytes:
    """Returns a file of the write-ahead log as one piece: a record goes on behind the header of the next page.

    Source: PostgreSQL's xlog_internal.h, pages of 8 kB whose header has 24 bytes, the first one's in a file 40.
    """
    pages = range(0, len(log), 8_192)
    return b"".join(log[at + (24 if at else 40) : at + 8_192] for at in pages)


def found(directory: Path, sought: dict[str, bytes]) -> set[str]:
    """Returns which of these bytes lie in any file of a directory, and in which of its folders."""
    where = set()
    for path in directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            folder = "log" if "pg_wal" in path.parts else "tables"
            if folder == "log":
                content += without_headers(content)
            where |= {f"{name} in {folder}" for name, piece in sought.items() if piece in content}
    return where


def store_face(pool: JoiningPool, collection: Collection, face: NewFace, others: list[NewFace]) -> dict[str, bytes]:
    """Leaves a face in every place that there is for one, others beside it, and returns its traces."""
    store, users = PostgresStore(pool), PostgresUserStore(pool)
    source = PictureSource("photos", f"album-{face.face.image_id}.jpg", None)
    store.add_faces(ACTOR, collection, face.face.image_id, [face], source)
    image_id = uuid4()
    store.add_faces(
        ACTOR, collection, image_id, [replace(new, face=replace(new.face, image_id=image_id)) for new in others]
    )
    user_id = f"user-{face.face.face_id}"
    users.create_user(ACTOR, collection, user_id)
    users.associate_faces(ACTOR, collection, user_id, [face.face.face_id], near_enough=lambda _: True)
    staged = embeddings(1, 24, face.face.face_id.int % 2**32)[0]
    PostgresReembeddingStore(pool).stage(ACTOR, collection, "98.0", {face.face.face_id: staged})
    return traces(face, staged)


def settle(pool: ConnectionPool, collection: Collection) -> None:
    """Has everything written to the disk that PostgreSQL makes of rows: pages, a graph, samples as they once were."""
    with pool.connection() as database:
        database.execute(f"""
            CREATE INDEX faces_hnsw_{collection.key}_{DIMENSION} ON faces
            USING hnsw ((embedding::halfvec({DIMENSION})) halfvec_ip_ops)
            WHERE collection_id = {collection.key} AND vector_dims(embedding) = {DIMENSION}
        """)  # type: ignore[call-overload,arg-type,unused-ignore] # numbers of ours
        for statistics in (100, 0):
            database.execute(f"ALTER TABLE faces ALTER embedding SET STATISTICS {statistics}")  # type: ignore[call-overload,arg-type,unused-ignore]
            database.execute("ANALYZE")
        database.execute("CHECKPOINT")


def deleted_face(pool: JoiningPool, collection: Collection, face_id: UUID) -> None:
    """Deletes a face's user, then the face."""
    PostgresUserStore(pool).delete_user(ACTOR, collection, f"user-{face_id}")
    assert PostgresStore(pool).delete_faces(ACTOR, collection, [face_id]).deleted == {face_id}


def deleted_collection(pool: JoiningPool, collection: Collection, _face_id: UUID) -> None:
    """Deletes the collection."""
    PostgresStore(pool).delete_collection(ACTOR, OWNER, collection.name)


@pytest.mark.parametrize("delete", [deleted_face, deleted_collection])
def test_nothing_is_left_of_a_deleted_face(
    delete: Callable[[JoiningPool, Collection, UUID], None], directory: Path, own_pool: JoiningPool
) -> None:
    """No byte of its embeddings and its chip in any file, where there were many; those of another are still there."""
    store = PostgresStore(own_pool)
    album, other = (store.create_collection(ACTOR, OWNER, name, "99.0") for name in ("album", "other"))
    (gone, *beside), (kept, *more) = faces(40, seed=1), faces(40, seed=2)
    sought = store_face(own_pool, album, gone, beside)
    remaining = store_face(own_pool, other, kept, more)
    settle(own_pool, album)
    settle(own_pool, other)
    delete(own_pool, album, gone.face.face_id)
    everything = {f"{name} in {folder}" for name in sought for folder in ("tables", "log")}
    assert found(directory, sought) == found(directory, remaining) == everything

    erased = erase(own_pool, ACTOR, nothing)
    assert found(directory, sought) == set()
    assert found(directory, remaining) >= {f"{name} in tables" for name in remaining}
    assert (erased.samples, erased.held_segments) == (True, 0)
    assert [fault for checked in check_collections(own_pool) for fault in checked.faults] == []
    assert check_tables(own_pool) == []
    assert store.get_embedding(other, kept.face.face_id).tolist() == kept.embedding.tolist()


def test_files_that_wait_to_be_used_again(directory: Path, own_pool: JoiningPool) -> None:
    """The log's old files get new names and keep what they hold until they are written over: so all of them are."""
    store = PostgresStore(own_pool)
    album = store.create_collection(ACTOR, OWNER, "album", "99.0")
    sought = store_face(own_pool, album, *_split(faces(2, seed=1)))
    with own_pool.connection() as database:
        database.execute("SELECT pg_switch_wal()")
        database.execute("CHECKPOINT")
        (current,) = database.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone() or ("",)
    waiting = [path for path in (directory / "postgres" / "pg_wal").glob("0*") if path.name > current]
    assert any(sought["chip"] in path.read_bytes() for path in waiting)
    store.delete_collection(ACTOR, OWNER, "album")
    erased = erase(own_pool, ACTOR, nothing)
    assert found(directory, sought) == set()
    assert erased.log_bytes is not None
    assert erased.log_bytes >= len(waiting) * 16 * 2**20


def test_a_log_that_is_kept_for_others_is_said(directory: Path, own_pool: JoiningPool) -> None:
    """What a standby has yet to fetch stays, and is counted; once it may go, it goes."""
    store = PostgresStore(own_pool)
    with own_pool.connection() as database:
        database.execute("SELECT pg_create_physical_replication_slot('standby', true)")
        sought = store_face(own_pool, store.create_collection(ACTOR, OWNER, "album", "99.0"), *_split(faces(2, seed=1)))
        store.delete_collection(ACTOR, OWNER, "album")
        assert erase(own_pool, ACTOR, nothing).held_segments >= 1
        assert found(directory, sought) == {f"{name} in log" for name in sought if name != "half precision"}
        database.execute("SELECT pg_drop_replication_slot('standby')")
        assert erase(own_pool, ACTOR, nothing).held_segments == 0
    assert found(directory, sought) == set()


def _split(faces: list[NewFace]) -> tuple[NewFace, list[NewFace]]:
    return faces[0], faces[1:]


def test_who_may_still_see_it_is_waited_for(
    database_url: str, pool: JoiningPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a transaction goes on that began before, PostgreSQL would take deleted rows along: nothing is done."""
    monkeypatch.setattr(erasure, "SNAPSHOTS_S", 0.3)
    store = PostgresStore(pool)
    store.create_collection(ACTOR, OWNER, "album", "99.0")
    with psycopg.connect(database_url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM faces")
        store.delete_collection(ACTOR, OWNER, "album")
        with pytest.raises(ErasureBlocked, match="may still see"):
            erase(pool, ACTOR, nothing)
    assert erase(pool, ACTOR, nothing).samples


def test_what_another_has_to_do_is_said(database_server: str) -> None:
    """A user who owns nothing but the tables may write neither samples nor the log anew."""
    name = f"rekognition_tenant_{uuid4().hex[:12]}"
    run(database_server, "CREATE ROLE {} LOGIN", name)
    run(database_server, "CREATE DATABASE {}", name)
    url = named(database_server, name)
    try:
        run(url, "CREATE EXTENSION vector")
        run(url, "GRANT CREATE ON SCHEMA public TO {}", name)
        with open_pool(f"{url}&user={name}" if "?" in url else f"{url}?user={name}", connections_max=2) as pool:
            erased = erase(pool, ACTOR, nothing)
        assert isinstance(erased, Erased)
        assert (erased.samples, erased.log_bytes, erased.held_segments) == (False, None, 0)
    finally:
        run(database_server, "DROP DATABASE {} WITH (FORCE)", name)
        run(database_server, "DROP ROLE {}", name)


def test_no_samples_are_taken_of_faces(pool: JoiningPool, store: PostgresStore) -> None:
    """Neither of their embeddings nor of their chips and graphs: PostgreSQL would keep them beyond the faces."""
    album = store.create_collection(ACTOR, OWNER, "album", "99.0")
    (face, *others) = faces(300, seed=1)
    store_face(pool, album, face, others)
    with closing(PgvectorIndex(pool, exact_max=100)) as index:
        index.prepare(store.get_collection(OWNER, "album"), lambda *_: None)
    with pool.connection() as database:
        database.execute("ANALYZE")
        sampled = database.execute("SELECT tablename, attname FROM pg_stats WHERE schemaname = current_schema()")
        names = {(table, column) for table, column in sampled.fetchall()}
        graphs = database.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'faces_hnsw_%'").fetchone()
    assert graphs == (1,)
    assert ("faces", "face_id") in names
    assert [name for name in names if name[1] in {"embedding", "jpeg", "landmarks"} or "hnsw" in name[0]] == []
