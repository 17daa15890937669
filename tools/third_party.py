"""The notices of what is not ours, as THIRD_PARTY.md has them: weights of the catalogue, and locked packages.

``python -m tools.third_party`` writes the file from the catalogue, requirements.lock and what the installed packages
say of themselves; ``--check`` fails if it would change.
"""

import argparse
import re
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path
from typing import Final

from rekognition_emulator.models.catalogue import MODELS

ROOT: Final = Path(__file__).parents[1]
NOTICES: Final = ROOT / "THIRD_PARTY.md"

HEAD: Final = """\
# What is not ours

Our own code is under the [Apache License 2.0](LICENSE). What it is run with has licences of its own. Written by
`python -m tools.third_party` from the catalogue of models, `requirements.lock`, and what each package says of itself.

## Weights

None are part of this repository. Those in a package are installed with it; `models pull` fetches others from their
publishers. Where a licence forbids commercial use or is not stated, an operator accepts it by name before anything is
fetched or loaded.
"""


def weights() -> Iterator[str]:
    """Yields a row for each model of the catalogue, with the licence in its publisher's words."""
    yield "| model | licence | from | with the installation |"
    yield "|---|---|---|---|"
    for model in MODELS:
        yield f"| {model.name} | {model.licence} | {model.source} | {'yes' if model.package else 'no'} |"


def packages(lock: str) -> Iterator[str]:
    """Yields a row for each package of a lock file.

    Raises:
        PackageNotFoundError: one is not installed.
    """
    yield "| package | version | licence |"
    yield "|---|---|---|"
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", lock, re.MULTILINE):
        yield f"| {name} | {version} | {licence(metadata(name))} |"


def licence(package: PackageMetadata) -> str:
    """Returns a package's licence as its metadata name it: the SPDX expression, the classifiers, or the old field."""
    if "License-Expression" in package:
        return package["License-Expression"]
    classifiers = [name.rpartition(" :: ")[2] for name in package.get_all("Classifier", []) if "License ::" in name]
    if classifiers:
        return ", ".join(classifiers)
    return package["License"].partition("\n")[0] if "License" in package else "not stated"


def notices() -> str:
    """Returns the whole file."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return "\n".join([HEAD, *weights(), "", "## Packages", "", *packages(lock), ""])


def main() -> None:
    """Writes the file, or with ``--check`` exits with 1 if it would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if the file would change")
    if not parser.parse_args().check:
        NOTICES.write_text(notices(), encoding="utf-8")
    elif NOTICES.read_text(encoding="utf-8") != notices():
        raise SystemExit(f"{NOTICES.name} is behind the catalogue or the lock file: make generate")


if __name__ == "__main__":
    main()
