"""A measurement of who is found again where pictures lie on a side or on the head: ``-m benchmarks.orientation``.

Every photograph of people and of groups in the folder is turned by 90, 180 and 270° and saved again as a JPEG. Its
faces are those that are found in it upright; each counts as found again where a face of the turned picture lies in the
same place and is as similar as 80 to itself. Strangers are the largest faces of pictures of different people. The
figures that the constants quote are those of the people and groups whose numbers are odd.
"""

import argparse
import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from time import process_time
from typing import Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from benchmarks import detection, report
from benchmarks.photographs import add_folder, add_weights
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.errors import FaceError
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.composed import ComposedEngine
from rekognition_emulator.inference.detectors.orientation import OrientedDetector
from rekognition_emulator.inference.detectors.yunet import YuNet
from rekognition_emulator.inference.embedded import MtcnnDetector, dlib_embedder
from rekognition_emulator.inference.engine import FaceDetector, FaceEngine
from rekognition_emulator.models.catalogue import YUNET

MATCH: Final = 80.0
APART: Final = 60.0
"""Similarities: from the first on two faces match by default; below the second nobody would take them for one."""

OVERLAP_MIN: Final = 0.4
JPEG_QUALITY: Final = 95


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """A photograph with what the manifest says of it.

    Attributes:
        person: whose portrait it is; empty for a group.
        odd: whether the number of the person, or of the group, is odd.
    """

    file: str
    image: Image
    person: str
    odd: bool


@dataclass(slots=True)
class Counted:
    """What an engine did on one half of the photographs."""

    faces: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    again: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    changed: int = 0
    photographs: int = 0
    bare_seconds: float = 0.0
    seconds: float = 0.0


def photographs(folder: Path) -> Iterator[Photograph]:
    """Yields people and groups that the product accepts."""
    with (folder / "manifest.csv").open(newline="") as listed:
        rows = [row for row in csv.DictReader(listed) if row["file"].startswith(("people/", "groups/"))]
    numbers = {name: number for number, name in enumerate(sorted({row["identity"] for row in rows}))}
    for number, row in enumerate(rows):
        is_portrait = row["file"].startswith("people/")
        try:
            image = decode((folder / row["file"]).read_bytes())
        except FaceError:
            continue
        odd = numbers[row["identity"]] if is_portrait else number
        yield Photograph(row["file"], image, row["identity"] if is_portrait else "", bool(odd % 2))


def turned(image: Image, turns: int) -> Image:
    """Returns the picture turned against the clock by quarters, saved as a JPEG and decoded."""
    written = io.BytesIO()
    PIL.Image.fromarray(np.rot90(image.pixels, turns)).save(written, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return decode(written.getvalue())


def turned_back(box: BoundingBox, turns: int) -> BoundingBox:
    """Returns a box of the turned picture in the frame of the upright one."""
    for _ in range(turns):
        box = BoundingBox(1 - box.top - box.height, box.left, box.height, box.width)
    return box


def measure_engine(
    bare: FaceDetector, engine: FaceEngine, taken: Sequence[Photograph]
) -> tuple[Mapping[bool, Counted], Mapping[tuple[str, int], NDArray[np.float32]]]:
    """Counts over all photographs.

    Returns:
        Odd or not → what was counted; (file, turns) → the embedding of a portrait's largest face.
    """
    counts, largest = {True: Counted(), False: Counted()}, {}
    for photograph in taken:
        count = counts[photograph.odd]
        start = process_time()
        plain = bare.detect(Image(photograph.image.pixels, photograph.image.width_px, photograph.image.height_px))
        middle = process_time()
        upright = engine.detect(Image(photograph.image.pixels, photograph.image.width_px, photograph.image.height_px))
        count.bare_seconds += middle - start
        count.seconds += process_time() - middle
        count.photographs += 1
        count.changed += _differ(plain, upright)
        selves = engine.embed(photograph.image, upright)
        for turns in range(4):
            image = turned(photograph.image, turns) if turns else photograph.image
            found = engine.detect(image) if turns else upright
            embeddings = engine.embed(image, found)
            boxes = [turned_back(face.box, turns) for face in found]
            for face, self in zip(upright, selves, strict=True):
                there = [
                    engine.model.similarity(float(embedding @ self))
                    for box, embedding in zip(boxes, embeddings, strict=True)
                    if box.overlap(face.box) >= OVERLAP_MIN
                ]
                count.faces[turns] += 1
                count.again[turns] += max(there, default=0.0) >= MATCH
            if photograph.person and found:
                place = max(range(len(found)), key=lambda each: found[each].box.area)
                largest[photograph.file, turns] = embeddings[place]
    return counts, largest


def _differ(one: Sequence[Detection], other: Sequence[Detection]) -> bool:
    return [(face.box, face.confidence) for face in one] != [(face.box, face.confidence) for face in other]


def strangers(
    engine: FaceEngine, taken: Sequence[Photograph], largest: Mapping[tuple[str, int], NDArray[np.float32]]
) -> tuple[str, str, str]:
    """Counts pairs of different people that match: upright, with a turned one among them, and far apart upright."""
    pairs = {False: [0, 0], True: [0, 0]}
    far = 0
    portraits = [each for each in taken if each.person]
    for one, other in combinations(portraits, 2):
        if one.person == other.person:
            continue
        similarities = {
            turns: engine.model.similarity(float(largest[one.file, turns[0]] @ largest[other.file, turns[1]]))
            for turns in product(range(4), repeat=2)
            if (one.file, turns[0]) in largest and (other.file, turns[1]) in largest
        }
        for turns, similarity in similarities.items():
            tally = pairs[any(turns)]
            tally[0] += similarity >= MATCH
            tally[1] += 1
            far += similarity >= MATCH and similarities[0, 0] < APART
    return (*(f"{some} of {total:,}" for some, total in pairs.values()), str(far))  # type: ignore[return-value]


def engines(scratch: Path, models: Path) -> Iterator[tuple[str, FaceDetector, FaceEngine]]:
    """Yields what is measured: a detector alone, and the engine that turns pictures for it."""
    embedder = dlib_embedder(scratch, 1)
    mtcnn = MtcnnDetector(scratch, 1)
    yield "mtcnn alone", mtcnn, ComposedEngine(OrientedDetector(mtcnn, mtcnn), embedder, 1)
    (file,) = YUNET.files
    if (models / file).is_file():
        yunet = YuNet(YUNET, (models / file).read_bytes(), threads=1)
        yield "mtcnn, yunet looks", mtcnn, ComposedEngine(OrientedDetector(mtcnn, yunet), embedder, 1)
        yield "yunet", yunet, ComposedEngine(OrientedDetector(yunet, yunet), embedder, 1)


def measure(scratch: Path, folder: Path, models: Path) -> list[report.Section]:
    """Measures every engine that the weights at hand allow."""
    taken = list(photographs(folder))
    found_rows, stranger_rows = [], []
    for name, bare, engine in engines(scratch, models):
        counts, largest = measure_engine(bare, engine, taken)
        for odd, count in counts.items():
            cells = [f"{again} of {faces}" for again, faces in zip(count.again[1:], count.faces[1:], strict=True)]
            share = sum(count.again[1:]) / sum(count.faces[1:])
            found_rows.append(
                [
                    name,
                    "odd" if odd else "even",
                    *cells,
                    f"{share:.1%}",
                    f"{count.changed} of {count.photographs}",
                    f"{count.seconds / count.bare_seconds:.2f}",
                ]
            )
        stranger_rows.append([name, *strangers(engine, taken, largest)])
    return [
        report.Section(
            "Faces found again in turned pictures",
            f"{len(taken)} photographs, turned against the clock. Changed: upright photographs in which the engine "
            "reports other faces than its detector alone. Cost: processor time for upright photographs, in detections.",
            ["engine", "people and groups", "90°", "180°", "270°", "together", "changed", "cost"],
            found_rows,
        ),
        report.Section(
            "Strangers that match",
            "Pairs of portraits of different people that are as similar as 80: both upright, and with one or both "
            "turned; and pairs that match turned and are below 60 upright.",
            ["engine", "upright", "turned", "below 60 upright"],
            stranger_rows,
        ),
    ]


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_folder(parser)
    add_weights(parser)
    arguments = parser.parse_args()
    described = report.machine()
    with tempfile.TemporaryDirectory() as scratch:
        models = arguments.models
        sections = [
            *measure(Path(scratch), arguments.folder, models),
            detection.measure_confidences(Path(scratch), arguments.folder, models),
        ]
    report.write("orientation.md", "python -m benchmarks.orientation", described, sections)


if __name__ == "__main__":
    main()
