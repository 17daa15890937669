"""What a device does of each step of a picture, and of a search: ``-m benchmarks.gpu --device cuda``.

It takes some minutes and fetches nothing: whoever has such a device runs it, and the same with ``--device cpu`` beside
it. Decoding always stays on the CPU. Detection takes one picture at a time, as the product does, from 1, 8 and 32
threads at once, as that many workers would; embedding takes 1, 8 and 32 faces in one run of the network. The search is
exact: all cosines with a gallery that stays on the device, and the 50 largest of them.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from benchmarks import report
from benchmarks.photographs import add_folder, composed
from benchmarks.timing import figure, repeated
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.composed import ComposedEngine
from rekognition_emulator.inference.conversion.graph import IR_VERSION, OPSET
from rekognition_emulator.inference.embedders.onnx_embedder import OnnxNetwork
from rekognition_emulator.inference.selection import AUTO, ModelFiles, load_engine
from rekognition_emulator.inference.sessions import Device, open_model

AT_ONCE: Final = (1, 8, 32)
NEAREST: Final = 50
DIMENSION: Final = 512
TIMES_MIN: Final = 3

PAGE: Final = "gpu.md"


def measure(files: ModelFiles, pictures: Mapping[str, bytes], gallery: int, seconds: float) -> report.Section:
    """Measures every step on the device that runs the files' networks.

    Args:
        files: where the networks are, and what runs them.
        pictures: to decode and to look for faces in, by what they show.
        gallery: faces that are searched.
        seconds: for each number.
    """
    engine = load_engine(AUTO, AUTO, files)
    assert isinstance(engine, ComposedEngine)
    rows = []
    for name, picture in pictures.items():
        rows.append(_row(f"decode, {name}", 1, partial(decode, picture), seconds))
        rows += _detections(engine, name, decode(picture), seconds)
    return report.Section(
        f"Steps on {files.device}",
        "Milliseconds of one call in the median, and how many pictures, faces or probes a second. ONNX Runtime "
        f"{onnxruntime.__version__}; model {engine.model.name}.",
        ["step", "at once", "ms", "a second"],
        [*rows, *_embeddings(engine, seconds), *_searches(files.device, gallery, seconds)],
    )


def _row(step: str, at_once: int, run: Callable[[], object], seconds: float) -> list[str]:
    """Times a call that does so many."""
    run()  # the first one makes room on the device
    times = repeated(lambda _: run(), seconds=seconds, times_min=TIMES_MIN)
    return [step, str(at_once), figure(times.ms(50)), figure(at_once * len(times.latencies) / times.seconds)]


def _detections(engine: ComposedEngine, name: str, image: Image, seconds: float) -> list[list[str]]:
    def look(_: int) -> None:
        engine.detect(Image(image.pixels, image.width_px, image.height_px))  # without what the last look has shrunk

    rows = []
    for pictures in AT_ONCE:
        with ThreadPoolExecutor(pictures) as pool:
            run = partial(lambda pool, count: list(pool.map(look, range(count))), pool, pictures)
            rows.append(_row(f"detect, {name}", pictures, run, seconds))
    return rows


def _embeddings(engine: ComposedEngine, seconds: float) -> list[list[str]]:
    embedder: Any = engine._embedder
    network, side_px = embedder._network, embedder._crop.side_px
    if isinstance(network, OnnxNetwork) and network._at_once > 1:
        network._at_once = max(AT_ONCE)
    chips = np.random.default_rng(0).integers(0, 256, (max(AT_ONCE), side_px, side_px, 3), np.uint8)
    return [_row("embed", faces, partial(network, chips[:faces]), seconds) for faces in AT_ONCE]


def _searches(device: Device, gallery: int, seconds: float) -> list[list[str]]:
    faces = np.random.default_rng(0).standard_normal((gallery, DIMENSION), np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    session = open_model(search_network(min(NEAREST, gallery)), os.cpu_count() or 1, device)
    there = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(faces.T), str(device), 0)
    rows = []
    for probes in AT_ONCE:
        binding = session.io_binding()
        binding.bind_ortvalue_input("gallery", there)
        binding.bind_cpu_input("probes", faces[:probes])
        binding.bind_output("cosines")
        binding.bind_output("rows")
        step = f"search, {gallery:,} × {DIMENSION}"
        rows.append(_row(step, probes, partial(session.run_with_iobinding, binding), seconds))
        nearest = binding.copy_outputs_to_cpu()[1][:, 0]
        if nearest.tolist() != list(range(probes)):
            raise RuntimeError(f"the nearest to faces 0 to {probes - 1} are {nearest}, and not themselves")
    return rows


def search_network(nearest: int) -> bytes:
    """Writes an exact search as an ONNX file.

    Args:
        nearest: how many are found for each probe.

    Returns:
        A network from ``probes`` (p, DIMENSION) and ``gallery`` (DIMENSION, n) to ``cosines`` and ``rows``, both
        (p, nearest).
    """
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("MatMul", ["probes", "gallery"], ["all"]),
        helper.make_node("TopK", ["all", "nearest"], ["cosines", "rows"]),
    ]
    inputs = [
        helper.make_tensor_value_info("probes", TensorProto.FLOAT, ["p", DIMENSION]),
        helper.make_tensor_value_info("gallery", TensorProto.FLOAT, [DIMENSION, "n"]),
    ]
    outputs = [
        helper.make_tensor_value_info("cosines", TensorProto.FLOAT, ["p", nearest]),
        helper.make_tensor_value_info("rows", TensorProto.INT64, ["p", nearest]),
    ]
    count = onnx.numpy_helper.from_array(np.array([nearest], np.int64), "nearest")
    graph = helper.make_graph(nodes, "search", inputs, outputs, [count])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folder(parser)
    parser.add_argument("--device", type=Device, choices=list(Device), default=Device.CUDA)
    parser.add_argument("--models", type=Path, default=Path("none"), help="folder with the recommended models")
    parser.add_argument("--faces", type=int, default=1_000_000, help="that are searched")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each of the 18 numbers")
    arguments = parser.parse_args()
    described = report.machine()
    with tempfile.TemporaryDirectory() as scratch:
        none = Path(scratch) / "none"
        files = ModelFiles(Path(scratch) / "networks", arguments.models, none, device=arguments.device)
        section = measure(files, composed(arguments.folder), arguments.faces, arguments.seconds)
    report.write(PAGE, f"python -m benchmarks.gpu --device {arguments.device}", described, [section])


if __name__ == "__main__":
    main()
