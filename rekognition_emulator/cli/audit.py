"""``audit``: the command that shows the audit log. What is in it, and why, is said in ``store``."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

import typer
from rich.console import Console
from rich.table import Column, Table

from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.storage.audit import AuditFilter, AuditRecord, entries

LATEST: Final = 100
"""Rows of a table, unless more are asked for: what a person reads."""

LINE_CHARS: Final = 240
"""Room for long names: lines that a terminal breaks can be copied, those cut off cannot."""

_AGO: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def show_audit_log(  # noqa: PLR0913 - an argument is an option of the command line
    *,
    collection: str | None,
    since: str | None,
    key: str | None,
    operation: str | None,
    limit: int | None,
    json_lines: bool,
) -> None:
    """Prints who did what, the latest last, as a table or as lines of JSON."""
    moment = None if since is None else _moment(since, datetime.now(UTC))
    sought = AuditFilter(moment, collection, key, operation, limit if limit or json_lines else LATEST)
    with data_errors_exit_with_message(), open_database(read_settings()) as pool:
        found = list(entries(pool, sought))[::-1]
    if json_lines:
        for entry in found:
            sys.stdout.write(_as_json(entry) + "\n")
    else:
        Console(width=LINE_CHARS, highlight=False).print(_as_table(found))


def _as_json(entry: AuditRecord) -> str:
    shown = {name: getattr(entry, name) for name in AuditRecord.__slots__}
    shown["at"] = entry.at.astimezone(UTC).isoformat(timespec="milliseconds")
    shown["first_at"] = entry.first_at and entry.first_at.astimezone(UTC).isoformat(timespec="milliseconds")
    shown["deleted_faces"] = [str(face_id) for face_id in entry.deleted_faces or ()]
    return json.dumps(shown, ensure_ascii=False)


def _as_table(found: list[AuditRecord]) -> Table:
    columns = ("time (UTC)", "who", "did", "with", "in", "outcome", "counts")
    table = Table(*(Column(name, no_wrap=True) for name in columns), box=None, pad_edge=False)
    for entry in found:
        spared = f" (would be {entry.would_be_denied})" if entry.would_be_denied else ""
        often = f", {entry.times:,} times since {entry.first_at.astimezone(UTC):%H:%M:%S}" if entry.first_at else ""
        table.add_row(
            entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            entry.key_name + (" in a session" if entry.in_session else ""),
            entry.operation,
            " ".join(filter(None, (entry.collection, entry.subject))),
            entry.region or "",
            (entry.error or "done") + spared + often,
            ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in entry.counts.items()),
        )
    return table


def _moment(text: str, now: datetime) -> datetime:
    """Returns the moment that is meant: a time, in UTC unless it says otherwise, or so long ago."""
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):  # OverflowError: before the year 1
        raise typer.BadParameter(f"{text} is no time, such as 2026-05-01T12:30 or 12h", param_hint="--since") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
