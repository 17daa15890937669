"""What a run of ``index-album`` says when it ends: a summary for people, and a report with a row for each picture."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from rekognition_emulator.cli.journal import Outcome
from rekognition_emulator.cli.reencoding import foreign_format
from rekognition_emulator.store.files import whole_file

_REPORTED: Final = tuple(name for name in Outcome.__slots__ if name not in {"stamp", "sha256", "face_ids"})


def readable(path: str) -> str:
    r"""Returns a path as it can be shown: bytes that are not UTF-8 as ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def write_report(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Writes what has become of each picture into a private file: CSV if it is called so, else JSON lines."""
    rows = [
        {**{name: getattr(outcome, name) for name in _REPORTED}, "path": readable(outcome.path)} for outcome in outcomes
    ]
    text = io.StringIO(newline="")
    if path.suffix.lower() == ".csv":
        writer = csv.DictWriter(text, _REPORTED)
        writer.writeheader()
        for row in rows:
            reasons = " ".join(f"{why}:{count}" for why, count in row["unindexed"].items())
            writer.writerow({**row, "unindexed": reasons, "stale": " ".join(row["stale"])})
    else:
        text.writelines(f"{json.dumps(row)}\n" for row in rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def summary(collection: str, outcomes: Collection[Outcome]) -> Iterator[str]:
    """Yields lines: how many pictures came to what, and, where there is such, what else somebody should know."""
    counts = Counter(outcome.status for outcome in outcomes)
    indexed = [outcome for outcome in outcomes if outcome.status == "indexed"]
    faces, unindexed = sum(each.faces for each in indexed), sum(sum(each.unindexed.values()) for each in indexed)
    yield (
        f"{collection}: {len(indexed):,} pictures indexed, with {faces:,} faces and {unindexed:,} that were left out; "
        f"{counts['failed']:,} failed; {counts['skipped']:,} other files."
    )
    altered = Counter(outcome.altered for outcome in indexed)
    if altered["shrunk"]:
        yield f"{altered['shrunk']:,} were re-encoded to fit."
    if altered["converted"]:
        yield f"{altered['converted']:,} were converted to JPEG."
    foreign = Counter(foreign_format(outcome.path) for outcome in outcomes if outcome.status == "skipped")
    for kind in sorted(foreign.keys() - {None}, key=str):
        yield f"{foreign[kind]:,} of the other files are {kind}: --convert sends them as JPEGs."
    if removed := sum(outcome.removed for outcome in outcomes):
        yield f"{removed:,} faces of pictures that have changed or gone are removed."
    if vanished := counts["vanished"]:
        yield f"{vanished:,} pictures are no longer in the album, and their faces are in the collection: see --prune."
    if stale := sum(len(outcome.stale) for outcome in outcomes):
        yield f"{stale:,} faces stay that should not."
