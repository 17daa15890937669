import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psycopg
import pytest

from rekognition_emulator.actor import Actor
from rekognition_emulator.jobs import worker as worker_module
from rekognition_emulator.jobs.model import Job, JobFailed, JobStatus, NewJob
from rekognition_emulator.jobs.run import JobKind, JobRun
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.jobs.worker import Worker
from rekognition_emulator.storage.transactions import JoiningPool
from tests.support.counting import Counting, counting
from tests.support.gallery import ACTOR

POLL_S = 0.1
"""The shortest, so that a lease is 0.6 s."""


def submitted(jobs: JobStore, kind: JobKind[Counting], until: int = 10) -> str:
    """Submits a job and returns its id."""
    job_id = jobs.submit(ACTOR, kind.new(Counting(until)))
    assert job_id
    return job_id


def ended(jobs: JobStore, job_id: str) -> Job:
    """Waits until a job is over."""
    deadline = time.monotonic() + 30
    while True:
        with suppress(psycopg.OperationalError):  # a test may have cut this connection as well
            if (job := jobs.get(ACTOR.account, job_id)).finished_at is not None:
                return job
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_workers_and_one_job(jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]]) -> None:
    """Each number is counted once, and by the one that has begun."""
    kind = counting(pool)
    job_id = submitted(jobs, kind)
    with Worker(jobs, [kind], POLL_S).running(), Worker(jobs, [kind], POLL_S).running():
        job = ended(jobs, job_id)
    assert (job.status, job.fence, job.done, job.total) == (JobStatus.SUCCEEDED, 1, 10, 10)
    assert counted() == list(range(10))


def test_two_workers_share_jobs_out(jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]]) -> None:
    """Two jobs are done at once: each waits in its middle for the other."""
    meeting = threading.Barrier(2, timeout=20)
    kind = counting(pool, lambda number: number == 2 and meeting.wait())
    both = [submitted(jobs, kind, 3) for _ in range(2)]
    with Worker(jobs, [kind], POLL_S).running(), Worker(jobs, [kind], POLL_S).running():
        assert [ended(jobs, job_id).status for job_id in both] == [JobStatus.SUCCEEDED] * 2
    assert sorted(counted()) == [0, 0, 1, 1, 2, 2]


def test_a_stalled_worker_is_overtaken_and_writes_nothing_any_more(
    jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not heard of for the time of a lease is replaced; when it comes back its step is refused."""
    monkeypatch.setattr(worker_module, "RENEWALS", 0.01)  # it does not get round to extending its lease
    stalled, overtaken = threading.Event(), threading.Event()

    def stall(number: int) -> None:
        if number == 4 and not stalled.is_set():
            stalled.set()
            overtaken.wait(20)

    job_id = submitted(jobs, counting(pool, stall))
    late = Worker(jobs, [counting(pool, stall)], POLL_S)
    with ThreadPoolExecutor(1) as beside:
        lost = beside.submit(late.work_once)
        assert stalled.wait(20)
        second = Worker(jobs, [counting(pool)], POLL_S)
        while not second.work_once():
            time.sleep(POLL_S)
        overtaken.set()
        assert lost.result(70)  # which waits for the thread that would have extended the lease
    job = jobs.get(ACTOR.account, job_id)
    assert (job.status, job.fence) == (JobStatus.SUCCEEDED, 2)
    assert counted() == list(range(10))


def test_a_lease_is_extended_while_the_function_works(jobs: JobStore, pool: JoiningPool) -> None:
    """However long it takes between two steps: nobody else begins the job."""
    begun = threading.Event()

    def slow(_: Counting, __: JobRun) -> None:
        begun.set()
        time.sleep(2)  # more than three leases

    kind = JobKind("counting", Counting, slow)
    job_id = submitted(jobs, kind)
    with Worker(jobs, [kind], POLL_S).running():
        assert begun.wait(20)
        other = Worker(jobs, [kind], POLL_S)
        while jobs.get(ACTOR.account, job_id).finished_at is None:
            assert not other.work_once()
    assert jobs.get(ACTOR.account, job_id).fence == 1


def test_cancelling_is_seen_between_steps(jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]]) -> None:
    """By a step, and by what takes long and only asks whether it may go on."""

    def cancel(number: int) -> None:
        if number == 3:
            jobs.cancel(ACTOR, jobs.list(ACTOR.account, limit=1)[0])

    kind = counting(pool, cancel)
    job_id = submitted(jobs, kind)
    assert Worker(jobs, [kind], POLL_S).work_once()
    assert jobs.get(ACTOR.account, job_id).status == JobStatus.CANCELLED
    assert counted() == [0, 1, 2]

    def never_ends(_: Counting, run: JobRun) -> None:
        jobs.cancel(ACTOR, jobs.list(ACTOR.account, limit=1)[0])
        while True:
            run.go_on()
            time.sleep(0.01)

    endless = JobKind("counting", Counting, never_ends)
    job_id = submitted(jobs, endless)
    assert Worker(jobs, [endless], POLL_S).work_once()
    assert jobs.get(ACTOR.account, job_id).status == JobStatus.CANCELLED


def test_a_job_goes_on_where_a_stopping_worker_has_left_it(
    jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]]
) -> None:
    """It is put back at once, not after a lease, and each worker does another part of it."""
    workers: list[Worker] = []

    def stop(number: int) -> None:
        if number == 2 + 3 * (len(workers) - 1):
            workers[-1].stop()

    kind = counting(pool, stop)
    job_id = submitted(jobs, kind)
    for done in (2, 5, 8):
        workers.append(Worker(jobs, [kind], POLL_S))
        assert workers[-1].work_once()
        assert counted() == list(range(done))
        job = jobs.get(ACTOR.account, job_id)
        assert (job.status, job.done, job.error) == (JobStatus.QUEUED, done, None)
    workers.append(Worker(jobs, [kind], POLL_S))
    assert workers[-1].work_once()
    assert jobs.get(ACTOR.account, job_id).status == JobStatus.SUCCEEDED
    assert counted() == list(range(10))


def test_a_poisonous_job_fails_and_does_not_keep_the_others_waiting(
    jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that always raises ends after its attempts, says of what kind the error was and no more, and others run."""
    monkeypatch.setattr("rekognition_emulator.jobs.store.RETRY_S", 0.0)

    def poison(_: Counting, __: JobRun) -> None:
        raise ValueError("row of somebody")

    bad = JobKind("poison", Counting, poison, attempts_max=3)
    good = counting(pool)
    bad_id, good_id = submitted(jobs, bad), submitted(jobs, good)
    worker = Worker(jobs, [bad, good], POLL_S)
    while worker.work_once():
        pass
    failed = jobs.get(ACTOR.account, bad_id)
    assert (failed.status, failed.attempts, failed.error) == (JobStatus.FAILED, 3, "ValueError")
    assert jobs.get(ACTOR.account, good_id).status == JobStatus.SUCCEEDED
    assert counted() == list(range(10))


def test_what_cannot_be_done_is_not_tried_again(jobs: JobStore, pool: JoiningPool) -> None:
    """The function's own sentence is kept; a payload of another version of the program has failed as well."""

    def refuse(_: Counting, __: JobRun) -> None:
        raise JobFailed("The bucket is gone.")

    kind = JobKind("counting", Counting, refuse)
    job_id = submitted(jobs, kind)
    assert Worker(jobs, [kind], POLL_S).work_once()
    job = jobs.get(ACTOR.account, job_id)
    assert (job.status, job.error, job.attempts) == (JobStatus.FAILED, "The bucket is gone.", 1)
    strange = jobs.submit(ACTOR, NewJob("counting", None, None, {"until": "x"}, 5))
    assert strange
    assert Worker(jobs, [kind], POLL_S).work_once()
    job = jobs.get(ACTOR.account, strange)
    assert (job.status, job.error) == (JobStatus.FAILED, "its payload is not of this version of the program")


def test_what_is_due_is_submitted_at_the_start_and_hourly(
    jobs: JobStore, pool: JoiningPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, however many workers look."""
    looks = []

    def due(kind: Callable[[], JobKind[Counting]]) -> Iterable[tuple[Actor, NewJob]]:
        looks.append(1)
        return [(ACTOR, kind().new(Counting(1), single="the one"))]

    plain = counting(pool)
    recurring = JobKind("counting", Counting, lambda _, __: None, due=partial(due, lambda: plain))
    workers = [Worker(jobs, [recurring], POLL_S) for _ in range(2)]
    for worker in workers:
        worker.submit_due()
    assert len(jobs.list(ACTOR.account, limit=9)) == 1
    assert workers[0].work_once()
    assert not workers[0].work_once()
    monkeypatch.setattr(time, "monotonic", partial(lambda now: now() + 3_601, time.monotonic))
    assert workers[0].work_once()
    assert len(looks) == 4


def test_a_worker_outlives_its_database(
    jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]], database_url: str
) -> None:
    """Connections that break in the middle of a job cost that attempt; the job is done all the same, each step once."""

    def cut(number: int) -> None:
        if number == 5 and len(counted()) == 5 and not broken:
            broken.append(1)
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    broken: list[int] = []
    kind = counting(pool, cut)
    job_id = submitted(jobs, kind)
    with Worker(jobs, [kind], POLL_S).running():
        assert ended(jobs, job_id).status == JobStatus.SUCCEEDED
    assert broken
    assert counted() == list(range(10))
