"""MediaPipe's own operators, against what they are by definition, on networks that the tests write."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers  # type: ignore[import-untyped]
from numpy.typing import NDArray

from rekognition_emulator.inference.conversion.tflite import convert
from rekognition_emulator.inference.sessions import open_model
from rekognition_emulator.models.weights import ModelUnusable
from tests.support import tflite
from tests.support.tflite import TfLite

ROWS, COLUMNS, CHANNELS = 8, 9, 2
X = np.random.default_rng(5).uniform(2, 6, size=(3, ROWS, COLUMNS, CHANNELS)).astype(np.float32)
"""Three examples: features, of which the numbers are taken for points, too."""

POINTS = X.reshape(3, -1, 3)
SUBSET = (4, 9, 2, 30, 17)
LEFT, RIGHT = 7, 21
WIDTH, HEIGHT, SCALES = 4, 6, (0.9, 0.7)
CROP: Mapping[str, Any] = {
    "left_rotation_idx": LEFT,
    "right_rotation_idx": RIGHT,
    "subset_idxs": list(SUBSET),
    "output_width": WIDTH,
    "output_height": HEIGHT,
    "scale_x": SCALES[0],
    "scale_y": SCALES[1],
    "target_rotation_radians": 0.0,
}


def octets(settings: Mapping[str, Any] | list[int]) -> bytes:
    """Writes options as the file has them."""
    return bytes(flexbuffers.Dumps(settings))


def network(settings: Mapping[str, Any] = CROP) -> bytes:
    """Gives a transform, the crop that it takes out of the features, and points that it takes somewhere."""
    net = TfLite(1, ROWS, COLUMNS, CHANNELS)
    numbers = ROWS * COLUMNS * CHANNELS
    landmarks = net.operator(tflite.RESHAPE, (1, numbers // 3, 3), 0)
    transform = net.custom("Landmarks2TransformMatrix", (1, 4, 4), landmarks, settings=octets(settings))
    sides = octets({"output_width": WIDTH, "output_height": HEIGHT})
    crop = net.custom("TransformTensorBilinear", (1, HEIGHT, WIDTH, CHANNELS), 0, transform, settings=sides)
    pairs = net.operator(tflite.RESHAPE, (1, numbers // 2, 2), 0)
    put = net.custom("TransformLandmarks", (1, numbers // 2, 2), pairs, transform)
    return net.file(transform, crop, put)


def run(file: bytes) -> list[NDArray[np.float32]]:
    """Puts the examples through a network."""
    answers: list[NDArray[np.float32]] = open_model(convert(file), threads=1).run(None, {"input": X})
    return answers


def placed(example: int, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where pixels of the crop lie, by definition: in a box around the points, level with two of them, and scaled."""
    points = POINTS[example, :, :2].astype(float)
    level = (points[RIGHT] - points[LEFT]) / np.linalg.norm(points[RIGHT] - points[LEFT])
    axes = np.stack([level, (-level[1], level[0])])
    turned = points[list(SUBSET)] @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    ratios = np.stack([across / WIDTH, down / HEIGHT], axis=-1) - 0.5
    return np.asarray(((low + high) / 2 + ratios * SCALES * (high - low)) @ axes)


def test_a_crop_lies_level_around_its_points() -> None:
    """Its corners and its middle are where they should be, for each example."""
    transforms = run(network())[0].reshape(-1, 4, 4)
    for example, transform in enumerate(transforms):
        for x, y in ((0, 0), (WIDTH, 0), (0, HEIGHT), (WIDTH / 2, HEIGHT / 2)):
            expected = placed(example, np.array(x, float), np.array(y, float))
            assert (transform @ (x, y, 0, 1))[:2] == pytest.approx(expected, abs=1e-4)


def test_features_are_taken_between_their_middles() -> None:
    """A feature fills a square of side 1; between four middles it is linear in both directions."""
    crops = run(network())[1].reshape(-1, HEIGHT, WIDTH, CHANNELS)
    down, across = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for example, crop in enumerate(crops):
        where = placed(example, across, down) - 0.5
        low = np.floor(where).astype(int)
        inside = np.asarray(((low >= 0) & (low < (COLUMNS - 1, ROWS - 1))).all(axis=-1))
        assert inside.sum() > WIDTH * HEIGHT / 2
        expected = np.zeros_like(crop)
        for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
            column, row = np.moveaxis(np.where(inside[..., None], low + step, 0), -1, 0)
            weight = np.asarray(np.abs(1 - np.array(step) - (where - low)).prod(axis=-1))
            expected += weight[..., None] * X[example][row, column]
        assert crop[inside] == pytest.approx(expected[inside], abs=1e-4)


def test_points_are_put_where_the_transform_takes_them() -> None:
    """Those of the crop, back into what it was taken from."""
    put = run(network())[2].reshape(3, -1, 2)
    for example, points in enumerate(X.reshape(3, -1, 2).astype(float)):
        assert put[example] == pytest.approx(placed(example, points[:, 0], points[:, 1]), abs=1e-3)


def test_points_that_coincide_give_numbers() -> None:
    """A broken network's crop has neither an extent nor a direction."""
    answers = open_model(convert(network()), threads=1).run(None, {"input": np.ones_like(X)})
    assert all(np.isfinite(answer).all() for answer in answers)


@pytest.mark.parametrize(
    "settings",
    [{**CROP, "target_rotation_radians": 1.0}, {"left_rotation_idx": 1}, {**CROP, "subset_idxs": "no list"}],
    ids=["another angle", "missing", "of another type"],
)
def test_other_settings_are_refused(settings: Mapping[str, Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises(ModelUnusable):
        convert(network(settings))


def test_settings_that_are_no_flexbuffer_are_refused() -> None:
    """Nothing, a list, and octets of anything."""
    for settings in (b"", octets([1, 2]), b"\xff" * 7, bytes(3)):
        net = TfLite(1, 5, 3)
        transform = net.custom("Landmarks2TransformMatrix", (1, 4, 4), 0, settings=settings)
        with pytest.raises(ModelUnusable):
            convert(net.file(transform))
