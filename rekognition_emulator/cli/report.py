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
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.storage.files import whole_file

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
    present = [outcome for outcome in outcomes if outcome.is_indexed]
    faces, unindexed = sum(each.faces for each in present), sum(sum(each.unindexed.values()) for each in present)
    yield (
        f"{collection}: {counted(counts['indexed'], 'picture')} indexed, {counts['unchanged']:,} unchanged since an "
        f"earlier run, with {counted(faces, 'face')} and {unindexed:,} left out; {counts['failed']:,} failed; "
        f"{counted(counts['skipped'], 'other file')}."
    )
    altered = Counter(outcome.altered for outcome in outcomes if outcome.status == "indexed")
    if altered["shrunk"]:
        yield f"{counted(altered['shrunk'], 'picture')} re-encoded to fit."
    if altered["converted"]:
        yield f"{counted(altered['converted'], 'picture')} converted to JPEG."
    foreign = Counter(foreign_format(outcome.path) for outcome in outcomes if outcome.status == "skipped")
    for kind in sorted(foreign.keys() - {None}, key=str):
        yield f"{counted(foreign[kind], f'{kind} file')} among the other files: --convert sends them as JPEGs."
    if removed := sum(outcome.removed for outcome in outcomes):
        yield f"{counted(removed, 'face')} removed, of pictures that have changed or gone."
    if vanished := counts["vanished"]:
        yield f"{counted(vanished, 'picture')} no longer in the album: --prune removes the faces that are still stored."
    if stale := sum(len(outcome.stale) for outcome in outcomes):
        yield f"{counted(stale, 'face')} still stored that should not be."
