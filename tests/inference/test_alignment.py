import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.imaging.alignment import DLIB_TEMPLATE, chips, octaves, shrunk, similarity_transforms, spread
from rekognition_emulator.imaging.image import Image

SIDE_PX = 150


def image(pixels: NDArray[np.uint8]) -> Image:
    """Pixels as a picture."""
    return Image(pixels, pixels.shape[1], pixels.shape[0])


@given(
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.05, 20),
    shift=st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)),
)
def test_known_similarity_is_recovered(angle: float, scale: float, shift: tuple[float, float]) -> None:
    """Landmarks that are the template turned, scaled and moved come back to it exactly."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = DLIB_TEMPLATE @ turn.T + np.array(shift)
    ((*linear, move),) = np.moveaxis(similarity_transforms(landmarks[None], DLIB_TEMPLATE), 2, 1)
    assert np.abs(landmarks @ np.array(linear) + move - DLIB_TEMPLATE).max() < 1e-3


@given(noise=st.lists(st.floats(-8, 8), min_size=10, max_size=10))
def test_no_similarity_is_nearer(noise: list[float]) -> None:
    """The fit is the least squares one: any small change of its four parameters is worse."""
    landmarks = 3 * DLIB_TEMPLATE + np.array(noise).reshape(5, 2)
    (fit,) = similarity_transforms(landmarks[None], DLIB_TEMPLATE)
    points = np.column_stack([landmarks, np.ones(5)])

    def error(transform: NDArray[np.float64]) -> float:
        return float(((points @ transform.T - DLIB_TEMPLATE) ** 2).sum())

    turns = ([[1, 0, 0], [0, 1, 0]], [[0, -1, 0], [1, 0, 0]], [[0, 0, 100], [0, 0, 0]], [[0, 0, 0], [0, 0, 100]])
    for change in turns:
        for step in (-1e-4, 1e-4):
            assert error(fit) < error(fit + step * np.array(change))


def test_mirrored_face_is_not_mirrored_back() -> None:
    """A similarity turns and scales and never reflects."""
    mirrored = DLIB_TEMPLATE * np.array([-1, 1], np.float32)
    (fit,) = similarity_transforms(mirrored[None], DLIB_TEMPLATE)
    assert np.linalg.det(fit[:, :2]) > 0


def test_spread_moves_points_from_the_centre() -> None:
    """A factor above one enlarges the face in its chip, around the middle of the pixels."""
    template = spread(np.array([[74.5, 74.5], [24.5, 74.5]], np.float32), 1.04, SIDE_PX)
    assert np.allclose(template, [[74.5, 74.5], [22.5, 74.5]])


def dotted(scale: float, angle: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draws a bright dot on dark ground at each landmark of a turned face."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = ((DLIB_TEMPLATE - 75) @ turn.T + 100 * max(scale, 1)).astype(np.float32)
    side = int(200 * max(scale, 1))
    at = np.arange(side)
    rows, columns = (np.exp(-((at - landmarks[:, axis, None]) ** 2) / (2 * (2 * scale) ** 2)) for axis in (1, 0))
    dots = np.einsum("kr,kc->krc", rows, columns)
    return np.repeat((255 * dots.max(axis=0)).astype(np.uint8)[..., None], 3, axis=2), landmarks


def test_landmarks_land_on_the_template() -> None:
    """Whatever the face's size, also where the chip is cut from a halved picture, its points come to their places."""
    for scale in (0.7, 1.0, 1.9, 2.3, 5.1):
        for angle in (0.0, 0.4):
            picture, landmarks = dotted(scale, angle)
            (chip,) = chips(image(picture), landmarks[None], DLIB_TEMPLATE, SIDE_PX)
            for place_x, place_y in DLIB_TEMPLATE:
                left, top = round(place_x) - 8, round(place_y) - 8
                patch = chip[top : top + 17, left : left + 17, 0].astype(float)
                y, x = np.mgrid[top : top + 17, left : left + 17]
                found = np.array([(patch * x).sum(), (patch * y).sum()]) / patch.sum()
                assert np.abs(found - (place_x, place_y)).max() < 0.15, (scale, angle)


def test_large_face_is_averaged_not_skipped() -> None:
    """Fine noise on a large face averages out in its chip instead of aliasing into it."""
    noise = np.random.default_rng(0).integers(0, 256, (2400, 2400, 1), np.uint8).repeat(3, axis=2)
    (chip,) = chips(image(noise), DLIB_TEMPLATE[None] * 16, DLIB_TEMPLATE, SIDE_PX)
    assert chip.std() < 12


def test_picture_beyond_the_edge_is_black() -> None:
    """A face that the edge cuts is filled with black, as dlib fills it."""
    white = np.full((100, 100, 3), 255, np.uint8)
    (chip,) = chips(image(white), DLIB_TEMPLATE[None] - np.array([75, 0], np.float32), DLIB_TEMPLATE, SIDE_PX)
    assert (chip[:90, :74] == 0).all()
    assert (chip[:90, 76:] == 255).all()


def test_chips_are_independent() -> None:
    """Each row is cut by its own landmarks."""
    picture = cv2.merge([np.tile(np.arange(200, dtype=np.uint8), (200, 1))] * 3)
    landmarks = np.stack([DLIB_TEMPLATE, DLIB_TEMPLATE + np.array([20, 0], np.float32)])
    first, second = chips(image(picture), landmarks, DLIB_TEMPLATE, SIDE_PX).astype(int)
    assert np.abs(second - first - 20).max() <= 1


def test_a_halving_is_made_once_and_is_the_mean_of_four_pixels() -> None:
    """Whatever the sides, odd ones too; who asks later gets the same arrays."""
    picture = image(np.random.default_rng(0).integers(0, 256, (37, 51, 3), np.uint8))
    whole, half, quarter = octaves(picture, 2)
    assert whole is picture.pixels
    four = picture.pixels[:36, :50].reshape(18, 2, 25, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - four).max() <= 0.5
    assert quarter.shape == (9, 12, 3)
    assert all(one is other for one, other in zip(octaves(picture, 1), (whole, half), strict=True))


def test_what_is_shrunk_keeps_its_place() -> None:
    """A dot of a picture with odd sides lies in the small one where the ratio says."""
    at_x, at_y = 613.0, 411.0
    x, y = np.meshgrid(np.arange(1001), np.arange(777))
    dot = 255 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 800)
    small, ratio = shrunk(image(np.dstack([dot] * 3).astype(np.uint8)), 0.11)
    weights = small[..., 0].astype(float)
    rows, columns = np.indices(weights.shape)
    found = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    assert np.abs((found + 0.5) * ratio - 0.5 - (at_x, at_y)).max() < 0.5
