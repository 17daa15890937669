"""How well the embedded engine does on real photographs: floors a little below what was measured, for regressions."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Reads a table."""
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def test_faces_are_found_where_they_are_and_nowhere_else(
    embedded: FaceEngine, faces_dir: Path, photograph: Callable[[str], Image]
) -> None:
    """No photograph has fewer faces than a sound detector must find; together they have few too many."""
    missed, extra = [], 0
    for row in rows(faces_dir / "manifest.csv"):
        if row["faces"]:  # those without are broken files
            count = len(embedded.detect(photograph(row["file"])))
            extra += max(count - int(row["faces_max"]), 0)
            if count < int(row["faces_min"]):
                missed.append(row["file"])
    assert not missed
    assert extra <= 10


@pytest.fixture(scope="module")
def pairs(
    embedded: FaceEngine, faces_dir: Path, photograph: Callable[[str], Image]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cosine of the largest faces of each labelled pair, and whether they are of one person."""
    table = list(rows(faces_dir / "pairs.csv"))
    embeddings = {}
    for file in {row[side] for row in table for side in ("file_a", "file_b")}:
        image = photograph(file)
        largest = max(embedded.detect(image), key=lambda face: face.box.area)
        embeddings[file] = embedded.embed(image, [largest])[0]
    cosines = [float(embeddings[row["file_a"]] @ embeddings[row["file_b"]]) for row in table]
    return np.array(cosines), np.array([row["same"] == "1" for row in table])


def test_people_are_told_apart(pairs: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    """A pair of one person is nearer than a pair of two, nearly always."""
    cosines, same = pairs
    area_under_curve = (cosines[same][:, None] > cosines[~same]).mean()
    accuracy = max(((cosines >= threshold) == same).mean() for threshold in cosines)
    assert area_under_curve > 0.995
    assert accuracy > 0.97


def test_no_strangers_pass_at_eighty(
    embedded: FaceEngine, pairs: tuple[NDArray[np.float64], NDArray[np.bool_]]
) -> None:
    """At AWS's default threshold no labelled pair of strangers matches, and most people match themselves."""
    cosines, same = pairs
    matched = np.array([embedded.model.similarity(cosine) >= 80 for cosine in cosines])
    assert not matched[~same].any()
    assert matched[same].mean() > 0.8
