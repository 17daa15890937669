"""Changes when networks are prepared, kept or opened differently.

A network is written once, from weights inside an installed package, and kept as an ONNX file under the cache
directory. The file's name says what it was made from and what it must contain, so a stale or damaged one is never
opened: it is written again.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime


class ModelUnusable(Exception):
    """A model cannot be served; the text is a sentence for the operator."""


class WeightsMismatch(ModelUnusable):
    """Weights are not those that were examined."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network and where its weights come from.

    Attributes:
        name: of the file in the cache.
        version: grows whenever ``build`` writes another graph from the same weights.
        package: the installed package that carries the weights; it is never imported.
        weights_path: inside that package.
        weights_sha256: of that file. Checked before it is read: some of them are pickles.
        build: turns the file's contents into an ONNX file.
    """

    name: str
    version: int
    package: str
    weights_path: str
    weights_sha256: str
    build: Callable[[bytes], bytes]


def open_session(network: Network, cache_dir: Path, threads: int) -> Any:  # noqa: ANN401 - untyped library
    """Opens a network for inference on the CPU, writing it into the cache first if it is not there.

    Args:
        network: the network.
        cache_dir: made if it does not exist.
        threads: that one run may use.

    Raises:
        WeightsMismatch: the installed package carries other weights.
    """
    return open_model(_prepared(network, cache_dir), threads)


def open_model(model: bytes, threads: int) -> Any:  # noqa: ANN401 - untyped library
    """Opens an ONNX file's contents for inference on the CPU, with so many threads for one run."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the core from another worker's picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # it would keep a plan for every size of picture that ever came
    options.log_severity_level = 3  # warnings are about how a file was exported, which no operator can mend
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def read_verified(path: Path, sha256: str) -> bytes:
    """Returns a file of weights.

    Raises:
        ModelUnusable: it is not there or cannot be read.
        WeightsMismatch: its contents are others.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"The weights {path} cannot be read: {error.strerror}.") from error
    found = hashlib.sha256(contents).hexdigest()
    if found != sha256:
        raise WeightsMismatch(
            f"The weights {path} ({len(contents)} bytes) have the SHA-256 {found} instead of {sha256}: "
            "the file is damaged, cut short or another one."
        )
    return contents


def _prepared(network: Network, cache_dir: Path) -> bytes:
    """Returns the ONNX file, from the cache if a sound one is there."""
    made_from = f"{network.name}-{network.version}-{network.weights_sha256[:16]}"
    for path in cache_dir.glob(f"{made_from}-*.onnx"):
        model = path.read_bytes()
        if path.stem == f"{made_from}-{hashlib.sha256(model).hexdigest()}":
            return model
    model = network.build(_read_weights(network))
    _write(cache_dir / f"{made_from}-{hashlib.sha256(model).hexdigest()}.onnx", model)
    return model


def _read_weights(network: Network) -> bytes:
    spec = find_spec(network.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {network.package}, which carries weights, is not installed")
    weights = Path(spec.submodule_search_locations[0], network.weights_path).read_bytes()
    if hashlib.sha256(weights).hexdigest() != network.weights_sha256:
        raise WeightsMismatch(f"{network.weights_path} of the package {network.package} has other contents")
    return weights


def _write(path: Path, contents: bytes) -> None:
    """Writes a file so that no other process ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(contents)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
