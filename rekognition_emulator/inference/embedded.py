"""The engine that needs no download: MTCNN and dlib's embedder, whose weights come with packages.

MTCNN finds the faces, dlib's ResNet embeds them, ONNX Runtime runs both; the weights come with two small packages.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors import mtcnn_networks
from rekognition_emulator.inference.detectors.mtcnn import Faces, Mtcnn
from rekognition_emulator.inference.detectors.orientation import GlancingDetector
from rekognition_emulator.inference.embedders import dlib_resnet
from rekognition_emulator.inference.embedders.aligned import AlignedEmbedder
from rekognition_emulator.inference.sessions import Device, Network, open_session
from rekognition_emulator.models import catalogue
from rekognition_emulator.models import records as models

FACE_RATIO_MIN: Final = 40 / 1920
"""Smallest face, as part of the picture's longest side. Source: AWS promises 40 px in a picture of 1920 × 1080."""

FACE_SIDE_PX_MIN: Final = 20
"""Smallest face in decoded pixels: below it there is nothing left to tell people apart. Source: the mtcnn package's
own default."""


def _network(name: str, package: str, file: str, build: Callable[[bytes], bytes]) -> Network:
    sha256 = {**catalogue.DLIB.files, **catalogue.MTCNN.files}[file]
    assert sha256
    return Network(name, version=1, package=package, weights_path=file, weights_sha256=sha256, build=build)


EMBEDDER: Final = _network(
    "dlib-resnet",
    "face_recognition_models",
    "models/dlib_face_recognition_resnet_model_v1.dat",
    dlib_resnet.build,
)
PROPOSAL: Final = _network("mtcnn-proposal", "mtcnn", "assets/weights/pnet.lz4", mtcnn_networks.build_proposal)
REFINEMENT: Final = _network("mtcnn-refinement", "mtcnn", "assets/weights/rnet.lz4", mtcnn_networks.build_refinement)
OUTPUT: Final = _network("mtcnn-output", "mtcnn", "assets/weights/onet.lz4", mtcnn_networks.build_output)


class MtcnnDetector(GlancingDetector):
    """MTCNN, as it comes with its package.

    Args:
        cache_dir: where the networks are kept once written.
        threads: that one call may use.
        device: that the networks run on.

    Raises:
        WeightsMismatch: the installed package carries other weights than expected.
        ModelUnusable: nothing here runs networks on that device.
    """

    def __init__(self, cache_dir: Path, threads: int, device: Device = Device.CPU) -> None:
        self._mtcnn = Mtcnn(*(open_session(net, cache_dir, threads, device) for net in (PROPOSAL, REFINEMENT, OUTPUT)))

    def detect(self, image: Image) -> list[Detection]:
        return next(self.glance(image))

    def glance(self, image: Image) -> Iterator[list[Detection]]:
        height, width = image.pixels.shape[:2]
        side_px_min = max(max(height, width) * FACE_RATIO_MIN, FACE_SIDE_PX_MIN)
        for turns, faces in enumerate(self._mtcnn.glance(image, side_px_min)):
            size = np.array([height, width] if turns % 2 else [width, height], np.float32)
            yield self._detections(faces, size)

    @staticmethod
    def _detections(faces: Faces, size: NDArray[np.float32]) -> list[Detection]:
        return [
            Detection(BoundingBox.between(*(box / np.tile(size, 2)).tolist()), landmarks / size, float(score) * 100)
            for box, landmarks, score in zip(faces.boxes, faces.landmarks, faces.scores, strict=True)
        ]


def dlib_embedder(
    cache_dir: Path, threads: int, dlib: models.Embedder = catalogue.DLIB, device: Device = Device.CPU
) -> AlignedEmbedder:
    """Opens dlib's ResNet, maybe calibrated anew; arguments and errors as ``MtcnnDetector``'s."""
    return AlignedEmbedder(
        dlib.face_model(),
        dlib.crop(),
        mirrored=dlib.mirrored,
        network=_DlibNetwork(open_session(EMBEDDER, cache_dir, threads, device)),
    )


class _DlibNetwork:
    """The graph of ``dlib_resnet``, which takes chips as they are and gives rows of unit length."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - untyped library
        self._session = session

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        (embeddings,) = self._session.run(("embedding",), {"input": faces})
        return np.asarray(embeddings, np.float32)
