"""An engine made of any detector and any embedder, with further embedders for older collections."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceDetector, FaceEmbedder, FaceEngine
from rekognition_emulator.models.weights import ModelUnusable

log = structlog.get_logger(__name__)

OTHERS_OPEN_MAX: Final = 2
"""Embedders of older collections that stay open beside the one for new collections; the longest unused one goes.
The largest known has 261 MB of weights. Source: ours."""


class ComposedEngine(FaceEngine):
    """Any detector with any embedder, and further embedders for collections that were made with them.

    Args:
        detector: finds the faces, whichever embedder is used.
        embedder: of new collections.
        threads: that one call may use.
        others: face model version → what opens its embedder; called when a collection first needs it.
    """

    def __init__(
        self,
        detector: FaceDetector,
        embedder: FaceEmbedder,
        threads: int,
        others: Mapping[str, Callable[[], FaceEmbedder]] | None = None,
    ) -> None:
        cv2.setNumThreads(threads)  # for the whole process: its own pool would take the other workers' cores
        self._detector = detector
        self._embedder = embedder
        self._others = dict(others or {})
        self._open: OrderedDict[str, FaceEmbedder] = OrderedDict()
        self._opening = threading.Lock()

    @property
    def model(self) -> FaceModel:
        return self._embedder.model

    def detect(self, image: Image) -> list[Detection]:
        return self._detector.detect(image)

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        return self._embedder.embed(image, detections)

    def embedder(self, face_model_version: str) -> FaceEmbedder | None:
        if face_model_version == self.model.version:
            return self._embedder
        with self._opening:
            return self._opened(face_model_version)

    def _opened(self, version: str) -> FaceEmbedder | None:
        if version not in self._open:
            if version not in self._others:
                return None
            try:
                self._open[version] = self._others[version]()
            except ModelUnusable as error:
                del self._others[version]  # not to read a damaged file again for every request
                log.error("face model unusable", version=version, cause=str(error))  # noqa: TRY400 - a sentence says it
                return None
        self._open.move_to_end(version)
        while len(self._open) > OTHERS_OPEN_MAX:
            self._open.popitem(last=False)
        return self._open[version]
