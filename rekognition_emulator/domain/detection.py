"""A face as it is seen in an image: box, landmarks, pose and quality.

One frame throughout: ratios of the upright picture's width and height, origin at its upper left corner, x to the
right. Ratios rather than pixels, because a large picture is decoded at a fraction of its size and a pixel would then
mean something else on every floor.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

LANDMARKS: Final = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
"""Order of the five points in every landmark array. Left and right are the picture's: on an upright face
eye_left has the smaller x."""


SAME_FACE_OVERLAP: Final = 0.5
"""Two boxes of one picture that overlap by more are the same face. Ours: detectors suppress at 0.4 to 0.7."""


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """A rectangle around a face, in ratios of the upright picture. Reaches beyond 0…1 where the edge cuts the face."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def between(cls, left: float, top: float, right: float, bottom: float) -> "BoundingBox":
        """Returns the box between two corners, given in ratios."""
        return cls(left, top, right - left, bottom - top)

    @property
    def area(self) -> float:
        """Fraction of the picture that the box covers."""
        return self.width * self.height

    def overlap(self, other: "BoundingBox") -> float:
        """Intersection over union with another box of the same picture, 0…1."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True)
class Pose:
    """Head rotation in degrees, −180…180; all zero for an upright face that looks into the camera.

    Signs as AWS's: roll grows when the head tilts clockwise in the picture, yaw when it turns towards the picture's
    right, pitch when it looks up.
    """

    roll: float
    yaw: float
    pitch: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the face can be seen, each 0…100, more is better."""

    brightness: float
    sharpness: float


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A face's embedding.

    Attributes:
        face_model_version: of the model that it comes from.
        vector: (dimension,) float32, of unit length.
    """

    face_model_version: str
    vector: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A face as the engine found it in a picture; nothing is stored yet.

    Attributes:
        box: where it is.
        landmarks: (5, 2) float32, x and y in ratios of the upright picture, in the order of ``LANDMARKS``.
        confidence: 0…100, how sure the detector is that this is a face.
        embedded: its embedding, where it has been embedded already.
    """

    box: BoundingBox
    landmarks: NDArray[np.float32]
    confidence: float
    embedded: Embedded | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AnalyzedFace:
    """A detection with everything that is measured on it rather than found by a network."""

    detection: Detection
    pose: Pose
    quality: Quality
