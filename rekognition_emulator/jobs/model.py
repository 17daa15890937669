"""Jobs: what is known of one, and how a run of one may end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from rekognition_emulator.actor import Actor

Checkpoint = Mapping[str, Any]
"""What goes into JSON; never images, embeddings or secrets: it is stored with the job and shown to operators."""


class JobStatus(StrEnum):
    """Where a job is. The last three are its ends."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was when it was read.

    Attributes:
        id: 64 hexadecimal digits, as AWS's JobIds are; nobody guesses one.
        kind: the name of its kind.
        actor: who has asked for it; what it changes is theirs in the audit log.
        subject: what it is about, for people, such as a collection's name.
        payload: as JSON.
        fence: how often it was begun. Only the run that knows the latest number may write.
        attempts: how often it was begun since it last got ahead.
        attempts_max: after as many it has failed.
        checkpoint: from where it goes on; None at its beginning.
        done: how much of it is done, in units of its kind.
        total: of how much; None where that is not known.
        cancel_requested: whether it should end.
        worker: who has begun it last.
        run_at: it does not begin before.
        error: why it has failed, or why its last attempt has.
    """

    id: str
    kind: str
    actor: Actor
    subject: str | None
    payload: Mapping[str, Any]
    status: JobStatus
    fence: int
    attempts: int
    attempts_max: int
    checkpoint: Checkpoint | None
    done: int
    total: int | None
    cancel_requested: bool
    worker: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


class RunEnded(Exception):
    """A run is over before its job is; the kinds of it say why."""


class JobCancelled(RunEnded):
    """Somebody has cancelled the job."""


class LeaseLost(RunEnded):
    """Another worker has begun the job since, because nothing was heard of this one for too long."""


class WorkerStopping(RunEnded):
    """The worker is told to stop: another one will go on."""


class JobFailed(Exception):
    """The job cannot be done, however often it is tried; the text, which operators read, says why."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be submitted, of the kind that has made it.

    Attributes:
        subject: what it is about, for people.
        single: while another job of the kind with the same is not over, this one is not made; None for any number.
        payload: as JSON.
    """

    kind: str
    subject: str | None
    single: str | None
    payload: Mapping[str, Any]
    attempts_max: int


class JobNotFound(Exception):
    """There is no such job."""


class JobOver(Exception):
    """The job has ended already; the text is its status."""


class SeveralJobs(Exception):
    """Several jobs' ids begin so; the text says it."""

    def __init__(self, beginning: str) -> None:
        super().__init__(f"Several jobs' ids begin with {beginning!r}: give more of it.")
