"""The curves that we ship, made anew from embeddings of labelled faces.

``python -m benchmarks.curves faces.npz`` prints them as ``models.curves`` has them, with the true match rates. The
file holds, beside (n,) ``person``, one array of (n, dimension) embeddings a model. Cosines are rounded up: at none of
them pass more strangers than the similarity means.
"""

import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

import numpy as np

from rekognition_emulator.evaluation.calibration import calibrate
from rekognition_emulator.evaluation.comparison import compare_album
from rekognition_emulator.inference.embedders.aligned import of_unit_length
from rekognition_emulator.models.curves import Calibration

ARRAYS: Final = {"dlib": "dlib", "retail-0095": "retail_0095"}
"""Model → name of its embeddings in the file."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve and what it was made of.

    Attributes:
        calibration: as ``models.curves`` has it.
        true_match_rates: at each of its inner points.
        stranger_pairs: that it was measured on.
    """

    calibration: Calibration
    true_match_rates: list[float]
    stranger_pairs: int


def make_curve(file: Path, model: str) -> Curve:
    """Measures a model's curve; raises OSError if the file cannot be read, KeyError if it lacks an array."""
    with np.load(file) as arrays:
        people = np.unique(arrays["person"], return_inverse=True)[1].astype(np.intp)
        embeddings = of_unit_length(arrays[ARRAYS[model]].astype(np.float32))
    scores = compare_album(embeddings, people, on_rows=lambda _: None).scores
    points = [(ceil(point.cosine * 1000) / 1000, point.similarity) for point in calibrate(scores)]
    rates = [scores.passing(cosine)[0] / scores.same_pairs for cosine, _ in points]
    return Curve(((-1, 0), *points, (1, 100)), rates, scores.stranger_pairs)


def main(file: Path) -> None:
    """Prints the curves."""
    for model in ARRAYS:
        curve = make_curve(file, model)
        print(f"{model}, {curve.stranger_pairs:,} pairs of strangers")
        for (cosine, similarity), rate in zip(curve.calibration[1:-1], curve.true_match_rates, strict=True):
            print(f"    ({cosine:.3f}, {similarity:g}),  # {rate:.1%} of true pairs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
