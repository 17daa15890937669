from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from rekognition_emulator.jobs.model import (
    Job,
    JobCancelled,
    JobNotFound,
    JobOver,
    JobStatus,
    LeaseLost,
    SeveralJobs,
)
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.transactions import JoiningPool
from tests.support.counting import Counting, counting
from tests.support.gallery import ACTOR

LEASE_S = 60.0


def submitted(jobs: JobStore, pool: JoiningPool, single: str | None = None) -> str:
    """Submits a job and returns its id."""
    job_id = jobs.submit(ACTOR, counting(pool).new(Counting(), subject="album", single=single))
    assert job_id
    return job_id


def claimed(jobs: JobStore, lease_s: float = LEASE_S) -> Job:
    """Begins the next job, which is there."""
    job = jobs.claim(["counting"], "here", lease_s)
    assert job
    return job


def age(pool: JoiningPool, column: str, by: timedelta) -> None:
    """Makes a moment of every job an earlier one."""
    with pool.connection() as connection:
        connection.execute(f"UPDATE jobs SET {column} = {column} - %s", [by])


def test_a_job_is_kept_as_it_was_submitted(jobs: JobStore, pool: JoiningPool) -> None:
    """It waits with its payload and with the actor who has asked for it, and is found by the beginning of its id."""
    job_id = submitted(jobs, pool)
    job = jobs.get(ACTOR.account, job_id[:12])
    assert (job.id, job.kind, job.subject, job.payload, job.actor) == (
        job_id,
        "counting",
        "album",
        {"until": 10},
        ACTOR,
    )
    assert (job.status, job.done, job.total, job.checkpoint) == (JobStatus.QUEUED, 0, None, None)
    assert len(job_id) == 64


def test_ids_of_others_and_half_ids_find_nothing(jobs: JobStore, pool: JoiningPool) -> None:
    """Another account's job is none, a pattern matches nothing, and of two that begin so neither is taken."""
    ids = [submitted(jobs, pool) for _ in range(17)]  # of which two begin with the same of sixteen digits
    for account, beginning in (("999999999999", ids[0]), *((ACTOR.account, none) for none in ("%", "x", ""))):
        with pytest.raises(JobNotFound):
            jobs.get(account, beginning)
    (digit, _), *_ = Counter(job_id[0] for job_id in ids).most_common(1)
    with pytest.raises(SeveralJobs):
        jobs.get(ACTOR.account, digit)
    assert jobs.list("999999999999", limit=9) == []


def test_one_of_a_kind_for_the_same_thing(jobs: JobStore, pool: JoiningPool) -> None:
    """While one waits or runs another is not made; when it is over, it is."""
    submitted(jobs, pool, single="7")
    new = counting(pool).new(Counting(), single="7")
    assert jobs.submit(ACTOR, new) is None
    job = claimed(jobs)
    assert jobs.submit(ACTOR, new) is None
    jobs.finish(job, JobStatus.SUCCEEDED)
    assert jobs.submit(ACTOR, new)


def test_a_job_is_begun_by_one_worker(jobs: JobStore, pool: JoiningPool) -> None:
    """The second worker gets the second job, the third none, and none gets a kind that it does not know."""
    both = {submitted(jobs, pool), submitted(jobs, pool)}
    assert jobs.claim(["another"], "here", LEASE_S) is None
    assert {claimed(jobs).id, claimed(jobs).id} == both
    assert jobs.claim(["counting"], "here", LEASE_S) is None


def test_what_is_locked_in_a_step_is_taken_by_nobody(jobs: JobStore, pool: JoiningPool) -> None:
    """A step may take longer than the lease: while it goes on the job is neither begun again nor settled."""
    submitted(jobs, pool)
    job = claimed(jobs, lease_s=0)
    with jobs.step(job, 0):
        assert JobStore(pool).get(ACTOR.account, job.id).fence == 1
        other = JoiningPool(pool.conninfo, min_size=1, open=True)
        with other:
            assert JobStore(other).claim(["counting"], "elsewhere", LEASE_S) is None
            JobStore(other).renew(job, LEASE_S)


def test_late_writes_are_refused(jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]]) -> None:
    """A run whose job was begun again changes nothing any more: no step, no end, no lease, no retry."""
    submitted(jobs, pool)
    late = claimed(jobs, lease_s=0)
    again = claimed(jobs)
    assert (again.id, again.fence, again.attempts) == (late.id, 2, 2)
    with pytest.raises(LeaseLost), jobs.step(late, LEASE_S), pool.connection() as connection:
        connection.execute("INSERT INTO counted (number) VALUES (1)")
    with pytest.raises(LeaseLost):
        jobs.renew(late, LEASE_S)
    with pytest.raises(LeaseLost):
        jobs.save(late, LEASE_S, {"number": 99}, 99, 100)
    assert not jobs.finish(late, JobStatus.SUCCEEDED)
    assert jobs.retry(late, "late") is None
    jobs.release(late)
    assert jobs.get(ACTOR.account, late.id) == again
    assert counted() == []


def test_a_step_is_whole_or_not_at_all(jobs: JobStore, pool: JoiningPool, counted: Callable[[], list[int]]) -> None:
    """What it has changed and its checkpoint are committed together."""
    submitted(jobs, pool)
    job = claimed(jobs)

    def step() -> None:
        with jobs.step(job, LEASE_S), pool.connection() as connection:
            connection.execute("INSERT INTO counted (number) VALUES (1)")
            jobs.save(job, LEASE_S, {"number": 1}, 1, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()
    assert counted() == []
    assert jobs.get(ACTOR.account, job.id).checkpoint is None


def test_cancelled(jobs: JobStore, pool: JoiningPool) -> None:
    """A job that waits ends at once, one that runs is told at its next step; both stand in the audit log."""
    jobs.cancel(ACTOR, waiting := jobs.get(ACTOR.account, submitted(jobs, pool)))
    assert jobs.get(ACTOR.account, waiting.id).status == JobStatus.CANCELLED
    running = submitted(jobs, pool)
    job = claimed(jobs)
    jobs.cancel(ACTOR, job)
    assert jobs.get(ACTOR.account, running).status == JobStatus.RUNNING
    with pytest.raises(JobCancelled), jobs.step(job, LEASE_S):
        pass
    with pytest.raises(JobCancelled):
        jobs.renew(job, LEASE_S)
    assert jobs.finish(job, JobStatus.CANCELLED)
    with pytest.raises(JobOver, match="cancelled"):
        jobs.cancel(ACTOR, job)
    assert [row.subject for row in entries(pool, AuditFilter())] == [running, waiting.id]


def test_a_cancelled_job_of_a_dead_worker_ends(jobs: JobStore, pool: JoiningPool) -> None:
    """Nobody begins it again."""
    submitted(jobs, pool)
    job = claimed(jobs, lease_s=0)
    jobs.cancel(ACTOR, job)
    assert jobs.claim(["counting"], "here", LEASE_S) is None
    assert jobs.get(ACTOR.account, job.id).status == JobStatus.CANCELLED


def test_a_job_that_kills_its_workers_fails(jobs: JobStore, pool: JoiningPool) -> None:
    """After as many attempts as its kind has; getting ahead makes them count from the beginning."""
    submitted(jobs, pool)
    for _ in range(2):
        job = claimed(jobs, lease_s=0)
    with jobs.step(job, 0):
        jobs.save(job, 0, {"number": 1}, 1, 10)
    for _ in range(3):
        job = claimed(jobs, lease_s=0)
    assert jobs.claim(["counting"], "here", LEASE_S) is None
    failed = jobs.get(ACTOR.account, job.id)
    assert (failed.status, failed.error) == (JobStatus.FAILED, "its worker was not heard of any more")
    assert (failed.checkpoint, failed.done, failed.fence) == ({"number": 1}, 1, 5)


def test_errors_are_tried_again_later_and_not_for_ever(jobs: JobStore, pool: JoiningPool) -> None:
    """Each pause is longer than the one before, and after the last attempt the job has failed."""
    submitted(jobs, pool)
    pauses = []
    for _ in range(2):
        job = claimed(jobs)
        assert jobs.retry(job, "ZeroDivisionError") == JobStatus.QUEUED
        assert jobs.claim(["counting"], "here", LEASE_S) is None
        waiting = jobs.get(ACTOR.account, job.id)
        with pool.connection() as connection:
            (now,) = connection.execute("SELECT now()").fetchone() or (None,)
        pauses.append((waiting.run_at - now).total_seconds())
        age(pool, "run_at", timedelta(minutes=1))
    assert 2 < pauses[0] <= 5 < pauses[1] <= 10
    assert jobs.retry(claimed(jobs), "ZeroDivisionError") == JobStatus.FAILED


def test_put_back_is_no_attempt(jobs: JobStore, pool: JoiningPool) -> None:
    """A worker that was told to stop leaves the job as if it had not begun, but for the number."""
    submitted(jobs, pool)
    for number in range(1, 6):
        job = claimed(jobs)
        assert (job.attempts, job.fence) == (1, number)
        jobs.release(job)


def test_old_jobs_go(jobs: JobStore, pool: JoiningPool) -> None:
    """Those that have been over for a week, and no other."""
    for _ in range(2):
        submitted(jobs, pool)
    jobs.finish(claimed(jobs), JobStatus.SUCCEEDED)
    age(pool, "finished_at", timedelta(days=6))
    assert jobs.prune() == 0
    age(pool, "finished_at", timedelta(days=2))
    assert jobs.prune() == 1
    assert [job.status for job in jobs.list(ACTOR.account, limit=9)] == [JobStatus.QUEUED]


def test_counted_by_kind_and_status(jobs: JobStore, pool: JoiningPool) -> None:
    """With how long the oldest that waits could have begun; one that is to wait still is not late."""
    assert jobs.count() == {}
    for _ in range(3):
        submitted(jobs, pool)
    jobs.retry(claimed(jobs), "ZeroDivisionError")
    claimed(jobs)
    counts = jobs.count()
    assert {state: count for state, (count, _) in counts.items()} == {
        ("counting", "queued"): 2,
        ("counting", "running"): 1,
    }
    age(pool, "run_at", timedelta(seconds=90))
    assert jobs.count()["counting", "queued"][1] >= 90


def test_listed_by_status_and_kind(jobs: JobStore, pool: JoiningPool) -> None:
    """The latest first, and no more than were asked for."""
    ids = [submitted(jobs, pool) for _ in range(3)]
    jobs.finish(claimed(jobs), JobStatus.FAILED, "for a reason")
    assert [job.id for job in jobs.list(ACTOR.account, limit=2)] == ids[:0:-1]
    assert [job.error for job in jobs.list(ACTOR.account, statuses=[JobStatus.FAILED], limit=9)] == ["for a reason"]
    assert jobs.list(ACTOR.account, kind="another", limit=9) == []
