"""Changes when the engine that needs no download is put together differently.

MTCNN finds the faces, dlib's ResNet embeds them, ONNX Runtime runs both; the weights come with two small packages.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.engines import dlib_resnet, mtcnn_networks
from rekognition_emulator.engines.alignment import DLIB_TEMPLATE, chips, spread
from rekognition_emulator.engines.mtcnn import Mtcnn
from rekognition_emulator.engines.networks import Network, open_session
from rekognition_emulator.faces.detection import BoundingBox, Detection
from rekognition_emulator.faces.embedding import FaceModel
from rekognition_emulator.faces.engine import FaceEngine
from rekognition_emulator.faces.image import Image

DLIB: Final = FaceModel(
    name="dlib",
    version="100.1",
    dimension=128,
    licence="CC0-1.0",
    # Source: ours, LFW deep-funneled, 29.6 million pairs of strangers, mirrored chips averaged in: false match rates
    # 1e-2, 1e-3, 1e-4, 1e-5, 1e-6 at these cosines; true match rates 99.0, 93.5, 79.4, 55.8, 33.4 %.
    calibration=((-1, 0), (0.911, 40), (0.929, 60), (0.944, 80), (0.955, 90), (0.963, 99), (1, 100)),
)

TEMPLATE: Final = spread(DLIB_TEMPLATE, 1.04, dlib_resnet.CHIP_SIDE_PX)
"""A little closer than dlib's own chips: better at low false match rates (LFW: 80.6 % of true matches instead of 80.3
at 1e-4, 60.0 instead of 57.3 at 1e-5)."""

FACE_RATIO_MIN: Final = 40 / 1920
"""Smallest face, as part of the picture's longest side. Source: AWS promises 40 px in a picture of 1920 × 1080."""

FACE_SIDE_PX_MIN: Final = 20
"""Smallest face in decoded pixels: below it there is nothing left to tell people apart. Source: the mtcnn package's
own default."""

FACES_AT_ONCE: Final = 8
"""Faces in one run of the embedder: more gain no speed and take 2 MB each."""

EMBEDDER: Final = Network(
    name="dlib-resnet",
    version=1,
    package="face_recognition_models",
    weights_path="models/dlib_face_recognition_resnet_model_v1.dat",
    weights_sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    build=dlib_resnet.build,
)
PROPOSAL: Final = Network(
    name="mtcnn-proposal",
    version=1,
    package="mtcnn",
    weights_path="assets/weights/pnet.lz4",
    weights_sha256="ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    build=mtcnn_networks.build_proposal,
)
REFINEMENT: Final = Network(
    name="mtcnn-refinement",
    version=1,
    package="mtcnn",
    weights_path="assets/weights/rnet.lz4",
    weights_sha256="cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    build=mtcnn_networks.build_refinement,
)
OUTPUT: Final = Network(
    name="mtcnn-output",
    version=1,
    package="mtcnn",
    weights_path="assets/weights/onet.lz4",
    weights_sha256="94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    build=mtcnn_networks.build_output,
)


class EmbeddedEngine(FaceEngine):
    """The engine that runs anywhere.

    Args:
        cache_dir: where the networks are kept once written.
        threads: that one call may use.

    Raises:
        WeightsMismatch: an installed package carries other weights than expected.
    """

    def __init__(self, cache_dir: Path, threads: int) -> None:
        cv2.setNumThreads(threads)  # for the whole process: its own pool would take the other workers' cores
        self._detector = Mtcnn(*(open_session(net, cache_dir, threads) for net in (PROPOSAL, REFINEMENT, OUTPUT)))
        self._embedder = open_session(EMBEDDER, cache_dir, threads)

    @property
    def model(self) -> FaceModel:
        """The ResNet of dlib, aligned by MTCNN's landmarks."""
        return DLIB

    def detect(self, image: Image) -> list[Detection]:
        """Finds faces; see ``FaceEngine``."""
        height, width = image.pixels.shape[:2]
        faces = self._detector.detect(image.pixels, max(max(height, width) * FACE_RATIO_MIN, FACE_SIDE_PX_MIN))
        size = np.array([width, height], np.float32)
        return [
            Detection(_box(box / np.tile(size, 2)), landmarks / size, float(score) * 100)
            for box, landmarks, score in zip(faces.boxes, faces.landmarks, faces.scores, strict=True)
        ]

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        """Embeds faces; see ``FaceEngine``. Each is embedded with its mirror image, and the two are averaged."""
        if not detections:
            return np.empty((0, DLIB.dimension), np.float32)
        height, width = image.pixels.shape[:2]
        landmarks = np.stack([detection.landmarks for detection in detections]) * np.array([width, height], np.float32)
        faces = chips(image.pixels, landmarks, TEMPLATE, dlib_resnet.CHIP_SIDE_PX)
        batches = range(0, len(faces), FACES_AT_ONCE)
        return np.concatenate([self._embed(faces[start : start + FACES_AT_ONCE]) for start in batches])

    def _embed(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        both = np.concatenate([faces, np.stack([cv2.flip(face, 1) for face in faces])])
        (embeddings,) = self._embedder.run(("embedding",), {"input": both})
        sums = embeddings[: len(faces)] + embeddings[len(faces) :]
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)


def _box(corners: NDArray[np.float32]) -> BoundingBox:
    left, top, right, bottom = (float(ratio) for ratio in corners)
    return BoundingBox(left, top, right - left, bottom - top)
