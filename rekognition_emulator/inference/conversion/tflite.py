"""A reader of TensorFlow Lite's format for networks (.tflite), which writes them as ONNX.

Known here is what the networks of the table use; an operator of any other kind is refused by its name. TensorFlow Lite
lays a tensor of four dimensions with its channels last, ONNX with its channels second: the graph has it so from the
input on, and constants, axes and permutations are rewritten.

The first dimension of every tensor is 1 in the file and counts examples here: several are run at once.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.inference.conversion.flatbuffer import Table
from rekognition_emulator.inference.conversion.graph import Graph
from rekognition_emulator.inference.conversion.tflite_attention import OPERATORS, read_settings
from rekognition_emulator.models.weights import ModelUnusable

_TYPES: Final[Mapping[int, np.dtype[Any]]] = {0: np.dtype("<f4"), 1: np.dtype("<f2"), 2: np.dtype("<i4")}
"""Of constants. Here and below: numbers as in TensorFlow Lite's schema, tensorflow/lite/schema/schema.fbs."""

_TO_CHANNELS_SECOND: Final = (0, 3, 1, 2)
_TO_CHANNELS_LAST: Final = (0, 2, 3, 1)
_VALID: Final = 1
"""The padding that is none; there is one other."""

_RANK: Final = 4
"""Dimensions of a tensor with rows, columns and channels."""

Value = str | NDArray[Any]
"""What an operator reads: the name of a tensor in ONNX's layout, or a constant in TensorFlow Lite's."""


@dataclass(frozen=True, slots=True, eq=False)
class _Operator:
    """An operator of the file.

    Attributes:
        inputs: what it reads.
        shapes: of what it reads, as the file has them.
        shape: of what it gives, likewise.
        options: None where it has none.
    """

    inputs: list[Value]
    shapes: list[tuple[int, ...]]
    shape: tuple[int, ...]
    options: Table | None

    def option(self, field: int, kind: str = "i", default: int = 0) -> int:
        """Returns one of its options."""
        return self.options.number(field, kind, default) if self.options else default

    def constant(self, position: int) -> NDArray[Any]:
        """Returns an input that must be known beforehand."""
        value = self.inputs[position]
        if isinstance(value, str):
            raise ModelUnusable("The network computes its own weights or axes, which is not known here.")
        return value


def convert(file: bytes) -> bytes:
    """Writes a network as an ONNX file.

    Its input is called ``input`` and has the file's shape, but for n examples; its outputs are called ``output_0``,
    ``output_1`` and so on in the file's order, each (n, numbers of an example) in the file's order. All are float32.

    Args:
        file: contents of the .tflite file.

    Raises:
        ModelUnusable: it has an operator of a kind that is not known here, or is no TensorFlow Lite file.
    """
    try:
        return _Conversion(Table.root(file)).run()
    except (struct.error, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelUnusable(f"The network is no TensorFlow Lite file that can be read here: {error!r}.") from error


class _Conversion:
    """One network on its way; operators stand in the file so that each comes after those that it reads from."""

    def __init__(self, model: Table) -> None:
        (subgraph,) = model.tables(2)
        self._kinds = [_kind(code) for code in model.tables(1)]
        self._buffers = model.tables(4)
        self._tensors = subgraph.tables(0)
        self._inputs, self._outputs = subgraph.numbers(1), subgraph.numbers(2)
        self._operators = subgraph.tables(3)
        self._graph = Graph()
        self._given: dict[int, Value] = {}

    def run(self) -> bytes:
        (source,) = self._inputs
        _, *sides = self._shape(source)
        self._given[source] = _channels_second(self._graph, "input", 1 + len(sides))
        for operator in self._operators:
            (output,) = operator.numbers(2)
            self._given[output] = self._written(operator, self._shape(output))
        outputs = {f"output_{place}": self._flat(number) for place, number in enumerate(self._outputs)}
        return self._graph.serialise(("n", *sides), outputs, input_type=Graph.FLOAT)

    def _written(self, operator: Table, shape: tuple[int, ...]) -> Value:
        numbers = operator.numbers(1)
        read = _Operator(
            [self._value(number) for number in numbers],
            [self._shape(number) for number in numbers],
            shape,
            operator.table(4),
        )
        kind = self._kinds[operator.number(0, "I")]
        if kind == _DEQUANTIZE:
            return read.constant(0).astype(np.float32)
        if kind in OPERATORS:
            inputs = [value for value in read.inputs if isinstance(value, str)]
            return OPERATORS[str(kind)](self._graph, inputs, read.shapes, read_settings(operator.octets(5)))
        if kind not in _KINDS:
            raise ModelUnusable(f"The network has an operator of the kind {kind}, which is not known here.")
        return _KINDS[kind](self._graph, read)

    def _value(self, number: int) -> Value:
        if number in self._given:
            return self._given[number]
        tensor = self._tensors[number]
        if tensor.table(6):
            raise ModelUnusable("The network has sparse weights, which are not known here.")
        contents = self._buffers[tensor.number(2, "I")].octets(0)
        return np.frombuffer(contents, _TYPES[tensor.number(1, "b")]).reshape(self._shape(number))

    def _shape(self, number: int) -> tuple[int, ...]:
        return tuple(self._tensors[number].numbers(0))

    def _flat(self, number: int) -> str:
        value, shape = self._given[number], self._shape(number)
        assert isinstance(value, str)
        if len(shape) == _RANK and shape[1:3] != (1, 1):
            value = self._graph.layer("Transpose", value, perm=list(_TO_CHANNELS_LAST))
        return self._graph.layer("Flatten", value)


def _kind(code: Table) -> int | str:
    """Returns an operator's number, or the name of one that is none of TensorFlow Lite's own."""
    # Codes above 126 stand in a field of their own, where files of either age have the larger number.
    number = max(code.number(0, "b"), code.number(3, "i"))
    return code.octets(1).decode() if number == _CUSTOM else number


def _channels_second(graph: Graph, tensor: str, rank: int) -> str:
    return graph.layer("Transpose", tensor, perm=list(_TO_CHANNELS_SECOND)) if rank == _RANK else tensor


def _axis(axis: int, rank: int) -> int:
    """Returns where ONNX has an axis of a tensor of this rank."""
    axis %= rank
    return _TO_CHANNELS_SECOND.index(axis) if rank == _RANK else axis


def _laid_out(value: Value, rank: int) -> Value:
    """Lays a constant so that it spreads over a tensor of this rank as it does in the file."""
    if isinstance(value, str) or rank != _RANK:
        return value
    return value.reshape((1,) * (_RANK - value.ndim) + value.shape).transpose(_TO_CHANNELS_SECOND)


def _activated(graph: Graph, tensor: str, activation: int) -> str:
    """Appends the activation that an operator ends with."""
    match activation:
        case 0:
            return tensor
        case 1:
            return graph.layer("Relu", tensor)
        case _:
            raise ModelUnusable(f"The network has the activation {activation}, which is not known here.")


def _window(operator: _Operator, window: Sequence[int]) -> dict[str, Any]:
    """Returns the attributes of what looks through a window; padding and strides stand first in each such operator."""
    strides = [operator.option(2), operator.option(1)]
    return {"strides": strides, "pads": _padding(operator, window, strides)}


def _padding(operator: _Operator, window: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Returns the padding, begins before ends: so much that a stride of 1 would keep the sides, or none."""
    if operator.option(0, "b") == _VALID:
        return [0] * 4
    missing = [
        max((-(-side // stride) - 1) * stride + reach - side, 0)
        for side, reach, stride in zip(operator.shapes[0][1:3], window, strides, strict=True)
    ]
    return [each // 2 for each in missing] + [each - each // 2 for each in missing]


def _convolution(graph: Graph, operator: _Operator) -> str:
    """Filters are (outputs, rows, columns, inputs) there."""
    return _convolve(graph, operator, operator.constant(1).transpose(0, 3, 1, 2), activation=3, group=1)


def _depthwise_convolution(graph: Graph, operator: _Operator) -> str:
    """Filters are (1, rows, columns, outputs) there."""
    filters = operator.constant(1).transpose(3, 0, 1, 2)
    return _convolve(graph, operator, filters, activation=4, group=operator.shapes[0][3])


def _convolve(graph: Graph, operator: _Operator, filters: NDArray[Any], *, activation: int, group: int) -> str:
    """Appends a convolution; behind the option that is its activation stand its dilations."""
    if {operator.option(activation + place, default=1) for place in (1, 2)} != {1}:
        raise ModelUnusable("The network has dilated convolutions, which are not known here.")
    window = _window(operator, filters.shape[2:])
    convolved = graph.layer("Conv", operator.inputs[0], filters, operator.constant(2), group=group, **window)
    return _activated(graph, convolved, operator.option(activation, "b"))


def _max_pool(graph: Graph, operator: _Operator) -> str:
    window = [operator.option(4), operator.option(3)]
    pooled = graph.layer("MaxPool", operator.inputs[0], kernel_shape=window, **_window(operator, window))
    return _activated(graph, pooled, operator.option(5, "b"))


def _prelu(graph: Graph, operator: _Operator) -> str:
    """Writes a PReLU as a ReLU and two depthwise convolutions: x·slope + ReLU(x)·(1 − slope).

    ONNX Runtime keeps convolutions in a blocked layout of its own and leaves it for every PReLU. Source: ours, the two
    meshes of the table on one thread: 7.7 and 2.5 ms a face against 19.4 and 5.9.
    """
    x, slopes = operator.inputs[0], operator.constant(1).reshape(-1, 1, 1, 1)
    below = graph.layer("Conv", x, slopes, group=len(slopes))
    above = graph.layer("Conv", graph.layer("Relu", x), 1 - slopes, group=len(slopes))
    return graph.layer("Add", below, above)


def _element_wise(layer: str) -> Callable[[Graph, _Operator], str]:
    def write(graph: Graph, operator: _Operator) -> str:
        values = [_laid_out(value, len(operator.shape)) for value in operator.inputs]
        return _activated(graph, graph.layer(layer, *values), operator.option(0, "b"))

    return write


def _function(*layers: str) -> Callable[[Graph, _Operator], str]:
    """Returns what writes a function of each number, as one layer after another."""

    def write(graph: Graph, operator: _Operator) -> str:
        value = operator.inputs[0]
        for layer in layers:
            value = graph.layer(layer, value)
        assert isinstance(value, str)
        return value

    return write


def _squared_difference(graph: Graph, operator: _Operator) -> str:
    difference = graph.layer("Sub", *(_laid_out(value, len(operator.shape)) for value in operator.inputs))
    return graph.layer("Mul", difference, difference)


def _mean(graph: Graph, operator: _Operator) -> str:
    return graph.layer("ReduceMean", operator.inputs[0], axes=_reduced(operator))


def _sum(graph: Graph, operator: _Operator) -> str:
    return graph.layer("ReduceSum", operator.inputs[0], np.array(_reduced(operator)))


def _reduced(operator: _Operator) -> list[int]:
    rank = len(operator.shapes[0])
    if len(operator.shape) != rank:
        raise ModelUnusable("The network reduces dimensions away, which is not known here.")
    return sorted(_axis(int(axis), rank) for axis in operator.constant(1).reshape(-1))


def _reshape(graph: Graph, operator: _Operator) -> str:
    value = operator.inputs[0]
    if len(operator.shapes[0]) == _RANK and operator.shapes[0][1:3] != (1, 1):
        value = graph.layer("Transpose", value, perm=list(_TO_CHANNELS_LAST))
    value = graph.layer("Reshape", value, np.array([-1, *operator.shape[1:]]))
    return _channels_second(graph, value, len(operator.shape))


def _transpose(graph: Graph, operator: _Operator) -> str:
    rank = len(operator.shape)
    order = [0] * rank
    for axis, taken in enumerate(operator.constant(1)):
        order[_axis(axis, rank)] = _axis(int(taken), rank)
    return graph.layer("Transpose", operator.inputs[0], perm=order)


def _pad(graph: Graph, operator: _Operator) -> str:
    pads = operator.constant(1)  # (dimensions, 2)
    if len(pads) == _RANK:
        pads = pads[list(_TO_CHANNELS_SECOND)]
    return graph.layer("Pad", operator.inputs[0], pads.T.reshape(-1).astype(np.int64))


def _concatenation(graph: Graph, operator: _Operator) -> str:
    """Constants are repeated for each example."""
    rank = len(operator.shape)
    (x,) = (value for value in operator.inputs if isinstance(value, str))
    examples = graph.layer("Slice", graph.layer("Shape", x), np.array([0]), np.array([1]))
    repeats = graph.layer("Concat", examples, np.ones(rank - 1, np.int64), axis=0)
    values = [
        value if isinstance(value, str) else graph.layer("Tile", np.asarray(_laid_out(value, rank)), repeats)
        for value in operator.inputs
    ]
    joined = graph.layer("Concat", *values, axis=_axis(operator.option(0), rank))
    return _activated(graph, joined, operator.option(1, "b"))


def _strided_slice(graph: Graph, operator: _Operator) -> str:
    """The first dimension counts examples, so neither is anything cut off it nor does it vanish."""
    begins, ends, steps = (operator.constant(position).tolist() for position in (1, 2, 3))
    begin_free, end_free, ellipsis, added, vanishing = (operator.option(field) for field in range(5))
    if ellipsis or added or vanishing & ~1 or any(step != 1 for step in steps):
        raise ModelUnusable("The network slices by more than a beginning and an end, which is not known here.")
    rank = len(operator.shapes[0])
    value = operator.inputs[0]
    for axis in range(1, rank):
        begin = 0 if begin_free & 1 << axis else begins[axis]
        end = operator.shapes[0][axis] if end_free & 1 << axis else ends[axis]
        if (begin, end) != (0, operator.shapes[0][axis]):
            value = graph.layer("Slice", value, *(np.array([each]) for each in (begin, end, _axis(axis, rank))))
    assert isinstance(value, str)
    return value


_DEQUANTIZE: Final = 6
"""Of weights, which are 16-bit in the file."""

_CUSTOM: Final = 32

_KINDS: Final[Mapping[int | str, Callable[[Graph, _Operator], str]]] = {
    0: _element_wise("Add"),
    2: _concatenation,
    3: _convolution,
    4: _depthwise_convolution,
    14: _function("Sigmoid"),
    17: _max_pool,
    18: _element_wise("Mul"),
    22: _reshape,
    34: _pad,
    39: _transpose,
    40: _mean,
    41: _element_wise("Sub"),
    42: _element_wise("Div"),
    45: _strided_slice,
    54: _prelu,
    59: _function("Neg"),
    74: _sum,
    75: _function("Sqrt"),
    76: _function("Sqrt", "Reciprocal"),
    99: _squared_difference,
}
"""What writes which kind of operator."""
