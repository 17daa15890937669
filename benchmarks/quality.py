"""Measures what is found and who is recognised, and writes the page: ``make quality``."""

import argparse
import tempfile
from pathlib import Path

from benchmarks import accuracy, detection, report
from benchmarks.photographs import add_folder, add_weights


def main() -> None:
    """Measures detection first: DeepFace, once it is there, stays in memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_folder(parser)
    add_weights(parser)
    arguments = parser.parse_args()
    folder, models = arguments.folder, arguments.models
    described = report.machine()
    with tempfile.TemporaryDirectory() as scratch:
        sections = [detection.measure(Path(scratch), folder, models), *accuracy.measure(Path(scratch), folder, models)]
    report.write("quality.md", "make quality", described, sections)


if __name__ == "__main__":
    main()
