"""A face's way from image to collection: found, measured, judged, counted.

Pure composition over an engine, without I/O. Embedding is left to the caller, because only faces that were selected
are worth its cost.

Differs from AWS (#faces-that-lie): detectors look at lying images, too.
"""

from collections.abc import Sequence
from typing import Final

from rekognition_emulator.domain.detection import AnalyzedFace
from rekognition_emulator.domain.errors import NoFaceInPicture
from rekognition_emulator.domain.pose import estimate_pose
from rekognition_emulator.domain.quality import QualityFilter, RejectionReason, measure_quality, rejection_reasons
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.telemetry.observation import current, stage

FACES_MAX: Final = 100
"""Faces considered in one image. Source: AWS developer guide, "Guidelines and quotas"."""


def analyse(engine: FaceEngine, image: Image) -> list[AnalyzedFace]:
    """Returns the 100 largest faces of an image, largest first, with pose and quality measured."""
    with stage("detect"):
        found = sorted(engine.detect(image), key=lambda detection: detection.box.area, reverse=True)
    current().count("faces_found", len(found))
    aspect = image.width_px / image.height_px
    return [
        AnalyzedFace(
            detection=detection,
            pose=estimate_pose(detection.landmarks, aspect),
            quality=measure_quality(image.pixels, detection.box),
        )
        for detection in found[:FACES_MAX]
    ]


def largest(engine: FaceEngine, image: Image, quality_filter: QualityFilter) -> tuple[AnalyzedFace, list[AnalyzedFace]]:
    """Returns the largest face of an image, and the others.

    Raises:
        NoFaceInPicture: there is none, or the largest does not pass the quality filter.
    """
    faces = analyse(engine, image)
    if not faces or rejection_reasons(faces[0], side_px(faces[0], image), quality_filter):
        raise NoFaceInPicture
    return faces[0], faces[1:]


def select(
    faces: Sequence[AnalyzedFace], image: Image, quality_filter: QualityFilter, max_faces: int
) -> tuple[list[AnalyzedFace], list[tuple[AnalyzedFace, list[RejectionReason]]]]:
    """Decides which faces of an image are worth keeping.

    Faces that the quality filter rejects go. If more than ``max_faces`` remain, those of low quality go first and then
    the smallest, as AWS documents. What low means it does not say: here, what the default filter rejects, which matters
    where the request's filter is NONE.

    Args:
        faces: all of one image, largest first.
        image: the image.
        quality_filter: how much is asked of a face.
        max_faces: at most so many are kept.

    Returns:
        The kept ones, and the others with the reasons; each largest first.
    """
    shortfalls = [rejection_reasons(face, side_px(face, image), quality_filter) for face in faces]
    passing = [place for place, shortfall in enumerate(shortfalls) if not shortfall]
    best = sorted(
        passing,
        key=lambda place: bool(rejection_reasons(faces[place], side_px(faces[place], image), QualityFilter.AUTO)),
    )
    for place in best[max_faces:]:
        shortfalls[place] = [RejectionReason.EXCEEDS_MAX_FACES]
    judged = list(zip(faces, shortfalls, strict=True))
    return [face for face, shortfall in judged if not shortfall], [each for each in judged if each[1]]


def side_px(face: AnalyzedFace, image: Image) -> float:
    """Returns the shorter side of the face's box, in pixels of the image as it was sent."""
    box = face.detection.box
    return min(box.width * image.width_px, box.height * image.height_px)
