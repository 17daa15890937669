"""Jobs in PostgreSQL: every statement on them.

A worker takes the next job by ``FOR UPDATE SKIP LOCKED`` for the time of a lease, which it extends while it works. A
lease that runs out lets another worker begin the job again, with a higher number: the fence. Whatever a run writes
names its own number, so one that was only slow, and not dead, writes nothing any more.

A library was refused: procrastinate 3.10 leaves a dead worker's job as ``doing`` until a task of ours asks for it to be
done again, lets the dead worker end it all the same should it come back, and knows neither progress nor checkpoints;
its workers want an event loop and a second pool. A table of ours beside its four would have remained. So does polling,
instead of LISTEN: a connection for each process that waits for what may as well come some seconds later.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row
from psycopg.types.json import Jsonb

from rekognition_emulator.actor import Actor
from rekognition_emulator.jobs.model import (
    Checkpoint,
    Job,
    JobCancelled,
    JobNotFound,
    JobOver,
    JobStatus,
    LeaseLost,
    NewJob,
    SeveralJobs,
)
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.transactions import JoiningPool

ID_BYTES: Final = 32
"""As long as AWS's JobIds. Source: its API reference, JobId of StartFaceDetection."""

KEPT_DAYS: Final = 7
"""For which a job that is over can be looked at. Source: AWS keeps the results of video analyses as long."""

PRUNED_AT_ONCE: Final = 1_000

RETRY_S: Final = 5.0
"""Until a job is tried again after the first attempt that did not get ahead, then twice as long each time."""

RETRY_MAX_S: Final = 600.0

COUNT_TIMEOUT_S: Final = 2
"""For a connection to count jobs with: who watches a server does not wait for its database."""

_COLUMNS: Final = """
id, kind, actor, subject, payload, status, fence, attempts, attempts_max, checkpoint, done, total, cancel_requested,
worker, created_at, run_at, started_at, finished_at, error
"""

_SUBMIT: Final = """
INSERT INTO jobs (id, kind, account, subject, single, payload, actor, attempts_max)
VALUES (%(id)s, %(kind)s, %(account)s, %(subject)s, %(single)s, %(payload)s, %(actor)s, %(attempts_max)s)
ON CONFLICT (kind, single) WHERE status IN ('queued', 'running') DO NOTHING RETURNING id
"""

# What a run has locked for a step is passed over: its worker lives.
_SETTLE: Final = """
UPDATE jobs SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END,
    finished_at = now(), lease_until = NULL,
    error = CASE WHEN cancel_requested THEN error ELSE 'its worker was not heard of any more' END
WHERE id IN (
    SELECT id FROM jobs
    WHERE status = 'running' AND lease_until < now() AND (cancel_requested OR attempts >= attempts_max)
    FOR UPDATE SKIP LOCKED
)
"""

_CLAIM: Final = f"""
UPDATE jobs SET status = 'running', fence = fence + 1, attempts = attempts + 1, worker = %(worker)s,
    lease_until = now() + make_interval(secs => %(lease_s)s), started_at = coalesce(started_at, now())
WHERE id = (
    SELECT id FROM jobs
    WHERE kind = ANY(%(kinds)s)
    AND (status = 'queued' AND run_at <= now() OR status = 'running' AND lease_until < now())
    ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING {_COLUMNS}
"""  # noqa: S608 - columns are ours

# The row is locked until the transaction ends, so that nobody begins the job meanwhile.
_STEP: Final = """
UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(id)s AND fence = %(fence)s AND status = 'running' RETURNING cancel_requested
"""

# A run that is in a step holds the row: then its lease waits, and nobody can take it.
_RENEW: Final = """
UPDATE jobs SET lease_until = now() + make_interval(secs => %(lease_s)s)
WHERE id = (
    SELECT id FROM jobs WHERE id = %(id)s AND fence = %(fence)s AND status = 'running' FOR UPDATE SKIP LOCKED
)
"""

_SAVE: Final = """
UPDATE jobs SET attempts = CASE WHEN checkpoint IS DISTINCT FROM %(checkpoint)s THEN 0 ELSE attempts END,
    checkpoint = %(checkpoint)s, done = %(done)s, total = coalesce(%(total)s, total), error = NULL,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'
"""

_FINISH: Final = """
UPDATE jobs SET status = %(status)s, finished_at = now(), lease_until = NULL, error = %(error)s
WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'
"""

_RETRY: Final = """
UPDATE jobs SET lease_until = NULL, error = %(error)s,
    status = CASE WHEN attempts >= attempts_max THEN 'failed' ELSE 'queued' END,
    finished_at = CASE WHEN attempts >= attempts_max THEN now() END,
    run_at = now() + make_interval(secs => least(%(retry_s)s * 2 ^ greatest(attempts - 1, 0), %(retry_max_s)s)
                                           * (0.5 + random() / 2))
WHERE id = %(id)s AND fence = %(fence)s AND status = 'running' RETURNING status
"""

_RELEASE: Final = """
UPDATE jobs SET status = 'queued', lease_until = NULL, run_at = now(), attempts = greatest(attempts - 1, 0)
WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'
"""

_CANCEL: Final = """
UPDATE jobs SET cancel_requested = true,
    status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
    finished_at = CASE WHEN status = 'queued' THEN now() END
WHERE id = %(id)s AND status IN ('queued', 'running')
"""

_LIST: Final = f"""
SELECT {_COLUMNS} FROM jobs
WHERE account = %(account)s AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s))
AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY created_at DESC, id LIMIT %(limit)s
"""  # noqa: S608 - likewise

_PRUNE: Final = """
DELETE FROM jobs WHERE id IN (
    SELECT id FROM jobs WHERE finished_at < now() - make_interval(days => %s)
    ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""

_COUNT: Final = """
SELECT kind, status, count(*),
       coalesce(extract(epoch FROM max(now() - run_at) FILTER (WHERE status = 'queued')), 0)::float8
FROM jobs GROUP BY kind, status
"""


class JobStore:
    """Jobs in a database that ``open_pool`` has prepared."""

    def __init__(self, pool: JoiningPool) -> None:
        self._pool = pool

    def submit(self, actor: Actor, new: NewJob) -> str | None:
        """Stores a job, to be done by any worker; returns its id, or None where ``single`` keeps it out.

        Inside ``JoiningPool.transaction`` it is part of that: the job is there if what it belongs to is.
        """
        columns = {
            "id": secrets.token_hex(ID_BYTES),
            "kind": new.kind,
            "account": actor.account,
            "subject": new.subject,
            "single": new.single,
            "payload": Jsonb(dict(new.payload)),
            "actor": Jsonb(actor.identity()),
            "attempts_max": new.attempts_max,
        }
        with self._pool.connection() as connection:
            row = connection.execute(_SUBMIT, columns).fetchone()
        return None if row is None else str(row[0])

    def get(self, account: str, beginning: str) -> Job:
        """Returns an account's job by its id, or by the beginning of it.

        Raises:
            JobNotFound: there is none.
            SeveralJobs: there are several.
        """
        if not beginning:  # with which every id begins
            raise JobNotFound(beginning)
        query = f"SELECT {_COLUMNS} FROM jobs WHERE account = %s AND starts_with(id, %s) LIMIT 2"  # noqa: S608 - likewise
        with self._pool.connection() as connection:
            jobs = _jobs(connection, query, [account, beginning])
        if len(jobs) > 1:
            raise SeveralJobs(beginning)
        if not jobs:
            raise JobNotFound(beginning)
        return jobs[0]

    def list(
        self, account: str, *, statuses: Sequence[JobStatus] | None = None, kind: str | None = None, limit: int
    ) -> list[Job]:
        """Returns an account's jobs, the latest first; None is any status or kind."""
        chosen = {"account": account, "statuses": statuses and list(statuses), "kind": kind, "limit": limit}
        with self._pool.connection() as connection:
            return _jobs(connection, _LIST, chosen)

    def cancel(self, actor: Actor, job: Job) -> None:
        """Ends a job that waits, and asks one that runs to end.

        Raises:
            JobNotFound: there is no such job any more.
            JobOver: it has ended.
        """
        with self._pool.connection() as connection, connection.transaction():
            if not connection.execute(_CANCEL, {"id": job.id}).rowcount:
                row = connection.execute("SELECT status FROM jobs WHERE id = %s", [job.id]).fetchone()
                raise JobNotFound(job.id) if row is None else JobOver(row[0])
            record(connection, actor, subject=job.id)

    def claim(self, kinds: Sequence[str], worker: str, lease_s: float) -> Job | None:
        """Begins the next job of these kinds, for a worker; None where none is to be done.

        A job whose worker is not heard of any more is begun again, or ends if it was cancelled or has no attempt left.
        """
        wanted = {"kinds": list(kinds), "worker": worker, "lease_s": lease_s}
        with self._pool.connection() as connection:
            connection.execute(_SETTLE)
            return next(iter(_jobs(connection, _CLAIM, wanted)), None)

    @contextmanager
    def step(self, job: Job, lease_s: float) -> Iterator[None]:
        """Begins a transaction of this run of a job: see ``JobRun.step``.

        Raises:
            LeaseLost: this run is over.
            JobCancelled: the job is to end.
        """
        with self._pool.transaction() as connection:
            row = connection.execute(_STEP, _run(job, lease_s=lease_s)).fetchone()
            if row is None:
                raise LeaseLost(job.id)
            if row == (True,):
                raise JobCancelled(job.id)
            yield

    def save(self, job: Job, lease_s: float, checkpoint: Checkpoint, done: int, total: int | None) -> None:
        """Stores how far a run is, inside its ``step``."""
        saved = _run(job, lease_s=lease_s, checkpoint=Jsonb(dict(checkpoint)), done=done, total=total)
        with self._pool.connection() as connection:
            if not connection.execute(_SAVE, saved).rowcount:
                raise LeaseLost(job.id)

    def renew(self, job: Job, lease_s: float) -> None:
        """Extends the lease of a run.

        Raises:
            LeaseLost: it is over.
            JobCancelled: the job is to end; its lease is extended all the same.
        """
        with self._pool.connection() as connection:
            connection.execute(_RENEW, _run(job, lease_s=lease_s))
            query = "SELECT cancel_requested FROM jobs WHERE id = %(id)s AND fence = %(fence)s AND status = 'running'"
            row = connection.execute(query, _run(job)).fetchone()
        if row is None:
            raise LeaseLost(job.id)
        if row == (True,):
            raise JobCancelled(job.id)

    def finish(self, job: Job, status: JobStatus, error: str | None = None) -> bool:
        """Ends a job; returns whether this run could still do so."""
        with self._pool.connection() as connection:
            return connection.execute(_FINISH, _run(job, status=status, error=error)).rowcount == 1

    def retry(self, job: Job, error: str) -> JobStatus | None:
        """Puts a job back after an error, for later, or ends it; returns where it is now, None if this run is over."""
        waits = _run(job, error=error, retry_s=RETRY_S, retry_max_s=RETRY_MAX_S)
        with self._pool.connection() as connection:
            row = connection.execute(_RETRY, waits).fetchone()
        return None if row is None else JobStatus(row[0])

    def release(self, job: Job) -> None:
        """Puts a job back for the next worker, as if this run had not tried."""
        with self._pool.connection() as connection:
            connection.execute(_RELEASE, _run(job))

    def prune(self) -> int:
        """Removes jobs that have been over for long enough; returns how many, at most as many as go at once."""
        with self._pool.connection() as connection:
            return connection.execute(_PRUNE, [KEPT_DAYS, PRUNED_AT_ONCE]).rowcount

    def count(self) -> Mapping[tuple[str, str], tuple[int, float]]:
        """Returns (kind, status) → how many there are, and for how many seconds the next of those that wait is due."""
        with self._pool.connection(timeout=COUNT_TIMEOUT_S) as connection:
            rows = connection.execute(_COUNT).fetchall()
        return {(kind, status): (count, max(0.0, late)) for kind, status, count, late in rows}


def _run(job: Job, **parameters: object) -> dict[str, object]:
    return {"id": job.id, "fence": job.fence, **parameters}


def _jobs(connection: Connection[TupleRow], query: Any, parameters: Any) -> list[Job]:  # noqa: ANN401 - as psycopg's
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, parameters).fetchall()
    return [Job(**{**row, "actor": Actor(**row["actor"]), "status": JobStatus(row["status"])}) for row in rows]
