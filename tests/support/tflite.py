"""Small networks in TensorFlow Lite's format, written operator by operator as its own tools would."""

import struct
from collections.abc import Mapping
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

Field = int | bytes | list[int] | Mapping[int, "Field"] | list[Mapping[int, "Field"]]
"""A number, octets, integers, a table (field → value), or a list of such."""

Table = Mapping[int, Field]

ADD, CONCATENATION, CONV, DEPTHWISE, DEQUANTIZE, LOGISTIC, MAX_POOL, MUL = 0, 2, 3, 4, 6, 14, 17, 18
RESHAPE, PAD, TRANSPOSE, MEAN, SUB, DIV, SLICE, PRELU, NEG, SUM = 22, 34, 39, 40, 41, 42, 45, 54, 59, 74
SQRT, RSQRT, SQUARED_DIFFERENCE, CUSTOM = 75, 76, 99, 32
SAME, VALID, RELU = 0, 1, 1

_TYPES: Final = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 2}


def flatbuffer(root: Table) -> bytes:
    """Writes a table and what hangs on it: each behind what points to it, numbers in four bytes."""
    out = bytearray(4)
    struct.pack_into("<I", out, 0, _append(out, root))
    return bytes(out)


def _append(out: bytearray, value: Field) -> int:
    """Appends a value that a field points to, and returns where it lies."""
    if isinstance(value, Mapping):
        return _append_table(out, value)
    assert not isinstance(value, int)
    place = len(out)
    out += struct.pack("<I", len(value))
    if isinstance(value, bytes):
        out += value
        return place
    pointers = []
    for each in value:
        if isinstance(each, int):
            out += struct.pack("<i", each)
        else:
            pointers.append((len(out), each))
            out += bytes(4)
    for pointer, each in pointers:
        struct.pack_into("<I", out, pointer, _append(out, each) - pointer)
    return place


def _append_table(out: bytearray, fields: Table) -> int:
    places = dict(zip(sorted(fields), count(4, 4), strict=False))
    numbers = [places.get(field, 0) for field in range(max(fields, default=-1) + 1)]
    vtable = len(out)
    out += struct.pack(f"<{2 + len(numbers)}H", 4 + 2 * len(numbers), 4 + 4 * len(fields), *numbers)
    table = len(out)
    out += struct.pack("<i", table - vtable) + bytes(4 * len(fields))
    for field, place in places.items():
        value = fields[field]
        if isinstance(value, int):
            struct.pack_into("<i", out, table + place, value)
        else:
            struct.pack_into("<I", out, table + place, _append(out, value) - table - place)
    return table


class TfLite:
    """A network that grows by an operator a call, each of which returns its tensor's number.

    Args:
        shape: of the input, one example.
    """

    def __init__(self, *shape: int) -> None:
        self._kinds: list[int | str] = []
        self._operators: list[Table] = []
        self._buffers: list[Table] = [{}]
        self._tensors: list[Table] = [{0: list(shape), 1: 0, 2: 0}]

    def const(self, values: NDArray[np.generic]) -> int:
        """Weights, or axes and the like."""
        self._buffers.append({0: values.tobytes()})
        return self._tensor(values.shape, _TYPES[values.dtype], len(self._buffers) - 1)

    def sparse(self, values: NDArray[np.generic]) -> int:
        """Weights of which zeros are left out."""
        number = self.const(values)
        self._tensors[number] = {**self._tensors[number], 6: {}}
        return number

    def operator(self, kind: int, gives: tuple[int, ...], *inputs: int, options: Table | None = None) -> int:
        """An operator of any kind, the shape that it gives for one example, and what it reads."""
        return self._operator(kind, gives, inputs, {} if options is None else {4: options})

    def custom(self, name: str, gives: tuple[int, ...], *inputs: int, settings: bytes = b"") -> int:
        """An operator that is none of TensorFlow Lite's own, likewise, with options as a FlexBuffer."""
        return self._operator(name, gives, inputs, {5: settings})

    def _operator(self, kind: int | str, gives: tuple[int, ...], inputs: tuple[int, ...], options: Table) -> int:
        output = self._tensor(gives, 0, 0)
        self._kinds.append(kind)
        self._operators.append({0: len(self._kinds) - 1, 1: list(inputs), 2: [output], **options})
        return output

    def file(self, *outputs: int) -> bytes:
        """The whole, with these outputs."""
        subgraph: Table = {0: self._tensors, 1: [0], 2: list(outputs), 3: self._operators}
        codes: list[Table] = [
            {0: CUSTOM, 1: kind.encode(), 3: CUSTOM} if isinstance(kind, str) else {0: min(kind, 127), 3: kind}
            for kind in self._kinds
        ]
        return flatbuffer({0: 3, 1: codes, 2: [subgraph], 4: self._buffers})

    def _tensor(self, shape: tuple[int, ...], kind: int, buffer: int) -> int:
        self._tensors.append({0: list(shape), 1: kind, 2: buffer})
        return len(self._tensors) - 1
