"""Logistic heads on embeddings, fitted on labelled faces: whether a face has glasses, a beard, a mask.

Each is judged on faces that it was not fitted on: five times a fifth of the pictures is left out, never a part of one.
"""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.evaluation.labels import LabelsUnusable

FOLDS: Final = 5

FACES_MIN: Final = 20
"""Faces of either kind that a head is fitted on. Ours: with fewer, what is measured on a fifth of them is chance."""

PENALTIES: Final = (0.03, 0.1, 0.3, 1.0, 3.0)
"""On the square of the weights; the one under which the left-out faces are likeliest is taken. Ours: embeddings have
unit length, so that a head that is sure has weights of length 10 or so."""

STEPS_MAX: Final = 50

FORMER_NAMES: Final = {"face_occluded": "occluded"}
"""What columns were called before they were called as in the API."""

_YES: Final = frozenset(("1", "yes", "true", "y"))
_NO: Final = frozenset(("0", "no", "false", "n"))
_BOX: Final = ("left", "top", "width", "height")


@dataclass(frozen=True, slots=True)
class LabelledFace:
    """A face of a picture, and what it has.

    Attributes:
        file: the picture.
        box: where the face is, in ratios of the upright picture; None for the largest face.
        labels: name of an attribute → whether it is so; without a name about which nothing is known.
    """

    file: Path
    box: BoundingBox | None
    labels: Mapping[str, bool]


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A head, and how it did on faces that it was not fitted on.

    Attributes:
        weights: (dimension,) float64.
        bias: with the weights it gives the log odds of a yes.
        faces: that it was fitted on.
        positive: of these, for which the answer is yes.
        accuracy: share of right answers about faces left out, 0…1.
        auc: how often a left-out face with it scores higher than one without, 0…1.
    """

    weights: NDArray[np.float64]
    bias: float
    faces: int
    positive: int
    accuracy: float
    auc: float


def read_labelled_faces(listed: Path, images: Path, names: Collection[str]) -> list[LabelledFace]:
    """Reads a CSV file of faces: the column ``file``, those of the attributes, and where they are known those of a box.

    Args:
        listed: the file. A label is yes, no, true, false, 1 or 0, or empty where nothing is known; a row without any is
            passed over, as are other columns.
        images: the folder that files are relative to.
        names: of the columns of attributes; each may be missing, or have its former name.

    Raises:
        LabelsUnusable: a row is not as it should be, or no face is labelled.
        OSError: the file cannot be read.
    """
    try:
        rows = list(csv.DictReader(listed.read_text("utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsUnusable(f"{listed} is no CSV file: {error}") from error
    faces = [
        face for number, row in enumerate(rows, 2) if (face := _face(f"{listed}, line {number}", row, images, names))
    ]
    if not faces:
        raise LabelsUnusable(
            f"{listed} labels no face: expected a header with file, and at least one of {', '.join(names)}"
        )
    return faces


def _face(where: str, row: Mapping[str, str | None], images: Path, names: Collection[str]) -> LabelledFace | None:
    labels = {name: _is_so(where, name, text) for name in names if (text := _text(row, name))}
    if not labels:
        return None
    if not row.get("file"):
        raise LabelsUnusable(f"{where}: expected a file")
    sides = [(row.get(side) or "").strip() for side in _BOX]
    try:
        box = BoundingBox(*map(float, sides)) if any(sides) else None
    except ValueError as error:
        raise LabelsUnusable(f"{where}: expected {', '.join(_BOX)} as numbers, or none of them") from error
    return LabelledFace(images / str(row["file"]), box, labels)


def _text(row: Mapping[str, str | None], name: str) -> str:
    return (row.get(name) or row.get(FORMER_NAMES.get(name, "")) or "").strip()


def _is_so(where: str, name: str, text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise LabelsUnusable(f"{where}: expected yes or no for {name}, or nothing, not {text!r}")
    return text.lower() in _YES


def fit_head(embeddings: NDArray[np.float32], labels: NDArray[np.bool_], pictures: NDArray[np.intp]) -> FittedHead:
    """Fits a head and measures it.

    Args:
        embeddings: (n, dimension), rows of unit length.
        labels: (n,) whether it is so; at least ``FACES_MIN`` of either kind, in ``FOLDS`` pictures or more.
        pictures: (n,) which picture each face is in.
    """
    faces = embeddings.astype(np.float64)
    fold_of = _folds(pictures)
    odds = {penalty: _left_out(faces, labels, fold_of, penalty) for penalty in PENALTIES}
    best = min(PENALTIES, key=lambda penalty: _surprise(odds[penalty], labels))
    weights, bias = _fit(faces, labels, best)
    return FittedHead(
        weights,
        bias,
        faces=len(labels),
        positive=int(labels.sum()),
        accuracy=float(((odds[best] >= 0) == labels).mean()),
        auc=_auc(odds[best][labels], odds[best][~labels]),
    )


def enough(labels: NDArray[np.bool_], pictures: NDArray[np.intp]) -> bool:
    """Returns whether a head can be fitted on these labels."""
    kinds = (labels.sum(), (~labels).sum())
    return bool(min(kinds) >= FACES_MIN and len(np.unique(pictures)) >= FOLDS)


def columns(faces: Sequence[LabelledFace], name: str) -> Iterator[tuple[int, bool]]:
    """Yields the places of the faces about which something is known, and what."""
    return ((place, face.labels[name]) for place, face in enumerate(faces) if name in face.labels)


def _folds(pictures: NDArray[np.intp]) -> NDArray[np.intp]:
    """Deals pictures out to folds, by chance and each time alike."""
    unique, place = np.unique(pictures, return_inverse=True)
    return np.asarray(np.random.default_rng(0).permutation(len(unique))[place] % FOLDS, np.intp)


def _left_out(
    faces: NDArray[np.float64], labels: NDArray[np.bool_], fold_of: NDArray[np.intp], penalty: float
) -> NDArray[np.float64]:
    """Returns the log odds of each face, by the head that was fitted without its fold."""
    odds = np.zeros(len(faces))
    for fold in range(FOLDS):
        others = fold_of != fold
        weights, bias = _fit(faces[others], labels[others], penalty)
        odds[~others] = faces[~others] @ weights + bias
    return odds


def _fit(faces: NDArray[np.float64], labels: NDArray[np.bool_], penalty: float) -> tuple[NDArray[np.float64], float]:
    """Fits weights and bias by Newton's method; the bias is not penalised."""
    inputs = np.column_stack([faces, np.ones(len(faces))])
    ridge = np.diag([*[penalty] * faces.shape[1], 1e-6])
    solution = np.zeros(inputs.shape[1])
    for _ in range(STEPS_MAX):
        probability = 1 / (1 + np.exp(-np.clip(inputs @ solution, -30, 30)))
        gradient = inputs.T @ (probability - labels) + ridge @ solution
        curvature = (inputs.T * (probability * (1 - probability))) @ inputs + ridge
        step = np.linalg.solve(curvature, gradient)
        solution -= step
        if np.abs(step).max() < 1e-6:  # noqa: PLR2004 - of weights of about 1
            break
    return solution[:-1], float(solution[-1])


def _surprise(odds: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Returns the mean of the negative logarithms of the probabilities that were given to what is so."""
    return float(np.logaddexp(0, np.where(labels, -odds, odds)).mean())


def _auc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    above = np.searchsorted(np.sort(negative), positive, side="left")
    not_below = np.searchsorted(np.sort(negative), positive, side="right")
    return float((above + not_below).mean() / 2 / len(negative))
