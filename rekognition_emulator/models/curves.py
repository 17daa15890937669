"""Curves from the cosine of two embeddings to their similarity: those that we measured, and those that are provisional.

``evaluation.calibration`` says which false match rate a similarity means.
"""

from collections.abc import Sequence
from math import atanh, tanh
from typing import Final

import numpy as np

Calibration = Sequence[tuple[float, float]]
"""As ``FaceModel`` has it: (cosine, similarity) from (−1, 0) to (1, 100)."""

UNMEASURED: Final[Calibration] = ((-1, 0), (1, 100))
"""What a model carries while it is measured: its similarities mean nothing."""

DLIB: Final[Calibration] = (
    (-1, 0),
    # These two: half of LFW deep-funneled, 19.6 million pairs of strangers, by benchmarks/curves.py.
    (0.840, 6),
    (0.883, 20),
    # All of LFW deep-funneled, 29.6 million pairs; true match rates 99.0, 93.5, 79.4, 55.8, 33.4 %.
    (0.911, 40),
    (0.929, 60),
    (0.944, 80),
    (0.955, 90),
    (0.963, 99),
    (1, 100),
)

RETAIL_0095: Final[Calibration] = (
    (-1, 0),
    # Half of LFW deep-funneled, 19.6 million pairs of strangers, by benchmarks/curves.py; true match rates from 40 on:
    # 99.8, 99.2, 97.7, 92.9, 67.0 %.
    (0.004, 6),
    (0.128, 20),
    (0.248, 40),
    (0.349, 60),
    (0.437, 80),
    (0.518, 90),
    (0.638, 99),
    (1, 100),
)

OPERATING_SIMILARITY: Final = 50.0
"""Where a provisional curve puts the threshold that a publisher recommends. Such thresholds are chosen to tell most
pairs apart, as many of one person as of two; where both kinds go wrong about as often, strangers pass as often as any
pair goes wrong: at the publishers' 99.4 to 99.83 % on LFW that is 2 to 6 in a thousand, and 50 means 3. Where we know
both, it fits: retail-0095's own best threshold there lets 3 in a thousand pass, DeepFace's for dlib 1."""


def provisional(threshold: float) -> Calibration:
    """Returns a curve of a model of which no more is known than a threshold.

    The cosines of strangers are taken to be spread as those of retail-0095 are, whose tail is heavier than a normal
    one's, and scaled so that the threshold has ``OPERATING_SIMILARITY``: in Fisher's z, artanh of the cosine, so that
    none reaches 1.

    Args:
        threshold: cosine from which on the publisher takes two faces for those of one person, between 0 and 1.
    """
    cosines, similarities = zip(*RETAIL_0095, strict=True)
    scale = atanh(threshold) / atanh(float(np.interp(OPERATING_SIMILARITY, similarities, cosines)))
    scaled = [(tanh(scale * atanh(cosine)), similarity) for cosine, similarity in RETAIL_0095[1:-1]]
    return ((-1, 0), *sorted([*scaled, (threshold, OPERATING_SIMILARITY)]), (1, 100))
