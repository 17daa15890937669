"""The engine that is always at hand, and small networks under the names of those that are not.

The real loading code runs over either.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import ModelFiles, load_engine
from rekognition_emulator.models.catalogue import DLIB, MTCNN
from rekognition_emulator.models.records import Embedder

DEEPFACE = {
    Attribute.AGE_RANGE: "age_model_weights.onnx",
    Attribute.GENDER: "gender_model_weights.onnx",
    Attribute.EMOTIONS: "facial_expression_model_weights.onnx",
}
"""DeepFace's names of its networks."""

COARSE = ((0.5, 40.0), (0.75, 80.0))
"""A calibration of the small embedders that keeps a face apart from its surroundings."""


MOBILEFACE: dict[str, Any] = {
    "file": "mobileface_v2.onnx",
    "sha256": "6d7d1144a81fce314e7913c99310cd8e16784b72b133c61909a219d79086b77d",
    "version": "1000.1",
    "dimension": 256,
    "side_px": 112,
    "template": "arcface",
    "colours": "RGB",
    "layout": "NCHW",
    "mean": 0.0,
    "scale": 1.0,
    "licence": "MIT",
}
"""What an operator would say of becauseofAI's MobileFace; its graph normalises."""


def embedded_engine(cache_dir: Path, threads: int) -> FaceEngine:
    """Loads the engine that needs no download."""
    nowhere = cache_dir / "none"
    return load_engine(DLIB.name, MTCNN.name, ModelFiles(cache_dir, nowhere, nowhere, threads=threads))


def write_manifest(folder: Path, *, name: str, **values: object) -> Path:
    """Writes what an operator says about a model; tuples become arrays."""
    path = folder / f"{name}.toml"
    source = {"calibration_source": "a test"} if "calibration" in values else {}
    lines = {"name": name, **source, **values}.items()
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines if value is not None))
    return path


def write_networks(folder: Path) -> None:
    """Writes the three for attributes: to them white faces are 30, female and happy, black ones 60, male and sad."""

    def one_of(count: int, place: int, rest: float = 0.0) -> list[float]:
        return [1.0 if each == place else rest for each in range(count)]

    _write(folder / DEEPFACE[Attribute.AGE_RANGE], 224, 3, one_of(101, 30), one_of(101, 60))
    _write(folder / DEEPFACE[Attribute.GENDER], 224, 3, [0.9, 0.1], [0.2, 0.8])
    _write(folder / DEEPFACE[Attribute.EMOTIONS], 48, 1, one_of(7, 3, 0.05), one_of(7, 4, 0.1))


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
    _save(path, nodes, weights, ["n", side_px, side_px, channels], len(spread))


CELLS = 14
"""Cells across a chip that the small embedders look at."""


def write_embedder(folder: Path, embedder: Embedder, *, batch: int | str = "n", seed: int = 0) -> Path:
    """Writes a network of the embedder's input and output: coarse brightness, centred and projected at random."""
    (file,) = embedder.files
    size = embedder.side_px // CELLS
    nchw = embedder.layout == "NCHW"
    nodes = [
        helper.make_node("Transpose", ["faces"], ["planes"], perm=[0, 1, 2, 3] if nchw else [0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[size, size], strides=[size, size]),
        helper.make_node("Flatten", ["cells"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["mean"], axes=[1]),
        helper.make_node("Sub", ["row", "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "projection"], ["scores"]),
    ]
    projection = np.random.default_rng(seed).normal(size=(3 * CELLS**2, embedder.dimension)).astype(np.float32)
    sides = [3, embedder.side_px, embedder.side_px] if nchw else [embedder.side_px, embedder.side_px, 3]
    _save(folder / file, nodes, {"projection": projection}, [batch, *sides], embedder.dimension)
    return folder / file


def _save(
    path: Path, nodes: Sequence[Any], weights: dict[str, NDArray[Any]], shape: Sequence[int | str], outputs: int
) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [shape[0], outputs])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
