"""Networks as ONNX Runtime sessions."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import onnxruntime

from rekognition_emulator.models.weights import ModelUnusable, WeightsMismatch, package_folder, prepared


class Device(StrEnum):
    """What runs the networks."""

    CPU = "cpu"
    CUDA = "cuda"


PROVIDERS: Final[Mapping[Device, tuple[str, Mapping[str, str]]]] = {
    Device.CPU: ("CPUExecutionProvider", {}),
    Device.CUDA: (
        "CUDAExecutionProvider",
        {
            # Its default tries every algorithm for every new size of picture, and detectors see many.
            "cudnn_conv_algo_search": "HEURISTIC",
            # Calibrations were measured in float32.
            "use_tf32": "0",
        },
    ),
}
"""ONNX Runtime's name of what runs on a device, and its options. Source: its documentation of execution providers."""


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


def open_session(
    network: Network,
    cache_dir: Path,
    threads: int,
    device: Device = Device.CPU,
) -> Any:  # noqa: ANN401 - untyped library
    """Opens a network for inference, writing it into the cache first if it is not there.

    Args:
        network: the network.
        cache_dir: made if it does not exist.
        threads: that one run may use.
        device: that it runs on.

    Raises:
        WeightsMismatch: the installed package carries other weights.
        ModelUnusable: nothing here runs networks on that device.
    """
    name = f"{network.name}-{network.version}-{network.weights_sha256[:16]}"
    return open_model(prepared(name, cache_dir, lambda: network.build(_read_weights(network))), threads, device)


def open_model(model: bytes, threads: int, device: Device = Device.CPU) -> Any:  # noqa: ANN401 - untyped library
    """Opens an ONNX file's contents for inference, with so many threads for one run.

    Raises:
        ModelUnusable: nothing here runs networks on that device.
    """
    provider, provider_options = PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise ModelUnusable(
            f"REKOGNITION_DEVICE={device} asks for a device that the installed ONNX Runtime is not built for; for cuda "
            "the package onnxruntime-gpu has to be installed in place of onnxruntime."
        )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the core from another worker's picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The runtime's own heap keeps the most that any picture ever needed, once for every network, and is no faster.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False  # it would keep a plan for every size of picture that ever came
    options.log_severity_level = 3  # warnings are about how a file was exported, which no operator can mend
    session = onnxruntime.InferenceSession(model, options, providers=[(provider, dict(provider_options))])
    if provider not in session.get_providers():  # the runtime falls back to the CPU without a word
        raise ModelUnusable(
            f"REKOGNITION_DEVICE={device} asks for a device that ONNX Runtime could not open here; for cuda a GPU, its "
            "driver, CUDA and cuDNN have to be there."
        )
    # The runtime keeps the file to open it once more on another device should a run fail, and so takes twice the room.
    # Here such a run fails; what is kept has no public name, and its authors' own comment says that it should go.
    session.disable_fallback()
    session._model_bytes = None  # noqa: SLF001 - see above
    return session


def _read_weights(network: Network) -> bytes:
    weights = (package_folder(network.package) / network.weights_path).read_bytes()
    if hashlib.sha256(weights).hexdigest() != network.weights_sha256:
        raise WeightsMismatch(f"{network.weights_path} of the package {network.package} has other contents")
    return weights
