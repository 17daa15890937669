"""Match rates by kind of face: how often pairs pass whose faces are small, blurred or turned, or belong to one group.

A curve means its similarities over all faces that it was measured on. Whether 80 keeps its promise for small faces as
well shows only if these are counted apart. A pair counts for the worse of its two faces: a sharp selfie that is
compared with a blurred face in the background is a comparison of blurred faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.embedding import FaceModel

SIMILARITIES: Final = (60.0, 80.0, 90.0)
"""Thresholds that shops use, as in ``retrieval``: few albums have the pairs to count what passes at 99."""

GROUP: Final = "group"
"""The measure of bands that labels tell apart."""

TWO_GROUPS: Final = "(two groups)"
"""What stands for the pairs whose faces are of different groups."""

_NORMAL_QUANTILE: Final = 1.959964
"""Of 97.5 %, so that intervals hold 95."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that is known of a face and by which pairs are told apart.

    Attributes:
        name: in documents.
        title: with the unit, for people.
        edges: between the bands, ascending; what equals an edge is above it.
        larger_is_worse: which of two faces is the worse one.
    """

    name: str
    title: str
    edges: tuple[float, ...]
    larger_is_worse: bool = False

    def band_of(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Returns (n,) the number of each value's band, from 0 to ``len(edges)``."""
        return np.searchsorted(self.edges, values, side="right").astype(np.uint8)

    def band_name(self, band: int) -> str:
        """Returns such as "below 20", "20 to 24" or "80 and more"."""
        if band == 0:
            return f"below {self.edges[0]:g}"
        if band == len(self.edges):
            return f"{self.edges[-1]:g} and more"
        return f"{self.edges[band - 1]:g} to {self.edges[band]:g}"


SIDE: Final = Measure("side_px", "smaller side, px", (20, 24, 32, 40, 60, 80))
"""As ``QualityFilter`` measures it, in the image as it was sent. ``AUTO`` asks for 20, ``MEDIUM`` for 40."""

SHARPNESS: Final = Measure("sharpness", "lower sharpness", (5, 15, 30, 50, 70))
"""``AUTO`` asks for 5, ``MEDIUM`` for 30, ``HIGH`` for 50."""

YAW: Final = Measure("yaw_degrees", "larger yaw, °", (15, 30, 45, 60), larger_is_worse=True)
"""Without its sign. ``HIGH`` takes up to 30, ``MEDIUM`` 45, ``AUTO`` 60."""


@dataclass(frozen=True, slots=True, eq=False)
class Covariates:
    """What is known of faces beside whom they show, in the order of their embeddings.

    Attributes:
        side_px: (n,) float32, shorter side of the box.
        sharpness: (n,) float32, 0…100.
        yaw_degrees: (n,) float32, without its sign.
    """

    side_px: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    yaw_degrees: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of pairs that pass, and how far it can be relied on.

    Attributes:
        passing: pairs that pass.
        pairs: all.
        rate: the share, 0…1; None without any pair.
        low: lower end of the 95 % interval (Wilson's score interval, which is sound for rare events and few pairs). It
            takes pairs for independent; those that share a face are not quite, so that the truth may be further off.
        high: its upper end.
    """

    passing: int
    pairs: int
    rate: float | None
    low: float
    high: float

    @classmethod
    def of(cls, passing: int, pairs: int) -> "Rate":
        """Returns the rate; without any pair it may be anything from 0 to 1."""
        if not pairs:
            return cls(0, 0, None, 0.0, 1.0)
        share, spread = passing / pairs, _NORMAL_QUANTILE**2 / pairs
        middle = share + spread / 2
        half = sqrt(spread * (share * (1 - share) + spread / 4))
        low, high = ((middle - half) / (1 + spread), (middle + half) / (1 + spread))
        return cls(passing, pairs, share, max(low, 0.0) if passing else 0.0, high if passing < pairs else 1.0)


@dataclass(frozen=True, slots=True)
class Band:
    """What passes of the pairs of one kind.

    Attributes:
        measure: name of what tells the kinds apart, such as "side_px"; ``GROUP`` where labels do.
        band: such as "20 to 24", or the group's name.
        impostors: share of pairs of two people that pass at each of ``SIMILARITIES``: false matches.
        genuine: likewise of pairs of one person: true matches.
    """

    measure: str
    band: str
    impostors: Sequence[Rate]
    genuine: Sequence[Rate]


class BandCounter:
    """Counts pairs by bands, a portion at a time.

    Args:
        model: with its calibration.
        covariates: of the faces.
        groups: (n,) name of the group that each face belongs to, empty where nobody has said it.
    """

    def __init__(self, model: FaceModel, covariates: Covariates, groups: Sequence[str]) -> None:
        self._cosines = [model.cosine_min(similarity) for similarity in SIMILARITIES]
        values = ((SIDE, covariates.side_px), (SHARPNESS, covariates.sharpness), (YAW, covariates.yaw_degrees))
        self._band_of = {measure: measure.band_of(known) for measure, known in values}
        self._counts = {measure.name: _no_pairs(len(measure.edges) + 1) for measure in self._band_of}
        self._groups = [*sorted({*groups} - {""}), TWO_GROUPS]
        self._group_of = np.array([self._groups.index(group) if group else -1 for group in groups], np.intp)
        self._group_counts = _no_pairs(len(self._groups))

    def add(
        self,
        left: NDArray[np.intp],
        right: NDArray[np.intp],
        cosines: NDArray[np.float32],
        same: NDArray[np.bool_],
    ) -> None:
        """Counts pairs.

        Args:
            left: (pairs,) a face of each.
            right: (pairs,) the other.
            cosines: (pairs,) float32, of the two.
            same: (pairs,) whether they are of one person.
        """
        # How many thresholds a pair passes, and of which kind it is. In bytes, because pairs are many.
        kind = (len(SIMILARITIES) + 1) * same.astype(np.uint8)
        for cosine in self._cosines:
            kind += cosines >= cosine
        for measure, band_of in self._band_of.items():
            worse = (np.maximum if measure.larger_is_worse else np.minimum)(band_of[left], band_of[right])
            _count(self._counts[measure.name], worse, kind)
        if len(self._groups) > 1:
            one, other = self._group_of[left], self._group_of[right]
            known = (one >= 0) & (other >= 0)
            group = np.where(one == other, one, len(self._groups) - 1)
            _count(self._group_counts, group[known], kind[known])

    def bands(self) -> list[Band]:
        """Returns the bands that have pairs."""
        found = []
        for measure in self._band_of:
            names = [measure.band_name(band) for band in range(len(measure.edges) + 1)]
            found += _bands(measure.name, names, self._counts[measure.name])
        return found + _bands(GROUP, self._groups, self._group_counts)


def _no_pairs(bands: int) -> NDArray[np.int64]:
    return np.zeros((bands, 2, len(SIMILARITIES) + 1), np.int64)


def _count(counts: NDArray[np.int64], band: NDArray[np.integer[Any]], kind: NDArray[np.uint8]) -> None:
    """Adds pairs to (bands, 2, thresholds + 1) counts: of impostors and genuine ones, by thresholds passed."""
    kinds = counts.shape[1] * counts.shape[2]
    counts += np.bincount(band * kinds + kind, minlength=counts.size).reshape(counts.shape)


def _bands(measure: str, names: Sequence[str], counts: NDArray[np.int64]) -> list[Band]:
    found = []
    for name, (impostors, genuine) in zip(names, counts.tolist(), strict=True):
        if any(impostors) or any(genuine):
            found.append(Band(measure, name, _rates(impostors), _rates(genuine)))
    return found


def _rates(passed: Sequence[int]) -> list[Rate]:
    """Returns the rate at each threshold from how many pairs pass none, one, two, … of them."""
    return [Rate.of(sum(passed[place + 1 :]), sum(passed)) for place in range(len(SIMILARITIES))]
