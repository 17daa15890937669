"""Measures how well faces are told apart: ways of ours, and DeepFace with MTCNN and dlib's network, on the same pairs.

The folder holds pairs.csv and people/, named in manifest.csv. Every way gets the same decoded pictures and embeds the
largest face; cosines are judged as ``evaluate`` judges them. DeepFace is measured where it and TensorFlow are
installed, a manifest's face model where its weights are.
"""

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Section
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.errors import FaceError, NoFaceInPicture
from rekognition_emulator.domain.quality import QualityFilter
from rekognition_emulator.evaluation.accuracy import PairList, best_threshold, measure_accuracy
from rekognition_emulator.evaluation.comparison import compare_album, compare_pairs
from rekognition_emulator.evaluation.labels import LabelledPair, number_people, read_pairs
from rekognition_emulator.evaluation.scores import Scores
from rekognition_emulator.imaging.alignment import similarity_transforms
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.composed import ComposedEngine
from rekognition_emulator.inference.detectors.yunet import YuNet
from rekognition_emulator.inference.embedded import EMBEDDER, MtcnnDetector, dlib_embedder
from rekognition_emulator.inference.embedders.aligned import of_unit_length
from rekognition_emulator.inference.embedders.onnx_embedder import open_embedder
from rekognition_emulator.inference.engine import FaceDetector
from rekognition_emulator.inference.pipeline import largest
from rekognition_emulator.models.catalogue import ARCFACE, DLIB, YUNET
from rekognition_emulator.models.records import Embedder, Profile
from rekognition_emulator.models.weights import package_folder

Embedding = NDArray[np.float32]
Way = Callable[[Image], Embedding | None]
"""Returns the largest face's embedding, of unit length; None where no face is found."""

MOBILEFACE = replace(
    ARCFACE,
    name="mobileface",
    profile=Profile.OPERATOR,
    files={"mobileface_v2.onnx": "6d7d1144a81fce314e7913c99310cd8e16784b72b133c61909a219d79086b77d"},
    version="1000.1",
    dimension=256,
    layout="NCHW",
    mean=0.0,
    scale=1.0,
    calibration=((-1, 0), (1, 100)),
)


class ByTheEyes(FaceDetector):
    """Puts nose and mouth where a template has them, relative to the eyes, so that the eyes alone align."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._template = DLIB.template.points(DLIB.side_px)

    def detect(self, image: Image) -> list[Detection]:
        """As the detector."""
        size = np.array(image.pixels.shape[1::-1], np.float32)
        found = self._detector.detect(image)
        return [replace(face, landmarks=self._by_the_eyes(face.landmarks * size) / size) for face in found]

    def _by_the_eyes(self, landmarks: Embedding) -> Embedding:
        (transform,) = similarity_transforms(self._template[None, :2], landmarks[:2])
        return np.asarray(self._template @ transform[:, :2].T + transform[:, 2], np.float32)


def ours(detector: FaceDetector, embedder: Embedder, folder: Path) -> Way:
    """Builds a way of ours; the folder is of weights, or of prepared networks for dlib's."""
    if embedder.name == DLIB.name:
        opened = dlib_embedder(folder, 1, embedder)
    else:
        opened = open_embedder(embedder, folder, folder, 1)
    engine = ComposedEngine(detector, opened, threads=1)

    def embed(image: Image) -> Embedding | None:
        try:
            face, _ = largest(engine, image, QualityFilter.NONE)
        except NoFaceInPicture:
            return None
        embedding: Embedding = engine.embed(image, [face.detection])[0]
        return embedding

    return embed


def deepface(home: Path) -> Way:
    """Builds DeepFace's own way with MTCNN and dlib's network."""
    os.environ["DEEPFACE_HOME"] = str(home)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True)
    shutil.copy(package_folder(EMBEDDER.package) / EMBEDDER.weights_path, weights)
    from deepface import DeepFace

    def embed(image: Image) -> Embedding | None:
        bgr = np.ascontiguousarray(image.pixels[..., ::-1])
        try:
            faces = DeepFace.represent(bgr, model_name="Dlib", detector_backend="mtcnn")
        except ValueError:  # how it says that there is no face
            return None
        face = max(faces, key=lambda each: each["facial_area"]["w"] * each["facial_area"]["h"])
        embedding: Embedding = of_unit_length(np.array([face["embedding"]], np.float32))[0]
        return embedding

    return embed


def ways(scratch: Path, models: Path) -> Iterator[tuple[str, Way]]:
    """Yields what is measured."""
    mtcnn, networks = MtcnnDetector(scratch, 1), scratch
    yield "dlib, mtcnn: as it serves", ours(mtcnn, DLIB, networks)
    yield "dlib, mtcnn: not mirrored", ours(mtcnn, replace(DLIB, mirrored=False), networks)
    yield "dlib, mtcnn: aligned by the eyes", ours(ByTheEyes(mtcnn), DLIB, networks)
    (yunet,) = YUNET.files
    if (models / yunet).is_file():
        yield "dlib, yunet", ours(YuNet(YUNET, (models / yunet).read_bytes(), 1), DLIB, networks)
    if (models / "mobileface_v2.onnx").is_file():
        yield "mobileface, mtcnn: mirrored", ours(mtcnn, MOBILEFACE, models)
        yield "mobileface, mtcnn: not mirrored", ours(mtcnn, replace(MOBILEFACE, mirrored=False), models)
    if find_spec("deepface") and find_spec("tensorflow"):
        yield "DeepFace, mtcnn and Dlib", deepface(scratch / "deepface")


def read(files: Iterator[Path]) -> tuple[dict[Path, Image], list[str]]:
    """Decodes pictures, each once; returns also the names of those that the product refuses."""
    images, refused = {}, []
    for file in dict.fromkeys(files):
        try:
            images[file] = decode(file.read_bytes())
        except FaceError:
            refused.append(file.name)
    return images, refused


def on_pairs(embeddings: dict[Path, Embedding], pairs: list[LabelledPair]) -> list[str]:
    """Returns accuracy over ten folds and at the best threshold, the area under the curve, and how many pairs."""
    comparable = [pair for pair in pairs if pair.left in embeddings and pair.right in embeddings]
    rows = {file: row for row, file in enumerate(embeddings)}
    listed = PairList(
        np.array([rows[pair.left] for pair in comparable]),
        np.array([rows[pair.right] for pair in comparable]),
        np.array([pair.same for pair in comparable]),
        np.array([pair.fold for pair in comparable]),
    )
    cosines = compare_pairs(np.stack(list(embeddings.values())), listed.left, listed.right)
    folds = measure_accuracy(cosines, listed.same, listed.folds)
    best = ((cosines >= best_threshold(cosines, listed.same)) == listed.same).mean()
    scores = Scores()
    scores.add(cosines[listed.same], cosines[~listed.same])
    assert folds
    in_folds = f"{folds.mean:.2%} ± {folds.standard_error:.2%}"
    return [in_folds, f"{best:.2%}", f"{scores.area_under_curve():.4f}", str(len(comparable))]


def on_album(embeddings: dict[Path, Embedding], person_of: dict[Path, str]) -> list[str]:
    """Returns how many true pairs pass where one in a hundred of strangers does, the area, and rank-1."""
    files = [file for file in person_of if file in embeddings]
    people = number_people(person_of[file] for file in files)
    compared = compare_album(np.stack([embeddings[file] for file in files]), people)
    mated = np.isfinite(compared.best_mates)
    rank_one = (compared.best_mates > compared.best_strangers)[mated].mean()
    passing = compared.scores.operating_point(1e-2).true_match_rate
    return [f"{passing:.2%}", f"{compared.scores.area_under_curve():.4f}", f"{rank_one:.2%}", str(len(files))]


def measure(scratch: Path, folder: Path, models: Path) -> list[Section]:
    """Measures everything that is installed.

    Args:
        scratch: for prepared networks, and DeepFace's home.
        folder: of photographs, with pairs.csv, people/ and manifest.csv.
        models: of weights.
    """
    pairs = read_pairs(folder / "pairs.csv", folder)
    with (folder / "manifest.csv").open(newline="") as listed:
        rows = [row for row in csv.DictReader(listed) if row["file"].startswith("people/") and row["identity"]]
    person_of = {folder / row["file"]: row["identity"] for row in rows}
    files = [file for pair in pairs for file in (pair.left, pair.right)]
    images, refused = read(iter([*files, *person_of]))
    by_pairs, by_album = [], []
    for name, way in ways(scratch, models):
        found = {file: embedding for file, image in images.items() if (embedding := way(image)) is not None}
        by_pairs.append([name, *on_pairs(found, pairs), str(len(images) - len(found))])
        by_album.append([name, *on_album(found, person_of)])
    return [
        Section(
            "Pairs told apart",
            f"{len(pairs)} pairs of photographs; the largest face of each. Left out, because the product refuses them: "
            f"{', '.join(refused) or 'none'}. Every way gets the same pixels.",
            ["way", "accuracy, ten folds", "at the best threshold", "area under ROC", "pairs", "pictures without face"],
            by_pairs,
        ),
        Section(
            "People recognised in an album",
            f"{len(set(person_of.values()))} people. True match rate where one comparison of strangers in a hundred "
            "passes; rank-1: the nearest other picture is of the same person.",
            ["way", "true match rate at 1e-2", "area under ROC", "rank-1", "pictures"],
            by_album,
        ),
    ]
