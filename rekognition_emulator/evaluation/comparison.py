"""Changes when other faces are compared with each other: listed pairs, or all pictures of an album."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.evaluation.scores import Scores

COSINES_AT_ONCE: Final = 2**21
"""Of a block of the matrix of all cosines: with masks and bins some 60 MB. Ours: larger blocks are no faster."""

NEAREST_STRANGERS: Final = 10
"""Pairs worth a look: where an album's labels are wrong, they are among these."""


@dataclass(frozen=True, slots=True, eq=False)
class AlbumComparison:
    """Every picture of an album compared with every other.

    Attributes:
        scores: of all pairs, each once.
        best_mates: (n,) float32, highest cosine of each picture with another of the same person; −inf without one.
        best_strangers: (n,) float32, likewise with one of somebody else.
        nearest_strangers: the nearest pairs of strangers as (cosine, picture, picture), nearest first.
    """

    scores: Scores
    best_mates: NDArray[np.float32]
    best_strangers: NDArray[np.float32]
    nearest_strangers: list[tuple[float, int, int]]


def compare_pairs(
    embeddings: NDArray[np.float32], left: NDArray[np.intp], right: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Compares listed pairs.

    Args:
        embeddings: (n, dimension) float32, rows of unit length.
        left: (pairs,) rows.
        right: (pairs,) the rows that they are compared with.

    Returns:
        (pairs,) float32 cosines.
    """
    cosines = np.empty(len(left), np.float32)
    step = max(COSINES_AT_ONCE // embeddings.shape[1], 1)
    for start in range(0, len(left), step):
        some = slice(start, start + step)
        np.einsum("ij,ij->i", embeddings[left[some]], embeddings[right[some]], out=cosines[some])
    return cosines


def compare_album(
    embeddings: NDArray[np.float32],
    people: NDArray[np.intp],
    *,
    rows_at_once: int | None = None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> AlbumComparison:
    """Compares every picture with every other, in blocks of rows.

    Args:
        embeddings: (n, dimension) float32, rows of unit length.
        people: (n,) whom each row shows.
        rows_at_once: of a block; by default as many as keep memory bounded.
        on_rows: told after each block how many rows it had.
    """
    count = len(embeddings)
    scores = Scores()
    best_mates, best_strangers = np.full((2, count), -np.inf, np.float32)
    nearest: list[tuple[float, int, int]] = []
    step = rows_at_once or max(COSINES_AT_ONCE // max(count, 1), 1)
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        cosines = embeddings[rows] @ embeddings.T
        same = people[rows][:, None] == people
        cosines[np.arange(len(rows)), rows] = -np.inf  # nobody is their own mate
        best_mates[rows] = np.where(same, cosines, -np.inf).max(axis=1)
        best_strangers[rows] = np.where(same, -np.inf, cosines).max(axis=1)
        once = np.arange(count) > rows[:, None]
        scores.add(cosines[once], same[once])
        nearest = heapq.nlargest(NEAREST_STRANGERS, nearest + _nearest(cosines, once & ~same, start))
        on_rows(len(rows))
    return AlbumComparison(scores, best_mates, best_strangers, nearest)


def _nearest(cosines: NDArray[np.float32], wanted: NDArray[np.bool_], first_row: int) -> list[tuple[float, int, int]]:
    """Returns the nearest of the wanted pairs of one block."""
    flat = np.where(wanted, cosines, -np.inf).ravel()
    kept = min(NEAREST_STRANGERS, flat.size)
    places = np.argpartition(flat, -kept)[-kept:]
    rows, columns = np.unravel_index(places[np.isfinite(flat[places])], cosines.shape)
    return [
        (float(cosines[row, column]), first_row + int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
    ]
