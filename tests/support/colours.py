"""An engine that knows people by a colour, and the images in which it sees them: measurements without networks."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine

POINTS = np.array([(0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.42, 0.6), (0.58, 0.6)], np.float32)


def picture_of(person: int, take: int) -> PIL.Image.Image:
    """A picture in which ``ColourEngine`` sees that person; different takes differ a little."""
    picture = PIL.Image.effect_noise((160, 160), 60).convert("RGB")  # sharp enough for the quality filter
    picture.paste((person >> 8, person & 255, take), (0, 0, 8, 8))
    return picture if person else PIL.Image.new("RGB", picture.size)


class ColourEngine(FaceEngine):
    """Knows people by the red and green of a picture's corner, to the last shade; a black picture shows nobody."""

    @property
    def model(self) -> FaceModel:
        """A model that is calibrated to its own embeddings."""
        curve = ((-1, 0), (0.3, 40), (0.4, 60), (0.5, 80), (0.55, 90), (0.6, 99), (1, 100))
        return FaceModel("colours", "1.2", 64, "ours", curve)

    def detect(self, image: Image) -> list[Detection]:
        """One face in the middle."""
        return [Detection(BoundingBox(0.2, 0.2, 0.6, 0.6), POINTS, 99.9)] if image.pixels.any() else []

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        """A direction per person, and a little noise per take."""
        red, green, blue = (int(shade) for shade in image.pixels[0, 0])
        direction = np.random.default_rng((red, green)).normal(size=64)
        direction += 0.4 * np.random.default_rng((red, green, blue)).normal(size=64)
        unit = direction / np.linalg.norm(direction)
        return np.tile(unit.astype(np.float32), (len(detections), 1))
