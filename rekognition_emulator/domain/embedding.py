"""Face models: what is known of an embedder, and how its cosines become similarities."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

_ROUNDING: Final = 1e-6
"""By how much the cosine of two unit vectors in 32-bit floats may depend on the order of the sum: for up to 1,024
dimensions below 1e-6. Two embeddings of the same pixels come that near to 1; their similarity is 100."""


class Evidence(StrEnum):
    """What a model's calibration rests on, the best first."""

    MEASURED = "measured"
    """By us, on impostor pairs of LFW."""
    OPERATOR = "measured by the operator"
    """On labelled pictures of theirs."""
    UNLABELLED = "measured by the operator, unlabelled"
    """On pictures or collections of theirs, of which nobody has said whom they show."""
    PROVISIONAL = "provisional"
    """On nothing but the threshold that the model's publisher recommends: a guess that errs on the side of caution."""


@dataclass(frozen=True, slots=True)
class FaceModel:
    """An embedding model as the rest of the house needs to know it.

    Attributes:
        name: what operators call it.
        version: what AWS's clients see as ``FaceModelVersion``: digits and dots, as the API demands. Ours begin
            above AWS's own (1.0 to 7.0), so that nobody takes one for the other. A collection is bound to it, so it
            grows whenever old and new embeddings must not meet: other weights, other alignment, other input size.
        dimension: length of an embedding.
        licence: under which the weights may be used.
        calibration: points (cosine, similarity) by ascending cosine, from (−1, 0) to (1, 100); straight lines between.
            Every model is calibrated to the same meaning: at 80 one comparison of strangers in 10,000 passes, at 90
            one in 100,000, at 99 one in a million. Below 80 twenty points are a factor of ten, so that half of all
            strangers lie below 6 and nine in ten below 20.
        evidence: what the calibration rests on, which is how far that meaning can be relied on.
    """

    name: str
    version: str
    dimension: int
    licence: str
    calibration: Sequence[tuple[float, float]]
    evidence: Evidence = Evidence.MEASURED

    def similarity(self, cosine: float) -> float:
        """Returns the similarity, 0…100, of two faces whose embeddings have this cosine."""
        cosines, similarities = zip(*self.calibration, strict=True)
        return float(np.interp(1.0 if cosine > 1 - _ROUNDING else cosine, cosines, similarities))

    def cosine_min(self, similarity: float) -> float:
        """Returns a cosine that no pair of at least this similarity stays below, however its cosine was summed."""
        cosines, similarities = zip(*self.calibration, strict=True)
        return float(np.interp(similarity, similarities, cosines)) - _ROUNDING
