"""Measures what is found and who is recognised, and writes the page: ``make quality``."""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks import accuracy, detection, report


def main() -> None:
    """Measures detection first: DeepFace, once it is there, stays in memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(__file__).parents[2] / "shared"
    parser.add_argument("--folder", type=Path, default=os.environ.get("REKOGNITION_TEST_FACES", shared / "faces"))
    parser.add_argument("--models", type=Path, default=os.environ.get("REKOGNITION_TEST_WEIGHTS", shared / "weights"))
    arguments = parser.parse_args()
    folder, models = Path(arguments.folder), Path(arguments.models)
    described = report.machine()
    with tempfile.TemporaryDirectory() as scratch:
        sections = [detection.measure(Path(scratch), folder, models), *accuracy.measure(Path(scratch), folder, models)]
    report.write("quality.md", "make quality", described, sections)


if __name__ == "__main__":
    main()
