"""The engine beside its peers, on the same pictures in the same run.

Every way starts from a file and ends with embeddings. Ours runs on one thread; the peers take what they take.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

import numpy as np
import PIL.Image

from benchmarks.arcface_shape import write_arcface
from benchmarks.report import Section, plot_bars
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.embedded import EMBEDDER
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import ModelFiles, load_engine, load_engine_to_measure
from rekognition_emulator.models.catalogue import ARCFACE

Way = Callable[[Path], int]
"""Finds and embeds the faces in a file and returns how many there were."""

DLIB_WAYS: Final = "ours, mtcnn and dlib", "DeepFace, mtcnn and Dlib", "as face_recognition"
ARCFACE_WAYS: Final = "ours, mtcnn and ArcFace's shape", "DeepFace, mtcnn and ArcFace's shape"


def measure(scratch: Path, album: Sequence[bytes], pictures: Mapping[str, bytes]) -> list[Section]:
    """Times all ways over the album and over single pictures."""
    weights = scratch / "deepface" / ".deepface" / "weights"
    weights.mkdir(parents=True)
    write_arcface(weights / next(iter(ARCFACE.files)))
    shutil.copy(_dlib_weights("dlib_face_recognition_resnet_model_v1.dat"), weights)
    files = ModelFiles(scratch / "networks", scratch / "none", weights, frozenset({ARCFACE.name}))
    ours = load_engine("dlib", "mtcnn", files), load_engine_to_measure(ARCFACE.name, "mtcnn", files)
    represent = _deepface(scratch / "deepface")
    ways: dict[str, Way] = {
        DLIB_WAYS[0]: _ours(ours[0]),
        DLIB_WAYS[1]: lambda path: represent(path, "Dlib"),
        DLIB_WAYS[2]: _as_face_recognition(),
        ARCFACE_WAYS[0]: _ours(ours[1]),
        ARCFACE_WAYS[1]: lambda path: represent(path, "ArcFace"),
    }
    sets = {f"album of {len(album)}": _written(scratch, "album", album)}
    sets |= {name: _written(scratch, name.partition(",")[0], [picture]) for name, picture in pictures.items()}
    for way in ways.values():
        way(next(iter(sets.values()))[0])  # the first picture only warms up
    taken = {name: _timed(ways, paths) for name, paths in sets.items()}
    return [
        _section("Beside DeepFace and face_recognition", DLIB_WAYS, taken, "peers.png"),
        _section("With a network of ArcFace's shape", ARCFACE_WAYS, taken, "peers_arcface.png"),
        _chips(scratch / "networks", ours[0]),
    ]


@dataclass
class Taken:
    """What a way took: seconds, seconds of cores, and how many faces it found."""

    seconds: float = 0.0
    core_seconds: float = 0.0
    faces: int = 0


def _timed(ways: Mapping[str, Way], paths: Sequence[Path]) -> dict[str, Taken]:
    """Runs all ways over a set, picture by picture in turn; times are means."""
    taken = {name: Taken() for name in ways}
    for path in paths:
        for name, way in ways.items():
            start, cores_start = perf_counter(), process_time()
            taken[name].faces += way(path)
            taken[name].seconds += (perf_counter() - start) / len(paths)
            taken[name].core_seconds += (process_time() - cores_start) / len(paths)
    return taken


def _section(title: str, ways: Sequence[str], measured: Mapping[str, Mapping[str, Taken]], plot: str) -> Section:
    rows: list[list[str]] = []
    bars = {}
    for pictures, by_way in measured.items():
        ours = by_way[ways[0]]
        bars[pictures] = {way: by_way[way].seconds / ours.seconds for way in ways[1:]}
        for way in ways:
            taken = by_way[way]
            times = f"{taken.seconds * 1000:.0f}", f"{taken.core_seconds * 1000:.0f}"
            ratios = f"{taken.seconds / ours.seconds:.1f}", f"{taken.core_seconds / ours.core_seconds:.1f}"
            rows.append([pictures, way, str(taken.faces), *times, *ratios])
    return Section(
        title,
        "Mean milliseconds a picture, from the file to the embeddings; ours on one thread, the peers on as many as "
        "they take. A core ms is a millisecond that a core worked, whoever else was at the machine. `face_recognition` "
        "is its way: dlib's HOG detector, five-point predictor and network. Ours runs the network twice on a face, "
        "mirrored too; the peers run it once.",
        ["pictures", "way", "faces found", "ms", "core ms", "times ours", "core times ours"],
        rows,
        plot_bars(plot, title, "times as long as ours", bars, stacked=False),
    )


def _chips(cache_dir: Path, engine: FaceEngine) -> Section:
    """Times dlib's network alone, on chips that are already cut out."""
    import dlib

    from rekognition_emulator.inference.sessions import open_session

    chips = np.random.default_rng(0).integers(0, 256, (8, 150, 150, 3), np.uint8)
    theirs = dlib.face_recognition_model_v1(str(_dlib_weights("dlib_face_recognition_resnet_model_v1.dat")))
    session = open_session(EMBEDDER, cache_dir, 1)
    times: dict[str, list[float]] = {"ours": [], "dlib": []}
    for _ in range(6):
        start = perf_counter()
        session.run(None, {"input": chips})
        middle = perf_counter()
        theirs.compute_face_descriptor(list(chips))
        times["ours"].append((middle - start) / len(chips))
        times["dlib"].append((perf_counter() - middle) / len(chips))
    medians = {name: float(np.median(values[1:])) * 1000 for name, values in times.items()}
    rows = [[name, f"{value:.1f}", f"{value / medians['ours']:.1f}"] for name, value in medians.items()]
    text = f"Median milliseconds a chip of the embedder alone ({engine.model.name}), eight at once, on one thread."
    return Section("One chip through dlib's network", text, ["runtime", "ms", "times ours"], rows)


def _ours(engine: FaceEngine) -> Way:
    def run(path: Path) -> int:
        image = decode(path.read_bytes())
        found = engine.detect(image)
        engine.embed(image, found)
        return len(found)

    return run


def _as_face_recognition() -> Way:
    """Builds what the package does in load_image_file, face_locations and face_encodings, from what it uses."""
    import dlib

    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(_dlib_weights("shape_predictor_5_face_landmarks.dat")))
    network = dlib.face_recognition_model_v1(str(_dlib_weights("dlib_face_recognition_resnet_model_v1.dat")))

    def run(path: Path) -> int:
        pixels = np.array(PIL.Image.open(path).convert("RGB"))
        boxes = detector(pixels, 1)
        for box in boxes:
            network.compute_face_descriptor(pixels, predictor(pixels, box))
        return len(boxes)

    return run


def _deepface(home: Path) -> Callable[[Path, str], int]:
    os.environ["DEEPFACE_HOME"] = str(home)
    os.environ["DEEPFACE_BACKEND_ENGINE"] = "onnx"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from deepface import DeepFace

    def represent(path: Path, model: str) -> int:
        faces: list[dict[str, Any]] = DeepFace.represent(
            str(path), model_name=model, detector_backend="mtcnn", enforce_detection=False
        )
        return sum(bool(face["face_confidence"]) for face in faces)

    return represent


def _dlib_weights(file: str) -> Path:
    """Returns a file of a package that is never imported."""
    from importlib.util import find_spec

    spec = find_spec(EMBEDDER.package)
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "models", file)


def _written(scratch: Path, name: str, pictures: Sequence[bytes]) -> list[Path]:
    """Writes pictures for the peers that want files."""
    folder = scratch / "pictures"
    folder.mkdir(exist_ok=True)
    paths = []
    for place, picture in enumerate(pictures):
        kind = "png" if picture.startswith(b"\x89PNG") else "jpg"
        path = folder / f"{name.replace(' ', '_')}-{place}.{kind}"
        path.write_bytes(picture)
        paths.append(path)
    return paths
