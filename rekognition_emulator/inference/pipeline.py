"""A face's way from image to collection: found, measured, judged, counted.

Pure composition over an engine, without I/O. Embedding is left to the caller, because only faces that were selected
are worth its cost.
"""

from collections.abc import Sequence
from typing import Final

from rekognition_emulator.domain.detection import AnalyzedFace
from rekognition_emulator.domain.errors import NoFaceInPicture
from rekognition_emulator.domain.pose import estimate_pose
from rekognition_emulator.domain.quality import QualityFilter, Reason, measure_quality, reasons
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.telemetry.observation import current, stage

FACES_MAX: Final = 100
"""Faces considered in one picture. Source: AWS developer guide, "Guidelines and quotas"."""


def analyse(engine: FaceEngine, image: Image) -> list[AnalyzedFace]:
    """Returns the 100 largest faces of a picture, largest first, with pose and quality measured."""
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


def largest(engine: FaceEngine, image: Image, bar: QualityFilter) -> tuple[AnalyzedFace, list[AnalyzedFace]]:
    """Returns the largest face of a picture, and the others.

    Raises:
        NoFaceInPicture: there is none, or the largest does not pass the bar.
    """
    portraits = analyse(engine, image)
    if not portraits or reasons(portraits[0], side_px(portraits[0], image), bar):
        raise NoFaceInPicture
    return portraits[0], portraits[1:]


def select(
    portraits: Sequence[AnalyzedFace], image: Image, bar: QualityFilter, max_faces: int
) -> tuple[list[AnalyzedFace], list[tuple[AnalyzedFace, list[Reason]]]]:
    """Decides which faces of a picture are worth keeping.

    Faces below the bar go. If more than ``max_faces`` remain, those of low quality go first and then the smallest, as
    AWS documents; what low means it does not say: here, what the default bar refuses, so that it matters where the bar
    asked for is none.

    Args:
        portraits: all of one picture, largest first.
        image: the picture.
        bar: how much is asked of a face.
        max_faces: at most so many are kept.

    Returns:
        The kept ones, and the others with the reasons; each largest first.
    """
    shortfalls = [reasons(portrait, side_px(portrait, image), bar) for portrait in portraits]
    passing = [place for place, shortfall in enumerate(shortfalls) if not shortfall]
    best = sorted(
        passing, key=lambda place: bool(reasons(portraits[place], side_px(portraits[place], image), QualityFilter.AUTO))
    )
    for place in best[max_faces:]:
        shortfalls[place] = [Reason.EXCEEDS_MAX_FACES]
    judged = list(zip(portraits, shortfalls, strict=True))
    return [portrait for portrait, shortfall in judged if not shortfall], [each for each in judged if each[1]]


def side_px(portrait: AnalyzedFace, image: Image) -> float:
    """Returns the shorter side of the face's box, in pixels of the picture as it was sent."""
    box = portrait.detection.box
    return min(box.width * image.width_px, box.height * image.height_px)
