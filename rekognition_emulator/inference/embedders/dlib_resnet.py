"""dlib's face embedder, written as ONNX from dlib's own file of weights.

dlib's own runtime takes many times longer for the same network, so the weights are read from the file that dlib
serialised, and written as an ONNX graph. The shape of the network is fixed (a stem, fourteen residual blocks, a
projection) and stands here; the file only says what the weights and strides are.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.imaging.alignment import DLIB_SIDE_PX
from rekognition_emulator.inference.conversion.graph import Graph

MEAN_RGB: Final = np.array([122.782, 117.001, 104.298])
"""Subtracted from the channels before they are divided by 256. Source: dlib, dlib/dnn/input.h."""

CONVOLUTIONS: Final = 29
"""One in the stem and two in each of the fourteen blocks."""

Tensor = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution with the affine layer behind it folded in.

    Attributes:
        filters: (outputs, inputs, rows, columns) float32.
        bias: (outputs,) float32.
        stride: in both directions.
        padding: on all four sides.
    """

    filters: Tensor
    bias: Tensor
    stride: int
    padding: int


def build(weights_file: bytes) -> bytes:
    """Writes the network as an ONNX file.

    Its input is (n, 150, 150, 3) uint8, RGB; its output ``embedding`` (n, 128) float32, rows of unit length.

    Args:
        weights_file: contents of ``dlib_face_recognition_resnet_model_v1.dat``.
    """
    convolutions, projection = read_weights(weights_file)
    stem, *residual = convolutions
    graph = Graph()
    x = graph.layer("Cast", graph.layer("Transpose", "input", perm=[0, 3, 1, 2]), to=graph.FLOAT)
    x = graph.layer("Relu", _convolve(graph, x, _normalising(stem)))
    x = graph.layer("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    side = 35
    for first, second in zip(residual[::2], residual[1::2], strict=True):
        x, side = _block(graph, x, side, first, second)
    x = graph.layer("Flatten", graph.layer("GlobalAveragePool", x))
    x = graph.layer("MatMul", x, projection)
    x = graph.layer("LpNormalization", x, axis=1, p=2)
    return graph.serialise(("n", DLIB_SIDE_PX, DLIB_SIDE_PX, 3), {"embedding": x})


def _normalising(stem: Convolution) -> Convolution:
    """Folds the normalisation of the pixels into the first convolution; exact, because it does not pad."""
    filters = stem.filters / 256
    bias = stem.bias - np.einsum("oirc,i->o", filters, MEAN_RGB)
    return Convolution(filters.astype(np.float32), bias.astype(np.float32), stem.stride, stem.padding)


def _convolve(graph: Graph, x: str, convolution: Convolution) -> str:
    return graph.layer(
        "Conv",
        x,
        convolution.filters,
        convolution.bias,
        strides=[convolution.stride] * 2,
        pads=[convolution.padding] * 4,
    )


def _block(graph: Graph, x: str, side: int, first: Convolution, second: Convolution) -> tuple[str, int]:
    """Appends a residual block; one that shrinks averages its shortcut and fills what is missing with zeros."""
    residual = _convolve(graph, graph.layer("Relu", _convolve(graph, x, first)), second)
    if first.stride == 1:
        return graph.layer("Relu", graph.layer("Add", residual, x)), side
    outputs, inputs = first.filters.shape[:2]
    shortcut = graph.layer("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    if outputs > inputs:
        shortcut = graph.layer("Pad", shortcut, np.array([0, 0, 0, 0, 0, outputs - inputs, 0, 0]))
    shortcut_side, residual_side = side // 2, (side - 3) // 2 + 1
    missing = shortcut_side - residual_side
    if missing:
        residual = graph.layer("Pad", residual, np.array([0, 0, 0, 0, 0, 0, missing, missing]))
    return graph.layer("Relu", graph.layer("Add", residual, shortcut)), shortcut_side


def read_weights(weights_file: bytes) -> tuple[list[Convolution], Tensor]:
    """Reads the weights of a serialised network.

    A layer is its name and, where it has weights, one tensor; the layers stand in order from input to output. Those
    without weights, and everything that only training needs, are skipped by looking for the next name.

    Returns:
        The convolutions, and the last layer's matrix, (256, 128) float32.
    """
    reader = _Reader(weights_file)
    convolutions = []
    inputs = len(MEAN_RGB)
    for _ in range(CONVOLUTIONS):
        reader.skip_to("con_4")
        weights = reader.tensor()
        outputs, rows, columns, stride, _, padding, _ = (reader.integer() for _ in range(7))
        reader.skip_to("affine_")
        gamma, beta = np.split(reader.tensor(), 2)
        filters = weights[:-outputs].reshape(outputs, inputs, rows, columns) * gamma[:, None, None, None]
        convolutions.append(Convolution(filters, weights[-outputs:] * gamma + beta, stride, padding))
        inputs = outputs
    reader.skip_to("fc_2")
    outputs, inputs = reader.integer(), reader.integer()
    return convolutions, reader.tensor().reshape(inputs, outputs)


class _Reader:
    """Walks through a file that dlib's ``serialize`` wrote."""

    def __init__(self, file: bytes) -> None:
        self._file = file
        self._position = 0

    def skip_to(self, layer: str) -> None:
        """Moves behind the next occurrence of a layer's name: its length as an integer, then its characters."""
        name = bytes([1, len(layer)]) + layer.encode()
        self._position = self._file.index(name, self._position) + len(name)

    def integer(self) -> int:
        """Reads how many bytes follow (with 0x80 when it is negative, which none here is), then they, low end first."""
        size = self._file[self._position] & 0x0F
        start = self._position + 1
        self._position = start + size
        return int.from_bytes(self._file[start : self._position], "little")

    def tensor(self) -> Tensor:
        """Reads a version, four dimensions, and the values, which come back flat."""
        self.integer()
        count = int(np.prod([self.integer() for _ in range(4)]))
        start = self._position
        self._position += 4 * count
        return np.frombuffer(self._file, "<f4", count, start)
