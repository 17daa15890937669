"""Times an indexed picture, stage by stage, beside the engine's peers on the same photographs in the same run.

    make bench, or python -m tests.bench.engine [--every 4] [--folder PHOTOGRAPHS]

The peers are optional: the way of face_recognition (dlib's HOG detector, five-point predictor and network) and
DeepFace with MTCNN and the same dlib network. Ours runs on one thread; the peers take what they take. Ratios mean
something on any machine, milliseconds only on this one.
"""

import argparse
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.engines.alignment import chips
from rekognition_emulator.engines.dlib_resnet import CHIP_SIDE_PX
from rekognition_emulator.engines.embedded import EMBEDDER, EmbeddedEngine
from rekognition_emulator.engines.models import DLIB
from rekognition_emulator.engines.networks import open_session
from rekognition_emulator.faces.detection import BoundingBox
from rekognition_emulator.faces.errors import FaceError
from rekognition_emulator.faces.gallery import EnrolledFace, NewFace, Owner
from rekognition_emulator.faces.image import decode
from rekognition_emulator.store.database import open_pool
from rekognition_emulator.store.embedded import embedded_database
from rekognition_emulator.store.postgres import PostgresStore

Embeddings = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Peer = Callable[["Times", Pixels], int]
"""Finds and embeds the faces of (h, w, 3) uint8 RGB, notes its times, and returns how many it found."""

WEIGHTS_DIR = "models"


class Times:
    """Milliseconds by what took them."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def measured(self, name: str, parts: int = 1) -> Iterator[None]:
        """Times a block; ``parts`` divides it, for what is counted by the face: each face counts as much as any."""
        start = perf_counter()
        yield
        if parts:
            self.samples[name] += [(perf_counter() - start) * 1000 / parts] * parts

    def row(self, name: str) -> str:
        """Returns median, p95 and mean as a line of the table."""
        values = np.array(self.samples[name])
        return f"{name:46}{np.median(values):9.1f}{np.percentile(values, 95):9.1f}{values.mean():9.1f}{len(values):7}"


def ours(engine: EmbeddedEngine, network: Any, keep: Callable[[Embeddings], None], times: Times, picture: bytes) -> int:
    """Decodes, finds, embeds and stores, stage by stage."""
    with times.measured("whole picture: ours"):
        with times.measured("ours: decode, a picture"):
            image = decode(picture)
        with times.measured("ours: detect, a picture"):
            found = engine.detect(image)
        with times.measured("ours: align and embed with mirror, a face", len(found)):
            embeddings = engine.embed(image, found)
    if found:
        with times.measured("ours: store, a picture"):
            keep(embeddings)
        landmarks = np.stack([face.landmarks for face in found]) * np.array(image.pixels.shape[1::-1], np.float32)
        with times.measured("ours: align, a face", len(found)):
            faces = chips(image.pixels, landmarks, DLIB.template.points(CHIP_SIDE_PX), CHIP_SIDE_PX)
        with_mirrors = np.concatenate([faces, faces[:, :, ::-1]])
        with times.measured("one chip through the network: ours", len(with_mirrors)):  # as many at once as in use
            network.run(("embedding",), {"input": with_mirrors})
    return len(found)


@contextmanager
def storing(directory: Path) -> Iterator[Callable[[Embeddings], None]]:
    """Yields what stores the faces of a picture durably, in an embedded database of its own."""
    with embedded_database(directory) as url, open_pool(url, connections_max=1) as pool:
        store = PostgresStore(pool)
        album = store.create_collection(Owner("bench", "here"), "album", "0.0")

        def keep(embeddings: Embeddings) -> None:
            image_id = uuid4()
            boxes = [BoundingBox(place, 0.0, 0.5, 0.5) for place in range(len(embeddings))]
            faces = [EnrolledFace(uuid4(), image_id, None, box, 99.0) for box in boxes]
            store.add_faces(album, image_id, [NewFace(*each) for each in zip(faces, embeddings, strict=True)])

        yield keep


def like_face_recognition() -> Peer:
    """Builds what the package face_recognition does, from dlib and the weights that the package uses."""
    import dlib

    folder = weights_dir()
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(folder / Path(EMBEDDER.weights_path).name))

    def run(times: Times, pixels: Pixels) -> int:
        with times.measured("whole picture: as face_recognition"):
            with times.measured("face_recognition: detect, a picture"):
                boxes = detector(pixels, 1)
            with times.measured("face_recognition: align and embed, a face", len(boxes)):
                for box in boxes:
                    network.compute_face_descriptor(pixels, predictor(pixels, box))
        for box in boxes:
            chip = dlib.get_face_chip(pixels, predictor(pixels, box), CHIP_SIDE_PX)
            with times.measured("one chip through the network: dlib"):
                network.compute_face_descriptor(chip)
        return len(boxes)

    return run


def deepface_with_mtcnn(home: Path) -> Peer:
    """Builds DeepFace's own path for the same two networks."""
    os.environ["DEEPFACE_HOME"] = str(home)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True)
    shutil.copy(weights_dir() / Path(EMBEDDER.weights_path).name, weights)
    from deepface import DeepFace

    def run(times: Times, pixels: Pixels) -> int:
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        with times.measured("whole picture: DeepFace, mtcnn and Dlib"):
            faces = DeepFace.represent(bgr, model_name="Dlib", detector_backend="mtcnn", enforce_detection=False)
        return sum(bool(face["face_confidence"]) for face in faces)

    return run


def weights_dir() -> Path:
    """Returns the folder of dlib's weights, whose package is never imported."""
    spec = find_spec(EMBEDDER.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(EMBEDDER.package)
    return Path(spec.submodule_search_locations[0], WEIGHTS_DIR)


def photographs(folder: Path, every: int) -> list[bytes]:
    """Reads every so many-th picture that the product accepts."""
    accepted = []
    for path in sorted(folder.rglob("*.*")):
        picture = path.read_bytes()
        try:
            decode(picture)
        except FaceError:
            continue
        accepted.append(picture)
    return accepted[::every]


def compare(
    engine: EmbeddedEngine,
    network: Any,
    keep: Callable[[Embeddings], None],
    peers: dict[str, Peer],
    pictures: Sequence[bytes],
) -> None:
    """Prints the table of stages, and how many times longer the peers take."""
    times, faces = Times(), defaultdict[str, int](int)
    for place, picture in enumerate([pictures[0], *pictures]):
        if place == 1:  # the first picture only warms up
            times, faces = Times(), defaultdict[str, int](int)
        faces["ours"] += ours(engine, network, keep, times, picture)
        for name, peer in peers.items():
            faces[name] += peer(times, decode(picture).pixels)
    print(f"{'milliseconds':46}{'median':>9}{'p95':>9}{'mean':>9}{'n':>7}")
    for name in sorted(times.samples):
        print(times.row(name))
    print("faces found: " + ", ".join(f"{name} {count}" for name, count in faces.items()))
    for group in ("whole picture: ", "one chip through the network: "):
        mean = {name: np.mean(values) for name, values in times.samples.items() if name.startswith(group)}
        print(f"\n{group}how many times as long as ours")
        for name, value in sorted(mean.items(), key=lambda row: row[1]):
            ratio = value / mean[group + "ours"]
            print(f"  {name.removeprefix(group):26}{ratio:7.1f}  {'█' * round(2 * ratio)}")


def throughput(cache_dir: Path, pictures: Sequence[bytes]) -> None:
    """Prints pictures per second for ways to share the cores between workers and threads of one call."""
    for workers, threads in ((1, 1), (2, 1), (1, 2), (2, 2)):
        engine = EmbeddedEngine(cache_dir, threads)

        def handle(picture: bytes, engine: EmbeddedEngine = engine) -> None:
            image = decode(picture)
            engine.embed(image, engine.detect(image))

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(handle, pictures[:2]))
            start = perf_counter()
            list(pool.map(handle, pictures))
            rate = len(pictures) / (perf_counter() - start)
        print(f"{workers} workers, {threads} threads a call: {rate:.1f} pictures/s")


def main() -> None:
    """Runs everything that is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).parents[3] / "shared" / "faces"
    parser.add_argument("--folder", type=Path, default=os.environ.get("REKOGNITION_TEST_FACES", beside))
    parser.add_argument("--every", type=int, default=4, help="take every so many-th photograph")
    arguments = parser.parse_args()
    pictures = photographs(arguments.folder, arguments.every)
    if not pictures:
        parser.error(f"no photographs in {arguments.folder}")
    print(f"{len(pictures)} photographs, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as scratch:
        start = perf_counter()
        EmbeddedEngine(Path(scratch), threads=1)
        written = perf_counter()
        engine = EmbeddedEngine(Path(scratch), threads=1)
        print(f"engine started: first {written - start:.2f} s, then {perf_counter() - written:.2f} s")
        peers = {"face_recognition": like_face_recognition} if find_spec("dlib") else {}
        ready = {name: build() for name, build in peers.items()}
        if find_spec("deepface") and find_spec("tensorflow"):
            ready["DeepFace"] = deepface_with_mtcnn(Path(scratch, "deepface"))
        throughput(Path(scratch), pictures)
        with storing(Path(scratch, "database")) as keep:
            compare(engine, open_session(EMBEDDER, Path(scratch), 1), keep, ready, pictures)


if __name__ == "__main__":
    main()
