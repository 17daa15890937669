"""The three networks of MTCNN, written as ONNX from the weights of the package ``mtcnn``.

The weights come from the package ``mtcnn`` (lists of arrays in Keras's order, filters as rows, columns, inputs,
outputs), whose own code needs TensorFlow and is never imported. The graphs compute the same numbers in another way:
ONNX Runtime's PRelu goes value by value and takes longer than all convolutions together.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.inference.conversion.graph import Graph

Tensor = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pool:
    """A maximum over squares, two pixels apart; one that does not cover the edge may reach beyond it."""

    side: int
    beyond_edge: bool


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution with the PReLU behind it.

    Attributes:
        filters: (outputs, inputs, rows, columns) float32.
        bias: (outputs,) float32.
        slopes: (outputs,) float32, of the PReLU below zero.
    """

    filters: Tensor
    bias: Tensor
    slopes: Tensor

    def of(self, channels: NDArray[np.intp]) -> "Convolution":
        """Returns the convolution with only these outputs, in this order."""
        return Convolution(self.filters[channels], self.bias[channels], self.slopes[channels])


def build_proposal(weights_file: bytes) -> bytes:
    """Writes P-Net: a face in every 12 px window, two pixels apart.

    Input (n, h, w, 3) uint8, RGB. Outputs float32: ``score`` (n, 1, (h - 10) / 2, (w - 10) / 2), 0…1, and
    ``regression`` (n, 4, …): left, top, right, bottom as parts of the window's side.
    """
    graph, weights = Graph(), _read(weights_file)
    x = _features(graph, weights, [Pool(2, beyond_edge=True), None, None])
    regression, regression_bias = _filters(weights), next(weights)
    face, face_bias = _face_against_none(_filters(weights).T).T, _face_against_none(next(weights))
    heads = _convolve(graph, x, np.concatenate([regression, face]), np.concatenate([regression_bias, face_bias]))
    score = graph.layer("Sigmoid", _channels(graph, heads, 4, 5))
    return graph.serialise(("n", "h", "w", 3), {"score": score, "regression": _channels(graph, heads, 0, 4)})


def build_refinement(weights_file: bytes) -> bytes:
    """Writes R-Net: judges 24 px crops.

    Input (n, 24, 24, 3) uint8, RGB. Outputs float32: ``score`` (n, 1), 0…1, and ``regression`` (n, 4) as in P-Net.
    """
    graph, weights = Graph(), _read(weights_file)
    x = _features(graph, weights, [Pool(3, beyond_edge=True), Pool(3, beyond_edge=False), None])
    x = _prelu(graph, _dense(graph, _flatten(graph, x), weights), next(weights))
    regression = _dense(graph, x, weights)
    return graph.serialise(("n", 24, 24, 3), {"score": _dense_score(graph, x, weights), "regression": regression})


def build_output(weights_file: bytes) -> bytes:
    """Writes O-Net: judges 48 px crops and finds the landmarks.

    Input (n, 48, 48, 3) uint8, RGB. Outputs float32: ``score`` (n, 1), 0…1, ``regression`` (n, 4) as in P-Net, and
    ``landmarks`` (n, 10): five x, then five y, as parts of the crop's side.
    """
    graph, weights = Graph(), _read(weights_file)
    pools = [Pool(3, beyond_edge=True), Pool(3, beyond_edge=False), Pool(2, beyond_edge=True), None]
    x = _features(graph, weights, pools)
    x = _prelu(graph, _dense(graph, _flatten(graph, x), weights), next(weights))
    outputs = {"regression": _dense(graph, x, weights), "landmarks": _dense(graph, x, weights)}
    return graph.serialise(("n", 48, 48, 3), {"score": _dense_score(graph, x, weights), **outputs})


def _read(weights_file: bytes) -> Iterator[Tensor]:
    import joblib  # noqa: PLC0415 - needed once, when the network is written

    arrays: list[Any] = joblib.load(io.BytesIO(weights_file))
    return iter([np.asarray(array, np.float32) for array in arrays])


def _filters(weights: Iterator[Tensor]) -> Tensor:
    """Takes the next filters, as ONNX orders them: (outputs, inputs, rows, columns)."""
    return next(weights).transpose(3, 2, 0, 1)


def _features(graph: Graph, weights: Iterator[Tensor], pools: Sequence[Pool | None]) -> str:
    """Appends convolutions, each with its PReLU and perhaps a pool, to the bytes of the input."""
    x = graph.layer("Cast", graph.layer("Transpose", "input", perm=[0, 3, 1, 2]), to=graph.FLOAT)
    channels = np.arange(3)
    for depth, pool in enumerate(pools):
        convolution = Convolution(_filters(weights)[:, channels], next(weights), next(weights).ravel())
        if depth == 0:
            convolution = _normalising(convolution)
        outputs, falling = len(convolution.slopes), int((convolution.slopes < 0).sum())
        channels = np.arange(outputs)
        if pool and _blocks(outputs + falling) == _blocks(outputs):
            channels = np.argsort(convolution.slopes >= 0, kind="stable")
            x = _convolve_pool_prelu(graph, x, convolution.of(channels), pool)
        else:
            x = _convolve(graph, x, convolution.filters, convolution.bias)
            x = _prelu(graph, x, _per_channel(convolution.slopes))
            x = _pool(graph, x, pool) if pool else x
    return x


def _normalising(first: Convolution) -> Convolution:
    """Folds the normalisation of pixels to -1…1 into a convolution; exact, because it does not pad."""
    filters = first.filters / np.float32(128)
    return Convolution(filters, first.bias - filters.sum(axis=(1, 2, 3)) * np.float32(127.5), first.slopes)


def _blocks(channels: int) -> int:
    """Returns how many registers of 16 channels a convolution computes for so many."""
    return -(-channels // 16)


def _convolve_pool_prelu(graph: Graph, x: str, convolution: Convolution, pool: Pool) -> str:
    """Appends a convolution, and its PReLU after the pool instead of before, where a quarter of the values is left.

    One that rises everywhere commutes with the maximum. One of negative slope a is max(y, a y), and the maximum of that
    is the larger of two maxima, of y and of a y: for the second the convolution gets further channels. The negative
    slopes must stand first.
    """
    filters, bias, slopes = convolution.filters, convolution.bias, convolution.slopes
    outputs, falling = len(slopes), int((slopes < 0).sum())
    filters = np.concatenate([filters, filters[:falling] * slopes[:falling, None, None, None]])
    bias = np.concatenate([bias, bias[:falling] * slopes[:falling]])
    x = _pool(graph, _convolve(graph, x, filters, bias), pool)
    largest = graph.layer("Max", _channels(graph, x, 0, falling), _channels(graph, x, outputs, outputs + falling))
    rising = _prelu(graph, _channels(graph, x, falling, outputs), _per_channel(slopes[falling:]))
    return graph.layer("Concat", largest, rising, axis=1)


def _prelu(graph: Graph, x: str, slopes: Tensor) -> str:
    """Appends a PReLU of slopes a as a x + (1 - a) max(x, 0)."""
    rectified = graph.layer("Mul", graph.layer("Relu", x), 1 - slopes)
    return graph.layer("Add", rectified, graph.layer("Mul", x, slopes))


def _pool(graph: Graph, x: str, pool: Pool) -> str:
    padding = "SAME_UPPER" if pool.beyond_edge else "VALID"
    return graph.layer("MaxPool", x, kernel_shape=[pool.side] * 2, strides=[2, 2], auto_pad=padding)


def _per_channel(values: Tensor) -> Tensor:
    return values.reshape(1, -1, 1, 1)


def _channels(graph: Graph, x: str, start: int, stop: int) -> str:
    return graph.layer("Slice", x, np.array([start]), np.array([stop]), np.array([1]))


def _convolve(graph: Graph, x: str, filters: Tensor, bias: Tensor) -> str:
    return graph.layer("Conv", x, filters, bias)


def _flatten(graph: Graph, x: str) -> str:
    """Columns before rows, as the weights were trained."""
    return graph.layer("Flatten", graph.layer("Transpose", x, perm=[0, 3, 2, 1]))


def _dense(graph: Graph, x: str, weights: Iterator[Tensor]) -> str:
    return graph.layer("Gemm", x, next(weights), next(weights))


def _dense_score(graph: Graph, x: str, weights: Iterator[Tensor]) -> str:
    logit = graph.layer("Gemm", x, _face_against_none(next(weights)), _face_against_none(next(weights)))
    return graph.layer("Sigmoid", logit)


def _face_against_none(weights: Tensor) -> Tensor:
    """Turns the two classes at the end of the last dimension (no face, face) into the logit of the second."""
    return weights[..., 1:] - weights[..., :1]
