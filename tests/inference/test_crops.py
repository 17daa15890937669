"""Where in its crop an embedder expects a face."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.imaging.alignment import ARCFACE_TEMPLATE, chips
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.models.catalogue import EMBEDDERS, RETAIL_0095
from rekognition_emulator.models.records import Embedder

LANDMARKS = (ARCFACE_TEMPLATE * np.float32(1.3) + np.float32(40)) @ np.array([[0.98, 0.2], [-0.2, 0.98]], np.float32)
"""Of a face that is turned a little, in a picture of 256 × 256 px."""


def cut(embedder: Embedder, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Cuts the face out for an embedder."""
    crop = embedder.crop()
    (face,) = chips(Image(pixels, 256, 256), LANDMARKS[None], crop.template, crop.side_px, crop.stretch)
    values: NDArray[np.int64] = face.astype(np.int64)
    return values


@pytest.fixture(params=["across", "down"])
def ramp(request: pytest.FixtureRequest) -> NDArray[np.uint8]:
    """A picture whose every pixel says how far it is from an edge: resampling keeps that, wherever it samples."""
    distance = np.arange(256, dtype=np.uint8)
    plane = np.broadcast_to(distance if request.param == "across" else distance[:, None], (256, 256))
    return np.ascontiguousarray(np.repeat(plane[..., None], 3, axis=2))


def test_intels_crop_is_the_middle_of_arcfaces_stretched(ramp: NDArray[np.uint8]) -> None:
    """Sampled once, it shows every point where cutting and stretching one after the other would."""
    (arcface,) = chips(Image(ramp, 256, 256), LANDMARKS[None], ARCFACE_TEMPLATE, 112)
    detour = cv2.resize(arcface[:, 8:104], (128, 128), interpolation=cv2.INTER_LINEAR)
    # Beyond its outermost centres the detour repeats its edge: only the inner pixels are comparable.
    assert np.abs(cut(RETAIL_0095, ramp) - detour)[1:-1, 1:-1].max() <= 1


@pytest.mark.parametrize("embedder", EMBEDDERS.values(), ids=list(EMBEDDERS))
def test_every_crop_shows_the_whole_face(embedder: Embedder, ramp: NDArray[np.uint8]) -> None:
    """Eyes, nose and mouth lie inside, the eyes above the mouth."""
    crop = embedder.crop()
    points = crop.template.astype(float)
    if crop.stretch is not None:
        points = points @ crop.stretch[:, :2].T + crop.stretch[:, 2]
    assert ((points > 0.1 * crop.side_px) & (points < 0.9 * crop.side_px)).all()
    assert points[:2, 1].max() < points[3:, 1].min()
    assert cut(embedder, ramp).shape == (crop.side_px, crop.side_px, 3)
