"""How often impostor and genuine pairs pass a threshold, counted.

The cosines of an album's pairs grow with the square of its images, so they are counted, not kept: in bins so narrow
that only the rounding of 32-bit floats is lost, and in 16 MB whatever the album. Sorting all of them would be exact to
the last bit and take gigabytes for some ten thousand images.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS_PER_UNIT: Final = 2**19
"""Bins have a width of 1.9e-6: twice what the order of a sum of 32-bit floats may change in a cosine. A power of two,
so that which bin a cosine belongs to is exact."""

FALSE_MATCH_RATES: Final = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Where a model is measured; the last three are what similarities of 80, 90 and 99 mean."""

FALSE_MATCHES_MIN: Final = 10
"""Stranger pairs that must pass before their share counts as measured. Ours: the standard error of a share counted on
fewer is more than a third of it."""

ROC_POINTS_PER_DECADE: Final = 20
"""Enough for a smooth curve on a logarithmic axis."""

_BINS: Final = 2 * BINS_PER_UNIT + 1


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what passes it.

    Attributes:
        false_match_rate: share of stranger pairs that pass, as it was asked for; what passes is never more.
        cosine: the least that passes; None where too few pairs were seen to tell.
        true_match_rate: share of pairs of one person that pass; None likewise, or where there is no such pair.
        pairs_needed: of strangers, to tell.
    """

    false_match_rate: float
    cosine: float | None
    true_match_rate: float | None
    pairs_needed: int


def _no_pairs() -> NDArray[np.int64]:
    return np.zeros(_BINS, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The cosines of many pairs, counted.

    Attributes:
        same: (2 · BINS_PER_UNIT + 1,) int64, pairs of one person by ascending cosine from −1 to 1.
        strangers: likewise, pairs of two.
    """

    same: NDArray[np.int64] = field(default_factory=_no_pairs)
    strangers: NDArray[np.int64] = field(default_factory=_no_pairs)

    def add(self, same: NDArray[np.float32], strangers: NDArray[np.float32]) -> None:
        """Counts pairs: (n,) float32 cosines of one person's, (m,) of strangers'."""
        self.same[:] += _count(same)
        self.strangers[:] += _count(strangers)

    @property
    def same_pairs(self) -> int:
        """How many pairs of one person were counted."""
        return int(self.same.sum())

    @property
    def stranger_pairs(self) -> int:
        """How many pairs of two people were counted."""
        return int(self.strangers.sum())

    def passing(self, cosine: float) -> tuple[int, int]:
        """Returns how many pairs of one person and how many of strangers have at least this cosine, to a bin."""
        first = int(_bins(np.array([cosine], np.float32))[0])
        return int(self.same[first:].sum()), int(self.strangers[first:].sum())

    def stranger_cosine_max(self) -> float:
        """Returns a cosine that no pair of strangers reaches, by one bin."""
        return _cosine(int(np.flatnonzero(self.strangers)[-1]) + 1 if self.strangers.any() else 0)

    def operating_point(self, false_match_rate: float) -> OperatingPoint:
        """Returns the lowest threshold that keeps a false match rate, if enough pairs were seen to know it."""
        needed = pairs_needed(false_match_rate)
        if self.stranger_pairs < needed:
            return OperatingPoint(false_match_rate, None, None, needed)
        first = int(self._first_bins(np.array([false_match_rate]))[0])
        true_match_rate = int(self.same[first:].sum()) / self.same_pairs if self.same_pairs else None
        return OperatingPoint(false_match_rate, _cosine(first), true_match_rate, needed)

    def area_under_curve(self) -> float | None:
        """Returns how likely a pair of one person is nearer than one of strangers, ties counted half, if both exist."""
        if not self.same_pairs or not self.stranger_pairs:
            return None
        below = np.cumsum(self.strangers) - self.strangers
        wins = float(np.dot(self.same.astype(float), below + self.strangers / 2))
        return wins / self.same_pairs / self.stranger_pairs

    def roc(self) -> list[tuple[float, float, float]]:
        """Returns points (cosine, false match rate, true match rate) as far as they are measured, by falling rates."""
        if not self.same_pairs or self.stranger_pairs < FALSE_MATCHES_MIN:
            return []
        decades = float(np.log10(self.stranger_pairs / FALSE_MATCHES_MIN))
        asked = np.logspace(0, -decades, round(decades * ROC_POINTS_PER_DECADE) + 2)
        firsts = np.unique(self._first_bins(asked))
        true, false = _at_least(self.same)[firsts], _at_least(self.strangers)[firsts]
        return [
            (_cosine(int(first)), int(wrong) / self.stranger_pairs, int(right) / self.same_pairs)
            for first, wrong, right in zip(firsts, false, true, strict=True)
        ]

    def _first_bins(self, false_match_rates: NDArray[np.float64]) -> NDArray[np.intp]:
        """Returns the lowest bins from which on upwards no more than these shares of the strangers lie."""
        return np.searchsorted(-_at_least(self.strangers), -false_match_rates * self.stranger_pairs, side="left")


def pairs_needed(false_match_rate: float) -> int:
    """Returns how many pairs of strangers it takes to measure a false match rate."""
    return round(FALSE_MATCHES_MIN / false_match_rate)


def _bins(cosines: NDArray[np.float32]) -> NDArray[np.intp]:
    # Scaling by a power of two and rounding down are exact; adding 1 to a small cosine first would not be.
    scaled = cosines * np.float32(BINS_PER_UNIT)
    bins: NDArray[np.intp] = np.floor(scaled, out=scaled).astype(np.intp)
    bins += BINS_PER_UNIT
    np.clip(bins, 0, _BINS - 1, out=bins)
    return bins


def _count(cosines: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.bincount(_bins(cosines), minlength=_BINS)


def _at_least(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns how many lie in each bin or above it, and at the end the 0 that lie above all."""
    return np.append(np.cumsum(counts[::-1])[::-1], 0)


def _cosine(first: int) -> float:
    """Returns the least cosine of a bin."""
    return first / BINS_PER_UNIT - 1
