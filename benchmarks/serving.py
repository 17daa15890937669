"""How many pictures a second a running server indexes."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.report import Section, plot_bars
from benchmarks.server_load import Load, running

CLIENTS: Final = (1, 4, 16, 64)
WARM_UP_SECONDS: Final = 3
SECONDS: Final = 20


def measure(data_dir: Path, album: Sequence[bytes]) -> Section:
    """Starts a server and loads it with more and more clients."""
    rows, rates = [], {}
    with running(data_dir, album) as (server, start_seconds):
        server.index(max(CLIENTS[:2]), _until(WARM_UP_SECONDS))
        for clients in CLIENTS:
            load = server.index(clients, _until(SECONDS))
            rows.append([str(clients), *_row(load)])
            rates[f"{clients} clients"] = {"pictures/s": len(load.latencies) / load.seconds}
    return Section(
        "A running server",
        f"IndexFaces of the album's photographs ({len(album)}, under ever new names), {SECONDS} s for each number of "
        "clients. Milliseconds from the first byte sent to the last byte received. Busy: share of all cores that the "
        "server and its PostgreSQL took, and, apart from that, the clients, which are threads that send bodies made "
        "beforehand.",
        ["clients", "pictures/s", "p50", "p95", "p99", "server busy", "PostgreSQL busy", "clients busy", "refused"],
        rows,
        plot_bars("serving.png", "IndexFaces", "pictures a second", rates, stacked=False),
        f"Started anew on a folder that it had used before, the server said after {start_seconds:.2f} s that it was "
        "ready, from the start of Python on.",
    )


def _until(seconds: float) -> Callable[[int], bool]:
    """Returns what says that there is more to do until so many seconds from now."""
    end = time.perf_counter() + seconds
    return lambda _: time.perf_counter() < end


def _row(load: Load) -> list[str]:
    cores = os.cpu_count() or 1
    busy = [f"{each / load.seconds / cores:.0%}" for each in (load.server, load.database, load.clients)]
    p50, p95, p99 = np.percentile(load.latencies, [50, 95, 99]) * 1000
    rate = f"{len(load.latencies) / load.seconds:.1f}"
    return [rate, f"{p50:.0f}", f"{p95:.0f}", f"{p99:.0f}", *busy, str(load.refused)]
