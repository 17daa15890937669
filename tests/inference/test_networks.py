import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from rekognition_emulator.inference.conversion.graph import Graph
from rekognition_emulator.inference.sessions import Device, Network, open_session
from rekognition_emulator.models.weights import ModelUnusable, WeightsMismatch


def doubling(weights: bytes) -> bytes:
    """Builds a network that multiplies by the weights' length."""
    graph = Graph()
    x = graph.layer("Cast", "input", to=graph.FLOAT)
    return graph.serialise(("n",), {"out": graph.layer("Mul", x, np.array([len(weights)], np.float32))})


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Network]:
    """Makes a network whose weights come with an installed package."""
    (tmp_path / "carrier").mkdir()
    (tmp_path / "carrier" / "__init__.py").write_text("raise ImportError('never imported')")
    (tmp_path / "carrier" / "two.bin").write_bytes(b"ab")
    monkeypatch.syspath_prepend(tmp_path)

    def make(version: int = 1, build: Callable[[bytes], bytes] = doubling) -> Network:
        return Network("toy", version, "carrier", "two.bin", hashlib.sha256(b"ab").hexdigest(), build)

    return make


def run(network: Network, cache_dir: Path) -> float:
    """Puts 21 through the network."""
    (out,) = open_session(network, cache_dir, threads=1).run(None, {"input": np.array([21], np.uint8)})
    return float(out[0])


def never(weights: bytes) -> bytes:
    """Fails the test that builds again."""
    raise AssertionError(weights)


def test_network_is_written_once(network: Callable[..., Network], tmp_path: Path) -> None:
    """The second start opens what the first one wrote, and leaves no temporary file."""
    assert run(network(), tmp_path / "cache") == 42
    assert run(network(build=never), tmp_path / "cache") == 42
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_damaged_network_is_written_again(network: Callable[..., Network], tmp_path: Path) -> None:
    """A file whose contents are not what its name says is never opened."""
    run(network(), tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(AssertionError):
        run(network(build=never), tmp_path / "cache")
    assert run(network(), tmp_path / "cache") == 42
    assert run(network(build=never), tmp_path / "cache") == 42


def test_new_version_is_written_beside(network: Callable[..., Network], tmp_path: Path) -> None:
    """A graph that changed is not read from the old file."""
    run(network(), tmp_path / "cache")
    assert run(network(version=2, build=lambda weights: doubling(weights * 2)), tmp_path / "cache") == 84


def test_other_weights_are_refused(network: Callable[..., Network], tmp_path: Path) -> None:
    """Weights are read, some of them unpickled, only when they are those that were examined."""
    (tmp_path / "carrier" / "two.bin").write_bytes(b"xy")
    with pytest.raises(WeightsMismatch, match=r"two\.bin"):
        run(network(build=never), tmp_path / "cache")


def test_missing_package_is_named(tmp_path: Path) -> None:
    """Whoever forgot to install the weights is told which package carries them."""
    with pytest.raises(ModuleNotFoundError, match="no_such_carrier"):
        run(Network("toy", 1, "no_such_carrier", "two.bin", "", never), tmp_path)


def test_a_device_that_the_runtime_is_not_built_for_is_refused(
    network: Callable[..., Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for a GPU is told which package runs on one."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ModelUnusable, match=r"^REKOGNITION_DEVICE=cuda asks .* onnxruntime-gpu"):
        open_session(network(), tmp_path / "cache", 1, Device.CUDA)


def test_a_fall_back_to_the_cpu_is_refused(
    network: Callable[..., Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that is built for a GPU and finds none opens the session on the CPU; such a session is not used."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    real = onnxruntime.InferenceSession
    asked: list[str] = []

    def fall_back(model: bytes, options: object, providers: list[tuple[str, object]]) -> object:
        asked.extend(provider for provider, _ in providers)
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
    with pytest.raises(ModelUnusable, match="could not open here"):
        open_session(network(), tmp_path / "cache", 1, Device.CUDA)
    assert asked == ["CUDAExecutionProvider"]


def test_a_network_is_not_kept_beside_itself(network: Callable[..., Network], tmp_path: Path) -> None:
    """What it was opened from can go: the largest have 100 MB and more."""
    session = open_session(network(), tmp_path / "cache", threads=1)
    (file,) = (tmp_path / "cache").iterdir()
    assert file.read_bytes() not in vars(session).values()
    assert session.run(None, {"input": np.array([21], np.uint8)})[0][0] == 42
