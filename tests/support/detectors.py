"""Networks of detectors: made by hand, with faces planted, or out of YuNet's, so that they find real ones.

The published weights of SCRFD and RetinaFace are not free to be shipped or fetched by tests. What surrounds them is
ours, and it runs on networks that take the same input and give the same outputs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rekognition_emulator.inference.detectors.single_shot import STRIDES

YUNET_FILE = "face_detection_yunet_2023mar.onnx"
YUNET_N: dict[str, Any] = {
    "role": "detector",
    "kind": "yunet",
    "file": "yunet_n_dynamic.onnx",
    "sha256": "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
    "licence": "Apache-2.0",
}
"""What an operator would say of YuNet's larger network."""

RETINAFACE_ANCHORS_PX = {8: (32, 16), 16: (128, 64), 32: (512, 256)}
"""Sides of the two anchors of each grid. Source: the package ``retinaface``."""

PLANTED_SIDES = (1.5, 2.0, 2.5, 3.0)
PLANTED_POINTS = (-0.5, -0.75, 0.5, -0.75, 0.0, 0.25, -0.5, 1.0, 0.5, 1.0)
"""What every guess of a planted network says, in cells: distances of the box's sides and of the points."""


class Nodes:
    """Nodes of an ONNX graph, each named by its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, operator: str, *inputs: str | NDArray[Any], name: str | None = None, **attributes: Any) -> str:
        """Appends one and returns its output's name."""
        output = name or f"made_{len(self.nodes)}"
        names = [self._named(each, f"{output}_{place}") for place, each in enumerate(inputs)]
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        return output

    def _named(self, value: str | NDArray[Any], name: str) -> str:
        if isinstance(value, str):
            return value
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def save(self, path: Path, shape: Sequence[int | str], outputs: Sequence[str]) -> Path:
        """Writes the graph, whose input is called picture; returns where."""
        graph = helper.make_graph(
            self.nodes,
            "detector",
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
        path.write_bytes(model.SerializeToString())
        return path


def floats(*values: float) -> NDArray[np.float32]:
    """Returns a row of weights."""
    return np.array(values, np.float32)


def ints(*values: int) -> NDArray[np.int64]:
    """Returns a shape or places."""
    return np.array(values, np.int64)


def write_planted_scrfd(path: Path, shape: Sequence[int | str] = (1, 3, "h", "w"), *, batch: bool = False) -> Path:
    """Writes a network with SCRFD's nine outputs that takes colours for faces.

    Its first guess looks for red, its second for green: the score is the mean over the cell. Box and points are as
    planted.
    """
    nodes = Nodes()
    bright = nodes.add("Add", nodes.add("Mul", "picture", floats(128 / 255)), floats(0.5))
    outputs: dict[str, list[str]] = {"score": [], "bbox": [], "kps": []}
    lead = ints(1, -1) if batch else ints(-1)
    for stride in STRIDES:
        cells = nodes.add("AveragePool", bright, kernel_shape=[stride] * 2, strides=[stride] * 2)
        colours = nodes.add("Transpose", nodes.add("Slice", cells, ints(0), ints(2), ints(1)), perm=[0, 2, 3, 1])
        score = nodes.add("Reshape", colours, np.append(lead, 1), name=f"score_{stride}")
        flat = nodes.add("Mul", score, floats(0))
        outputs["score"].append(score)
        outputs["bbox"].append(nodes.add("Add", flat, floats(*PLANTED_SIDES), name=f"bbox_{stride}"))
        outputs["kps"].append(nodes.add("Add", flat, floats(*PLANTED_POINTS), name=f"kps_{stride}"))
    return nodes.save(path, shape, [name for names in outputs.values() for name in names])


def write_scrfd(path: Path, yunet: Path) -> Path:
    """Writes YuNet's network with SCRFD's input and outputs; the second guesses find nothing."""
    nodes = Nodes()
    _see(nodes, yunet, nodes.add("Add", nodes.add("Mul", "picture", floats(128)), floats(127.5)))
    outputs: dict[str, list[str]] = {"score": [], "bbox": [], "kps": []}
    for stride in STRIDES:
        centre, half = _centre(nodes, stride), nodes.add("Mul", _sides(nodes, stride), floats(0.5))
        distances = (nodes.add("Sub", half, centre), nodes.add("Add", half, centre))
        outputs["score"].append(_twice(nodes, _score(nodes, stride), 1, 0.0))
        outputs["bbox"].append(_twice(nodes, nodes.add("Concat", *distances, axis=2), 4, 1.0))
        outputs["kps"].append(_twice(nodes, f"kps_{stride}", 10, 1.0))
    return nodes.save(path, (1, 3, "h", "w"), [name for names in outputs.values() for name in names])


def write_retinaface(path: Path, yunet: Path) -> Path:
    """Writes YuNet's network with RetinaFace's input and outputs; the second guesses find nothing."""
    nodes = Nodes()
    planes = nodes.add("Transpose", "picture", perm=[0, 3, 1, 2])
    size = nodes.add("Slice", nodes.add("Shape", planes), ints(2), ints(4), ints(0))
    lacking = nodes.add("Mod", nodes.add("Sub", ints(32, 32), nodes.add("Mod", size, ints(32, 32))), ints(32, 32))
    padded = nodes.add("Pad", planes, nodes.add("Concat", ints(0, 0, 0, 0, 0, 0), lacking, axis=0))
    _see(nodes, yunet, padded)
    outputs = []
    for stride in reversed(STRIDES):
        anchor, middle = RETINAFACE_ANCHORS_PX[stride][0], 7.5
        shift = nodes.add("Sub", nodes.add("Mul", _centre(nodes, stride), floats(stride)), floats(middle))
        growth = nodes.add("Add", f"bbox_{stride}", floats(*[np.log(stride / anchor)] * 4))
        deltas = [
            nodes.add("Div", shift, floats(anchor)),
            nodes.add("Slice", growth, ints(2), ints(4), ints(2)),
        ]
        points = nodes.add("Sub", nodes.add("Mul", f"kps_{stride}", floats(stride)), floats(middle))
        sure = nodes.add("Pow", _score(nodes, stride), floats(0.1))  # what YuNet takes for a face passes 0.9 too
        none = nodes.add("Mul", sure, floats(0, 0))
        grid = _grid(nodes, stride, padded)
        for values, numbers in (
            (nodes.add("Concat", none, nodes.add("Mul", sure, floats(1, 0)), axis=2), 4),
            (_twice(nodes, nodes.add("Concat", *deltas, axis=2), 4, 0.0), 8),
            (_twice(nodes, nodes.add("Div", points, floats(anchor)), 10, 0.0), 20),
        ):
            outputs.append(nodes.add("Reshape", values, nodes.add("Concat", grid, ints(numbers), axis=0)))
    return nodes.save(path, (1, "h", "w", 3), outputs)


def _see(nodes: Nodes, yunet: Path, rgb: str) -> None:
    """Appends YuNet's network, fed with (1, 3, h, w) of 0…255."""
    graph = onnx.load(yunet).graph
    nodes.add("Gather", rgb, ints(2, 1, 0), axis=1, name=graph.input[0].name)
    nodes.nodes += graph.node
    nodes.weights += graph.initializer


def _score(nodes: Nodes, stride: int) -> str:
    return nodes.add("Sqrt", nodes.add("Mul", f"cls_{stride}", f"obj_{stride}"))


def _centre(nodes: Nodes, stride: int) -> str:
    """Appends (1, n, 2), from a cell's corner to the middle of its box, in cells."""
    return nodes.add("Slice", f"bbox_{stride}", ints(0), ints(2), ints(2))


def _sides(nodes: Nodes, stride: int) -> str:
    """Appends (1, n, 2), a box's width and height in cells."""
    return nodes.add("Exp", nodes.add("Slice", f"bbox_{stride}", ints(2), ints(4), ints(2)))


def _twice(nodes: Nodes, values: str, numbers: int, second: float) -> str:
    """Appends what gives each row of (1, n, numbers) twice, the second time multiplied; (2 n, numbers)."""
    both = nodes.add("Concat", values, nodes.add("Mul", values, floats(second)), axis=2)
    return nodes.add("Reshape", both, ints(-1, numbers))


def _grid(nodes: Nodes, stride: int, planes: str) -> str:
    """Appends the shape (1, rows, columns) of a grid over (1, 3, h, w)."""
    size = nodes.add("Slice", nodes.add("Shape", planes), ints(2), ints(4), ints(0))
    return nodes.add("Concat", ints(1), nodes.add("Div", size, ints(stride, stride)), axis=0)
