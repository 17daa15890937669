"""Kinds of jobs, and one run of a job as the function of its kind sees it.

A kind is one record: a name, the type of its payload and a function. The function does the work in short steps, and
saves after each what it needs to go on from there: whoever begins the job again, on whichever machine, gets that.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from rekognition_emulator.actor import Actor
from rekognition_emulator.jobs.model import Checkpoint, Job, JobFailed, NewJob, RunEnded
from rekognition_emulator.jobs.store import JobStore

P = TypeVar("P")


class JobRun:
    """One run of a job. Its methods raise ``RunEnded`` when the run is over; functions let that pass.

    Args:
        store: of the job.
        job: as it was claimed.
        lease_s: for which a step extends the lease.
    """

    def __init__(self, store: JobStore, job: Job, lease_s: float) -> None:
        self._store = store
        self._job = job
        self._lease_s = lease_s
        self._over: RunEnded | None = None
        self.checkpoint: Checkpoint | None = job.checkpoint
        """What was saved last, by this run or an earlier one; None at the job's beginning."""
        self.done = job.done
        """How much was done when that was saved."""

    @property
    def actor(self) -> Actor:
        """Who has asked for the job, and so for whatever it changes."""
        return self._job.actor

    def end(self, why: RunEnded) -> None:
        """Has the run end where its function looks next; called by the worker, from another thread."""
        self._over = self._over or why

    def go_on(self) -> None:
        """Returns if the run may go on. It asks no database, and is to be called now and then by what takes long."""
        if self._over is not None:
            raise self._over

    @contextmanager
    def step(self) -> Iterator[None]:
        """Begins a transaction that only the run whose turn it is can begin, and in which nobody else begins the job.

        What this thread asks of the same pool until its end is committed together, the checkpoint included, or nothing
        of it: no step is done twice or half. It is to take less than a second; what takes long goes before.
        """
        self.go_on()
        before = self.checkpoint, self.done
        try:
            with self._store.step(self._job, self._lease_s):
                yield
        except BaseException:
            self.checkpoint, self.done = before
            raise

    def save(self, checkpoint: Checkpoint, *, done: int, total: int | None = None) -> None:
        """Stores from where to go on, and how much is done of how much; to be called inside ``step``."""
        self._store.save(self._job, self._lease_s, checkpoint, done, total)
        self.checkpoint, self.done = checkpoint, done


@dataclass(frozen=True, slots=True)
class JobKind(Generic[P]):
    """A kind of job.

    Attributes:
        name: as it is stored and shown; it stays.
        payload: a dataclass of what JSON can carry; no images, embeddings or secrets, for operators see it.
        work: does a job, or what is left of it: called again with the same payload and a later checkpoint.
        due: returns the jobs that are to be done now without anybody asking, each with the actor in whose name; called
            at the start of each worker and hourly. None where a job is done only when somebody asks for it.
        attempts_max: after as many attempts that did not get ahead a job has failed.
    """

    name: str
    payload: type[P]
    work: Callable[[P, JobRun], None]
    due: Callable[[], Iterable[tuple[Actor, NewJob]]] | None = None
    attempts_max: int = 10

    def new(self, payload: P, *, subject: str | None = None, single: str | None = None) -> NewJob:
        """Returns a job of this kind, to be submitted.

        Args:
            payload: what it is to do.
            subject: what it is about, for people.
            single: while a job of this kind with the same is not over, it is not made. None for any number.
        """
        content = TypeAdapter(self.payload).dump_python(payload, mode="json")
        return NewJob(self.name, subject, single, content, self.attempts_max)

    def run(self, job: Job, run: JobRun) -> None:
        """Does a job of this kind, or what is left of it.

        Raises:
            JobFailed: its payload is not of this kind.
        """
        try:
            payload = TypeAdapter(self.payload).validate_python(job.payload)
        except ValidationError:
            raise JobFailed("its payload is not of this version of the program") from None
        self.work(payload, run)
