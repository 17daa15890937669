"""Faces at any roll: what is found in a turned picture is reported in the picture as it was given."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.faces.detection import BoundingBox, Detection
from rekognition_emulator.faces.embedding import FaceModel
from rekognition_emulator.faces.engine import FaceEngine
from rekognition_emulator.faces.image import Image
from rekognition_emulator.faces.pipeline import analyse

SKY = (0, 50)
FACE = ((20, 40), (20, 60), (32, 50), (44, 43), (44, 57))
"""Row and column of the marked pixels in the upright picture: one above, and a face's five points."""


def marks(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Where the face's points are, (5, 2), x and y in pixels; each has a value of its own."""
    rows_columns = [np.argwhere(pixels[..., 0] == 101 + point)[0] for point in range(len(FACE))]
    return np.array(rows_columns)[:, ::-1] + 0.5


class UprightEngine(FaceEngine):
    """Sees a face where two pixels are marked, but only in a picture that is the right way up."""

    def __init__(self, confidence: float = 99.9) -> None:
        self.confidence = confidence
        self.calls = 0

    @property
    def model(self) -> FaceModel:
        """Not asked for."""
        raise AssertionError

    def detect(self, image: Image) -> list[Detection]:
        """The face, its points in the middle of the marked pixels."""
        self.calls += 1
        if not image.pixels[0].any():
            return []
        height, width = image.pixels.shape[:2]
        assert (image.width_px, image.height_px) == (width, height)
        points = marks(image.pixels) / (width, height)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        box = BoundingBox(left, top, right - left, bottom - top)
        return [Detection(box, points.astype(np.float32), self.confidence)]

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:  # noqa: ARG002 - as declared
        """Not asked for."""
        raise AssertionError


def picture(quarter_turns: int) -> Image:
    """A picture of 200 × 120 pixels and its face, turned clockwise."""
    pixels = np.zeros((120, 200, 3), np.uint8)
    pixels[SKY] = 255
    for point, place in enumerate(FACE):
        pixels[place] = 101 + point
    turned = np.ascontiguousarray(np.rot90(pixels, -quarter_turns))
    return Image(turned, width_px=turned.shape[1], height_px=turned.shape[0])


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_face_is_reported_where_it_is_in_the_given_picture(quarter_turns: int) -> None:
    """Points and box lie on the marked pixels of the picture as it was given, whichever way it was turned."""
    image = picture(quarter_turns)
    (portrait,) = analyse(UprightEngine(), image)
    size = (image.width_px, image.height_px)
    there = marks(image.pixels)
    np.testing.assert_allclose(portrait.detection.landmarks * size, there, atol=1e-3)
    box = portrait.detection.box
    corners = np.array([(box.left, box.top), (box.left + box.width, box.top + box.height)])
    np.testing.assert_allclose(corners * size, [there.min(axis=0), there.max(axis=0)], atol=1e-9)


@pytest.mark.parametrize(("quarter_turns", "roll"), [(0, 0), (1, 90), (2, 180), (3, -90)])
def test_the_roll_is_that_of_the_given_picture(quarter_turns: int, roll: float) -> None:
    """A head that lies on its side is said to lie on its side."""
    (portrait,) = analyse(UprightEngine(), picture(quarter_turns))
    difference = (portrait.pose.roll - roll + 180) % 360 - 180
    assert difference == pytest.approx(0, abs=1)


def test_an_upright_face_costs_one_detection() -> None:
    """Nothing is turned where a face was found."""
    engine = UprightEngine()
    analyse(engine, picture(0))
    assert engine.calls == 1


def test_what_looks_like_a_face_only_when_turned_must_be_certain() -> None:
    """Turning gives everything that is no face three more chances to look like one."""
    assert analyse(UprightEngine(confidence=90), picture(0))
    assert not analyse(UprightEngine(confidence=90), picture(1))
