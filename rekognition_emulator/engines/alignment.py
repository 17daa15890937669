"""Changes when faces are cut out and set upright differently.

Any change here moves embeddings: it needs a new version of every face model that uses it.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

DLIB_TEMPLATE: Final = np.array(
    [[46.66, 45.34], [101.39, 44.92], [74.20, 77.72], [49.67, 100.92], [99.69, 100.34]], np.float32
)
"""Where dlib's embedder expects the five landmarks, in pixels of its 150 × 150 chip.

Source: ours, medians of the landmarks found in dlib's own chips of real faces.
"""

ARCFACE_TEMPLATE: Final = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where ArcFace and its many descendants expect the five landmarks, in pixels of a 112 × 112 chip.

Source: insightface, python-package/insightface/utils/face_align.py.
"""

Pixels = NDArray[np.uint8]


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


def halvings(pixels: Pixels, count: int) -> list[Pixels]:
    """Returns the picture, then the picture at a half, a quarter, …: ``count`` halvings, each by area averages."""
    octaves = [pixels]
    for _ in range(count):
        height, width = octaves[-1].shape[:2]
        size = (max(width // 2, 1), max(height // 2, 1))
        octaves.append(cv2.resize(octaves[-1], size, interpolation=cv2.INTER_AREA))
    return octaves


def chips(
    pixels: Pixels,
    landmarks: NDArray[np.float32],
    template: NDArray[np.float32],
    side_px: int,
    stretch: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Cuts faces out of a picture, upright and of one size.

    Args:
        pixels: (h, w, 3) uint8.
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
    return warp(pixels, transforms, side_px)


def warp(pixels: Pixels, transforms: NDArray[np.float64], side_px: int) -> NDArray[np.uint8]:
    """Cuts squares out of a picture, turned, shifted and scaled.

    What shrinks is taken from a halved picture: bilinear sampling alone would skip pixels and alias.

    Args:
        pixels: (h, w, 3) uint8.
        transforms: (n, 2, 3): matrices that take a point of the picture, (x, y, 1), to a square.
        side_px: of a square.

    Returns:
        (n, side_px, side_px, 3) uint8, black beyond the picture's edge.
    """
    shrinking = 1 / np.hypot(transforms[:, 0, 0], transforms[:, 1, 0])
    octave_of = np.maximum(np.floor(np.log2(shrinking)), 0).astype(int)
    octaves = halvings(pixels, octave_of.max(initial=0))
    squares = np.zeros((len(transforms), side_px, side_px, 3), np.uint8)
    for square, transform, octave in zip(squares, transforms, octave_of, strict=True):
        cv2.warpAffine(octaves[octave], _from_octave(transform, octaves, octave), (side_px, side_px), dst=square)
    return squares


def _from_octave(transform: NDArray[np.float64], octaves: Sequence[Pixels], octave: int) -> NDArray[np.float64]:
    """Rewrites a transform for points of a halved picture, whose pixel centres lie half a pixel off."""
    height, width = octaves[octave].shape[:2]
    scale = np.array([octaves[0].shape[1] / width, octaves[0].shape[0] / height])
    linear = transform[:, :2] * scale
    shift = transform[:, 2] + transform[:, :2] @ (scale / 2 - 0.5)
    return np.column_stack([linear, shift])
