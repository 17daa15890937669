"""An engine that finds what a test says, and the landmarks of a face."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine

FRONTAL = np.array([(0.35, 0.4), (0.65, 0.4), (0.5, 0.6), (0.38, 0.76), (0.62, 0.76)])
"""Landmarks of a face that looks into the camera, in ratios of its box."""


class ScriptedEngine(FaceEngine):
    """Finds what the test scripted."""

    def __init__(self, detections: Sequence[Detection]) -> None:
        self._detections = list(detections)

    @property
    def model(self) -> FaceModel:
        """Any."""
        return FaceModel("scripted", "99.0", 2, "ours", ((-1.0, 0.0), (1.0, 100.0)))

    def detect(self, image: Image) -> list[Detection]:  # noqa: ARG002 - the script knows the answer
        """The script, whatever the picture."""
        return list(self._detections)

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:  # noqa: ARG002 - likewise
        """One and the same for every face."""
        return np.tile(np.array([1, 0], np.float32), (len(detections), 1))
