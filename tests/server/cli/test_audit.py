import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from rekognition_emulator.actor import Actor
from rekognition_emulator.cli.commands import app
from rekognition_emulator.storage.audit import NewAuditRecord, append
from rekognition_emulator.telemetry.observation import Observation

Run = Callable[..., str]


@pytest.fixture
def run(database_url: str) -> Run:
    """Runs ``audit`` on a database of this test alone and returns what it says."""

    def run(*arguments: str, succeeds: bool = True) -> str:
        environment = {"REKOGNITION_DATABASE_URL": database_url, "COLUMNS": "200"}
        result = CliRunner().invoke(app, ["audit", *arguments], env=environment)
        assert (result.exit_code == 0) is succeeds, result.output
        return result.output

    return run


ASKER = Actor("SearchFaces", "123456789012", "some request", "backend", "eu-west-1")


@pytest.fixture
def rows(pool: ConnectionPool) -> None:
    """Three searches, the last in a session, that enforced access control would have refused."""
    for number in range(3):
        observation = Observation()
        actor = replace(ASKER, request_id=f"request-{number}", in_session=number > 0)
        observation.counts = {"faces_matched": 1_000 * number, "index_lag": 7}
        if number:
            observation.would_be_denied = "AccessDeniedException"
        append(pool, [NewAuditRecord.of(actor, observation, status=200, collection="wedding")])


@pytest.mark.usefixtures("rows")
def test_table(run: Run) -> None:
    """A line for each row, the latest last, whole names, and what came of it."""
    heading, *lines = run().splitlines()
    assert heading.split() == ["time", "(UTC)", "who", "did", "with", "in", "outcome", "counts"]
    assert len(lines) == 3
    assert lines[0].split()[2:] == ["backend", "SearchFaces", "wedding", "eu-west-1", "done", "0", "faces", "matched"]
    assert "backend in a session" in lines[2]
    assert lines[2].rstrip().endswith("done (would be AccessDeniedException)  2,000 faces matched")


def test_what_was_counted(run: Run, pool: ConnectionPool) -> None:
    """How often, and since when."""
    observation = Observation(error="AccessDeniedException")
    row = NewAuditRecord.of(ASKER, observation, status=400, collection=None)
    append(pool, [replace(row, times=1_234, first_over_at=row.over_at - 50)])
    (line,) = [json.loads(line) for line in run("--json").splitlines()]
    first, last = (datetime.fromisoformat(line[name]) for name in ("first_at", "at"))
    assert (line["times"], round((last - first).total_seconds())) == (1_234, 50)
    assert f"AccessDeniedException, 1,234 times since {first:%H:%M:%S}" in run()


@pytest.mark.usefixtures("rows")
def test_json(run: Run) -> None:
    """All that is known, a line each; the latest so many, where that is asked for."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in run("--json").splitlines()]
    assert [line["request_id"] for line in lines] == ["request-0", "request-1", "request-2"]
    assert abs(datetime.fromisoformat(lines[0].pop("at")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert lines[0] == {
        "request_id": "request-0",
        "account": "123456789012",
        "region": "eu-west-1",
        "access_key_id": None,
        "key_name": "backend",
        "in_session": False,
        "operation": "SearchFaces",
        "collection": "wedding",
        "subject": None,
        "status": 200,
        "error": None,
        "would_be_denied": None,
        "counts": {"faces_matched": 0},
        "deleted_faces": [],
        "times": 1,
        "first_at": None,
    }
    assert [json.loads(line)["request_id"] for line in run("--json", "--limit", "1").splitlines()] == ["request-2"]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("since", "count"),
    [("1h", 3), ("2d", 3), ("90m", 3), ("2020-01-01", 3), ("2020-01-01T12:30+02:00", 3), ("2999-01-01", 0)],
)
def test_since(since: str, count: int, run: Run) -> None:
    """A day, a moment, or so long ago."""
    assert len(run("--json", "--since", since).splitlines()) == count


def test_since_when(run: Run) -> None:
    """What is no time is said to be none."""
    assert "yesterday is no time" in run("--since", "yesterday", succeeds=False)
    assert "999999d is no time" in run("--since", "999999d", succeeds=False)
