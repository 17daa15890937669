"""Runs the benches of engine and server and writes their page: ``make bench``."""

import argparse
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import memory, paths, peers, report, serving
from benchmarks.photographs import add_folder, album, composed
from rekognition_emulator.inference.selection import ModelFiles, load_engine

MEMORY_PICTURES: Final = 1_000


def main() -> None:
    """Runs one after another; the peers last, because TensorFlow stays in memory once it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_folder(parser)
    parser.add_argument("--every", type=int, default=8, help="take every so many-th photograph for the peers' album")
    arguments = parser.parse_args()
    described = report.machine()
    singles, small = composed(arguments.folder), album(arguments.folder, arguments.every)
    large = album(arguments.folder, 4)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        files = ModelFiles(scratch / "networks", scratch / "none", scratch / "none", threads=1)
        sections = [paths.measure(load_engine("dlib", "mtcnn", files), singles)]
        for name in ("serving", "memory"):
            (scratch / name).mkdir()
        sections.append(serving.measure(scratch / "serving", large))
        sections.append(memory.measure(scratch / "memory", [*large, *singles.values()], MEMORY_PICTURES, "memory.png"))
        sections += peers.measure(scratch, small, singles)
    report.write("engine.md", "make bench", described, sections)


if __name__ == "__main__":
    main()
