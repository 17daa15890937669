"""Reading TensorFlow Lite's format, on networks that the tests write, and on those that are recommended."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.inference.conversion.tflite import convert
from rekognition_emulator.inference.sessions import open_model
from rekognition_emulator.models.weights import ModelUnusable
from tests.support import tflite
from tests.support.tflite import TfLite

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(2, 5, 7, 4)).astype(np.float32)
"""Two examples of 5 rows, 7 columns and 4 channels."""

ONE = (1, *X.shape[1:])


def drawn(*shape: int) -> NDArray[np.float32]:
    """Makes up weights that 16 bits hold exactly."""
    return RANDOM.normal(size=shape).astype(np.float16).astype(np.float32)


def run(file: bytes, x: NDArray[np.float32] = X) -> list[NDArray[np.float32]]:
    """Puts examples through a network."""
    answers: list[NDArray[np.float32]] = open_model(convert(file), threads=1).run(None, {"input": x})
    return answers


def alone(
    kind: int, gives: tuple[int, ...], *constants: NDArray[np.generic], options: tflite.Table | None = None
) -> bytes:
    """A network of one operator, that reads the input and these constants."""
    net = TfLite(*ONE)
    return net.file(net.operator(kind, gives, 0, *(net.const(each) for each in constants), options=options))


def padded(x: NDArray[np.float32], window: int, stride: int) -> NDArray[np.float64]:
    """Pads with zeros as TensorFlow does for SAME: what is odd goes to the end."""
    missing = [max((-(-side // stride) - 1) * stride + window - side, 0) for side in x.shape[1:3]]
    ends = [(each // 2, each - each // 2) for each in missing]
    return np.pad(x.astype(float), ((0, 0), *ends, (0, 0)))


def windows(x: NDArray[np.float64], window: int, stride: int) -> NDArray[np.float64]:
    """Every window, as (n, rows, columns, channels, window, window)."""
    return np.lib.stride_tricks.sliding_window_view(x, (window, window), axis=(1, 2))[:, ::stride, ::stride]


@pytest.mark.parametrize("half", [True, False], ids=["16 bits", "32 bits"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_are_what_they_are_by_definition(stride: int, *, half: bool) -> None:
    """Whatever the width of their weights and their stride, with bias and ReLU, padded where it is uneven."""
    filters, bias = drawn(6, 3, 3, 4), drawn(6)
    expected = np.einsum("nijcrs,orsc->nijo", windows(padded(X, 3, stride), 3, stride), filters) + bias
    net, options = TfLite(*ONE), {0: tflite.SAME, 1: stride, 2: stride, 3: tflite.RELU}
    weights = net.const(filters.astype(np.float16) if half else filters)
    if half:
        weights = net.operator(tflite.DEQUANTIZE, filters.shape, weights)
    shape = (1, *expected.shape[1:])
    (answer,) = run(net.file(net.operator(tflite.CONV, shape, 0, weights, net.const(bias), options=options)))
    assert np.allclose(answer, np.maximum(expected, 0).reshape(2, -1), atol=1e-4)


def test_channels_are_convolved_apart() -> None:
    """Each with a filter of its own, in windows that lie wholly inside."""
    filters, bias = drawn(1, 3, 3, 4), drawn(4)
    expected = np.einsum("nijcrs,rsc->nijc", windows(X.astype(float), 3, 1), filters[0]) + bias
    options = {0: tflite.VALID, 1: 1, 2: 1, 3: 1}
    (answer,) = run(alone(tflite.DEPTHWISE, (1, *expected.shape[1:]), filters, bias, options=options))
    assert np.allclose(answer, expected.reshape(2, -1), atol=1e-4)


def test_the_greatest_of_a_window() -> None:
    """What pads counts for nothing, even where all numbers are negative."""
    x = -np.abs(X)
    low = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
    expected = windows(low.astype(float), 2, 2).max(axis=(4, 5))
    options = {0: tflite.SAME, 1: 2, 2: 2, 3: 2, 4: 2}
    (answer,) = run(alone(tflite.MAX_POOL, (1, 3, 4, 4), options=options), x)
    assert np.allclose(answer, expected.reshape(2, -1))


def test_slopes_below_zero_are_each_channels_own() -> None:
    """Also where they are negative or above 1."""
    slopes = np.array([0.25, -0.5, 1.5, 0], np.float32)
    (answer,) = run(alone(tflite.PRELU, ONE, slopes.reshape(1, 1, 4)))
    assert np.allclose(answer, np.where(X > 0, X, X * slopes).reshape(2, -1), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (tflite.ADD, lambda x, c: x + c),
        (tflite.SUB, lambda x, c: x - c),
        (tflite.MUL, lambda x, c: x * c),
        (tflite.DIV, lambda x, c: x / c),
        (tflite.SQUARED_DIFFERENCE, lambda x, c: (x - c) ** 2),
    ],
    ids=["add", "subtract", "multiply", "divide", "squared difference"],
)
def test_constants_spread_over_channels(kind: int, expected: Callable[..., NDArray[np.float32]]) -> None:
    """As they do where channels come last."""
    for constant in (drawn(4) + 3, drawn(1, 1, 7, 1) + 3, np.array(2, np.float32)):
        (answer,) = run(alone(kind, ONE, constant, options={}))
        assert np.allclose(answer, expected(X, constant).reshape(2, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (tflite.LOGISTIC, lambda x: 1 / (1 + np.exp(-x))),
        (tflite.NEG, np.negative),
        (tflite.SQRT, np.sqrt),
        (tflite.RSQRT, lambda x: 1 / np.sqrt(x)),
    ],
    ids=["logistic", "negative", "root", "reciprocal root"],
)
def test_functions_of_each_number(kind: int, expected: Callable[..., NDArray[np.float32]]) -> None:
    """One in, one out."""
    x = np.abs(X) + np.float32(0.1)
    (answer,) = run(alone(kind, ONE), x)
    assert np.allclose(answer, expected(x).reshape(2, -1), atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_axes_are_those_of_the_file(axis: int) -> None:
    """Means and sums over rows, columns or channels."""
    shape = tuple(1 if place == axis % 4 else side for place, side in enumerate(ONE))
    for kind, reduce in ((tflite.MEAN, np.mean), (tflite.SUM, np.sum)):
        (answer,) = run(alone(kind, shape, np.array([axis], np.int32), options={0: 1}))
        assert np.allclose(answer, reduce(X, axis=axis).reshape(2, -1), atol=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 3, 2), (0, 3, 1, 2), (0, 2, 1, 3)])
def test_transposed(order: tuple[int, ...]) -> None:
    """Permutations are those of the file."""
    expected = X.transpose(order)
    (answer,) = run(alone(tflite.TRANSPOSE, (1, *expected.shape[1:]), np.array(order, np.int32)))
    assert np.array_equal(answer, expected.reshape(2, -1))


def test_reshaped() -> None:
    """Numbers keep the order that they have with channels last, whatever the ranks."""
    for shape in ((1, 140), (1, 7, 5, 4), (1, 10, 14)):
        (answer,) = run(alone(tflite.RESHAPE, shape, np.array(shape, np.int32)))
        assert np.array_equal(answer, X.reshape(2, -1))


def test_padded() -> None:
    """Channels and columns."""
    pads = np.array([(0, 0), (0, 0), (1, 2), (0, 4)], np.int32)
    (answer,) = run(alone(tflite.PAD, (1, 5, 10, 8), pads))
    assert np.array_equal(answer, np.pad(X, pads).reshape(2, -1))


def test_sliced() -> None:
    """By begins and ends, which may be free."""
    begins, ends, steps = (np.array(each, np.int32) for each in ((0, 1, 2, 3), (1, 4, 99, 4), (1, 1, 1, 1)))
    options = {0: 0b0001, 1: 0b0101}
    (answer,) = run(alone(tflite.SLICE, (1, 3, 5, 1), begins, ends, steps, options=options))
    assert np.array_equal(answer, X[:, 1:4, 2:, 3:4].reshape(2, -1))


def test_constants_are_joined_to_every_example() -> None:
    """A row before those of each."""
    net, row = TfLite(*ONE), drawn(1, 1, 7, 4)
    joined = net.operator(tflite.CONCATENATION, (1, 6, 7, 4), net.const(row), 0, options={0: -3})
    (answer,) = run(net.file(joined))
    assert np.array_equal(answer, np.concatenate([np.repeat(row, 2, axis=0), X], axis=1).reshape(2, -1))


def test_outputs_come_in_the_files_order() -> None:
    """The later operator's first, if the file says so."""
    net = TfLite(*ONE)
    negative = net.operator(tflite.NEG, ONE, 0)
    twice = net.operator(tflite.ADD, ONE, negative, negative, options={})
    first, second = run(net.file(twice, negative))
    assert np.allclose(first, 2 * second)
    assert np.array_equal(second, -X.reshape(2, -1))


def with_sparse_weights() -> bytes:
    """A network that adds them."""
    net = TfLite(*ONE)
    return net.file(net.operator(tflite.ADD, ONE, 0, net.sparse(drawn(4))))


CONVOLUTION = (drawn(4, 1, 1, 4), drawn(4))


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (alone(121, ONE), "an operator of the kind 121"),
        (alone(tflite.CONV, ONE, *CONVOLUTION, options={1: 1, 2: 1, 4: 2, 5: 2}), "dilated"),
        (alone(tflite.CONV, ONE, *CONVOLUTION, options={1: 1, 2: 1, 3: 3}), "the activation 3"),
        (alone(tflite.MEAN, (1, 7, 4), np.array([1], np.int32), options={}), "reduces dimensions away"),
        (alone(tflite.SLICE, ONE, *(np.full(4, 2, np.int32),) * 3, options={}), "slices by more"),
        (with_sparse_weights(), "sparse weights"),
    ],
    ids=["operator", "dilation", "activation", "dimensions", "steps", "sparsity"],
)
def test_what_is_not_known_is_refused_by_its_name(file: bytes, says: str) -> None:
    """Nothing is guessed: another network would give other numbers without a word."""
    with pytest.raises(ModelUnusable, match=says):
        convert(file)


def test_what_is_no_network_is_refused() -> None:
    """Nothing, text, and a file that is cut short anywhere."""
    file = alone(tflite.CONV, ONE, *CONVOLUTION, options={1: 1, 2: 1})
    for other in (b"", b"<html>not a network</html>", *(file[:end] for end in range(0, len(file) - 4, 3))):
        with pytest.raises(ModelUnusable):
            convert(other)


RECORDED: dict[str, list[dict[int, float]]] = {
    "face_landmarks_detector.tflite": [
        {0: 106.68916, 300: 80.60646, 600: 113.71924, 900: 162.29454, 1200: 143.76898},
        {0: -28.52435},
    ],
    "face_blendshapes.tflite": [{14: 0.34628, 21: 0.62372, 35: 0.00679, 42: 0.14678}],
    "face_landmark_with_attention.tflite": [
        {3: 112.48012, 393: 96.03865, 654: 98.94405, 1068: 145.39631, 1371: 118.83735},
        {0: 83.37588, 53: 120.5388, 106: 93.10768, 159: 120.01352},
        {0: 65.39123, 47: 73.55633, 94: 90.91956, 141: 70.71792},
        {0: 136.82016, 47: 75.33735, 94: 116.1432, 141: 70.68981},
        {0: 74.47904, 3: 66.57243, 6: 70.45448, 9: 69.93981},
        {0: 128.89024, 3: 72.578, 6: 124.78506, 9: 76.33791},
    ],
}
"""Some of the numbers that LiteRT 2.3.0 gives for the tensor below, by output; points are pixels of the crop. Of the
last, which has operators that LiteRT does not know, those that MediaPipe 0.10.21 gives."""


@pytest.mark.parametrize("name", RECORDED)
def test_the_recommended_networks_give_what_litert_gives(weights: Callable[[str], Path], name: str) -> None:
    """Points within a thousandth of a pixel, on a picture that anybody can make, whichever place it has in a batch."""
    if name in {"face_landmarks_detector.tflite", "face_blendshapes.tflite"}:
        with zipfile.ZipFile(weights("face_landmarker.task")) as archive:
            file = archive.read(name)
    else:
        file = weights(name).read_bytes()
    session: Any = open_model(convert(file), threads=1)
    _, *sides = session.get_inputs()[0].shape
    ramp = (np.arange(np.prod(sides), dtype=np.float32) * 7 % 256 / 255).reshape(1, *sides).astype(np.float32)
    outputs = session.run(None, {"input": np.concatenate([np.ones_like(ramp), ramp])})
    for output, recorded in zip(outputs, RECORDED[name], strict=False):
        assert {place: float(output[1, place]) for place in recorded} == pytest.approx(recorded, abs=1e-3)
