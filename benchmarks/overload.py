"""A server that is asked for far more than it can give.

    python -m benchmarks.overload [--seconds 120] [--folder PHOTOGRAPHS]

writes ``results/overload.md``.
"""

import argparse
import base64
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import report
from benchmarks.open_loop import NUMBER, Offered, Outcome, Stream, offer
from benchmarks.photographs import SELFIE, add_folder, album
from benchmarks.server_load import Album, Load, running
from benchmarks.timing import figure

OVERLOAD: Final = 5
"""Times the most that the server does."""

CLIENTS: Final = (4, 8, 16)
"""That wait for their answers: one of these numbers keeps all workers busy."""

PEAK_SECONDS: Final = 15
SECONDS: Final = 120

SEARCHES_PER_SECOND: Final = 5
"""Of a visitor, half of them by a face and half by a picture."""

ATTEMPTS: Final = 3
"""In all, of the SDKs' clients. Source: botocore's retry mode ``standard``."""

GALLERY_ROUNDS: Final = 5
"""How often the album's pictures are in the collection that visitors search."""

REFUSED_BYTES: Final = (100, 500_000, 6_990_000)
"""Of bodies that are refused: nearly none, a photograph's, and the largest that a picture may have."""
REFUSED_PER_SECOND: Final = 100
REFUSED_SECONDS: Final = 5

SETTINGS: Final = {"REKOGNITION_LOG_LEVEL": "info"}
"""As a server comes: a line for each refusal is part of what it takes."""

HEAD: Final = (
    *("load", "offered/s", "indexed/s", "of the most", "p50", "p99", "max", "refused/s", "refusal p50", "p99", "other"),
    *("server busy", "PostgreSQL busy", "clients busy", "MB before", "at most", "after"),
)


@dataclass(frozen=True)
class Measured:
    """What came of a load, and what it took.

    Attributes:
        offered: what came of it.
        seconds: for which requests came.
        megabytes: resident of the server before, at most and after.
        core_seconds: of a core that the server and PostgreSQL took until the last answer.
    """

    offered: Offered
    seconds: float
    megabytes: tuple[float, float, float]
    core_seconds: tuple[float, float]


def measure(data_dir: Path, pictures: Sequence[bytes], selfie: bytes, seconds: float) -> list[report.Section]:
    """Starts a server, finds the most that it does, and asks for five times as much."""
    with running(data_dir, pictures, **SETTINGS) as (server, _):
        face_id = server.fill("gallery", GALLERY_ROUNDS)
        loads = {f"{clients} that wait": server.index(clients, _for(PEAK_SECONDS)) for clients in CLIENTS}
        expected, clients = max((_rate(load), clients) for load, clients in zip(loads.values(), CLIENTS, strict=True))
        indexing = Stream("IndexFaces", server.bodies("album", f"once-{NUMBER.decode()}"), expected * OVERLOAD)
        alone = _measured(server, [indexing], seconds)
        loads[f"{clients} that wait, afterwards"] = afterwards = server.index(clients, _for(PEAK_SECONDS))
        most = (expected + _rate(afterwards)) / 2
        again = server.bodies("album", f"again-{NUMBER.decode()}")
        retried = _measured(server, [Stream("IndexFaces", again, indexing.rate, ATTEMPTS)], seconds / 4)
        visitor = _visitor(face_id, selfie)
        quiet = _measured(server, visitor, seconds / 4)
        last = server.bodies("album", f"last-{NUMBER.decode()}")
        beside = _measured(server, [Stream("IndexFaces", last, indexing.rate), *visitor], seconds / 2)
    rows = [
        *(_closed_row(name, load, most) for name, load in loads.items()),
        _row(f"{OVERLOAD} times the most", alone, most),
        _row(f"the same, each up to {ATTEMPTS} attempts", retried, most),
        _row("the same, once, with a visitor", beside, most),
    ]
    searches = [
        [operation, name, *_search_row(operation, measured)]
        for operation in ("SearchFaces", "SearchFacesByImage")
        for name, measured in (("nothing else", quiet), (f"{OVERLOAD} times the most", beside))
    ]
    return [
        report.Section(
            "Five times as much as it can do",
            f"IndexFaces of photographs ({len(pictures)}, under ever new names). First clients that wait for each "
            f"answer, {PEAK_SECONDS} s each: what the best number of them gets before and afterwards, on average, is "
            f"the most that the server does. Then a stream of requests that comes {OVERLOAD} times as fast, whether or "
            f"not earlier ones are answered, for {seconds:.0f} s; with attempts as an SDK makes them for "
            f"{seconds / 4:.0f} s, with a visitor for {seconds / 2:.0f} s. Indexed: answered with 200 while the stream "
            "lasts. Milliseconds from the moment at which a request was due to its last answer, pauses before further "
            "attempts included. Other: answers that are neither 200 nor `ThrottlingException`, broken connections, and "
            "no answer in 60 s. Busy: share of all cores; the clients share them with the server. MB: resident, of the "
            "server's process.",
            HEAD,
            rows,
            _plot(alone, most, seconds),
        ),
        report.Section(
            "Visitors meanwhile",
            f"A visitor searches {SEARCHES_PER_SECOND} times a second in another collection "
            f"({GALLERY_ROUNDS * len(pictures)} pictures), half of the times by a face and half by a selfie, while "
            "nothing else happens and beside the stream above. Milliseconds from the moment at which each search was "
            "due.",
            ["operation", "beside", "searches", "p50", "p95", "p99", "max", "not answered with 200"],
            searches,
        ),
    ]


def measure_refusals(data_dir: Path, pictures: Sequence[bytes]) -> report.Section:
    """Starts a server whose account has no requests left, and sends it bodies of several lengths."""
    limit = {"REKOGNITION_ACCOUNT_REQUESTS_PER_SECOND": "IndexFaces=0.001"}
    rows = []
    with running(data_dir, pictures, **SETTINGS, **limit) as (server, _):
        for length in (1, *REFUSED_BYTES):  # the first uses up what there is
            body = b'{"CollectionId":"album","ExternalImageId":"' + b"a" * length + b'"}'
            measured = _measured(server, [Stream("IndexFaces", [body], REFUSED_PER_SECOND)], REFUSED_SECONDS)
            outcomes = measured.offered.outcomes
            refused = [each for each in outcomes if each.error == "ProvisionedThroughputExceededException"]
            core_ms = measured.core_seconds[0] / len(outcomes) * 1000
            busy = _share(measured.offered.core_seconds, measured.offered.seconds)
            rows.append([f"{length / 1e3:,.1f} kB", str(len(outcomes) - len(refused)), figure(core_ms)])
            rows[-1] += [*_ms(refused, 50, 99, 100), busy]
    return report.Section(
        "What a refusal takes",
        f"{REFUSED_PER_SECOND} requests a second of an account that has none left, {REFUSED_SECONDS} s for each length "
        "of their bodies, which are sent whole. Core ms: what the server's process worked for each. The others are "
        "milliseconds from the moment at which a request was due to the end of its refusal.",
        ["body", "not refused", "core ms", "p50", "p99", "max", "clients busy"],
        rows[1:],
    )


def _rate(load: Load) -> float:
    return len(load.latencies) / load.seconds


def _for(seconds: float) -> Callable[[int], bool]:
    end = time.perf_counter() + seconds
    return lambda _: time.perf_counter() < end


def _visitor(face_id: str, selfie: bytes) -> Sequence[Stream]:
    in_gallery = b'{"CollectionId":"gallery",'
    by_face = in_gallery + f'"FaceId":"{face_id}"}}'.encode()
    by_picture = in_gallery + b'"Image":{"Bytes":"' + base64.b64encode(selfie) + b'"}}'
    rate = SEARCHES_PER_SECOND / 2
    return Stream("SearchFaces", [by_face], rate), Stream("SearchFacesByImage", [by_picture], rate)


def _measured(server: Album, streams: Sequence[Stream], seconds: float) -> Measured:
    """Has another process send streams, and looks at the server meanwhile."""
    before, taken = server.resident_mb(), server.taken()
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere, _most(server.resident_mb) as held:
        offered = elsewhere.submit(offer, server.address, streams, seconds).result()
    now = server.taken()
    core_seconds = now.server - taken.server, now.database - taken.database
    return Measured(offered, seconds, (before, max(held), server.resident_mb()), core_seconds)


@contextmanager
def _most(read: Callable[[], float]) -> Iterator[list[float]]:
    """Reads twice a second, until the end."""
    over, values = threading.Event(), [read()]

    def follow() -> None:
        while not over.wait(0.5):
            values.append(read())

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield values
    finally:
        over.set()
        thread.join()


def _closed_row(name: str, load: Load, most: float) -> list[str]:
    rate = _rate(load)
    p50, p99, longest = (figure(float(np.percentile(load.latencies, p)) * 1000) for p in (50, 99, 100))
    busy = [_share(each, load.seconds) for each in (load.server, load.database, load.clients)]
    row = [name, figure(rate), figure(rate), f"{rate / most:.0%}", p50, p99, longest]
    return [*row, "0", "–", "–", str(load.refused), *busy, "–", "–", "–"]


def _row(name: str, measured: Measured, most: float) -> list[str]:
    offered = measured.offered
    outcomes = [each for each in offered.outcomes if each.operation == "IndexFaces"]
    indexed = [each for each in outcomes if each.status == 200]
    refused = [each for each in outcomes if each.error == "ThrottlingException"]
    # What the queue still held at the end is no part of the rate.
    rate = sum(each.due + each.seconds <= measured.seconds for each in indexed) / measured.seconds
    return [
        name,
        figure(len(outcomes) / measured.seconds),
        figure(rate),
        f"{rate / most:.0%}",
        *_ms(indexed, 50, 99, 100),
        figure(len(refused) / measured.seconds),
        *_ms(refused, 50, 99),
        str(len(outcomes) - len(indexed) - len(refused)),
        *(_share(each, offered.seconds) for each in (*measured.core_seconds, offered.core_seconds)),
        *(f"{each:.0f}" for each in measured.megabytes),
    ]


def _search_row(operation: str, measured: Measured) -> list[str]:
    outcomes = [each for each in measured.offered.outcomes if each.operation == operation]
    failed = sum(each.status != 200 for each in outcomes)
    return [str(len(outcomes)), *_ms(outcomes, 50, 95, 99, 100), str(failed)]


def _ms(outcomes: Sequence[Outcome], *percentiles: float) -> list[str]:
    """Returns percentiles of what requests took, in milliseconds."""
    seconds = [each.seconds for each in outcomes]
    return [figure(float(np.percentile(seconds, p)) * 1000) if seconds else "–" for p in percentiles]


def _share(core_seconds: float, seconds: float) -> str:
    return f"{core_seconds / seconds / (os.cpu_count() or 1):.0%}"


def _plot(measured: Measured, most: float, seconds: float) -> str:
    """Draws what was offered, done and refused, every few seconds."""
    step = seconds / 24
    edges = np.arange(25) * step
    middles = (edges[:-1] + step / 2).tolist()
    ends = {
        "indexed": [each.due + each.seconds for each in measured.offered.outcomes if each.status == 200],
        "refused": [each.due + each.seconds for each in measured.offered.outcomes if each.error],
    }
    lines = {name: (middles, (np.histogram(times, edges)[0] / step).tolist()) for name, times in ends.items()}
    flat = {"offered": most * OVERLOAD, "most without overload": most}
    lines |= {name: ([0.0, seconds], [rate, rate]) for name, rate in flat.items()}
    return report.plot_lines("overload.png", "IndexFaces", ("seconds", "requests a second"), lines)


def main() -> None:
    """Runs this bench alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folder(parser)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long it is asked for too much")
    arguments = parser.parse_args()
    described = report.machine()
    with tempfile.TemporaryDirectory() as scratch:
        selfie = (arguments.folder / SELFIE).read_bytes()
        pictures = album(arguments.folder, 4)
        for name in ("overload", "refusals"):
            (Path(scratch) / name).mkdir()
        sections = measure(Path(scratch) / "overload", pictures, selfie, arguments.seconds)
        sections.append(measure_refusals(Path(scratch) / "refusals", pictures))
    report.write("overload.md", "python -m benchmarks.overload", described, sections)


if __name__ == "__main__":
    main()
