"""Faces compared with each other: listed pairs, or all images of an album."""

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.evaluation.bands import BandCounter
from rekognition_emulator.evaluation.scores import Scores
from rekognition_emulator.progress import Progress, no_progress

COSINES_AT_ONCE: Final = 2**21
"""Of a block of the matrix of all cosines: with masks and bins some 60 MB, and as many again where pairs are
counted by bands. Ours: larger blocks are no faster."""

NEAREST_STRANGERS: Final = 10
"""Pairs worth a look: where an album's labels are wrong, they are among these."""


@dataclass(frozen=True, slots=True, eq=False)
class AlbumComparison:
    """Every image of an album compared with every other.

    Attributes:
        scores: of all pairs, each once.
        best_mates: (n,) float32, highest cosine of each image with another of the same person; −inf without one.
        best_strangers: (n,) float32, likewise with one of somebody else.
        nearest_strangers: the nearest pairs of strangers as (cosine, image, image), nearest first.
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
    progress: Progress = no_progress,
    counter: BandCounter | None = None,
) -> AlbumComparison:
    """Compares every image with every other, in blocks of rows against those from there on.

    Args:
        embeddings: (n, dimension) float32, rows of unit length.
        people: (n,) whom each row shows.
        rows_at_once: of a block; by default as many as keep memory bounded.
        progress: told after each block how many rows are done; later blocks of as many cosines have more.
        counter: shown every pair, once.
    """
    count = len(embeddings)
    scores = Scores()
    best_mates, best_strangers = np.full((2, count), -np.inf, np.float32)
    nearest: list[tuple[float, int, int]] = []
    start = 0
    while start < count:
        stop = min(start + (rows_at_once or max(COSINES_AT_ONCE // (count - start), 1)), count)
        cosines = embeddings[start:stop] @ embeddings[start:].T
        same = people[start:stop, None] == people[start:]
        once = np.arange(start, count) > np.arange(start, stop)[:, None]
        if counter:
            left, right = np.nonzero(once)
            counter.add(left + start, right + start, cosines[left, right], same[left, right])
        rows, columns = np.nonzero(same & once)
        mates = cosines[rows, columns]
        np.maximum.at(best_mates, rows + start, mates)
        np.maximum.at(best_mates, columns + start, mates)
        strangers = once & ~same
        scores.add(mates, cosines[strangers])
        cosines[~strangers] = -np.inf
        np.maximum(best_strangers[start:], cosines.max(axis=0), out=best_strangers[start:])
        best_of_rows = cosines.max(axis=1)
        np.maximum(best_strangers[start:stop], best_of_rows, out=best_strangers[start:stop])
        nearest = _nearest(nearest, cosines, best_of_rows, start)
        progress(stop, count)
        start = stop
    return AlbumComparison(scores, best_mates, best_strangers, nearest)


def _nearest(
    nearest: list[tuple[float, int, int]], cosines: NDArray[np.float32], best_of_rows: NDArray[np.float32], start: int
) -> list[tuple[float, int, int]]:
    """Returns the nearest strangers so far, after the block whose first row and column is ``start``."""
    beaten = nearest[-1][0] if len(nearest) == NEAREST_STRANGERS else -2.0
    promising = np.flatnonzero(best_of_rows > beaten)
    flat = cosines[promising].ravel()
    kept = min(NEAREST_STRANGERS, flat.size)
    places = np.argpartition(flat, flat.size - kept)[flat.size - kept :] if flat.size else np.empty(0, np.intp)
    rows, columns = np.divmod(places, cosines.shape[1])
    found = zip(flat[places].tolist(), (promising[rows] + start).tolist(), (columns + start).tolist(), strict=True)
    return heapq.nlargest(NEAREST_STRANGERS, nearest + [pair for pair in found if pair[0] > beaten])
