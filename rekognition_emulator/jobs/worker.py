"""The worker: takes jobs one after the other and does them, in a thread of a server or in a process of its own.

It works at low priority, and in steps: searches beside it are to notice nothing. Whatever happens to it, its jobs are
not lost: those that it cannot put back are taken over when its lease has run out.
"""

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import structlog

from rekognition_emulator.background import Repeating
from rekognition_emulator.jobs.model import (
    Job,
    JobCancelled,
    JobFailed,
    JobStatus,
    LeaseLost,
    RunEnded,
    WorkerStopping,
)
from rekognition_emulator.jobs.run import JobKind, JobRun
from rekognition_emulator.jobs.store import JobStore

NICENESS: Final = 10
"""Of the worker's thread: it takes the time that requests leave."""

LEASE_POLLS: Final = 6
"""Pauses between two looks for jobs after which a worker that was not heard of is held for dead."""

RENEWALS: Final = 3
"""Of a lease before it runs out: two of them may fail."""

DUE_S: Final = 3_600.0
"""Between two looks for what is due without anybody asking, and for what may be pruned."""

STOP_S: Final = 5.0
"""For the step that is being done when the server stops. One that takes longer is done again by the next worker."""

ERROR_MAX: Final = 500
"""Characters of an error's text that are kept."""

log = structlog.get_logger(__name__)


class Worker:
    """Does jobs of some kinds.

    Args:
        store: of the jobs.
        kinds: that it can do.
        poll_s: between two looks for a job, about; what several workers do at different moments.
    """

    def __init__(self, store: JobStore, kinds: Sequence[JobKind[Any]], poll_s: float) -> None:
        self._store = store
        self._kinds = {kind.name: kind for kind in kinds}
        self._poll_s = poll_s
        self._lease_s = LEASE_POLLS * poll_s
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = threading.Event()
        self._run: JobRun | None = None
        self._due_at = time.monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Works in a thread until the end; a job that is not done then is put back."""
        thread = threading.Thread(target=self.work, name="jobs", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join(STOP_S)

    def stop(self) -> None:
        """Has it end after the step that it does."""
        self._stopping.set()
        if (run := self._run) is not None:
            run.end(WorkerStopping())

    def work(self) -> None:
        """Works until it is told to stop."""
        if sys.platform == "linux":  # elsewhere a priority is the process's, and its requests' as well
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self._stopping.is_set():
            try:
                worked = self.work_once()
            except Exception as error:  # noqa: BLE001 - whatever the database or a kind raises, this thread goes on
                log.warning("jobs_wait", cause=type(error).__name__)
                worked = False
            if not worked:
                self._stopping.wait(self._poll_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret

    def work_once(self) -> bool:
        """Does one job, as far as it can be done now; returns whether there was one.

        Raises:
            psycopg.Error: the database does not serve.
        """
        if time.monotonic() >= self._due_at:
            self.submit_due()
            while self._store.prune():
                pass
            self._due_at = time.monotonic() + DUE_S
        job = self._store.claim(list(self._kinds), self._name, self._lease_s)
        if job is None:
            return False
        log.info("job_begun", job=job.id, kind=job.kind, attempt=job.attempts, done=job.done)
        self._do(job)
        return True

    def submit_due(self) -> None:
        """Submits what is to be done now without anybody asking for it."""
        for kind in self._kinds.values():
            for actor, new in kind.due() if kind.due else ():
                self._store.submit(actor, new)

    def _do(self, job: Job) -> None:
        run = self._run = JobRun(self._store, job, self._lease_s)
        if self._stopping.is_set():  # it came before there was anything to end
            run.end(WorkerStopping())
        try:
            with self._leased(job, run):
                self._kinds[job.kind].run(job, run)
            ended = JobStatus.SUCCEEDED if self._store.finish(job, JobStatus.SUCCEEDED) else None
        except JobCancelled:
            ended = JobStatus.CANCELLED if self._store.finish(job, JobStatus.CANCELLED) else None
        except JobFailed as error:
            ended = JobStatus.FAILED if self._store.finish(job, JobStatus.FAILED, str(error)[:ERROR_MAX]) else None
        except WorkerStopping:
            self._store.release(job)
            ended = JobStatus.QUEUED
        except LeaseLost:
            ended = None
        except Exception as error:  # whatever a kind's function raises, the worker goes on
            # Its text may quote what it was about, such as rows; the traceback stands in the log.
            log.exception("job_attempt_failed", job=job.id, kind=job.kind, attempt=job.attempts)
            ended = self._store.retry(job, type(error).__name__)
        finally:
            self._run = None
        log.info("job_ended", job=job.id, kind=job.kind, status=ended or "lost to another worker", done=run.done)

    def _leased(self, job: Job, run: JobRun) -> Repeating:
        """Extends the lease meanwhile, and has the run end when somebody cancels the job or has taken it."""

        def renew() -> None:
            try:
                self._store.renew(job, self._lease_s)
            except RunEnded as why:
                run.end(why)
            except psycopg.Error as error:
                log.warning("lease_not_renewed", job=job.id, cause=type(error).__name__)

        return Repeating("job lease", renew, self._lease_s / RENEWALS)
