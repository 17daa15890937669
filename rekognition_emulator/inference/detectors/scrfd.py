"""SCRFD, InsightFace's detector.

SCRFD (Guo et al. 2021) has two guesses per cell. Its files come from different exports, with other names for the
outputs and with or without a dimension for the batch; so the outputs are told apart by their sizes.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.imaging.alignment import Pixels
from rekognition_emulator.inference.detectors.mtcnn import Faces
from rekognition_emulator.inference.detectors.single_shot import STRIDES, SingleShot, cell_corners, joined

GUESSES: Final = 2
"""Per cell."""

SCORES, SIDES, POINTS = 1, 4, 10
"""Numbers per guess: one score; distances to the left, upper, right and lower side; x and y of five landmarks."""

MEAN: Final = 127.5
SCALE: Final = 1 / 128
"""Channels are fed as (value − mean) × scale, RGB. Source: insightface, model_zoo/scrfd.py; the meaning of the outputs
likewise."""


class Scrfd(SingleShot):
    """SCRFD with landmarks."""

    def look(self, pixels: Pixels) -> Faces:
        """Reads three grids: distances from a cell's corner, in cells. The picture's left eye comes first."""
        outputs = self._run(cv2.dnn.blobFromImage(pixels, SCALE, mean=(MEAN,) * 3))
        grids = []
        for stride in STRIDES:
            guesses = GUESSES * (pixels.shape[0] // stride) * (pixels.shape[1] // stride)
            scores, sides, points = (_output(outputs, guesses, numbers) for numbers in (SCORES, SIDES, POINTS))
            sure = np.flatnonzero(scores[:, 0] >= self._model.score_min)
            corners = cell_corners(sure // GUESSES, stride, pixels)
            boxes = np.concatenate([corners - sides[sure, :2] * stride, corners + sides[sure, 2:] * stride], axis=1)
            landmarks = corners[:, None] + points[sure].reshape(-1, 5, 2) * stride
            grids.append(Faces(boxes, landmarks, scores[sure, 0]))
        return joined(grids)


def _output(outputs: list[NDArray[np.float32]], guesses: int, numbers: int) -> NDArray[np.float32]:
    """Returns the (guesses, numbers) of one grid."""
    for output in outputs:
        if output.shape in {(guesses, numbers), (1, guesses, numbers)}:
            return output.reshape(guesses, numbers)
    shapes = ", ".join(str(output.shape) for output in outputs)
    raise ValueError(f"none of its outputs has {guesses} × {numbers} numbers, but {shapes}.")
