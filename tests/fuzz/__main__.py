"""``python -m tests.fuzz``: feeds spoilt inputs for some minutes, says how they ended, and keeps what it finds.

Changes when a run is planned or reported differently. ``--only decoder:17`` repeats one input.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Lock

import psutil

from tests.fuzz.seeds import COLLECTION, pictures
from tests.fuzz.targets import SECONDS_MAX, Decoder, Pictures, Requests, Signatures, Target, Wire
from tests.support.networks import embedded_engine
from tests.support.server import ROOT, Server

FINDINGS = ROOT / "build" / "fuzz"
CLIENTS = 8
"""That talk to the server at once."""

WARM_UP = 600
"""Inputs after which memory is compared with: by then networks, pools and buffers have been made."""

GROWTH_MB_MAX = 50
SHARES = {"wire": 0.03, "signatures": 0.02, "decoder": 0.05, "requests": 0.3, "pictures": 0.6}
"""Of the time."""


class Run:
    """Feeds one target, by several threads, until a time or a number is reached."""

    def __init__(self, target: Target, seed: int) -> None:
        self.target = target
        self.seed = seed
        self.verdicts: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.findings: list[str] = []
        self._lock = Lock()

    def until(self, deadline: float, number_max: float, clients: int, first: int = 0) -> None:
        """Feeds inputs from the first number on."""
        numbers = count(first)

        def work() -> None:
            while time.monotonic() < deadline:
                with self._lock:
                    number = next(numbers)
                if number >= number_max:
                    return
                self.one(number)

        with ThreadPoolExecutor(clients) as pool:
            for done in [pool.submit(work) for _ in range(clients)]:
                done.result()

    def one(self, number: int) -> None:
        """Feeds the input of this number and keeps it if it is a finding."""
        made = self.target.make(self.seed, number)
        began = time.monotonic()
        try:
            verdict = self.target.feed(made)
            seconds = time.monotonic() - began
            problem = f"{seconds:.1f} s" if seconds > SECONDS_MAX else None
        except Exception as error:  # noqa: BLE001 # any at all is a finding
            verdict, seconds, problem = "FINDING", time.monotonic() - began, f"{type(error).__name__}: {error}"
        with self._lock:
            self.verdicts[verdict] += 1
            self.slowest_s = max(self.slowest_s, seconds)
            if problem:
                FINDINGS.mkdir(parents=True, exist_ok=True)
                name = f"{self.target.name}-{self.seed}-{number}"
                (FINDINGS / f"{name}.bin").write_bytes(made)
                (FINDINGS / f"{name}.txt").write_text(problem)
                self.findings.append(f"{self.target.name}:{number} {problem[:300]}")

    def report(self) -> str:
        """Returns how the inputs ended."""
        ends = ", ".join(f"{verdict} {number}" for verdict, number in self.verdicts.most_common(9))
        return f"{self.target.name:10} {self.verdicts.total():7} inputs, slowest {self.slowest_s:.1f} s: {ends}"


@contextmanager
def running_server() -> Iterator[Server]:
    """A server process with a collection, its data in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="rekognition-fuzz-") as folder:
        Path(folder).chmod(0o755)
        server = Server.start(Path(folder), REKOGNITION_STRICT="false", REKOGNITION_LOG_LEVEL="warning")
        try:
            server.post("CreateCollection", {"CollectionId": COLLECTION})
            yield server
            log = (Path(folder) / "server.log").read_text()
            if "Traceback" in log:
                FINDINGS.mkdir(parents=True, exist_ok=True)
                (FINDINGS / "server.log").write_text(log)
                raise SystemExit(f"the server wrote a traceback: {FINDINGS / 'server.log'}")
        finally:
            server.stop()


def resident_mb(server: Server) -> float:
    """Returns what the server process holds, without its database."""
    return float(psutil.Process(server.process.pid).memory_info().rss) / 2**20


def fuzz(seconds: float, seed: int, *, number_max: float = float("inf")) -> list[str]:
    """Feeds all targets for this time altogether and returns what was found, memory that grew included."""
    seeds, found = pictures(), []
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        engine = embedded_engine(Path(folder), threads=1)
        warm = [Run(target, seed + 1) for target in (Requests(server.url), Pictures(server.url, seeds))]
        for run in warm:
            run.until(time.monotonic() + seconds, WARM_UP, CLIENTS)
        before_mb = resident_mb(server)
        targets: tuple[Target, ...] = (
            Wire(),
            Signatures(),
            Decoder(seeds, engine),
            Requests(server.url),
            Pictures(server.url, seeds),
        )
        for target in targets:
            run = Run(target, seed)
            run.until(time.monotonic() + seconds * SHARES[target.name], number_max, CLIENTS)
            found += run.findings
            print(run.report(), flush=True)
        growth_mb = resident_mb(server) - before_mb
        print(f"memory of the server after the warm-up {before_mb:.0f} MB, and {growth_mb:+.0f} MB since")
        if growth_mb > GROWTH_MB_MAX:
            found.append(f"the server grew by {growth_mb:.0f} MB")
        if server.post("ListCollections", {}).status_code != 200:
            found.append("the server no longer serves")
        return found + [finding for run in warm for finding in run.findings]


def again(which: str, seed: int) -> list[str]:
    """Feeds one input once more."""
    name, _, number = which.partition(":")
    seeds = pictures()
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        targets: dict[str, Target] = {
            target.name: target
            for target in (
                Wire(),
                Signatures(),
                Decoder(seeds, embedded_engine(Path(folder), threads=1)),
                Requests(server.url),
                Pictures(server.url, seeds),
            )
        }
        run = Run(targets[name], seed)
        run.one(int(number))
        print(run.report())
        return run.findings


def main() -> None:
    """Reads the arguments; ends with 1 if anything was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=float, default=float("inf"), help="at most so many for each target")
    parser.add_argument("--only", help="target:number, to repeat one input")
    given = parser.parse_args()
    found = (
        again(given.only, given.seed) if given.only else fuzz(given.minutes * 60, given.seed, number_max=given.inputs)
    )
    for finding in found:
        print(f"FOUND {finding}")
    print(f"{len(found)} findings" + (f" in {FINDINGS}" if found else ""))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
