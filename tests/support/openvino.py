"""Small networks in OpenVINO's format, written layer by layer as its own tools would."""

import hashlib
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.models.records import Embedder

Shape = tuple[int, ...]

CONVOLUTION: Final = {
    "strides": "1, 1",
    "dilations": "1, 1",
    "pads_begin": "0, 0",
    "pads_end": "0, 0",
    "auto_pad": "explicit",
}
"""What a convolution says that moves by one pixel and does not pad."""


class Ir:
    """A network that grows by a layer a call, each of which returns its number."""

    def __init__(self) -> None:
        self._net = ET.Element("net", name="test", version="11")
        self._layers = ET.SubElement(self._net, "layers")
        self._edges = ET.SubElement(self._net, "edges")
        self._shapes: list[Shape] = []
        self._weights = b""

    @property
    def xml(self) -> bytes:
        """The file of layers."""
        return ET.tostring(self._net, xml_declaration=True)

    @property
    def weights(self) -> bytes:
        """The file of weights."""
        return self._weights

    def parameter(self, *shape: int) -> int:
        """The network's input."""
        return self.layer("Parameter", shape, shape=",".join(map(str, shape)), element_type="f32")

    def const(self, values: NDArray[np.float32], *, half: bool = False) -> int:
        """Weights; those of 16 bits pass through a layer that widens them."""
        stored = values.astype("<f2" if half else "<f4").tobytes()
        said = {"shape": ", ".join(map(str, values.shape)), "offset": str(len(self._weights)), "size": str(len(stored))}
        self._weights += stored
        const = self.layer("Const", values.shape, element_type="f16" if half else "f32", **said)
        return self.layer("Convert", values.shape, const, destination_type="f32") if half else const

    def layer(self, kind: str, gives: Shape, /, *inputs: int, **said: str) -> int:
        """A layer of any kind, the shape that it gives, and what it reads."""
        number = len(self._shapes)
        layer = ET.SubElement(
            self._layers, "layer", id=str(number), name=f"{kind}-{number}", type=kind, version="opset1"
        )
        if said:
            ET.SubElement(layer, "data", said)
        if inputs:
            ports = ET.SubElement(layer, "input")
            for port, source in enumerate(inputs):
                _port(ports, port, self._shapes[source])
                # As in the files of OpenVINO, the edges that lead into a layer stand in no particular order.
                edge = {"from-layer": str(source), "from-port": "0", "to-layer": str(number), "to-port": str(port)}
                self._edges.insert(0, ET.Element("edge", edge))
        if kind != "Result":
            _port(ET.SubElement(layer, "output"), len(inputs), gives)
        self._shapes.append(gives)
        return number


def _port(ports: ET.Element, number: int, shape: Shape) -> None:
    port = ET.SubElement(ports, "port", id=str(number), precision="FP32")
    for size in shape:
        ET.SubElement(port, "dim").text = str(size)


CELLS: Final = 16
"""Cells across a crop that the small embedders look at."""


def write_ir_embedder(folder: Path, embedder: Embedder) -> Embedder:
    """Writes a network of an embedder's input and output, under its files' names, that projects coarse brightness.

    Returns:
        The embedder with the checksums of these files.
    """
    ir, side = Ir(), embedder.side_px

    def pool(x: int, kernel: int, left: int) -> int:
        said = {"kernel": f"{kernel}, {kernel}", "strides": f"{kernel}, {kernel}", "pads_begin": "0, 0"}
        said |= {"pads_end": "0, 0", "exclude-pad": "true", "auto_pad": "explicit", "rounding_type": "floor"}
        return ir.layer("AvgPool", (1, 3, left, left), x, **said)

    cells = pool(ir.parameter(1, 3, side, side), side // CELLS, CELLS)
    negative = ir.layer("Multiply", (1, 3, 1, 1), pool(cells, CELLS, 1), ir.const(-np.ones((1, 1, 1, 1), np.float32)))
    centred = ir.layer("Add", (1, 3, CELLS, CELLS), cells, negative)
    projection = np.random.default_rng(0).normal(size=(embedder.dimension, 3, CELLS, CELLS)).astype(np.float32)
    shape = (1, embedder.dimension, 1, 1)
    ir.layer("Result", shape, ir.layer("Convolution", shape, centred, ir.const(projection, half=True), **CONVOLUTION))
    for file, contents in zip(embedder.files, (ir.xml, ir.weights), strict=True):
        (folder / file).write_bytes(contents)
    checksums = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in embedder.files}
    return replace(embedder, files=checksums)
