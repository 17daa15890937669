"""Faces of the folder of photographs that were labelled by eye: ``face_labels.csv``.

A label says what a person sees, in AWS's words; it is empty where the person was not sure. A smile has the corners of
the mouth drawn up, more than a hint; a mouth is open where teeth or its inside can be seen; eyes are open where an iris
can be seen, and hidden behind dark glasses, glare or shadow. Gender is as it appears. ``train-attributes`` reads the
list, too.

One half is to fit rules on, the other to show what they are worth: no photograph is in both, nor a person who is known
to be in several. The labels were written down before any rule was tried; one of those to fit on was emptied since, and
four emotions other than CALM and HAPPY were added to it.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Final

from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.imaging.image import Image, decode

LABELS: Final = Path(__file__).with_name("face_labels.csv")

OVERLAP_MIN: Final = 0.4
"""Of a detection and a labelled box, intersection over union: from here on they are one face."""


class Half(StrEnum):
    """What a labelled face is for."""

    FIT = "fit"
    SHOW = "show"


@dataclass(frozen=True, slots=True)
class LabelledFace:
    """A face and what was seen of it.

    Attributes:
        file: of the photograph, below the folder.
        box: as YuNet finds it.
        half: which half it is in.
        labels: name of the column → label; only those that are not empty.
    """

    file: str
    box: BoundingBox
    half: Half
    labels: Mapping[str, str]


def read_labels() -> list[LabelledFace]:
    """Reads the list, photograph by photograph."""
    with LABELS.open(newline="") as listed:
        return [_labelled(row) for row in csv.DictReader(listed)]


def _labelled(row: dict[str, str]) -> LabelledFace:
    box = BoundingBox(*(float(row.pop(side)) for side in ("left", "top", "width", "height")))
    file, half = row.pop("file"), Half(row.pop("half"))
    return LabelledFace(file, box, half, {name: label for name, label in row.items() if label})


def photographs(folder: Path, half: Half) -> Iterator[tuple[Image, list[LabelledFace]]]:
    """Yields the photographs of a half with their labelled faces."""
    labelled = [face for face in read_labels() if face.half is half]
    for file, faces in groupby(labelled, lambda face: face.file):
        yield decode((folder / file).read_bytes()), list(faces)


def found(face: LabelledFace, boxes: Sequence[BoundingBox]) -> int | None:
    """Returns which of the boxes found in its photograph a labelled face is; None where it was not found."""
    nearest = max(range(len(boxes)), key=lambda place: boxes[place].overlap(face.box), default=None)
    return None if nearest is None or boxes[nearest].overlap(face.box) < OVERLAP_MIN else nearest
