"""RetinaFace, by DeepFace.

Of DeepFace's detectors RetinaFace alone gives the five landmarks that faces are aligned by; the others give the eyes or
nothing, and alignment by the eyes costs accuracy (benchmarks/accuracy.py). DeepFace hands RetinaFace's answer on in
whole pixels, and would fetch the weights by itself. So what it calls is called directly: the package ``retinaface`` of
the same author, with a session of ours over verified weights. It shrinks and enlarges pictures by itself, so that their
shorter side has 1,024 px: a face of 40 px of 1920 × 1080 keeps 38.
"""

import os
import warnings
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceDetector
from rekognition_emulator.inference.sessions import Device, open_model
from rekognition_emulator.models.weights import ModelUnusable

SCORE_MIN: Final = 0.9
"""Least score of a face. Source: DeepFace 0.0.103, as retinaface's own default."""

POINTS: Final = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
"""In the order of ``domain.detection.LANDMARKS``: retinaface names them from the person's side."""


class RetinaFace(FaceDetector):
    """RetinaFace as DeepFace uses it; thread-safe, since nothing is kept from call to call.

    Args:
        weights: contents of its ONNX file.
        threads: that one call may use.
        device: that the network runs on.

    Raises:
        ModelUnusable: a package is missing, or the network is of another kind, or none, or nothing here runs networks
            on that device.
    """

    def __init__(self, weights: bytes, threads: int, device: Device = Device.CPU) -> None:
        self._package = _import_retinaface()
        try:
            session = open_model(weights, threads, device)
            (fed,) = session.get_inputs()
            self._network = lambda pictures: session.run(None, {fed.name: pictures})
            self.detect(Image(np.zeros((64, 64, 3), np.uint8), 64, 64))
        except ModelUnusable:
            raise
        except Exception as error:  # the runtime's exceptions have no class of their own in common
            raise ModelUnusable(
                "The weights of the detector retinaface are no RetinaFace network: " + str(error).partition("\n")[0]
            ) from error

    def detect(self, image: Image) -> list[Detection]:
        height, width = image.pixels.shape[:2]
        size = np.array([width, height], np.float32)
        found = self._package.detect_faces(image.pixels[..., ::-1], threshold=SCORE_MIN, model=self._network)
        return [
            Detection(
                BoundingBox.between(*(np.array(face["facial_area"], np.float32) / np.tile(size, 2)).tolist()),
                np.array([face["landmarks"][point] for point in POINTS], np.float32) / size,
                100 * min(float(face["score"]), 1.0),
            )
            for face in found.values()
        ]


def _import_retinaface() -> Any:  # noqa: ANN401 - untyped library
    """Imports the package without what it does beside: it would prefer TensorFlow, and silence all warnings."""
    if not find_spec("retinaface"):
        raise ModelUnusable(
            "The detector retinaface runs in DeepFace's code, which is not installed: "
            "pip install 'rekognition-emulator[deepface]'."
        )
    os.environ["DEEPFACE_BACKEND_ENGINE"] = "onnx"
    with warnings.catch_warnings():
        from retinaface import RetinaFace as package  # noqa: N813, PLC0415 - 0.6 s that other models do not need
    return package
