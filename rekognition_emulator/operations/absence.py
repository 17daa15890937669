"""Attributes that a request asks for and no face is answered with, because nothing here estimates them.

They are left out of the answer, which a caller may take for a face without a beard. So the operator is told.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import structlog

from rekognition_emulator.api.rekognition import Attribute, FaceDetail
from rekognition_emulator.observation import current

_MEMBERS: Final[dict[Attribute, str]] = {
    "AGE_RANGE": "AgeRange",
    "BEARD": "Beard",
    "EMOTIONS": "Emotions",
    "EYEGLASSES": "Eyeglasses",
    "EYES_OPEN": "EyesOpen",
    "EYE_DIRECTION": "EyeDirection",
    "FACE_OCCLUDED": "FaceOccluded",
    "GENDER": "Gender",
    "MOUTH_OPEN": "MouthOpen",
    "MUSTACHE": "Mustache",
    "SMILE": "Smile",
    "SUNGLASSES": "Sunglasses",
}
"""What a request calls it → what the answer does. Source: API reference of DetectFaces."""

log = structlog.get_logger(__name__)


def note_absent(requested: Sequence[Attribute], details: Sequence[FaceDetail]) -> None:
    """Notes for the metrics what was asked for and no face has, and logs each attribute once in a process's life.

    Args:
        requested: as in the request; ``ALL`` stands for every one.
        details: all that is answered. Without a face nothing is missing.
    """
    wanted = _MEMBERS if "ALL" in requested else _MEMBERS.keys() & requested
    absent = frozenset(name for name in wanted if not any(_MEMBERS[name] in detail for detail in details))
    if details and absent:
        current().absent_attributes = absent
        for attribute in sorted(absent):
            _log_once(attribute)


@cache
def _log_once(attribute: str) -> None:
    log.warning("attribute_absent", attribute=attribute, cause="nothing here estimates it; answers leave it out")
