"""MediaPipe's own operators of TensorFlow Lite, as ONNX: by them a network looks at parts of a face once more.

A first mesh tells where the lips and the eyes are; each is cut out of the network's own features by an affine
transform, looked at by itself, and what is found there is put back by the same transform. Their options stand in the
file as a FlexBuffer. Source: MediaPipe, mediapipe/util/tflite/operations, the second version of each.

An affine transform is a matrix of 4 by 4, of which the first two rows and the columns 0, 1 and 3 count.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from rekognition_emulator.inference.conversion.graph import Graph

Settings = Mapping[str, Any]
"""An operator's options, as its FlexBuffer has them."""

Shape = tuple[int, ...]

_TINY: Final = float(np.finfo(np.float32).tiny)
"""Stands for a length of zero, as only a network that is broken gives it."""


def read_settings(contents: bytes) -> Settings:
    """Returns an operator's options; none where it has none.

    Raises:
        ValueError: they are no FlexBuffer of a map.
    """
    # Only here: networks are written once. It comes with onnxruntime.
    from flatbuffers import flexbuffers  # type: ignore[import-untyped]  # noqa: PLC0415 - see above

    settings = flexbuffers.Loads(contents) if contents else {}
    if not isinstance(settings, Mapping):
        raise ValueError("an operator's options are no map")  # noqa: TRY004 - what a damaged file raises
    return settings


def _landmarks_to_transform(graph: Graph, inputs: Sequence[str], _: Sequence[Shape], settings: Settings) -> str:
    """Appends the transform from a crop around some landmarks, level with two of them, to where the landmarks are.

    The landmarks are (n, points, 3), the crop has ``output_width`` by ``output_height`` pixels and its middle in the
    middle of the landmarks' extent.
    """
    if settings["target_rotation_radians"] != 0:
        raise ValueError("a crop that is to be turned to an angle")
    (landmarks,) = inputs
    sides = np.array([settings["output_width"], settings["output_height"]], np.float32)
    scales = np.array([settings["scale_x"], settings["scale_y"]], np.float32) / sides
    flat = _slice(graph, landmarks, 2, 0, 2)
    left, right = (
        graph.layer("Gather", flat, np.array([settings[f"{side}_rotation_idx"]]), axis=1) for side in ("left", "right")
    )
    across = graph.layer("Sub", right, left)  # (n, 1, 2)
    length = graph.layer("ReduceL2", across, axes=[2])
    level = graph.layer("Div", across, graph.layer("Max", length, np.array(_TINY, np.float32)))
    upright = graph.layer("MatMul", level, np.array([[0, 1], [-1, 0]], np.float32))
    axes = graph.layer("Concat", level, upright, axis=1)  # (n, 2, 2): the crop's axes, as rows
    around = graph.layer("Gather", flat, np.array(settings["subset_idxs"], np.int64), axis=1)
    turned = graph.layer("MatMul", around, graph.layer("Transpose", axes, perm=[0, 2, 1]))
    highest, lowest = (graph.layer(extreme, turned, axes=[1]) for extreme in ("ReduceMax", "ReduceMin"))
    extent = graph.layer("Mul", graph.layer("Sub", highest, lowest), scales)
    middle = graph.layer("Mul", graph.layer("Add", highest, lowest), np.array(0.5, np.float32))
    steps = graph.layer("Mul", axes, graph.layer("Transpose", extent, perm=[0, 2, 1]))
    corner = graph.layer(
        "Sub", graph.layer("MatMul", middle, axes), graph.layer("MatMul", (sides / 2)[None], steps)
    )  # (n, 1, 2)
    nothing = graph.layer("Mul", corner, np.array(0, np.float32))
    rows = graph.layer("Transpose", graph.layer("Concat", steps, nothing, corner, axis=1), perm=[0, 2, 1])
    return graph.layer("Pad", rows, np.array([0, 0, 0, 0, 2, 0]))


def _transform_tensor(graph: Graph, inputs: Sequence[str], shapes: Sequence[Shape], settings: Settings) -> str:
    """Appends a crop of features, (n, channels, rows, columns), by linear interpolation between four of them.

    What lies beyond their edge is zero; there, over the width of one feature, ours fades and MediaPipe's ends.
    """
    features, transform = inputs
    rows, columns = shapes[0][1:3]
    height, width = settings["output_height"], settings["output_width"]
    down, across = np.mgrid[:height, :width].reshape(2, -1) + 0.5
    middles = np.stack([across, down, np.zeros_like(across), np.ones_like(across)], axis=1).astype(np.float32)
    placed = graph.layer("MatMul", middles, _columns(graph, transform))
    # ONNX counts from −1 to 1, from edge to edge.
    ratios = graph.layer("Mul", placed, np.array([2 / columns, 2 / rows], np.float32))
    grid = graph.layer("Sub", ratios, np.array(1, np.float32))
    grid = graph.layer("Reshape", grid, np.array([-1, height, width, 2]))
    return graph.layer("GridSample", features, grid, align_corners=0, mode="bilinear", padding_mode="zeros")


def _transform_landmarks(graph: Graph, inputs: Sequence[str], shapes: Sequence[Shape], _: Settings) -> str:
    """Appends points, (n, points, 2), put to where a transform takes them."""
    points, transform = inputs
    if shapes[0][-1] != 2:  # noqa: PLR2004 - x and y
        raise ValueError("transformed landmarks that are not of two numbers")
    columns = _columns(graph, transform)
    turned = graph.layer("MatMul", points, _slice(graph, columns, 1, 0, 2))
    return graph.layer("Add", turned, _slice(graph, columns, 1, 3, 4))


def _columns(graph: Graph, transform: str) -> str:
    """Returns what counts of a transform, as (n, 4, 2): points times this are where it takes them."""
    return _slice(graph, graph.layer("Transpose", transform, perm=[0, 2, 1]), 2, 0, 2)


def _slice(graph: Graph, tensor: str, axis: int, begin: int, end: int) -> str:
    return graph.layer("Slice", tensor, *(np.array([each]) for each in (begin, end, axis)))


OPERATORS: Final[Mapping[str, Callable[[Graph, Sequence[str], Sequence[Shape], Settings], str]]] = {
    "Landmarks2TransformMatrix": _landmarks_to_transform,
    "TransformTensorBilinear": _transform_tensor,
    "TransformLandmarks": _transform_landmarks,
}
"""What writes which: graph, what is read and its shapes in the file, options → what is given."""
