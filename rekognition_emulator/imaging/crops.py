"""Face crops that are kept so that another face model can embed them later.

A chip is cut along the picture's rows and columns, and stays in the picture's own pixels unless these are many: a model
that comes later turns and scales it onto a template of its own, and whatever was turned and scaled before would blur
once more. Keeping every model's own upright square was refused, because nobody knows the next model's.
"""

import io
from typing import Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.faces import FaceChip
from rekognition_emulator.imaging.image import Image

FRAME: Final = np.array([(0.341, 0.462), (0.656, 0.460), (0.500, 0.640), (0.371, 0.825), (0.631, 0.823)])
"""Where the landmarks of an upright face stand in the square that embedders look at, in ratios of its side. Source:
insightface, face_align.py; of the templates known here it shows most around the face."""

MARGIN: Final = 0.1
"""Of that square's side, kept beyond each of its edges for a template that shows more. Ours."""

SIDE_PX_MAX: Final = 256
"""Of that square: a larger one is shrunk to it. The largest input of the models known here is 160. Ours."""

JPEG_QUALITY: Final = 95
"""Ours: over 275 faces of 131 photographs a chip takes 13 kB in the median, and the embedding of the chip has to that
of the picture a cosine of 0.9997 with dlib (0.998 for the worst in a hundred) and of 0.998 with MobileFace (0.988). At
90 it takes 9 kB, but then the worst in a hundred have 0.994 and 0.967: small faces are blurred first."""


def cut_chip(image: Image, detection: Detection) -> FaceChip:
    """Cuts out what any embedder may want to see of a face."""
    height, width = image.pixels.shape[:2]
    landmarks = detection.landmarks.astype(np.float64) * (width, height)
    corners = _frame_corners(landmarks)
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0, (width - 1, height - 1)).tolist()
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).clip((left + 1, top + 1), (width, height)).tolist()
    chip = PIL.Image.fromarray(image.pixels[top:bottom, left:right])
    side_px = np.hypot(*(corners[1] - corners[0])) / (1 + 2 * MARGIN)
    shrink = max(side_px / SIDE_PX_MAX, 1.0)
    if shrink > 1:
        chip = chip.resize(
            (round(chip.width / shrink) or 1, round(chip.height / shrink) or 1), PIL.Image.Resampling.BOX
        )
    scale = np.array([chip.width / (right - left), chip.height / (bottom - top)])
    # Coordinates name the centres of pixels, which move by half of what they grow.
    points = (landmarks - (left, top) + 0.5) * scale - 0.5
    file = io.BytesIO()
    chip.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return FaceChip(file.getvalue(), (points / (chip.width, chip.height)).astype(np.float32))


def open_chip(chip: FaceChip) -> tuple[Image, Detection]:
    """Returns a chip as the picture of one face, which fills it."""
    with PIL.Image.open(io.BytesIO(chip.jpeg), formats=["JPEG"]) as opened:
        image = Image(np.asarray(opened.convert("RGB")), *opened.size)
    return image, Detection(BoundingBox(0.0, 0.0, 1.0, 1.0), chip.landmarks, 100.0)


def _frame_corners(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the corners of the square with its margin, (4, 2) in the landmarks' coordinates, at any roll.

    As complex numbers, z → a z + b is exactly the family of turns, scales and shifts, so the fit is linear.
    """
    frame = FRAME @ (1, 1j)
    points = landmarks @ (1, 1j)
    centred = frame - frame.mean()
    # Fitted as embedders do, from the picture to the frame: the other way round a turned head's square would be
    # smaller than theirs.
    turn = (points - points.mean()).conj() @ centred / np.sum(np.abs(points - points.mean()) ** 2)
    low, high = -MARGIN, 1 + MARGIN
    corners = (np.array([low + low * 1j, high + low * 1j, high + high * 1j, low + high * 1j]) - frame.mean()) / turn
    corners += points.mean()
    return np.stack([corners.real, corners.imag], axis=1)
