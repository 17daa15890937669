"""What is estimated about a face beyond finding it, and the interface of whatever estimates it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from rekognition_emulator.domain.detection import Pose


class Attribute(StrEnum):
    """What can be estimated; values are AWS's names in requests, except for ``FACE_SHAPE``."""

    AGE_RANGE = "AGE_RANGE"
    BEARD = "BEARD"
    EMOTIONS = "EMOTIONS"
    EYEGLASSES = "EYEGLASSES"
    EYES_OPEN = "EYES_OPEN"
    EYE_DIRECTION = "EYE_DIRECTION"
    FACE_OCCLUDED = "FACE_OCCLUDED"
    GENDER = "GENDER"
    MOUTH_OPEN = "MOUTH_OPEN"
    MUSTACHE = "MUSTACHE"
    SMILE = "SMILE"
    SUNGLASSES = "SUNGLASSES"
    FACE_SHAPE = "FACE_SHAPE"
    """Thirty landmarks and the pose that follows from a mesh: no name of AWS's, they come with ALL alone."""


class Gender(StrEnum):
    """What a face looks like, which need not be what its owner is; values are AWS's."""

    MALE = "Male"
    FEMALE = "Female"


class Emotion(StrEnum):
    """What a face shows; values are AWS's."""

    ANGRY = "ANGRY"
    CALM = "CALM"
    CONFUSED = "CONFUSED"
    DISGUSTED = "DISGUSTED"
    FEAR = "FEAR"
    HAPPY = "HAPPY"
    SAD = "SAD"
    SURPRISED = "SURPRISED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something is so, and the confidence in that answer, be it yes or no: 50…100."""

    value: bool
    confidence: float

    @classmethod
    def of(cls, probability: float) -> "Verdict":
        """Returns the likelier answer to a question whose answer is yes with this probability, 0…1."""
        return cls(probability >= 0.5, 100 * max(probability, 1 - probability))  # noqa: PLR2004 - the likelier

    @property
    def probability(self) -> float:
        """How likely the answer is yes, 0…1."""
        sure = self.confidence / 100
        return sure if self.value else 1 - sure


@dataclass(frozen=True, slots=True)
class EyeDirection:
    """Where the eyes look, in degrees, with the signs of ``Pose``: both zero into the camera. Confidence 0…100."""

    yaw: float
    pitch: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Attributes:
    """What was estimated about one face; None where nothing was.

    Attributes:
        age: lowest and highest age in years that the face looks like.
        gender: with a confidence of 50…100.
        emotions: each with a confidence of 0…100, the most likely first.
        landmarks: the thirty points, x and y in ratios of the upright image, in the order of ``mesh.LANDMARKS_30``.
        pose: as a mesh gives it, which is nearer than that of five landmarks.
    """

    age: tuple[int, int] | None = None
    gender: tuple[Gender, float] | None = None
    emotions: Sequence[tuple[Emotion, float]] | None = None
    smile: Verdict | None = None
    eyes_open: Verdict | None = None
    mouth_open: Verdict | None = None
    eye_direction: EyeDirection | None = None
    eyeglasses: Verdict | None = None
    sunglasses: Verdict | None = None
    beard: Verdict | None = None
    mustache: Verdict | None = None
    face_occluded: Verdict | None = None
    landmarks: Sequence[tuple[float, float]] | None = None
    pose: Pose | None = None

    def completed(self, other: "Attributes") -> "Attributes":
        """Returns these, and what they lack as the other has it."""
        return Attributes(
            **{
                name: getattr(other if getattr(self, name) is None else self, name)
                for name in (field.name for field in fields(self))
            }
        )
