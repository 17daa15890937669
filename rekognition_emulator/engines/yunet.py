"""Changes when YuNet is fed or read differently.

YuNet (Wu et al. 2023) judges each cell of three grids at once. Its published graph takes 640 × 640 pixels and nothing
else, which suits it: it finds faces of about 10 to 300 px, so a larger picture is shrunk. ONNX Runtime runs it rather
than OpenCV's ``FaceDetectorYN``, which keeps the picture's size in itself and so serves one thread at a time.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.engines.alignment import Pixels, halvings
from rekognition_emulator.engines.mtcnn import suppress
from rekognition_emulator.faces.detection import BoundingBox, Detection
from rekognition_emulator.faces.engine import FaceDetector
from rekognition_emulator.faces.image import Image

SIDE_PX: Final = 640
"""Of the square that the graph takes."""

STRIDES: Final = (8, 16, 32)
"""Side of a cell in each grid."""

SCORE_MIN: Final = 0.7
OVERLAP_MAX: Final = 0.3
"""Of two faces, intersection over union. Source of both: opencv_zoo's README and ``FaceDetectorYN``'s default."""

CONFIDENCES: Final = ((0.7, 70), (0.85, 95), (0.9, 99), (0.95, 99.9), (1, 100))
"""Score → confidence, so that what is asked of a confidence elsewhere means the same here. Source: ours: over 147
photographs, of 266 faces that MTCNN finds too 99 % score above 0.85, 95 % above 0.9, and one in a hundred above 0.957;
what is no face, up to 0.847."""

OUTPUTS: Final = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES)


class YuNet(FaceDetector):
    """YuNet over an ONNX Runtime session; thread-safe, as that is."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - untyped library
        self._session = session

    def detect(self, image: Image) -> list[Detection]:
        square, scale = _fitted(image.pixels)
        blob = square[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        outputs = self._session.run(OUTPUTS, {"input": blob})
        found = [_faces(stride, *outputs[grid :: len(STRIDES)]) for grid, stride in enumerate(STRIDES)]
        scores, corners, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        height, width = image.pixels.shape[:2]
        confidences = np.interp(scores, *np.array(CONFIDENCES).T)
        ratio = 1 / (np.array([width, height], np.float32) * scale)
        return [
            Detection(
                BoundingBox.between(*(corners[each] * np.tile(ratio, 2)).tolist()),
                landmarks[each] * ratio,
                float(confidences[each]),
            )
            for each in suppress(corners, scores, OVERLAP_MAX)
        ]


def _fitted(pixels: Pixels) -> tuple[Pixels, NDArray[np.float32]]:
    """Returns the picture in the upper left corner of a black square, and by how much it was scaled in x and y."""
    height, width = pixels.shape[:2]
    shrinking = min(SIDE_PX / max(height, width), 1.0)
    size = (max(round(width * shrinking), 1), max(round(height * shrinking), 1))
    octave = halvings(pixels, int(-np.log2(shrinking)))[-1]
    square = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    square[: size[1], : size[0]] = cv2.resize(octave, size, interpolation=cv2.INTER_LINEAR)
    return square, np.array([size[0] / width, size[1] / height], np.float32)


def _faces(
    stride: int,
    cls: NDArray[np.float32],
    obj: NDArray[np.float32],
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Returns scores (n,), corners (n, 4) and landmarks (n, 5, 2) of one grid's faces, in pixels of the square.

    A box is given as its centre's distance from its cell's corner and the logarithms of its sides, a point as its
    distance from that corner, all in cells. The eye that comes first is the picture's left one, as in ours.
    """
    scores = np.sqrt(np.clip(cls[0, :, 0], 0, 1) * np.clip(obj[0, :, 0], 0, 1))
    sure = np.flatnonzero(scores > SCORE_MIN)
    cells = np.stack([sure % (SIDE_PX // stride), sure // (SIDE_PX // stride)], axis=1).astype(np.float32)
    centres = (cells + boxes[0, sure, :2]) * stride
    halves = np.exp(boxes[0, sure, 2:]) * stride / 2
    landmarks = (cells[:, None] + points[0, sure].reshape(-1, 5, 2)) * stride
    return scores[sure], np.concatenate([centres - halves, centres + halves], axis=1), landmarks
