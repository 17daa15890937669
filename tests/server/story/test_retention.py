"""Retention in a running server: it ends the same however often the server is killed while it works."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Collection, NewFace
from rekognition_emulator.jobs.model import Job, JobStatus
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.jobs.worker import Worker
from rekognition_emulator.retention.job import BATCH, retention_jobs, set_retention
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.integrity import check_collections, check_tables
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture
from tests.support.server import Server

FACES: Final = 6_000
USERS: Final = 12
KILLS: Final = 5


def fill(pool: ConnectionPool, name: str, faces: Sequence[NewFace], since: datetime) -> Collection:
    """A collection of faces that came one after the other from then on, every fifth much later; some are of users."""
    store, users = PostgresStore(pool), PostgresUserStore(pool)
    collection = store.create_collection(ACTOR, OWNER, name, "1.1")
    store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    with pool.connection() as connection:
        connection.execute(
            """
            UPDATE faces SET created_at = %(since)s + number * interval '1 second'
                                        + CASE WHEN number %% 5 = 0 THEN interval '50 days' ELSE interval '0' END
            FROM (SELECT face_id, row_number() OVER (ORDER BY face_id) AS number FROM faces
                  WHERE collection_id = %(key)s) AS numbered
            WHERE collection_id = %(key)s AND faces.face_id = numbered.face_id
            """,
            {"key": collection.key, "since": since},
        )
    ids = [new.face.face_id for new in faces]
    for number in range(USERS):
        users.create_user(ACTOR, collection, f"user-{number}")
        users.associate_faces(
            ACTOR, collection, f"user-{number}", ids[number * 997 :: 131][:80], near_enough=lambda _: True
        )
    return store.get_collection(OWNER, name)


def content(pool: ConnectionPool, collection: Collection) -> list[Any]:
    """Everything that is stored of a collection but its name, its key and when it was made."""
    with pool.connection() as connection:
        return [
            connection.execute(query, [collection.key]).fetchall()
            for query in (
                "SELECT revision, face_count, user_count, pruned_revision FROM collections WHERE id = %s",
                "SELECT face_id, user_id, created_at, revision FROM faces WHERE collection_id = %s ORDER BY face_id",
                "SELECT user_id, face_count, embedding::text, revision FROM users WHERE collection_id = %s ORDER BY 1",
                "SELECT revision, face_id FROM removed_faces WHERE collection_id = %s ORDER BY 1, 2",
            )
        ]


def removed(pool: ConnectionPool, collection: Collection) -> list[UUID]:
    """The faces that the audit log says were deleted from a collection, each as often as it says so."""
    rows = entries(pool, AuditFilter(collection=collection.name, operation=ACTOR.operation))
    return sorted(face for row in rows for face in row.deleted_faces or ())


def present(jobs: JobStore, about: str) -> Job:
    """Returns the job about a collection."""
    return next(job for job in jobs.list(OWNER.account, limit=9) if job.subject == about)


@pytest.mark.timeout(400)
def test_killed_while_it_removes_faces(
    start_server: Callable[..., Server], pool: JoiningPool, database_url: str
) -> None:
    """Five times in the middle: the end is the one of an undisturbed run, revision by revision; no face goes twice."""
    with pool.connection() as connection:
        (since,) = connection.execute("SELECT now() - interval '100 days'").fetchone() or (None,)
    assert isinstance(since, datetime)
    faces = picture(embeddings(FACES))
    undisturbed, killed = (fill(pool, name, faces, since) for name in ("undisturbed", "killed"))
    jobs = JobStore(pool)
    set_retention(pool, ACTOR, undisturbed, 92)
    assert Worker(jobs, [retention_jobs(pool)], 1).work_once()
    set_retention(pool, ACTOR, killed, 92)
    begun = []
    for _ in range(KILLS):
        server = start_server(REKOGNITION_DATABASE_URL=database_url, REKOGNITION_JOB_POLL_SECONDS="0.3")
        before = present(jobs, "killed").done
        while (job := present(jobs, "killed")).done <= before:
            time.sleep(0.005)
        server.kill()
        job = present(jobs, "killed")
        assert (job.status, job.error) == (JobStatus.RUNNING, None)
        assert job.done % BATCH == 0
        begun.append(job.done)
    assert begun == sorted(set(begun))

    server = start_server(REKOGNITION_DATABASE_URL=database_url, REKOGNITION_JOB_POLL_SECONDS="0.3")
    while (job := present(jobs, "killed")).finished_at is None:
        time.sleep(0.05)
    assert (job.status, job.fence, job.error) == (JobStatus.SUCCEEDED, KILLS + 1, None)
    assert job.done == job.total == present(jobs, "undisturbed").done == FACES * 4 // 5
    assert content(pool, killed) == content(pool, undisturbed)
    assert removed(pool, killed) == removed(pool, undisturbed)
    assert len(removed(pool, killed)) == len(set(removed(pool, killed))) == job.done
    assert [checked.faults for checked in check_collections(pool)] == [[], []]
    assert check_tables(pool) == []
    client = server.client(region=OWNER.region)
    assert client.describe_collection(CollectionId="killed")["FaceCount"] == FACES - job.done
