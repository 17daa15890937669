"""How well a face can be seen, and which faces are too poor for a collection."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import AnalyzedFace, BoundingBox, Quality

CROP_PX: Final = 96
"""Side of the square at which sharpness is measured, whatever the size of the face: about what the networks see."""

ENERGY_NOTHING: Final = 1e-3
ENERGY_SHARP: Final = 0.3
"""Detail energies that mean sharpness 0 and 100. Source: ours, over 70 portraits: 0.05 to 0.7 as taken, 0.18 in the
median, and 0.001 to 0.005 after a Gaussian blur of a twenty-fifth of the face."""

ENERGY_ROUNDING: Final = 4.0
"""Detail energy, in squared grey levels, that rounding to 8 bits makes out of nothing: 20/12 for each of the image's
own rounding and the crop's, and a little more."""


DARKNESS_POWER: Final = 2.5
"""Brightness on AWS's scale is taken for 1 - (1 - luma)^this: an estimate.
Differs from AWS (#qualitys-brightness). Source: three faces of which AWS's own
answers are public have brightness 76.2, 86.4 and 92.5 there and a mean luma of 46.9, 52.3 and 63.2 % here, of which
this makes 79.5, 84.3 and 91.8. One parameter, as three points carry no more. Refused: a power of the luma itself, which
fits worse (80.9, 83.4, 88.0) and calls a face of 1 % luma 28 % bright."""


def brightness_of(luma: float) -> float:
    """Returns the brightness of a face, 0…100 on about AWS's scale, from its mean luma, 0…100 percent of white."""
    return 100 * (1 - math.pow(1 - luma / 100, DARKNESS_POWER))


class QualityFilter(StrEnum):
    """How much a collection asks of a face; values are AWS's ``QualityFilter``."""

    NONE = "NONE"
    AUTO = "AUTO"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class RejectionReason(StrEnum):
    """Why a face was not taken; values are AWS's, of which ``LOW_FACE_QUALITY`` names no measure and is not given."""

    EXCEEDS_MAX_FACES = "EXCEEDS_MAX_FACES"
    EXTREME_POSE = "EXTREME_POSE"
    LOW_BRIGHTNESS = "LOW_BRIGHTNESS"
    LOW_SHARPNESS = "LOW_SHARPNESS"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    SMALL_BOUNDING_BOX = "SMALL_BOUNDING_BOX"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a face must reach; what equals a limit passes.

    Attributes:
        turn_degrees_max: of yaw and of pitch. Roll is undone before embedding and never extreme.
        brightness_min: 0…100.
        sharpness_min: 0…100.
        confidence_min: 0…100.
        side_px_min: the shorter side of the box in the image as it was sent.
    """

    turn_degrees_max: float
    brightness_min: float
    sharpness_min: float
    confidence_min: float
    side_px_min: float


_LOW: Final = Requirements(
    turn_degrees_max=60, brightness_min=brightness_of(8), sharpness_min=5, confidence_min=90, side_px_min=20
)

REQUIREMENTS: Final = {
    QualityFilter.NONE: Requirements(
        turn_degrees_max=180, brightness_min=0, sharpness_min=0, confidence_min=0, side_px_min=0
    ),
    # A face that is refused can never be found, and an album is searched by people who want to find themselves: so the
    # default refuses only what no model could recognise. Small and blurred faces above these thresholds show selfies no
    # more strangers than promised, and are found by most; docs/reference/accuracy.md has what higher ones would cost.
    QualityFilter.AUTO: _LOW,
    QualityFilter.LOW: _LOW,
    QualityFilter.MEDIUM: Requirements(
        turn_degrees_max=45, brightness_min=brightness_of(15), sharpness_min=30, confidence_min=97, side_px_min=40
    ),
    QualityFilter.HIGH: Requirements(
        turn_degrees_max=30, brightness_min=brightness_of(25), sharpness_min=50, confidence_min=99, side_px_min=50
    ),
}
"""Differs from AWS (#qualityfilter): its thresholds are not published. Source: ours.

Faces of 28 portraits, shrunk or blurred, against themselves with the embedded engine: at 24 px all, at 16 px half are
still as similar as 80; so are, after a Gaussian blur of 2, 3 and 4 % of the face (sharpness 35, 12 and 0 in the
median), 100, 93 and 29 %. Of 68 portraits AUTO refuses no face but blurred ones in the background. The side that HIGH
asks for is AWS's: its guide says that 50 × 50 px are enough for a search, and in its own notebooks HIGH passes a face
of 59."""


def measure_quality(pixels: NDArray[np.uint8], box: BoundingBox) -> Quality:
    """Measures how bright and how sharp a face is.

    Brightness comes from the mean luma of the face, on about AWS's scale. Sharpness is the energy of the Laplacian of
    the face at a fixed size, in proportion to its contrast, on a logarithmic scale: it falls with every blur, and
    depends neither on the light nor, until the face is smaller than that size, on the resolution.

    Args:
        pixels: (h, w, 3) uint8, RGB.
        box: where the face is; what reaches beyond the image does not count.

    Returns:
        The quality; both 0 where no pixel of the box is inside the image.
    """
    height, width = pixels.shape[:2]
    left, top = max(round(box.left * width), 0), max(round(box.top * height), 0)
    right, bottom = round((box.left + box.width) * width), round((box.top + box.height) * height)
    face = pixels[top : max(bottom, 0), left : max(right, 0)]
    if face.size == 0:
        return Quality(0.0, 0.0)
    crop = PIL.Image.fromarray(np.ascontiguousarray(face))
    # reducing_gap: a large face is first averaged in whole steps, which is several times faster and looks the same.
    small = crop.resize((CROP_PX, CROP_PX), PIL.Image.Resampling.BILINEAR, reducing_gap=3.0)
    luma = np.asarray(small.convert("L"), dtype=np.float32)
    inner = luma[1:-1, 1:-1]
    laplacian = 4 * inner - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    detail = max(float(np.square(laplacian).mean()) - ENERGY_ROUNDING, 0.0)
    energy = detail / (float(luma.var()) + 1.0)
    decades = np.log(max(energy, ENERGY_NOTHING) / ENERGY_NOTHING) / np.log(ENERGY_SHARP / ENERGY_NOTHING)
    return Quality(brightness=brightness_of(float(luma.mean()) / 2.55), sharpness=100 * min(float(decades), 1.0))


def rejection_reasons(face: AnalyzedFace, face_size_px: float, quality_filter: QualityFilter) -> list[RejectionReason]:
    """Returns why a face does not pass a quality filter; empty if it does.

    Args:
        face: as it was measured.
        face_size_px: shorter side of its box in pixels of the image as it was sent.
        quality_filter: how much is asked.
    """
    required = REQUIREMENTS[quality_filter]
    shortfalls = {
        RejectionReason.EXTREME_POSE: max(abs(face.pose.yaw), abs(face.pose.pitch)) > required.turn_degrees_max,
        RejectionReason.LOW_BRIGHTNESS: face.quality.brightness < required.brightness_min,
        RejectionReason.LOW_SHARPNESS: face.quality.sharpness < required.sharpness_min,
        RejectionReason.LOW_CONFIDENCE: face.detection.confidence < required.confidence_min,
        RejectionReason.SMALL_BOUNDING_BOX: face_size_px < required.side_px_min,
    }
    return [reason for reason, short in shortfalls.items() if short]
