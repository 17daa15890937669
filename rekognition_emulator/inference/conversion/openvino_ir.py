"""A reader of OpenVINO's format for networks (IR, version 11), which writes them as ONNX.

An IR is two files: an XML file that lists layers and edges, and a file of weights that its Const layers point into.
Known here is what the one network of the table uses; a layer of any other kind is refused by its name.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.inference.conversion.graph import Graph
from rekognition_emulator.models.weights import ModelUnusable

INPUT: Final = "input"
OUTPUT: Final = "output"

_TYPES: Final[Mapping[str, np.dtype[Any]]] = {"f16": np.dtype("<f2"), "f32": np.dtype("<f4")}
"""How numbers lie in the file of weights, by OpenVINO's names."""

Value = str | NDArray[np.float32]
"""What a layer gives: the name of a tensor, or weights."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A layer that computes.

    Attributes:
        inputs: what it reads.
        said: its attributes, as they stand in the XML file.
    """

    inputs: list[Value]
    said: Mapping[str, str]


def convert(xml: bytes, weights: bytes) -> bytes:
    """Writes a network as an ONNX file.

    Its input is called ``input``, its output ``output``; both are float32, in the shapes that the network declares, but
    for the first side, which may be any: it counts images, and no layer of a kind that is known here looks at it.

    Args:
        xml: contents of the network's XML file.
        weights: contents of the file of weights beside it.

    Raises:
        ModelUnusable: it has a layer of a kind that is not known here, or is no IR.
    """
    try:
        return _Conversion(ET.fromstring(xml), weights).run()  # noqa: S314 - its SHA-256 was checked
    except (ET.ParseError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelUnusable(f"The network is no OpenVINO IR that can be read here: {error!r}.") from error


class _Conversion:
    """One network on its way; layers stand in the file so that each comes after those that it reads from."""

    def __init__(self, net: ET.Element, weights: bytes) -> None:
        self._layers = net.findall("layers/layer")
        self._weights = weights
        self._graph = Graph()
        self._given: dict[str, Value] = {}
        self._read_from: dict[str, dict[int, str]] = {}
        for edge in net.findall("edges/edge"):
            # A layer's inputs are numbered from 0, its outputs from there on; each kind here has a single output.
            ports = self._read_from.setdefault(edge.attrib["to-layer"], {})
            ports[int(edge.attrib["to-port"])] = edge.attrib["from-layer"]

    def run(self) -> bytes:
        shape: tuple[int | str, ...] = ()
        outputs: dict[str, str] = {}
        for layer in self._layers:
            key, kind = layer.attrib["id"], layer.attrib["type"]
            inputs = [self._given[source] for _, source in sorted(self._read_from.get(key, {}).items())]
            data = layer.find("data")
            said = {} if data is None else data.attrib
            match kind:
                case "Parameter":
                    shape = _numbers(said["shape"])
                    self._given[key] = INPUT
                case "Const":
                    self._given[key] = self._constant(said)
                case "Convert":  # of weights, which are 16-bit in the file, and were widened above
                    (self._given[key],) = inputs
                case "Result":
                    (outputs[OUTPUT],) = (str(value) for value in inputs)
                case _ if write := _KINDS.get(kind):
                    self._given[key] = write(self._graph, _Layer(inputs, said))
                case _:
                    raise ModelUnusable(f"The network has a layer of the kind {kind}, which is not known here.")
        return self._graph.serialise(("n", *shape[1:]), outputs, input_type=Graph.FLOAT)

    def _constant(self, said: Mapping[str, str]) -> NDArray[np.float32]:
        kind, shape = _TYPES[said["element_type"]], _numbers(said["shape"])
        count = int(np.prod(shape))
        values: NDArray[np.floating] = np.frombuffer(self._weights, kind, count, int(said["offset"]))
        return values.reshape(shape).astype(np.float32)


def _numbers(text: str) -> tuple[int, ...]:
    """Reads a list such as ``1, 3, 128, 128``."""
    return tuple(int(number) for number in text.split(",") if number.strip())


def _explicit(said: Mapping[str, str]) -> list[int]:
    """Returns the padding, begins before ends, as ONNX has it too."""
    if said.get("auto_pad", "explicit") != "explicit":
        raise ModelUnusable(f"The network pads by {said['auto_pad']}, which is not known here.")
    return [*_numbers(said["pads_begin"]), *_numbers(said["pads_end"])]


def _convolution(graph: Graph, layer: _Layer) -> str:
    return _convolve(graph, layer, *layer.inputs, groups=1)


def _group_convolution(graph: Graph, layer: _Layer) -> str:
    """Filters are (groups, outputs of a group, inputs of a group, rows, columns) there, and without groups in ONNX."""
    x, filters = layer.inputs
    groups, outputs, *rest = np.asarray(filters).shape
    return _convolve(graph, layer, x, np.reshape(filters, (groups * outputs, *rest)), groups=groups)


def _convolve(graph: Graph, layer: _Layer, x: Value, filters: Value, *, groups: int) -> str:
    return graph.layer(
        "Conv",
        x,
        filters,
        strides=list(_numbers(layer.said["strides"])),
        dilations=list(_numbers(layer.said["dilations"])),
        pads=_explicit(layer.said),
        group=groups,
    )


def _average_pool(graph: Graph, layer: _Layer) -> str:
    if layer.said["rounding_type"] != "floor":
        raise ModelUnusable(f"The network rounds by {layer.said['rounding_type']}, which is not known here.")
    return graph.layer(
        "AveragePool",
        *layer.inputs,
        kernel_shape=list(_numbers(layer.said["kernel"])),
        strides=list(_numbers(layer.said["strides"])),
        pads=_explicit(layer.said),
        count_include_pad=int(layer.said["exclude-pad"] != "true"),
    )


def _prelu(graph: Graph, layer: _Layer) -> str:
    """Writes a PReLU that has one slope as what that is, a leaky ReLU.

    ONNX Runtime keeps convolutions in a blocked layout of its own and leaves it for every PReLU, whereas it takes a
    leaky ReLU into the convolution before. Source: ours, retail-0095 on one thread: 11 ms a face against 25, and 15
    with Relu and two depthwise convolutions in its place.
    """
    x, slopes = layer.inputs
    if np.size(slopes) != 1:
        raise ModelUnusable(f"The network has a PReLU with {np.size(slopes)} slopes, which is not known here.")
    return graph.layer("LeakyRelu", x, alpha=np.asarray(slopes).item())


def _element_wise(operator: str) -> Callable[[Graph, _Layer], str]:
    return lambda graph, layer: graph.layer(operator, *layer.inputs)


_KINDS: Final[Mapping[str, Callable[[Graph, _Layer], str]]] = {
    "Add": _element_wise("Add"),
    "AvgPool": _average_pool,
    "Convolution": _convolution,
    "GroupConvolution": _group_convolution,
    "Multiply": _element_wise("Mul"),
    "PReLU": _prelu,
    "Sigmoid": _element_wise("Sigmoid"),
}
"""What writes which kind of layer."""
