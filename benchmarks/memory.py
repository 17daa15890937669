"""What a server holds in memory while it indexes picture after picture.

    python -m benchmarks.memory [--pictures 10000] [--folder PHOTOGRAPHS]

writes ``results/memory.md``; the page of all benches has a shorter run of the same.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.photographs import add_folder, album, composed
from benchmarks.server_load import running

CLIENTS: Final = 4
POINTS: Final = 20
"""How often the memory is read."""


def measure(data_dir: Path, pictures: Sequence[bytes], count: int, plot: str) -> report.Section:
    """Starts a server, has it index so many pictures and reads its memory on the way."""
    step = max(count // POINTS, 1)
    done, held = [0], list[float]()
    with running(data_dir, pictures) as (server, _):
        held.append(server.resident_mb())
        while done[-1] < count:
            load = server.index(CLIENTS, lambda number: number < step)
            assert not load.refused
            done.append(done[-1] + step)
            held.append(server.resident_mb())
    shown = sorted({0, 1, len(done) // 4, len(done) // 2, len(done) - 1})
    return report.Section(
        "Memory",
        f"Resident megabytes of the server process (PostgreSQL runs beside it) while {CLIENTS} clients index "
        f"{len(pictures)} pictures, up to 24 megapixels, again and again under new names.",
        ["pictures indexed", "MB"],
        [*([str(done[place]), f"{held[place]:.0f}"] for place in shown), ["most at any reading", f"{max(held):.0f}"]],
        report.plot_lines(plot, "Resident memory", ("pictures indexed", "MB"), {"server": (done, held)}),
    )


def main() -> None:
    """Runs this bench alone, for longer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folder(parser)
    parser.add_argument("--pictures", type=int, default=10_000, help="how many are indexed")
    arguments = parser.parse_args()
    described = report.machine()
    pictures = [*album(arguments.folder, 4), *composed(arguments.folder).values()]
    with tempfile.TemporaryDirectory() as scratch:
        section = measure(Path(scratch), pictures, arguments.pictures, "memory_long.png")
    command = f"python -m benchmarks.memory --pictures {arguments.pictures}"
    report.write("memory.md", command, described, [section])


if __name__ == "__main__":
    main()
