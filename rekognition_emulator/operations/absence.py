"""Attributes that a request asks for and a face is answered without: noted, and by the operator's wish filled in.

They are left out of the answer, which a caller may take for a face without a beard, or which stops one that reads
members without asking whether they are there. So the operator is told, and may have neutral values sent instead.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Final, get_args

import structlog

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.telemetry.observation import current

MEMBERS: Final[Mapping[Attribute, str]] = {
    Attribute.AGE_RANGE: "AgeRange",
    Attribute.BEARD: "Beard",
    Attribute.EMOTIONS: "Emotions",
    Attribute.EYEGLASSES: "Eyeglasses",
    Attribute.EYES_OPEN: "EyesOpen",
    Attribute.EYE_DIRECTION: "EyeDirection",
    Attribute.FACE_OCCLUDED: "FaceOccluded",
    Attribute.GENDER: "Gender",
    Attribute.MOUTH_OPEN: "MouthOpen",
    Attribute.MUSTACHE: "Mustache",
    Attribute.SMILE: "Smile",
    Attribute.SUNGLASSES: "Sunglasses",
}
"""What adds a member of its own to a face's details, and that member. Source: API reference of DetectFaces."""

NEUTRAL_CONFIDENCE: Final = 50.0
"""Of a neutral value: as likely as its opposite."""

_EMOTIONS: Final[Sequence[api.EmotionName]] = [name for name in get_args(api.EmotionName) if name != "UNKNOWN"]

log = structlog.get_logger(__name__)


def note_absent(wanted: AbstractSet[Attribute], known: AbstractSet[Attribute]) -> None:
    """Notes for the metrics what was asked for and nothing here estimates; logs each once in a process's life."""
    absent = wanted - known & MEMBERS.keys()
    if absent:
        current().absent_attributes = frozenset(attribute.value for attribute in absent)
        for attribute in sorted(absent):
            _log_once(attribute)


def add_neutral(detail: api.FaceDetail, wanted: AbstractSet[Attribute]) -> None:
    """Adds what a request asks for and a face is answered without, as values that say nothing.

    Yes or no is no, with the confidence 50; eyes are open and look where the head is turned; an age is 0 to 100, a
    gender Female at 50. Of the emotions, those that nothing estimates have the confidence 0; where none is estimated,
    CALM has 50. Landmarks stay as they are.
    """
    for attribute, member in MEMBERS.items():
        if attribute not in wanted:
            continue
        if attribute is Attribute.EMOTIONS:
            _complete_emotions(detail)
        elif member not in detail:
            detail[member] = _neutral(attribute, detail)  # type: ignore[literal-required] # from the table above


def _neutral(attribute: Attribute, detail: api.FaceDetail) -> object:
    match attribute:
        case Attribute.AGE_RANGE:
            return {"Low": 0, "High": 100}
        case Attribute.EYE_DIRECTION:
            pose = detail["Pose"]
            return {"Yaw": pose["Yaw"], "Pitch": pose["Pitch"], "Confidence": NEUTRAL_CONFIDENCE}
        case Attribute.GENDER:
            return {"Value": "Female", "Confidence": NEUTRAL_CONFIDENCE}
        case _:
            return {"Value": attribute is Attribute.EYES_OPEN, "Confidence": NEUTRAL_CONFIDENCE}


def _complete_emotions(detail: api.FaceDetail) -> None:
    emotions = detail.setdefault("Emotions", [{"Type": "CALM", "Confidence": NEUTRAL_CONFIDENCE}])
    there = {emotion["Type"] for emotion in emotions}
    emotions.extend({"Type": name, "Confidence": 0.0} for name in _EMOTIONS if name not in there)


@cache
def _log_once(attribute: Attribute) -> None:
    log.warning("attribute_absent", attribute=attribute.value, cause="nothing here estimates it")
