"""Accuracy as LFW defines it: ten folds, each judged by the threshold of the others."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FOLDS: Final = 10
"""Source: LFW, "View 2"."""

PAIRS_PER_FOLD_MAX: Final = 300
"""Of one person, and as many of strangers. Source: LFW, as above."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of pairs that are rightly told to be of one person or of two, 0…1, over folds.

    Attributes:
        mean: over the folds.
        standard_error: of that mean.
        pairs: judged.
    """

    mean: float
    standard_error: float
    pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """Pairs of rows, with what is known of each.

    Attributes:
        left: (pairs,) rows.
        right: (pairs,) rows.
        same: (pairs,) bool, whether both show one person.
        folds: (pairs,) number of the fold.
    """

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    same: NDArray[np.bool_]
    folds: NDArray[np.intp]


def best_threshold(cosines: NDArray[np.float32], same: NDArray[np.bool_]) -> np.float64:
    """Returns a threshold at which most pairs are told apart rightly, half way between the two cosines that it divides.

    Args:
        cosines: (n,) float32, at least one.
        same: (n,) bool.
    """
    order = np.argsort(-cosines, kind="stable")
    descending = cosines[order]
    # Right are the pairs of one person that pass and those of strangers that do not: each that passes moves the sum.
    right = np.cumsum(np.where(same[order], 1, -1))
    right[:-1][descending[:-1] == descending[1:]] = -len(cosines) - 1  # equal cosines pass together or not at all
    best = int(right.argmax())
    if right[best] <= 0:
        return np.float64(2.0)  # it is best that none passes
    below = descending[best + 1] if best + 1 < len(descending) else -1.0
    return (np.float64(descending[best]) + np.float64(below)) / 2


def measure_accuracy(cosines: NDArray[np.float32], same: NDArray[np.bool_], folds: NDArray[np.intp]) -> Accuracy | None:
    """Returns the accuracy, or None unless ten folds have pairs of both kinds."""
    kinds = {(int(fold), bool(kind)) for fold, kind in zip(folds, same, strict=True)}
    if len(kinds) < 2 * FOLDS:
        return None
    shares = []
    for fold in np.unique(folds):
        tested = folds == fold
        threshold = best_threshold(cosines[~tested], same[~tested])
        shares.append(((cosines[tested] >= threshold) == same[tested]).mean())
    return Accuracy(float(np.mean(shares)), float(np.std(shares, ddof=1) / np.sqrt(len(shares))), len(cosines))


def draw_pairs(people: NDArray[np.intp], seed: int = 0) -> PairList:
    """Draws LFW's kind of pairs from an album: no person is in two folds, and both kinds are equally many.

    Args:
        people: (n,) whom each row shows.
        seed: draws the same pairs everywhere.
    """
    random = np.random.default_rng(seed)
    pictures = defaultdict(list)
    for row, person in enumerate(people.tolist()):
        pictures[person].append(row)
    shuffled = [sorted(pictures)[place] for place in random.permutation(len(pictures))]
    # Those who have a second image first, so that they are spread over the folds evenly.
    shuffled.sort(key=lambda person: len(pictures[person]) < 2)  # noqa: PLR2004 - a pair is two
    drawn = []
    for fold in range(FOLDS):
        members = [np.array(pictures[person]) for person in shuffled[fold::FOLDS]]
        same = _draw(random, np.concatenate([_all_pairs(rows) for rows in members])) if members else _NO_PAIRS
        strangers = _draw_strangers(random, people, np.concatenate(members), len(same)) if members else _NO_PAIRS
        drawn += [(same, True, fold), (strangers, False, fold)]
    rows = np.concatenate([pairs for pairs, _, _ in drawn])
    return PairList(
        rows[:, 0],
        rows[:, 1],
        np.concatenate([np.full(len(pairs), same) for pairs, same, _ in drawn]),
        np.concatenate([np.full(len(pairs), fold) for pairs, _, fold in drawn]),
    )


_NO_PAIRS: Final = np.empty((0, 2), np.intp)


def _all_pairs(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    first, second = np.triu_indices(len(rows), 1)
    return np.stack([rows[first], rows[second]], axis=1)


def _draw(random: np.random.Generator, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    return pairs[random.permutation(len(pairs))[:PAIRS_PER_FOLD_MAX]]


def _draw_strangers(
    random: np.random.Generator, people: NDArray[np.intp], rows: NDArray[np.intp], count: int
) -> NDArray[np.intp]:
    """Draws different pairs of strangers; fewer where there are hardly any."""
    candidates = np.sort(rows[random.integers(0, len(rows), (20 * count, 2))], axis=1)
    strangers = np.unique(candidates[people[candidates[:, 0]] != people[candidates[:, 1]]], axis=0)
    return strangers[random.permutation(len(strangers))[:count]]
