"""Labels: which pairs of images show one person, whom an image shows, and everybody an image shows."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.evaluation.accuracy import FOLDS

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})
"""Of images in an album's folders."""

_PAIR_COLUMNS: Final = ("file_a", "file_b", "same")


class LabelsUnusable(Exception):
    """A list or an album is not as it should be; the text says where and what was expected."""


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two images, whether they show one person, the fold that the pair belongs to, and the groups of both faces.

    A group is whatever the labels tell apart, such as an event; it is empty where they do not say.
    """

    left: Path
    right: Path
    same: bool
    fold: int
    left_group: str = ""
    right_group: str = ""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """An image, whom it shows and the group that the face belongs to; as in ``LabelledPair``."""

    file: Path
    person: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image of an event, and everybody it is known to show: nobody, one or several."""

    file: Path
    people: frozenset[str]


def read_pairs(listed: Path, images: Path) -> list[LabelledPair]:
    """Reads a list of pairs: a CSV file with the columns file_a, file_b and same, or LFW's pairs.txt.

    A CSV file may also have the columns group_a and group_b.

    Args:
        listed: the list.
        images: folder that a CSV's files are relative to, or that holds LFW's folders, one per person.

    Raises:
        LabelsUnusable: a line is not as it should be, or there is none.
        OSError: the list cannot be read.
    """
    lines = _lines(listed)
    if lines[0].startswith(_PAIR_COLUMNS[0]):
        return _read_csv_pairs(listed, lines, images)
    return _read_lfw_pairs(listed, lines, images)


def read_album(source: Path) -> list[LabelledPicture]:
    """Reads an album: a folder with a folder of images per person, or a CSV file of images and people.

    A CSV file has a header; the first column is the image, relative to the file, the second the person. Of further
    ones only one that is called group matters. Rows without a person are passed over; ``unlabelled`` has them.

    Raises:
        LabelsUnusable: there is no labelled image, or one is labelled twice.
        OSError: the source cannot be read.
    """
    if source.is_dir():
        pictures = [
            LabelledPicture(file, folder.name)
            for folder in sorted(source.iterdir())
            if folder.is_dir()
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in SUFFIXES
        ]
    else:
        header, *rows = csv.reader(_lines(source))
        group = header.index("group") if "group" in header else len(header)
        pictures = [
            LabelledPicture(source.parent / row[0], row[1], "".join(row[group : group + 1]))
            for row in rows
            if len(row) > 1 and row[1]
        ]
    if not pictures:
        others = len(unlabelled(source))
        raise LabelsUnusable(
            f"{source} labels no image{f', though it has {others:,}' if others else ''}: "
            f"expected a folder per person with {', '.join(sorted(SUFFIXES))} files, "
            "or a CSV file with a header and the columns file and person"
        )
    file, times = Counter(picture.file for picture in pictures).most_common(1)[0]
    if times > 1:
        raise LabelsUnusable(f"{source} labels {file} {times} times: an image shows one person here")
    return pictures


def unlabelled(source: Path) -> list[Path]:
    """Returns the images of an album of which ``read_album`` learns nobody's name.

    In a folder: those beside the folders of people, or deeper than in one of them. In a CSV file: rows without a
    person.
    """
    if source.is_dir():
        files = (each for each in source.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        return sorted(file for file in files if file.parent.parent != source)
    return [source.parent / row[0] for row in list(csv.reader(_lines(source)))[1:] if row and not "".join(row[1:2])]


def read_event(source: Path) -> list[LabelledImage]:
    """Reads images that show any number of people: a folder with folders of images per person, or a CSV file.

    An image that is copied into the folders of several people shows all of them; one beside the folders shows nobody
    that is known. A CSV file has a header; the first column is the image, relative to the file, the second a person or
    nothing, and an image with several people has several rows.

    Raises:
        LabelsUnusable: nobody is labelled.
        OSError: the source cannot be read.
    """
    people: dict[Path, set[str]] = defaultdict(set)
    if source.is_dir():
        first_of: dict[bytes, Path] = {}
        for file in sorted(each for each in source.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file()):
            kept = first_of.setdefault(hashlib.sha256(file.read_bytes()).digest(), file)
            folder = file.relative_to(source).parts[0]
            people[kept] |= {folder} - {file.name}
    else:
        for row in list(csv.reader(_lines(source)))[1:]:
            people[source.parent / row[0]] |= set(filter(None, row[1:2]))
    if not any(people.values()):
        raise LabelsUnusable(
            f"{source} labels nobody: expected a folder per person with {', '.join(sorted(SUFFIXES))} files, or a CSV "
            "file with a header and the columns file and person"
        )
    return [LabelledImage(file, frozenset(shown)) for file, shown in people.items()]


def read_events(folder: Path) -> list[tuple[Path, int]]:
    """Returns the images below a folder that nobody has labelled, each with the number of its event.

    A folder in the folder is an event; what lies beside them is one more.

    Raises:
        LabelsUnusable: there is no image.
    """
    files = sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES)
    if not files:
        raise LabelsUnusable(f"{folder} has no {', '.join(sorted(SUFFIXES))} files")
    event_of = [file.relative_to(folder).parts[0] if file.parent != folder else "" for file in files]
    numbers = {event: number for number, event in enumerate(dict.fromkeys(event_of))}
    return [(file, numbers[event]) for file, event in zip(files, event_of, strict=True)]


def _lines(file: Path) -> list[str]:
    try:
        lines = [line for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise LabelsUnusable(f"{file} is no text: {error}") from error
    if not lines:
        raise LabelsUnusable(f"{file} is empty")
    return lines


def _read_csv_pairs(listed: Path, lines: Sequence[str], images: Path) -> list[LabelledPair]:
    """Reads pairs without folds; each kind is dealt out to the folds in turn."""
    reader = csv.DictReader(lines)
    missing = set(_PAIR_COLUMNS) - set(reader.fieldnames or ())
    if missing:
        raise LabelsUnusable(f"{listed} lacks the column {', '.join(sorted(missing))}")
    pairs: list[LabelledPair] = []
    dealt = {"1": 0, "0": 0}
    for number, row in enumerate(reader, start=2):
        same = row["same"]
        if same not in dealt or not row["file_a"] or not row["file_b"]:
            raise LabelsUnusable(f"{listed}, line {number}: expected two files and 1 or 0")
        left, right = images / row["file_a"], images / row["file_b"]
        groups = (row.get("group_a") or "", row.get("group_b") or "")
        pairs.append(LabelledPair(left, right, same == "1", dealt[same] % FOLDS, *groups))
        dealt[same] += 1
    if not pairs:
        raise LabelsUnusable(f"{listed} lists no pair")
    return pairs


def _read_lfw_pairs(listed: Path, lines: Sequence[str], images: Path) -> list[LabelledPair]:
    """Reads LFW's format: folds and pairs per kind; then per fold pairs of one person, and as many of strangers."""
    counts = lines[0].split()
    if len(counts) != 2 or not all(count.isdecimal() for count in counts):  # noqa: PLR2004 - the two numbers
        raise LabelsUnusable(
            f"{listed}, line 1: expected the header {','.join(_PAIR_COLUMNS)}, or as in LFW's pairs.txt the number of "
            "folds and of pairs of each kind in a fold"
        )
    folds, per_kind = (int(count) for count in counts)
    if len(lines) != 1 + 2 * folds * per_kind or not per_kind:
        raise LabelsUnusable(f"{listed} has {len(lines) - 1} pairs where its first line says {2 * folds * per_kind}")
    return [
        _lfw_pair(f"{listed}, line {number + 2}", line.split(), images, fold=number // (2 * per_kind))
        for number, line in enumerate(lines[1:])
    ]


def _lfw_pair(where: str, words: Sequence[str], images: Path, *, fold: int) -> LabelledPair:
    match words:
        case [person, left, right] if left.isdecimal() and right.isdecimal():
            return LabelledPair(_lfw_file(images, person, left), _lfw_file(images, person, right), same=True, fold=fold)
        case [one, left, other, right] if left.isdecimal() and right.isdecimal():
            return LabelledPair(_lfw_file(images, one, left), _lfw_file(images, other, right), same=False, fold=fold)
    raise LabelsUnusable(f"{where}: expected a name and two numbers, or twice a name and a number")


def _lfw_file(images: Path, person: str, number: str) -> Path:
    return images / person / f"{person}_{int(number):04}.jpg"


def number_people(people: Iterable[str]) -> NDArray[np.intp]:
    """Returns (n,) numbers, equal where the people are."""
    return np.unique(np.array(list(people)), return_inverse=True)[1].astype(np.intp)
