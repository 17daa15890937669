from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest

from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.jobs.model import Job, JobStatus
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.jobs.worker import Worker
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.retention import job as retention_job
from rekognition_emulator.retention.job import retention_jobs, set_retention
from rekognition_emulator.retention.store import RetentionStore
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.integrity import check_collections
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

FACES = 7


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_job, "BATCH", 2)


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """A collection with seven faces."""
    collection = store.create_collection(ACTOR, OWNER, "album", "1.1")
    faces = picture(embeddings(FACES), ids=[UUID(int=number) for number in range(1, FACES + 1)])
    store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    return store.get_collection(OWNER, "album")


def age(pool: JoiningPool, collection: Collection, days: int, ids: Sequence[int]) -> None:
    """Makes faces older."""
    with pool.connection() as connection:
        connection.execute(
            "UPDATE faces SET created_at = created_at - %s WHERE collection_id = %s AND face_id = ANY(%s)",
            [timedelta(days=days), collection.key, [UUID(int=each) for each in ids]],
        )


def present(store: PostgresStore, collection: Collection) -> list[int]:
    """The faces that are there."""
    return [face.face_id.int for face in store.list_faces(collection, after=None, limit=99).items]


def look(pool: JoiningPool) -> list[Job]:
    """Does what is due, as a worker that starts; returns all jobs that there were."""
    worker = Worker(JobStore(pool), [retention_jobs(pool)], 0.1)
    while worker.work_once():
        pass
    return JobStore(pool).list(OWNER.account, limit=99)


def test_faces_go_when_their_time_is_over_and_no_other(
    pool: JoiningPool, store: PostgresStore, album: Collection
) -> None:
    """The oldest first, in batches; what is younger, or of a collection without a limit, stays."""
    other = store.create_collection(ACTOR, OWNER, "other", "1.1")
    store.add_faces(ACTOR, other, UUID(int=5), picture(embeddings(1), ids=[UUID(int=1)]))
    age(pool, other, 999, [1])
    age(pool, album, 31, [1, 2, 3, 5, 6])
    age(pool, album, 29, [4])
    RetentionStore(pool).choose(ACTOR, album, 30)
    (job,) = look(pool)
    assert (job.status, job.subject, job.done, job.total) == (JobStatus.SUCCEEDED, "album", 5, 5)
    assert present(store, album) == [4, 7]
    assert present(store, other) == [1]
    assert store.get_collection(OWNER, "album").face_count == 2
    assert [checked.faults for checked in check_collections(pool)] == [[], []]


def test_nothing_is_submitted_where_nothing_is_over_its_time(
    pool: JoiningPool, store: PostgresStore, album: Collection
) -> None:
    """The list of jobs has what was done, not that somebody has looked."""
    RetentionStore(pool).choose(ACTOR, album, 30)
    assert look(pool) == []
    assert len(present(store, album)) == FACES


def test_users_lose_the_faces_first(pool: JoiningPool, store: PostgresStore, album: Collection) -> None:
    """They stay, with what is left of their faces as their mean, and are still found by it."""
    users = PostgresUserStore(pool)
    for name, ids in {"ann": [1, 2, 3], "ben": [4], "cyd": [6, 7]}.items():
        users.create_user(ACTOR, album, name)
        users.associate_faces(ACTOR, album, name, [UUID(int=each) for each in ids], near_enough=lambda _: True)
    age(pool, album, 31, [1, 2, 4, 5])
    RetentionStore(pool).choose(ACTOR, album, 30)
    look(pool)
    assert present(store, album) == [3, 6, 7]
    counts = {user.user_id: user.face_count for user in users.list_users(album, after=None, limit=9).items}
    assert counts == {"ann": 1, "ben": 0, "cyd": 2}
    assert users.get_user_embedding(album, "ann") == pytest.approx(embeddings(FACES)[2], abs=1e-6)
    assert users.get_user_embedding(album, "ben") is None
    assert [checked.faults for checked in check_collections(pool)] == [[]]


def test_indexes_outside_hear_of_it(pool: JoiningPool, store: PostgresStore, album: Collection) -> None:
    """One that has followed the collection finds what is left of it, and nothing that has gone."""
    index = MemoryIndex(store, 2**20)
    probe = embeddings(FACES)[0]
    assert len(index.search(album, probe, cosine_min=-1, limit=9)) == FACES
    age(pool, album, 31, [1, 3])
    RetentionStore(pool).choose(ACTOR, album, 30)
    look(pool)
    later = store.get_collection(OWNER, "album")
    found = index.search(later, probe, cosine_min=-1, limit=9)
    assert sorted(match.face_id.int for match in found) == [2, 4, 5, 6, 7]


def test_the_audit_log_has_who_and_which(pool: JoiningPool, store: PostgresStore, album: Collection) -> None:
    """A row for each batch, with the faces' ids, in the name of retention; and one for the operator's setting."""
    users = PostgresUserStore(pool)
    users.create_user(ACTOR, album, "ann")
    users.associate_faces(ACTOR, album, "ann", [UUID(int=2)], near_enough=lambda _: True)
    age(pool, album, 31, [1, 2, 3])
    RetentionStore(pool).choose(ACTOR, album, 30)
    look(pool)
    rows = list(entries(pool, AuditFilter(operation="retention")))
    assert {(row.key_name, row.account, row.region, row.collection) for row in rows} == {
        ("(retention)", OWNER.account, OWNER.region, "album")
    }
    assert sorted(face.int for row in rows for face in row.deleted_faces or ()) == [1, 2, 3]
    assert [row.counts for row in reversed(rows)] == [
        {"faces_disassociated": 1},
        {"faces_deleted": 2},
        {"faces_deleted": 1},
    ]
    assert [(row.subject, row.key_name) for row in entries(pool, AuditFilter(operation="Test", limit=1))] == [
        ("30 days", ACTOR.key_name)
    ]


@pytest.mark.parametrize(("days", "left"), [(None, FACES), (40, FACES), (35, 5)])
def test_what_is_set_since_counts(
    pool: JoiningPool, store: PostgresStore, album: Collection, days: int | None, left: int
) -> None:
    """A job that waits removes nothing that is to stay by now."""
    age(pool, album, 31, [1, 2, 3])
    age(pool, album, 6, [1, 2])
    retention = RetentionStore(pool)
    retention.choose(ACTOR, album, 30)
    worker = Worker(JobStore(pool), [retention_jobs(pool)], 0.1)
    worker.submit_due()
    retention.choose(ACTOR, album, days)
    assert worker.work_once()
    assert len(present(store, album)) == left


def test_fewer_days_count_for_a_job_that_waits(pool: JoiningPool, store: PostgresStore, album: Collection) -> None:
    """There is one job of a collection at a time: it goes on to what was set while it was not done."""
    age(pool, album, 31, [1, 2, 3])
    age(pool, album, 10, [4, 5])
    assert set_retention(pool, ACTOR, album, 30) == 3
    assert set_retention(pool, ACTOR, album, 5) == 5
    worker = Worker(JobStore(pool), [retention_jobs(pool)], 0.1)
    assert worker.work_once()
    assert present(store, album) == [6, 7]
    assert not worker.work_once()


def test_a_collection_of_the_same_name_is_not_meant(pool: JoiningPool, store: PostgresStore, album: Collection) -> None:
    """A job for a collection that was deleted ends, and touches no later one."""
    age(pool, album, 31, [1])
    RetentionStore(pool).choose(ACTOR, album, 30)
    worker = Worker(JobStore(pool), [retention_jobs(pool)], 0.1)
    worker.submit_due()
    store.delete_collection(ACTOR, OWNER, "album")
    later = store.create_collection(ACTOR, OWNER, "album", "1.1")
    store.add_faces(ACTOR, later, UUID(int=5), picture(embeddings(1), ids=[UUID(int=1)]))
    RetentionStore(pool).choose(ACTOR, later, 30)
    age(pool, later, 999, [1])
    assert worker.work_once()
    *_, job = JobStore(pool).list(OWNER.account, limit=9)  # that of the later collection waits
    assert (job.status, job.done) == (JobStatus.SUCCEEDED, 0)
    assert present(store, later) == [1]


def test_the_setting_of_a_collection_that_is_gone(pool: JoiningPool, store: PostgresStore, album: Collection) -> None:
    """It can neither be read nor made, and leaves no row in the audit log."""
    store.delete_collection(ACTOR, OWNER, "album")
    before = len(list(entries(pool, AuditFilter())))
    with pytest.raises(CollectionNotFound):
        RetentionStore(pool).days(album)
    with pytest.raises(CollectionNotFound):
        RetentionStore(pool).choose(ACTOR, album, 3)
    assert len(list(entries(pool, AuditFilter()))) == before


def test_another_face_model_meanwhile_is_no_obstacle(
    pool: JoiningPool, store: PostgresStore, album: Collection
) -> None:
    """Faces keep their age when they are embedded with another model."""
    age(pool, album, 31, [1, 2, 3])
    RetentionStore(pool).choose(ACTOR, album, 30)
    worker = Worker(JobStore(pool), [retention_jobs(pool)], 0.1)
    worker.submit_due()
    staging = PostgresReembeddingStore(pool)
    made = embeddings(FACES, 16).astype(np.float32)
    staging.stage(ACTOR, album, "2.1", {UUID(int=number + 1): made[number] for number in range(FACES)})
    with staging.exclusive(album):
        staging.exchange(ACTOR, album, "2.1")
    assert worker.work_once()
    assert present(store, store.get_collection(OWNER, "album")) == [4, 5, 6, 7]
