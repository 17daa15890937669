"""The interface of neural networks: what finds faces, and what embeds them.

Detector and embedder are two seams, because either can be replaced without the other: what joins them are five
landmarks.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Attribute, Attributes
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.imaging.image import Image


class FaceDetector(ABC):
    """Finds faces in a picture. Thread-safe and deterministic: the same picture gives the same numbers.

    One that knows upright faces only is wrapped in an ``OrientedDetector`` by the engine.
    """

    @abstractmethod
    def detect(self, image: Image) -> list[Detection]:
        """Finds faces.

        Returns:
            Every face with sides of at least 40 px in a 1920 px picture, in proportion in a larger one, in no
            particular order; empty when there is none.
        """


class FaceEmbedder(ABC):
    """Turns faces into embeddings. Thread-safe and deterministic: the same face gives the same numbers."""

    @property
    @abstractmethod
    def model(self) -> FaceModel:
        """The embedding model: its version, dimension, calibration and licence."""

    @abstractmethod
    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        """Embeds faces found in the same picture.

        Returns:
            (len(detections), model.dimension) float32, each row of unit length.
        """


class FaceEngine(FaceDetector, FaceEmbedder):
    """A detector and the embedder of new collections; one engine serves all worker threads at once."""

    def embedder(self, face_model_version: str) -> FaceEmbedder | None:
        """Returns the embedder of collections that were made with this version; None if it is not at hand."""
        return self if face_model_version == self.model.version else None


class AttributeEstimator(ABC):
    """Estimates attributes of faces; thread-safe."""

    @property
    @abstractmethod
    def known(self) -> AbstractSet[Attribute]:
        """What it can estimate, as far as it knows: a network that turns out to be damaged goes."""

    @abstractmethod
    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        """Returns what it can say of each face found in the picture, of what is wanted; nothing else is computed."""
