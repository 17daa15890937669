"""Whatever happens to workers, in whichever order, a job counts each number once and in order."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import psycopg
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from rekognition_emulator.jobs.model import Job, JobCancelled, JobStatus, LeaseLost
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.storage.transactions import JoiningPool
from tests.support.counting import Counting, counting
from tests.support.gallery import ACTOR

LEASE_S: Final = 3_600.0
STEPS: Final = 6


@dataclass(frozen=True)
class Run:
    """A run that some worker still believes in, and how far it is."""

    job: Job
    done: int


class Workers(RuleBasedStateMachine):
    """Workers of one job at a time; those that are forgotten were killed."""

    def __init__(self, pool: JoiningPool) -> None:
        super().__init__()
        self.pool, self.jobs = pool, JobStore(pool)
        with pool.connection() as connection:
            connection.execute("TRUNCATE counted; DELETE FROM jobs")
        new = self.jobs.submit(ACTOR, replace(counting(pool).new(Counting(STEPS)), attempts_max=99))
        assert new
        self.id = new
        self.runs: list[Run] = []
        self.cancelled = False

    @rule(overtakes=st.booleans())
    def claim(self, overtakes: bool) -> None:  # noqa: FBT001 - a drawn value
        """A worker looks for a job, perhaps after the leases of others have run out."""
        if overtakes:
            with self.pool.connection() as connection:
                connection.execute("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE status = 'running'")
        job = self.jobs.claim(["counting"], "here", LEASE_S)
        if job:
            assert job.attempts <= job.attempts_max
            assert not self.cancelled
            self.runs.append(Run(job, job.done))

    @rule()
    def time_passes(self) -> None:
        """What waits to be tried again is due."""
        with self.pool.connection() as connection:
            connection.execute("UPDATE jobs SET run_at = now() - interval '1 s' WHERE status = 'queued'")

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 99), breaks=st.booleans())
    def step(self, which: int, breaks: bool) -> None:  # noqa: FBT001 - a drawn value
        """A worker does the next step of what it believes to be its job, or ends it."""
        run = self.runs.pop(which % len(self.runs))
        if run.done == STEPS:
            assert self.jobs.finish(run.job, JobStatus.SUCCEEDED) == self.is_latest(run)
            return
        try:
            with self.jobs.step(run.job, LEASE_S), self.pool.connection() as connection:
                assert self.is_latest(run)
                connection.execute("INSERT INTO counted (number) VALUES (%s)", [run.done])
                self.jobs.save(run.job, LEASE_S, {"number": run.done}, run.done + 1, STEPS)
                if breaks:
                    connection.execute("SELECT 1 / 0")
        except psycopg.errors.DivisionByZero:
            self.runs.append(run)  # which tries the step again
        except JobCancelled:
            assert self.cancelled
            self.jobs.finish(run.job, JobStatus.CANCELLED)
        except LeaseLost:
            assert not self.is_latest(run)
        else:
            self.runs.append(Run(run.job, run.done + 1))

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 99), how=st.sampled_from(["killed", "error", "told to stop"]))
    def ends(self, which: int, how: str) -> None:
        """A worker gives up."""
        run = self.runs.pop(which % len(self.runs))
        if how == "error":
            self.jobs.retry(run.job, "an error")
        elif how == "told to stop":
            self.jobs.release(run.job)

    @rule(really=st.integers(0, 9))
    def cancel(self, really: int) -> None:
        """An operator cancels the job, which is rare: nothing happens after it."""
        job = self.jobs.get(ACTOR.account, self.id)
        if job.finished_at is None and really == 7:
            self.jobs.cancel(ACTOR, job)
            self.cancelled = True

    def is_latest(self, run: Run) -> bool:
        """Whether nobody has overtaken a run."""
        job = self.jobs.get(ACTOR.account, self.id)
        return job.fence == run.job.fence and job.status == JobStatus.RUNNING

    @invariant()
    def counted_once_and_in_order(self) -> None:
        """What is counted is what the checkpoint says."""
        with self.pool.connection() as connection:
            numbers = [number for (number,) in connection.execute("SELECT number FROM counted ORDER BY at")]
        job = self.jobs.get(ACTOR.account, self.id)
        assert numbers == list(range(job.done))
        assert job.status != JobStatus.SUCCEEDED or job.done == STEPS
        assert job.status != JobStatus.CANCELLED or self.cancelled


def test_any_order_of_events(pool: JoiningPool) -> None:
    """Claims, steps, kills, stalls, errors, stops and cancellations, as hypothesis has them."""
    with pool.connection() as connection:
        connection.execute("CREATE TABLE counted (at bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, number int)")
    # Not shrunk: with a database that takes longer than a test may.
    chosen = settings(max_examples=20, stateful_step_count=25, deadline=None, database=None, phases=[Phase.generate])
    run_state_machine_as_test(partial(Workers, pool), settings=chosen)  # type: ignore[arg-type] # which it calls
