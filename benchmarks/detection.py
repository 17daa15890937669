"""Counts which faces each detector finds, by their size in a picture of 1920 × 1080, and how long it takes.

Group photographs are shrunk until their faces have the sizes asked for, and laid on faceless photographs of 1920 ×
1080. What is a face in them is what MTCNN and YuNet both find in the whole photograph: of the group pictures in the
folder that is what manifest.csv counts, picture by picture, but for faces that the frame cuts and that it leaves open.
A face counts as found where a detection shares two fifths of their union with it.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Section
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.errors import FaceError
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.detectors.yunet import YuNet
from rekognition_emulator.inference.embedded import MtcnnDetector
from rekognition_emulator.inference.engine import FaceDetector
from rekognition_emulator.models.catalogue import YUNET
from rekognition_emulator.models.records import SingleShotDetector

WIDTH_PX, HEIGHT_PX = 1920, 1080
FACE_SIDES_PX = (20, 24, 28, 32, 36, 40, 48, 64, 96, 160)
"""Median of the shorter sides of a photograph's faces, where it is not larger than the photograph has them."""

EDGES_PX = (16, 20, 24, 28, 32, 36, 40, 48, 64, 96, 200)
"""Between the columns of the table."""

CONFIDENCES = (70, 80, 90, 95, 98, 99, 99.9)
"""Where the columns of the table of confidences begin: IndexFaces asks for 90, 97 or 99."""

OVERLAP_MIN = 0.4
YUNET_N = replace(YUNET, name="yunet-n", files={"yunet_n_dynamic.onnx": None})

Boxes = NDArray[np.float64]
"""(n, 4): left, top, width, height, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A photograph on a ground, and where its faces are."""

    image: Image
    faces: Sequence[BoundingBox]

    def side_px(self, face: BoundingBox) -> float:
        """Returns the shorter side of a face."""
        return min(face.width * WIDTH_PX, face.height * HEIGHT_PX)


def detectors(scratch: Path, models: Path) -> Iterator[tuple[str, FaceDetector]]:
    """Yields what is measured: as it serves, then YuNet at other sizes."""
    yield "mtcnn", MtcnnDetector(scratch, 1)
    for model, sides in (
        (YUNET, YUNET.sides_px),
        (YUNET, (640,)),
        (YUNET, (960,)),
        (YUNET, (1280, 320)),
        (YUNET_N, YUNET.sides_px),
        (YUNET_N, (640,)),
    ):
        if found := yunet(models, replace(model, sides_px=sides)):
            yield f"{model.name} at {' and '.join(map(str, sides))}", found


def yunet(models: Path, model: SingleShotDetector) -> YuNet | None:
    """Opens a network of YuNet's, if it is there."""
    (file,) = model.files
    return YuNet(model, (models / file).read_bytes(), threads=1) if (models / file).is_file() else None


def grounds(folder: Path) -> list[NDArray[np.uint8]]:
    """Returns faceless photographs at the scene's size; those of animals and paintings are not faceless enough."""
    with (folder / "manifest.csv").open(newline="") as listed:
        rows = [row for row in csv.DictReader(listed) if row["file"].startswith("noface/") and row["faces_max"] == "0"]
    found = []
    for row in rows:
        try:
            pixels = decode((folder / row["file"]).read_bytes()).pixels
        except FaceError:
            continue
        scale = max(WIDTH_PX / pixels.shape[1], HEIGHT_PX / pixels.shape[0])
        if not row["tags"].startswith("animal"):
            found.append(cv2.resize(pixels, None, fx=scale, fy=scale)[:HEIGHT_PX, :WIDTH_PX])
    return found


def group_photographs(folder: Path, first: FaceDetector, second: FaceDetector) -> Iterator[tuple[Image, Boxes]]:
    """Yields photographs and the faces that both detectors find in them."""
    for path in sorted((folder / "groups").iterdir()):
        image = decode(path.read_bytes())
        others = second.detect(image)
        boxes = [face.box for face in first.detect(image) if matches(face.box, others)]
        size = np.tile(image.pixels.shape[1::-1], 2)
        yield image, np.array([(box.left, box.top, box.width, box.height) for box in boxes]) * size


def scenes(photographs: Iterator[tuple[Image, Boxes]], grounds: Sequence[NDArray[np.uint8]]) -> Iterator[Scene]:
    """Yields every photograph at every size that it can be shrunk to and that fits, at places drawn once for all."""
    random = np.random.default_rng(0)
    count = 0
    for image, boxes in photographs:
        median = np.median(boxes[:, 2:].min(axis=1))
        for scale in np.array(FACE_SIDES_PX) / median:
            small = cv2.resize(image.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            height, width = small.shape[:2]
            if scale > 1 or width > WIDTH_PX or height > HEIGHT_PX:
                continue
            pixels = grounds[count % len(grounds)].copy()
            count += 1
            left, top = random.integers(0, (WIDTH_PX - width + 1, HEIGHT_PX - height + 1))
            pixels[top : top + height, left : left + width] = small
            placed = boxes * scale + (left, top, 0, 0)
            faces = [BoundingBox(*box) for box in (placed / np.tile((WIDTH_PX, HEIGHT_PX), 2)).tolist()]
            yield Scene(Image(pixels, WIDTH_PX, HEIGHT_PX), faces)


def matches(box: BoundingBox, found: Sequence[Detection]) -> bool:
    """Returns whether a face is among what was found."""
    return any(box.overlap(face.box) >= OVERLAP_MIN for face in found)


def count(detector: FaceDetector, all_scenes: Sequence[Scene]) -> list[str]:
    """Returns a row of the table: shares found, by size; what is missed; detections where no face is; milliseconds."""
    found, there = np.zeros(len(EDGES_PX) + 1, int), np.zeros(len(EDGES_PX) + 1, int)
    extra, seconds = 0, 0.0
    for scene in all_scenes:
        start = process_time()
        detections = detector.detect(scene.image)
        seconds += process_time() - start
        for face in scene.faces:
            column = np.searchsorted(EDGES_PX, scene.side_px(face), side="right")
            there[column] += 1
            found[column] += matches(face, detections)
        extra += sum(not any(face.box.overlap(true) >= OVERLAP_MIN / 2 for true in scene.faces) for face in detections)
    cells = [f"{some / total:.0%}" if total else "–" for some, total in zip(found, there, strict=True)]
    promised = slice(EDGES_PX.index(40) + 1, None)
    missed = f"{(there - found)[promised].sum()} of {there[promised].sum()}"
    return [*cells[1:-1], missed, str(extra), f"{1000 * seconds / len(all_scenes):.0f}"]


def worth(detector: FaceDetector, all_scenes: Sequence[Scene]) -> list[str]:
    """Returns, for each range of confidences, how many detections are faces and how many are none."""
    faces, none = np.zeros(len(CONFIDENCES) + 1, int), np.zeros(len(CONFIDENCES) + 1, int)
    for scene in all_scenes:
        for face in detector.detect(scene.image):
            overlap = max(face.box.overlap(true) for true in scene.faces)
            column = np.searchsorted(CONFIDENCES, face.confidence, side="right")
            faces[column] += overlap >= OVERLAP_MIN
            none[column] += overlap < OVERLAP_MIN / 2
    return [f"{some} / {others}" for some, others in zip(faces, none, strict=True)][1:]


def measure_confidences(scratch: Path, folder: Path, models: Path) -> Section:
    """Counts what a confidence is worth, on each half of the photographs."""
    mtcnn, second = MtcnnDetector(scratch, 1), yunet(models, YUNET)
    if not second:
        raise FileNotFoundError(models / next(iter(YUNET.files)))
    photographs = list(group_photographs(folder, mtcnn, second))
    rows = []
    for half, described in enumerate(("odd", "even")):
        some = list(scenes(iter(photographs[half::2]), grounds(folder)))
        rows += [[name, described, *worth(each, some)] for name, each in (("mtcnn", mtcnn), ("yunet", second))]
    return Section(
        "What a confidence is worth",
        "Detections that are faces / that are none, in the scenes of benchmarks/detection.py: group photographs, the "
        "first, third and so on of the folder apart from the others, shrunk to many sizes and laid on faceless ones.",
        ["detector", "photographs", *(f"from {confidence}" for confidence in CONFIDENCES)],
        rows,
    )


def measure(scratch: Path, folder: Path, models: Path) -> Section:
    """Counts for every detector whose weights are there.

    Args:
        scratch: for prepared networks.
        folder: of photographs, with groups/ and manifest.csv.
        models: of weights; YuNet's have to be there, since what is a face is what it finds, too.
    """
    measured: Mapping[str, FaceDetector] = dict(detectors(scratch, models))
    second = yunet(models, YUNET)
    if not second:
        raise FileNotFoundError(models / next(iter(YUNET.files)))
    all_scenes = list(scenes(group_photographs(folder, measured["mtcnn"], second), grounds(folder)))
    columns = [f"{low}–{high} px" for low, high in pairwise(EDGES_PX)]
    return Section(
        "Faces found, by their size",
        f"{len(all_scenes)} scenes of 1920 × 1080 with {sum(len(scene.faces) for scene in all_scenes)} faces: group "
        "photographs shrunk to many sizes, on faceless photographs. A face there is what MTCNN and YuNet both find in "
        "the photograph at its full size. Missed: of those of 40 px and more, which are promised. The rest below is "
        "extra. Alien: detections where no face is. YuNet's numbers are the sizes in pixels that it searches at; "
        "`yunet-n` is a smaller variant of it. Core ms: milliseconds that a core worked on a scene.",
        ["detector", *columns, "missed", "alien", "core ms"],
        [[name, *count(detector, all_scenes)] for name, detector in measured.items()],
    )
