"""What has become of an album's pictures, remembered for the next run: changes when more of it is remembered.

JSON lines: what was asked for, then a line for each picture that is indexed, written as soon as that is known. A run
that was cut off goes on from there. A journal of another collection, be it an earlier one of the same name, or of other
wishes, says nothing about this one and is begun again.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal, Self

from rekognition_emulator.cli.pictures import Picture


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of a picture.

    Attributes:
        sha256: of its content; None where it was not read here.
        faces: stored in the collection.
        unindexed: reason → faces that were found and not stored for it.
        error: why it failed, or was left out.
    """

    path: str
    external_image_id: str
    size_bytes: int
    stamp: str
    status: Literal["indexed", "failed", "skipped"]
    sha256: str | None = None
    faces: int = 0
    unindexed: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


class Journal:
    """Pictures that are indexed, in a file; to be used as a context manager, by one thread."""

    def __init__(self, path: Path, wishes: Mapping[str, object]) -> None:
        """Reads what there is.

        Args:
            path: of the file.
            wishes: which collection this is and what is asked for; whatever it is, it must be the same again.

        Raises:
            OSError: it cannot be read, or is something else.
        """
        self._path = path
        self._head = json.dumps({"journal": 1, **wishes})
        self._known = self._read()
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Begins the file anew with all that is known, since the last line may be half a one."""
        unfinished = self._path.with_name(f"{self._path.name}.unfinished")
        with unfinished.open("w") as file:
            file.writelines(f"{line}\n" for line in [self._head, *map(_line, self._known.values())])
        unfinished.rename(self._path)
        self._file = self._path.open("a")
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        assert self._file
        self._file.close()

    def find(self, picture: Picture) -> Outcome | None:
        """Returns what became of this picture, unless it has changed since."""
        known = self._known.get(picture.path)
        return known if known and (known.size_bytes, known.stamp) == (picture.size_bytes, picture.stamp) else None

    def find_content(self, about: Outcome) -> Outcome | None:
        """Returns what became of this picture if it has the same content as then, whatever its time says."""
        known = self._known.get(about.path)
        return known if known and known.sha256 == about.sha256 else None

    def add(self, outcome: Outcome) -> None:
        """Remembers a picture that is indexed; safe from the end of this process when this returns."""
        assert self._file
        if self._known.get(outcome.path) != outcome:
            self._file.write(f"{_line(outcome)}\n")
            self._file.flush()

    def _read(self) -> dict[str, Outcome]:
        known: dict[str, Outcome] = {}
        head, *lines = self._path.read_text(errors="replace").split("\n") if self._path.exists() else [""]
        if head and not head.startswith('{"journal":'):
            raise FileExistsError(f"{self._path} is no journal, and nothing is overwritten.")
        if head == self._head:
            for line in lines:
                with suppress(ValueError, TypeError):  # cut off, as the last one may be: that picture is sent again
                    outcome = Outcome(**json.loads(line))
                    known[outcome.path] = outcome
        return known


def digest(content: bytes) -> str:
    """Returns the SHA-256 of a picture."""
    return hashlib.sha256(content).hexdigest()


def write_report(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Writes what has become of each picture: CSV if the file is called so, else JSON lines."""
    rows = [
        {name: value for name, value in asdict(outcome).items() if name not in {"stamp", "sha256"}}
        for outcome in outcomes
    ]
    with path.open("w", newline="") as file:
        if path.suffix.lower() == ".csv":
            writer = csv.DictWriter(file, [name for name in Outcome.__slots__ if name not in {"stamp", "sha256"}])
            writer.writeheader()
            reasons = (" ".join(f"{why}:{count}" for why, count in row["unindexed"].items()) for row in rows)
            writer.writerows({**row, "unindexed": told} for row, told in zip(rows, reasons, strict=True))
        else:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)


def _line(outcome: Outcome) -> str:
    return json.dumps(asdict(outcome))
