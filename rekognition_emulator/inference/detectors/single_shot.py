"""Detectors that judge a whole image in one run of a network, at one size or at several.

Such a network judges every cell of three grids in one run, and knows faces of a certain range of pixels only. A picture
is therefore shown to it at several sizes where that is needed to find both the smallest face that AWS promises, 40 px
of 1920, and one that fills the picture. ONNX Runtime runs the networks rather than their publishers' own code, which
keeps the picture's size in itself and so serves one thread at a time.
"""

from abc import abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.imaging.alignment import Pixels, shrunk
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors.mtcnn import Faces, suppress
from rekognition_emulator.inference.engine import FaceDetector
from rekognition_emulator.inference.sessions import Device, open_model
from rekognition_emulator.models.records import SingleShotDetector
from rekognition_emulator.models.weights import ModelUnusable

STRIDES: Final = (8, 16, 32)
"""Side of a cell in each grid, in pixels."""


class SingleShot(FaceDetector):
    """A single-shot detector over an ONNX Runtime session; thread-safe, as that is.

    Args:
        model: how the network is run.
        weights: contents of its ONNX file.
        threads: that one call may use.
        device: that the network runs on.

    Raises:
        ModelUnusable: the network is of another kind, or none, or nothing here runs networks on that device.
    """

    def __init__(self, model: SingleShotDetector, weights: bytes, threads: int, device: Device = Device.CPU) -> None:
        self._model = model
        try:
            self._session = open_model(self.prepared(weights), threads, device)
            (fed,) = self._session.get_inputs()
            self._input: str = fed.name
            height, width = fed.shape[2:]
            self._fixed_px = (width, height) if isinstance(height, int) and isinstance(width, int) else None
            self._search(Image(np.zeros((64, 64, 3), np.uint8), 64, 64), STRIDES[-1])
        except ModelUnusable:
            raise
        except Exception as error:  # the runtime's exceptions have no class of their own in common
            raise ModelUnusable(
                f"The weights of the detector {model.name} are no {model.kind} network with five landmarks: "
                + str(error).partition("\n")[0]
            ) from error

    @classmethod
    def prepared(cls, weights: bytes) -> bytes:
        """Returns the ONNX file as it is opened."""
        return weights

    def tuned(self, side_px: int, score_min: float) -> Self:
        """Returns the same network for pictures of one size, with another bar.

        Args:
            side_px: to which the longest side is shrunk.
            score_min: least score. Confidences below the model's own bar rank what it would not report, and mean no
                more.
        """
        model = replace(self._model, sides_px=(side_px,), score_min=score_min)
        if score_min < model.confidences[0][0]:
            model = replace(model, confidences=((score_min, 0), *model.confidences))
        tuned = copy(self)
        tuned._model = model  # noqa: SLF001 - of its own class
        return tuned

    @abstractmethod
    def look(self, pixels: Pixels) -> Faces:
        """Runs the network.

        Args:
            pixels: (h, w, 3) uint8, RGB; h and w are multiples of 32, or what a network of fixed size takes.

        Returns:
            All cells that score above ``score_min``, in pixels of the input, the same face many times.
        """

    def detect(self, image: Image) -> list[Detection]:
        longest = max(image.pixels.shape[:2])
        sides = dict.fromkeys(min(side, longest) for side in self._model.sides_px)
        faces = joined([self._search(image, side) for side in ([longest] if self._fixed_px else sides)])
        confidences = np.interp(faces.scores, *np.array(self._model.confidences).T)
        size = np.array(image.pixels.shape[1::-1], np.float32)
        return [
            Detection(
                BoundingBox.between(*(faces.boxes[face] / np.tile(size, 2)).tolist()),
                faces.landmarks[face] / size,
                float(confidences[face]),
            )
            for face in suppress(faces.boxes, faces.scores, self._model.overlap_max)
        ]

    def _search(self, image: Image, side_px: int) -> Faces:
        """Finds faces at one size of the picture, in pixels of the picture, the same face many times."""
        height, width = image.pixels.shape[:2]
        room = self._fixed_px or (side_px, side_px)
        small, ratio = shrunk(image, min(room[0] / width, room[1] / height, 1.0))
        size = small.shape[1::-1]
        frame_size = self._fixed_px or tuple(-(-side // STRIDES[-1]) * STRIDES[-1] for side in size)
        frame = small
        if size != frame_size:
            frame = np.zeros((frame_size[1], frame_size[0], 3), np.uint8)
            frame[: size[1], : size[0]] = small
        faces = self.look(frame)
        return Faces(faces.boxes * np.tile(ratio, 2), faces.landmarks * ratio, faces.scores)

    def _run(self, blob: NDArray[np.float32], outputs: tuple[str, ...] | None = None) -> list[NDArray[Any]]:
        """Feeds (1, 3, h, w) float32 to the network."""
        answer: list[NDArray[Any]] = self._session.run(outputs, {self._input: blob})
        return answer


def cell_corners(cells: NDArray[np.intp], stride: int, pixels: Pixels) -> NDArray[np.float32]:
    """Returns (n, 2) float32, x and y of the upper left corners of cells that are numbered row by row, in pixels."""
    across = pixels.shape[1] // stride
    return (np.stack([cells % across, cells // across], axis=1) * stride).astype(np.float32)


def joined(parts: Sequence[Faces]) -> Faces:
    """Returns what was found in several grids, or at several sizes, as one."""
    return Faces(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
