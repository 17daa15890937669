"""Embedders that set a face upright on a template and give the crop to a network."""

from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.imaging.alignment import Crop, chips
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEmbedder

FACES_AT_ONCE: Final = 8
"""Faces in one run of the network: more gain no speed and take 2 MB each."""

EmbedChips = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(n, side, side, 3) uint8 RGB → (n, dimension) float32, rows of unit length; thread-safe."""


class AlignedEmbedder(FaceEmbedder):
    """Sets faces upright on a template and gives them to a network.

    Args:
        model: what the network's embeddings are.
        crop: of a face, which the network takes.
        mirrored: whether each face is embedded with its mirror image too, and the two are averaged.
        network: embeds crops.
    """

    def __init__(self, model: FaceModel, crop: Crop, *, mirrored: bool, network: EmbedChips) -> None:
        self._model = model
        self._crop = crop
        self._mirrored = mirrored
        self._network = network

    @property
    def model(self) -> FaceModel:
        return self._model

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        if not detections:
            return np.empty((0, self._model.dimension), np.float32)
        height, width = image.pixels.shape[:2]
        landmarks = np.stack([detection.landmarks for detection in detections]) * np.array([width, height], np.float32)
        crop = self._crop
        faces = chips(image, landmarks, crop.template, crop.side_px, crop.stretch)
        batches = range(0, len(faces), FACES_AT_ONCE)
        return np.concatenate([self._embed(faces[start : start + FACES_AT_ONCE]) for start in batches])

    def _embed(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not self._mirrored:
            return self._network(faces)
        both = self._network(np.concatenate([faces, np.stack([cv2.flip(face, 1) for face in faces])]))
        return of_unit_length(both[: len(faces)] + both[len(faces) :])


def of_unit_length(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns (n, d) float32, each row scaled to length one; a row of zeros, which has no direction, stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
