"""The details of a picture's faces: what a request asks for beyond finding them is estimated, and all is rendered."""

from collections.abc import Sequence

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.detection import AnalyzedFace
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.operations.absence import add_neutral, note_absent
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.intake import wanted_attributes
from rekognition_emulator.operations.rendering import face_detail
from rekognition_emulator.telemetry.observation import stage


def describe(
    context: Context, image: Image, portraits: Sequence[AnalyzedFace], requested: Sequence[api.Attribute]
) -> list[api.FaceDetail]:
    """Returns each face with the attributes that the request names; where there is no face, none of them is missing."""
    wanted = wanted_attributes(requested)
    with stage("attributes"):
        attributes = context.attributes.estimate(image, [portrait.detection for portrait in portraits], wanted)
    details = [face_detail(*face) for face in zip(portraits, attributes, strict=True)]
    if details:
        note_absent(wanted, context.attributes.known)
    if context.neutral_when_absent:
        for detail in details:
            add_neutral(detail, wanted)
    return details
