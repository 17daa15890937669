import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.jobs.model import JobStatus, NewJob
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.retention.job import retention_jobs
from rekognition_emulator.retention.store import RetentionStore
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from tests.support.gallery import ACTOR, embeddings, picture
from tests.support.server import ROOT

OWNER = Owner("000000000000", "us-east-1")
"""As the settings have it without any."""

Run = Callable[..., str]


@pytest.fixture
def run(database_url: str) -> Run:
    """Runs a command on a database of this test alone and returns what it says."""

    def run(*arguments: str, succeeds: bool = True) -> str:
        environment = {"REKOGNITION_DATABASE_URL": database_url, "COLUMNS": "200"}
        result = CliRunner().invoke(app, arguments, env=environment)
        assert (result.exit_code == 0) is succeeds, result.output
        return result.output

    return run


@pytest.fixture
def album(store: PostgresStore, pool: JoiningPool) -> Collection:
    """A collection with five faces, three of them ten days old."""
    collection = store.create_collection(ACTOR, OWNER, "wedding", "1.1")
    faces = picture(embeddings(5))
    store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    with pool.connection() as connection:
        connection.execute(
            "UPDATE faces SET created_at = now() - interval '10 days' WHERE collection_id = %s AND face_id = ANY(%s)",
            [collection.key, [new.face.face_id for new in faces[:3]]],
        )
    return collection


@pytest.mark.usefixtures("album")
def test_retention_is_set_shown_and_ended(run: Run, pool: JoiningPool) -> None:
    """What is older goes at once, by a job; each change is in the audit log, looking is not."""
    keeps_all = "wedding keeps its faces until somebody deletes them.\n"
    assert run("collections", "retention", "wedding") == keeps_all
    assert run("collections", "retention", "wedding", "--days", "7").splitlines() == [
        "wedding keeps its faces for 7 days.",
        "3 faces of it are older: a job removes them.",
    ]
    assert run("collections", "retention", "wedding") == "wedding keeps its faces for 7 days.\n"
    assert run("collections", "retention", "wedding", "--off") == keeps_all
    rows = list(entries(pool, AuditFilter(operation="collections retention")))
    assert [(row.collection, row.region, row.subject) for row in rows] == [
        ("wedding", "us-east-1", "off"),
        ("wedding", "us-east-1", "7 days"),
    ]
    assert [(job.kind, job.subject, job.status) for job in JobStore(pool).list(OWNER.account, limit=9)] == [
        ("retention", "wedding", JobStatus.QUEUED)
    ]


def test_retention_of_nothing(run: Run, pool: JoiningPool, album: Collection) -> None:
    """A collection that is not there, days that are none, and both at once change nothing."""
    for arguments in (
        ("portraits", "--days", "7"),
        ("wedding", "--days", "0"),
        ("wedding", "--days", "36501"),
        ("wedding", "--days", "7", "--off"),
        ("wedding", "--region", "eu-west-1", "--days", "7"),
    ):
        run("collections", "retention", *arguments, succeeds=False)
    assert RetentionStore(pool).days(album) is None


def test_jobs_are_listed_shown_and_cancelled(run: Run, pool: JoiningPool, album: Collection) -> None:
    """By the beginning of an id, as a table, sentences or JSON; nothing that is over is cancelled."""
    run("collections", "retention", "wedding", "--days", "7")
    (job,) = JobStore(pool).list(OWNER.account, limit=9)
    heading, line = run("jobs", "list").splitlines()
    assert heading.split()[:5] == ["id", "kind", "about", "status", "done"]
    assert line.split()[:5] == [job.id[:12], "retention", "wedding", "queued", "0"]
    (told,) = map(json.loads, run("jobs", "list", "--json", "--status", "queued", "--kind", "retention").splitlines())
    assert (told["id"], told["status"], told["payload"]["key"]) == (job.id, "queued", album.key)
    assert json.loads(run("jobs", "show", job.id, "--json")) == told
    assert "about         wedding" in run("jobs", "show", job.id[:8]).splitlines()
    assert run("jobs", "cancel", job.id[:8]) == f"{job.id} is cancelled.\n"
    assert run("jobs", "list", "--status", "queued", "--json") == ""
    assert run("jobs", "cancel", job.id, succeeds=False) == "The job is over: cancelled.\n"
    assert [(row.operation, row.subject) for row in entries(pool, AuditFilter(limit=1))] == [("jobs cancel", job.id)]


@pytest.mark.usefixtures("album")
def test_a_job_that_runs_is_asked_to_end(run: Run, pool: JoiningPool) -> None:
    """Which the list shows until it has."""
    run("collections", "retention", "wedding", "--days", "7")
    jobs = JobStore(pool)
    job = jobs.claim([retention_jobs(pool).name], "elsewhere", 60)
    assert job
    assert run("jobs", "cancel", job.id) == f"{job.id} ends after its present step.\n"
    assert "running, cancelling" in run("jobs", "list")


@pytest.mark.usefixtures("album")
def test_a_worker_of_its_own(run: Run, pool: JoiningPool, database_url: str, tmp_path: Path) -> None:
    """It does what there is, and ends when it is told to, with exit code 0."""
    run("collections", "retention", "wedding", "--days", "7")
    settings = {"REKOGNITION_DATABASE_URL": database_url, "REKOGNITION_JOB_POLL_SECONDS": "0.2"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "rekognition_emulator", "worker"],
        cwd=ROOT,
        env={**os.environ, **settings, "REKOGNITION_DATA_DIR": str(tmp_path)},
    )
    try:
        while JobStore(pool).list(OWNER.account, limit=1)[0].status != JobStatus.SUCCEEDED:
            assert worker.poll() is None
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.wait()
    assert PostgresStore(pool).get_collection(OWNER, "wedding").face_count == 2


def test_jobs_that_are_not_there(run: Run, pool: JoiningPool) -> None:
    """A sentence, and neither a traceback nor somebody else's job."""
    jobs, new = JobStore(pool), NewJob("retention", None, None, {}, 1)
    jobs.submit(replace(ACTOR, account="999999999999"), new)
    assert run("jobs", "show", "abc", succeeds=False) == "There is no job abc.\n"
    assert run("jobs", "cancel", "", succeeds=False) == "There is no job .\n"
    assert len(run("jobs", "list").splitlines()) == 1
    ids = [jobs.submit(replace(ACTOR, account=OWNER.account), new) or "" for _ in range(17)]
    assert run("jobs", "cancel", "", succeeds=False) == "There is no job .\n"
    ((digit, _),) = Counter(job_id[0] for job_id in ids).most_common(1)  # of seventeen, two begin alike
    assert run("jobs", "show", digit, succeeds=False) == f"Several jobs' ids begin with '{digit}': give more of it.\n"
