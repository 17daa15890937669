"""Small networks under the names of DeepFace's, so that the real loading code runs where the real ones are not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rekognition_emulator.engines.deepface_attributes import FILES
from rekognition_emulator.faces.attributes import Attribute


def write_networks(folder: Path) -> None:
    """Writes all three networks: to them white faces are 30, female and happy, black ones 60, male and sad."""

    def one_of(count: int, place: int, rest: float = 0.0) -> list[float]:
        return [1.0 if each == place else rest for each in range(count)]

    _write(folder / FILES[Attribute.AGE_RANGE], 224, 3, one_of(101, 30), one_of(101, 60))
    _write(folder / FILES[Attribute.GENDER], 224, 3, [0.9, 0.1], [0.2, 0.8])
    _write(folder / FILES[Attribute.EMOTIONS], 48, 1, one_of(7, 3, 0.05), one_of(7, 4, 0.1))


def _write(path: Path, side_px: int, channels: int, bright: Sequence[float], dark: Sequence[float]) -> None:
    """Writes a network that answers the one scores for a white face, the other for a black one."""
    spread = np.array(bright, np.float32) - np.array(dark, np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["faces"], ["brightness"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["brightness", "one"], ["column"]),
        helper.make_node("Mul", ["column", "spread"], ["scaled"]),
        helper.make_node("Add", ["scaled", "dark"], ["scores"]),
    ]
    weights: dict[str, NDArray[Any]] = {
        "spread": spread[None],
        "dark": np.array([dark], np.float32),
        "one": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", side_px, side_px, channels])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(spread)])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
