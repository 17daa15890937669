"""The seam to neural networks: changes when an engine has to offer more than finding faces and embedding them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.faces.detection import Detection
from rekognition_emulator.faces.embedding import FaceModel
from rekognition_emulator.faces.image import Image


class FaceEngine(ABC):
    """Finds faces in a picture and turns them into embeddings.

    One engine serves all worker threads at once: implementations are thread-safe and deterministic, the same picture
    gives the same numbers.
    """

    @property
    @abstractmethod
    def model(self) -> FaceModel:
        """The embedding model: its version, dimension, calibration and licence."""

    @abstractmethod
    def detect(self, image: Image) -> list[Detection]:
        """Finds faces.

        Returns:
            Every face with sides of at least 40 px in a 1920 px picture, in proportion in a larger one, in no
            particular order; empty when there is none.
        """

    @abstractmethod
    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        """Embeds faces found in the same picture.

        Returns:
            (len(detections), model.dimension) float32, each row of unit length.
        """
