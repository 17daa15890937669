"""What networks estimate about a face beyond finding it, and the interface of what estimates."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rekognition_emulator.faces.detection import Detection
from rekognition_emulator.faces.image import Image


class Attribute(StrEnum):
    """What can be estimated; values are AWS's names in requests."""

    AGE_RANGE = "AGE_RANGE"
    EMOTIONS = "EMOTIONS"
    GENDER = "GENDER"


class Gender(StrEnum):
    """What a face looks like, which need not be what its owner is; values are AWS's."""

    MALE = "Male"
    FEMALE = "Female"


class Emotion(StrEnum):
    """What a face shows; values are AWS's, of which no network here knows CONFUSED."""

    ANGRY = "ANGRY"
    CALM = "CALM"
    DISGUSTED = "DISGUSTED"
    FEAR = "FEAR"
    HAPPY = "HAPPY"
    SAD = "SAD"
    SURPRISED = "SURPRISED"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What was estimated about one face; None where nothing was.

    Attributes:
        age: lowest and highest age in years that the face looks like.
        gender: with a confidence of 50…100.
        emotions: each with a confidence of 0…100, the most likely first.
    """

    age: tuple[int, int] | None = None
    gender: tuple[Gender, float] | None = None
    emotions: Sequence[tuple[Emotion, float]] | None = None


class AttributeEstimator(ABC):
    """Estimates attributes of faces; thread-safe."""

    @abstractmethod
    def estimate(self, image: Image, detections: Sequence[Detection], wanted: set[Attribute]) -> list[Attributes]:
        """Returns what it can say of each face found in the picture, of what is wanted; nothing else is computed."""
