"""Calibration: the cosines at which false match rates mean similarities."""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Final

from rekognition_emulator.evaluation.scores import Scores, pairs_needed

SIMILARITIES: Final = (
    (6.0, 10**-0.3),
    (20.0, 1e-1),
    (40.0, 1e-2),
    (60.0, 1e-3),
    (80.0, 1e-4),
    (90.0, 1e-5),
    (99.0, 1e-6),
)
"""Which false match rate a similarity means, for every model. 80, 90 and 99 are what ``FaceModel`` promises. Down from
80 a false match rate is 10^(−similarity / 20), so that ordinary strangers, whatever the model, are far from 40: half of
them lie below 6, nine in ten below 20, and one in a hundred above 40."""

MEASURED_MIN: Final = 80.0
"""A curve is made only if it is measured as far as this: AWS's default threshold, the one that most clients rely on."""


class TooFewPairs(Exception):
    """The album cannot support a curve; the text says what it would take."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of a calibration curve.

    Attributes:
        cosine: of two embeddings.
        similarity: what it is called, 0…100.
        false_match_rate: what that means.
        measured: whether enough pairs were seen. If not, the cosine errs on the side of caution: no stranger seen
            reaches it, and it lies no lower than on the straight line from the point before to cosine 1.
    """

    cosine: float
    similarity: float
    false_match_rate: float
    measured: bool


def calibrate(scores: Scores) -> list[CurvePoint]:
    """Returns a model's curve between its ends (−1, 0) and (1, 100), strictly rising in both.

    What too few pairs leave open is not extrapolated. There the curve goes straight to its end, which asks for more
    than models we know need: a stranger passes more rarely than the similarity says, and so does a true match. The
    highest cosine seen alone would be no such bound: among more strangers some would have come nearer.

    Raises:
        TooFewPairs: 80 cannot be measured, or strangers are as near to each other as one image to itself.
    """
    points: list[CurvePoint] = []
    cosine, similarity = -1.0, 0.0
    for meant, false_match_rate in SIMILARITIES:
        measured = scores.operating_point(false_match_rate)
        if measured.cosine is None:
            if meant <= MEASURED_MIN:
                raise TooFewPairs(_what_it_takes(scores.stranger_pairs))
            straight = cosine + (1 - cosine) * (meant - similarity) / (100 - similarity)
            found = max(straight, scores.stranger_cosine_max())
        else:
            found = measured.cosine
        if not cosine < found < 1:
            raise TooFewPairs(
                f"No cosine tells a similarity of {meant:.0f} from {similarity:.0f}: too many pairs of strangers have "
                f"the cosine {min(found, 1):.4f}. Are images of one person, or copies of one image, labelled as "
                "two people?"
            )
        cosine, similarity = found, meant
        points.append(CurvePoint(found, meant, false_match_rate, measured.cosine is not None))
    return points


def _what_it_takes(stranger_pairs: int) -> str:
    rate = dict(SIMILARITIES)[MEASURED_MIN]
    needed = pairs_needed(rate)
    return (
        f"No curve: a similarity of {MEASURED_MIN:.0f} means that one pair of strangers in {1 / rate:,.0f} passes. To "
        f"measure that takes {needed:,} pairs of strangers, such as {pictures_needed(needed):,} images of "
        f"as many people make; here are {stranger_pairs:,} pairs."
    )


def pictures_needed(stranger_pairs: int) -> int:
    """Returns how many images, each of somebody else, make so many pairs."""
    return ceil((1 + sqrt(1 + 8 * stranger_pairs)) / 2)
