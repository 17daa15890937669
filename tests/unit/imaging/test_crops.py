from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.imaging.crops import FRAME, MARGIN, SIDE_PX_MAX, cut_chip, open_chip
from rekognition_emulator.imaging.image import Image


def waves() -> Image:
    """A picture whose colours tell where one is: red grows to the right, green downwards, and blue is nothing."""
    y, x = np.mgrid[0:600, 0:800]
    return Image(np.dstack([x * 255 / 799, y * 255 / 599, np.zeros_like(x)]).astype(np.uint8), 800, 600)


def face(centre: tuple[float, float], side_px: float, roll: float) -> Detection:
    """A face whose square in the frame of embedders has this centre, in pixels, this side and this roll in degrees."""
    turned = (FRAME - 0.5) @ (1, 1j) * np.exp(1j * np.radians(roll)) * side_px + complex(*centre)
    points = np.stack([turned.real, turned.imag], axis=1) / (800, 600)
    return Detection(BoundingBox(0, 0, 1, 1), points.astype(np.float32), 99.0)


@settings(deadline=None)
@given(
    centre=st.tuples(st.floats(0, 800), st.floats(0, 600)),
    side_px=st.floats(30, 900),
    roll=st.floats(-180, 180),
)
def test_landmarks_stay_on_the_face(centre: tuple[float, float], side_px: float, roll: float) -> None:
    """Wherever, however large and turned: what a landmark of the chip points at is that of the picture's."""
    image, detection = waves(), face(centre, side_px, roll)
    chip, again = open_chip(cut_chip(image, detection))
    there = detection.landmarks * (800, 600)
    here = again.landmarks * (chip.width_px, chip.height_px)
    for (x, y), (u, v) in zip(there, here, strict=True):
        if 2 < x < 797 and 2 < y < 597:
            seen = chip.pixels[round(v), round(u)].astype(float)
            # One pixel of a shrunk chip is several of the picture, and a shade is three of them.
            tolerance = 4 + 255 / 600 * max(1, side_px / SIDE_PX_MAX)
            assert seen == pytest.approx((x * 255 / 799, y * 255 / 599, 0), abs=tolerance)


@settings(deadline=None)
@given(side_px=st.floats(30, 900), roll=st.floats(-180, 180))
def test_chips_show_the_square_that_embedders_look_at(side_px: float, roll: float) -> None:
    """Its corners are inside, as far as they are in the picture, and no chip is larger than it has to be."""
    image, detection = waves(), face((400, 300), side_px, roll)
    chip, _ = open_chip(cut_chip(image, detection))
    side_max = SIDE_PX_MAX * (1 + 2 * MARGIN) * 2**0.5
    assert max(chip.width_px, chip.height_px) <= side_max + 2
    corners = np.array([0.5 + 0.5j, 0.5 - 0.5j, -0.5 + 0.5j, -0.5 - 0.5j]) * np.exp(1j * np.radians(roll)) * side_px
    inside = corners + (400 + 300j)
    left, top = max(0, inside.real.min()), max(0, inside.imag.min())
    first, last = chip.pixels[0, 0].astype(float), chip.pixels[-1, -1].astype(float)
    assert first[0] <= left * 255 / 799 + 4
    assert first[1] <= top * 255 / 599 + 4
    assert last[0] >= min(799, inside.real.max()) * 255 / 799 - 4
    assert last[1] >= min(599, inside.imag.max()) * 255 / 599 - 4


def test_a_face_beyond_the_edge_has_a_chip(face: Callable[..., Detection]) -> None:
    """Landmarks outside the picture make a small chip, and no failure."""
    chip, again = open_chip(cut_chip(waves(), face(-0.3, -0.3, 0.2)))
    assert chip.pixels.size
    assert again.landmarks.max() < 0
