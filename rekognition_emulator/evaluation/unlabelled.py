"""Calibration without labels: which cosines impostors reach, from images of which nobody knows whom they show.

Two faces of one image are two people, and so are faces of two events, but for visitors who came to both. Those are set
aside in two steps: a first fit says which cosine hardly any pair of impostors reaches, one face of each pair beyond it
is dropped, and the final fit does not look at the few highest cosines that are left, where remaining repeats hide.

Impostors' highest cosines follow a generalized Pareto distribution (Pickands, 1975; Balkema and de Haan, 1974). Fitted
to the upper 2 % of the pairs it also says what rates they are too few to be counted at.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.evaluation.calibration import SIMILARITIES, CurvePoint, TooFewPairs
from rekognition_emulator.evaluation.scores import FALSE_MATCHES_MIN

TAIL: Final = 0.02
"""Share of the pairs that the distribution is fitted to. Ours: on half of LFW 1 and 4 % give the same within noise."""

UNSEEN: Final = 1e-4
"""Share of the pairs, from the highest down, that the fit does not look at."""

PAIRS_MIN: Final = 1_000
"""Impostor pairs without which there is no curve: fewer than 20 would be left to fit. Ours."""

FACES_MAX: Final = 4_000
"""Faces that are compared, drawn at random from more: 8 million pairs, which measure one false match in a million."""

FIRST_UNSEEN: Final = 2e-3
"""As ``UNSEEN``, for the first fit: repeated visitors are all still there."""

SUSPECTS: Final = 2.0
"""Impostor pairs that the first fit expects beyond the cosine from which on pairs are taken for repeated visitors."""

SHAPE_MEAN, SHAPE_DEVIATION = -0.1, 0.1
"""What is known of the distribution's shape before any pair is seen: cosines end at 1, so it is below 0. Source: fits
to labelled pairs of half of LFW give −0.04 for retail-0095 and −0.14 for dlib."""

_SHAPES: Final = np.linspace(-0.4, 0.2, 61)
_SCALES: Final = np.geomspace(0.4, 2.5, 120)
"""In means of the exceedances."""

_EXCEEDANCES_MAX: Final = 6_000
"""That a fit looks at, evenly spread over all of them: neighbours of so many tell it nothing more."""

_MEDIAN, _CAUTION = 0.5, 0.84
"""Quantiles of the cosines that the fit finds possible for a rate; the latter, a standard deviation above the former,
where pairs are too few to count the rate."""

_SHAPE_LEAST: Final = 1e-6
"""So near to 0 the formulas, which divide by the shape, give the exponential distribution's values."""

_TOO_ALIKE: Final = "No curve: faces that should be of different people are too much alike."


@dataclass(frozen=True, slots=True, eq=False)
class UnlabelledPairs:
    """Pairs of faces that should be impostors.

    Attributes:
        cosines: (pairs,) float32.
        first: (pairs,) number of a face in each pair.
        second: (pairs,) number of the other.
        faces: that there are.
    """

    cosines: NDArray[np.float32]
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    faces: int


@dataclass(frozen=True, slots=True)
class UnlabelledCurve:
    """A curve from unlabelled images.

    Attributes:
        points: as ``calibrate`` gives them; one that is not measured is extrapolated, with caution.
        pairs: of impostors, as far as is known.
        repeated: faces that were set aside as seen before.
    """

    points: list[CurvePoint]
    pairs: int
    repeated: int


def presumed_impostors(
    embeddings: NDArray[np.float32], image_of: NDArray[np.intp], event_of: NDArray[np.intp], seed: int = 0
) -> UnlabelledPairs:
    """Returns the pairs that can be impostors: of one image, or of two events.

    Args:
        embeddings: (faces, dimension) float32, rows of unit length.
        image_of: (faces,) image that each face is in.
        event_of: (faces,) event that the image belongs to.
        seed: draws the same faces everywhere, where there are more than ``FACES_MAX``.
    """
    count = len(embeddings)
    if count > FACES_MAX:
        kept = np.sort(np.random.default_rng(seed).permutation(count)[:FACES_MAX])
        embeddings, image_of, event_of = embeddings[kept], image_of[kept], event_of[kept]
        count = FACES_MAX
    first, second = np.triu_indices(count, 1)
    eligible = (image_of[first] == image_of[second]) | (event_of[first] != event_of[second])
    first, second = first[eligible], second[eligible]
    cosines = (embeddings @ embeddings.T)[first, second]
    return UnlabelledPairs(cosines, first, second, count)


def calibrate_unlabelled(pairs: UnlabelledPairs) -> UnlabelledCurve:
    """Returns a model's curve between its ends (−1, 0) and (1, 100), strictly rising in both.

    Raises:
        TooFewPairs: there are fewer than ``PAIRS_MIN``, or they are so near to one another that no curve comes of it.
    """
    first_fit = _Tail.of(pairs.cosines, FIRST_UNSEEN, np.array([SHAPE_MEAN]))
    suspicious = first_fit.cosine(SUSPECTS / len(pairs.cosines), _MEDIAN)
    repeated = np.zeros(pairs.faces, bool)
    repeated[pairs.second[pairs.cosines >= suspicious]] = True
    cosines = pairs.cosines[~repeated[pairs.first] & ~repeated[pairs.second]]
    tail = _Tail.of(cosines, max(UNSEEN, FALSE_MATCHES_MIN / max(len(cosines), 1)), _SHAPES)
    points: list[CurvePoint] = []
    before, similarity_before = -1.0, 0.0
    for similarity, false_match_rate in SIMILARITIES:
        measured = len(cosines) * false_match_rate >= FALSE_MATCHES_MIN
        if false_match_rate >= TAIL:
            cosine = float(np.quantile(cosines, 1 - false_match_rate))
        else:
            cosine = tail.cosine(false_match_rate, _MEDIAN if measured else _CAUTION)
        if not measured:  # nothing is known beyond the straight line to the curve's end
            cosine = min(cosine, before + (1 - before) * (similarity - similarity_before) / (100 - similarity_before))
        if not before < cosine < 1:
            raise TooFewPairs(_TOO_ALIKE)
        points.append(CurvePoint(cosine, similarity, false_match_rate, measured))
        before, similarity_before = cosine, similarity
    return UnlabelledCurve(points, len(cosines), int(repeated.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """What the fit finds possible of the highest cosines.

    Attributes:
        start: cosine that ``TAIL`` of the pairs exceed.
        shapes: (n,) of the distribution.
        scales: (n,) the likeliest scale for each shape.
        shares: (n,) share of the pairs that exceed the start, of which the highest were not looked at.
        weights: (n,) how likely each shape is; their sum is 1.
    """

    start: float
    shapes: NDArray[np.float64]
    scales: NDArray[np.float64]
    shares: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, cosines: NDArray[np.float32], unseen: float, shapes: NDArray[np.float64]) -> "_Tail":
        """Fits cosines between the upper ``TAIL`` and the upper ``unseen`` of them.

        Raises:
            TooFewPairs: they are fewer than ``PAIRS_MIN``, or the same.
        """
        if len(cosines) < PAIRS_MIN:
            raise TooFewPairs(
                f"No curve: it takes {PAIRS_MIN:,} pairs of faces that are in one image or in two events; here are "
                f"{len(cosines):,}."
            )
        start, end = (float(cosine) for cosine in np.quantile(cosines, (1 - TAIL, 1 - unseen)))
        exceedances = np.sort(cosines[(cosines > start) & (cosines <= end)]).astype(np.float64) - start
        if not len(exceedances):
            raise TooFewPairs(_TOO_ALIKE)
        seen = exceedances[np.linspace(0, len(exceedances) - 1, min(len(exceedances), _EXCEEDANCES_MAX)).astype(int)]
        best = [_likeliest_scale(seen, end - start, shape) for shape in shapes]
        scales = np.array([scale for scale, _ in best])
        likelihoods = np.array([likelihood for _, likelihood in best])
        likelihoods -= (shapes - SHAPE_MEAN) ** 2 / (2 * SHAPE_DEVIATION**2)
        weights = np.exp(likelihoods - likelihoods.max())
        below = 1 - _survival(np.array(end - start), shapes, scales)
        return cls(start, shapes, scales, len(exceedances) / len(cosines) / below, weights / weights.sum())

    def cosine(self, rate: float, quantile: float) -> float:
        """Returns the cosine that this share of the impostors exceeds: a quantile of what is possible."""
        shapes = _nonzero(self.shapes)
        cosines = self.start + self.scales * ((rate / self.shares) ** -shapes - 1) / shapes
        order = np.argsort(cosines)
        place = int(np.searchsorted(np.cumsum(self.weights[order]), quantile))
        return float(cosines[order][min(place, len(order) - 1)])


def _likeliest_scale(exceedances: NDArray[np.float64], end: float, shape: float) -> tuple[float, float]:
    """Returns the scale under which these exceedances, none of them beyond the end, are likeliest, and how likely."""
    scales = exceedances.mean() * _SCALES
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log1p(_nonzero(shape) * exceedances / scales[:, np.newaxis]).sum(axis=1)
        truncated = np.log1p(-_survival(np.array(end), np.full(len(scales), shape), scales))
        likelihoods = -(1 + 1 / _nonzero(shape)) * logs - len(exceedances) * (np.log(scales) + truncated)
    likelihoods[~np.isfinite(likelihoods)] = -np.inf
    best = int(likelihoods.argmax())
    return float(scales[best]), float(likelihoods[best])


def _survival(
    exceedance: NDArray[np.float64], shapes: NDArray[np.float64], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns (n,) the share of the tail beyond an exceedance."""
    shapes = _nonzero(shapes)
    result: NDArray[np.float64] = np.maximum(1 + shapes * exceedance / scales, 0) ** (-1 / shapes)
    return result


def _nonzero(shapes: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Returns the shapes, none of them 0."""
    return np.where(np.abs(shapes) < _SHAPE_LEAST, -_SHAPE_LEAST, shapes)
