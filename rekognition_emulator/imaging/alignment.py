"""Faces cut out of an image, upright and of one size, as networks expect them.

Any change here moves embeddings: it needs a new version of every face model that uses it.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.imaging.image import Image
from rekognition_emulator.telemetry.observation import part

DLIB_TEMPLATE: Final = np.array(
    [[46.66, 45.34], [101.39, 44.92], [74.20, 77.72], [49.67, 100.92], [99.69, 100.34]], np.float32
)
"""Where dlib's embedder expects the five landmarks, in pixels of its 150 × 150 chip.

Source: ours, medians of the landmarks found in dlib's own chips of real faces.
"""

DLIB_SIDE_PX: Final = 150
"""Side of the square that dlib's embedder takes. Source: dlib, examples/dnn_face_recognition_ex.cpp."""

ARCFACE_TEMPLATE: Final = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where ArcFace and its many descendants expect the five landmarks, in pixels of a 112 × 112 chip.

Source: insightface, python-package/insightface/utils/face_align.py.
"""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """How a face is cut out of a picture.

    Attributes:
        template: (5, 2) float32, to which the landmarks are brought nearest by a similarity.
        side_px: of the square that is cut.
        stretch: (2, 3) float64, takes points of the template's frame to the square; None where they are the same.
    """

    template: NDArray[np.float32]
    side_px: int
    stretch: NDArray[np.float64] | None = None


def spread(template: NDArray[np.float32], factor: float, side_px: int) -> NDArray[np.float32]:
    """Moves a template's points away from the centre of a square chip: more face, less background."""
    centre = np.float32((side_px - 1) / 2)
    return centre + (template - centre) * np.float32(factor)


def similarity_transforms(landmarks: NDArray[np.float32], template: NDArray[np.float32]) -> NDArray[np.float64]:
    """Finds the rotation, uniform scale and shift that bring landmarks nearest to a template, by least squares.

    As complex numbers, z → a z + b is exactly the family of similarities without reflection, so the fit is linear
    and equals that of Umeyama (1991) for two dimensions.

    Args:
        landmarks: (n, k, 2), x and y, in any frame. The k points of a face must not coincide.
        template: (k, 2), x and y, in the frame of the chip.

    Returns:
        (n, 2, 3): matrices that take a point of the picture, (x, y, 1), to the chip.
    """
    source = landmarks[..., 0].astype(np.float64) + 1j * landmarks[..., 1]
    target = template[:, 0].astype(np.float64) + 1j * template[:, 1]
    source_centre = source.mean(axis=1, keepdims=True)
    centred = source - source_centre
    turn = (centred.conj() @ (target - target.mean())) / (np.abs(centred) ** 2).sum(axis=1)
    shift = target.mean() - turn * source_centre[:, 0]
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.moveaxis(np.array(rows), -1, 0)


def octaves(image: Image, count: int) -> list[Pixels]:
    """Returns the picture, then the picture at a half, a quarter, …: ``count`` halvings, each by area averages.

    A halving is made once for a picture. Each pixel is the mean of exactly four, so that pixel x of octave n has its
    centre at (x + 0.5) · 2ⁿ − 0.5 in the picture; an odd last row or column is left out, because averages over parts of
    pixels take OpenCV twenty times as long.
    """
    for octave in range(1, count + 1):
        if octave not in image.halvings:
            above = image.halvings[octave - 1] if octave > 1 else image.pixels
            image.halvings[octave] = _halved(above)
    return [image.pixels, *(image.halvings[octave] for octave in range(1, count + 1))]


def _halved(pixels: Pixels) -> Pixels:
    height, width = (max(side // 2, 1) for side in pixels.shape[:2])
    even = pixels[: 2 * height, : 2 * width]
    with part("resize"):
        return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def shrunk(image: Image, scale: float) -> tuple[Pixels, NDArray[np.float32]]:
    """Returns the picture at a scale of at most 1, from the nearest octave, and what it was divided by, in x and y.

    Bilinear, since less than a halving is left; exact area averages take nine times as long and find no more.
    """
    count = int(-np.log2(scale))
    octave = octaves(image, count)[-1]
    covered = np.array(octave.shape[1::-1]) * 2**count
    height, width = (max(round(side * scale), 1) for side in image.pixels.shape[:2])
    if octave.shape[:2] == (height, width):
        return octave, (covered / (width, height)).astype(np.float32)
    with part("resize"):
        small = np.asarray(cv2.resize(octave, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return small, (covered / (width, height)).astype(np.float32)


def chips(
    image: Image,
    landmarks: NDArray[np.float32],
    template: NDArray[np.float32],
    side_px: int,
    stretch: NDArray[np.float64] | None = None,
) -> Pixels:
    """Cuts faces out of a picture, upright and of one size.

    Args:
        image: the picture.
        landmarks: (n, k, 2), pixels of the picture.
        template: (k, 2), pixels of the chip, or of what is stretched to it.
        side_px: of a chip.
        stretch: (2, 3), takes points of the template's frame to the chip; None where they are the same.

    Returns:
        (n, side_px, side_px, 3) uint8, black beyond the picture's edge.
    """
    transforms = similarity_transforms(landmarks, template)
    if stretch is not None:  # in one go with the rest: a second resampling would blur
        transforms = stretch[:, :2] @ transforms
        transforms[:, :, 2] += stretch[:, 2]
    return warp(image, transforms, side_px)


def warp(image: Image, transforms: NDArray[np.float64], side_px: int) -> Pixels:
    """Cuts squares out of a picture, turned, shifted and scaled.

    What shrinks is taken from a halved picture: bilinear sampling alone would skip pixels and alias.

    Args:
        image: the picture.
        transforms: (n, 2, 3): matrices that take a point of the picture, (x, y, 1), to a square.
        side_px: of a square.

    Returns:
        (n, side_px, side_px, 3) uint8, black beyond the picture's edge.
    """
    shrinking = 1 / np.hypot(transforms[:, 0, 0], transforms[:, 1, 0])
    octave_of = np.maximum(np.floor(np.log2(shrinking)), 0).astype(int)
    pyramid = octaves(image, octave_of.max(initial=0))
    squares = np.zeros((len(transforms), side_px, side_px, 3), np.uint8)
    with part("resize"):
        for square, transform, octave in zip(squares, transforms, octave_of, strict=True):
            cv2.warpAffine(pyramid[octave], _from_octave(transform, octave), (side_px, side_px), dst=square)
    return squares


def _from_octave(transform: NDArray[np.float64], octave: int) -> NDArray[np.float64]:
    """Rewrites a transform for points of a halved picture, whose pixel centres lie half a pixel off."""
    scale = 2.0**octave
    shift = transform[:, 2] + transform[:, :2].sum(axis=1) * (scale / 2 - 0.5)
    return np.column_stack([transform[:, :2] * scale, shift])
