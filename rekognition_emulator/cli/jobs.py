"""``jobs``: shows what is done, waits and was done, and cancels it; and ``worker``, which does it."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.log import configure_logging
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.jobs.model import Job, JobNotFound, JobOver, JobStatus, SeveralJobs
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.settings import Settings

LATEST: Final = 100
"""Jobs that are listed unless more are asked for."""

ID_SHOWN: Final = 12
"""Digits of an id in a table: enough to name it to the other commands."""

LINE_CHARS: Final = 200
"""Room for long names: lines that a terminal breaks can be copied, those cut off cannot."""

app = typer.Typer(help="See and cancel long work, such as what retention removes.", no_args_is_help=True)

_Id = Annotated[str, typer.Argument(metavar="ID", help="A job's id, or enough of its beginning.")]
_Json = Annotated[bool, typer.Option("--json", metavar="", help="Print a line of JSON each.")]
_Status = Annotated[list[JobStatus] | None, typer.Option(help="Only these; may be repeated.")]
_Kind = Annotated[str | None, typer.Option(help="Only of this kind, such as retention.")]
_Limit = Annotated[int, typer.Option(min=1, help="The latest so many.")]


@app.command(name="list")
def list_(*, status: _Status = None, kind: _Kind = None, limit: _Limit = LATEST, json_lines: _Json = False) -> None:
    """List the jobs of the account, the latest first; those that are over for a week."""
    with _open() as (settings, jobs):
        found = jobs.list(settings.account_id, statuses=status, kind=kind, limit=limit)
    if json_lines:
        for job in found:
            typer.echo(_as_json(job))
        return
    columns = ("id", "kind", "about", "status", "done", "made (UTC)", "ended (UTC)", "error")
    table = Table(*(Column(name, no_wrap=True) for name in columns), box=None, pad_edge=False)
    for job in found:
        table.add_row(
            *(job.id[:ID_SHOWN], job.kind, job.subject or "", _status(job), _done(job)),
            *(_moment(job.created_at), _moment(job.finished_at), job.error or ""),
        )
    Console(width=LINE_CHARS, highlight=False).print(table)


@app.command()
def show(job_id: _Id, *, json_lines: _Json = False) -> None:
    """Show one job with everything that is known of it."""
    with _open() as (settings, jobs):
        job = jobs.get(settings.account_id, job_id)
    if json_lines:
        typer.echo(_as_json(job))
        return
    told = {
        "id": job.id,
        "kind": job.kind,
        "about": job.subject,
        "status": _status(job),
        "done": _done(job),
        "attempts": f"{job.attempts} of {job.attempts_max} since it last got ahead",
        "error": job.error,
        "worker": job.worker,
        "asked for by": job.actor.key_name,
        "made": _moment(job.created_at),
        "begun": _moment(job.started_at),
        "ended": _moment(job.finished_at),
        "payload": json.dumps(job.payload, ensure_ascii=False),
        "checkpoint": job.checkpoint and json.dumps(job.checkpoint, ensure_ascii=False),
    }
    for name, value in told.items():
        if value:
            typer.echo(f"{name:<13} {value}")


@app.command()
def cancel(job_id: _Id) -> None:
    """End a job that waits, or have one that runs end after the step that it does."""
    with _open() as (settings, jobs):
        job = jobs.get(settings.account_id, job_id)
        jobs.cancel(operator("jobs cancel", settings.account_id, job.actor.region), job)
        now = jobs.get(settings.account_id, job.id).status
    typer.echo(f"{job.id} is cancelled." if now == JobStatus.CANCELLED else f"{job.id} ends after its present step.")


def work() -> None:
    """Does jobs until it is told to stop; what it does not finish then another worker goes on with."""
    from rekognition_emulator.app import JOB_CONNECTIONS, open_worker  # noqa: PLC0415 - listing jobs needs no engine

    settings = read_settings()
    configure_logging(settings.log_level)
    with data_errors_exit_with_message(), open_database(settings, JOB_CONNECTIONS) as pool:
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda *_: sys.exit())  # which unwinds what was opened, and is no failure
        with open_worker(settings, pool).running():
            while True:
                signal.pause()


@contextmanager
def _open() -> Iterator[tuple[Settings, JobStore]]:
    settings = read_settings()
    try:
        with data_errors_exit_with_message(), exits_with_message(SeveralJobs), open_database(settings) as pool:
            yield settings, JobStore(pool)
    except JobNotFound as error:
        sys.exit(f"There is no job {error}.")
    except JobOver as error:
        sys.exit(f"The job is over: {error}.")


def _status(job: Job) -> str:
    return f"{job.status}, cancelling" if job.status == JobStatus.RUNNING and job.cancel_requested else job.status


def _done(job: Job) -> str:
    return f"{job.done:,}" if job.total is None else f"{job.done:,} of {job.total:,}"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _as_json(job: Job) -> str:
    document = asdict(job) | {"actor": job.actor.identity()}
    return json.dumps(document, ensure_ascii=False, default=lambda moment: moment.astimezone(UTC).isoformat())
