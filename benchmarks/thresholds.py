"""A measurement of what 60, 80 and 90 are worth for small and for blurred faces: ``-m benchmarks.thresholds``.

Every photograph of people and of groups in the folder is shrunk until its faces have each of the sizes asked for,
blurred, and saved as a JPEG; a portrait counts with its largest face. Impostors are faces of one picture, and faces of
two pictures that cannot show the same people. A selfie is a portrait as it came.
"""

import argparse
import csv
import io
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.photographs import add_folder, add_weights
from rekognition_emulator.cli.bands import as_multiple, as_share
from rekognition_emulator.domain.detection import AnalyzedFace
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.domain.errors import FaceError
from rekognition_emulator.evaluation.bands import SIMILARITIES, Rate
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.pipeline import analyse, side_px
from rekognition_emulator.inference.selection import ModelFiles, load_engine

SIDES_PX: Final = (None, 20, 24, 32, 40, 60, 80)
"""Median side of a photograph's faces; None as it came."""

BLURS: Final = (0.0, 0.02, 0.03, 0.04)
"""Deviation of a Gaussian, in sides of a face."""

ALL_CONDITIONS: Final = range(len(SIDES_PX) * len(BLURS))
"""Numbers of sizes and blurs: size by size."""

CONFIDENCE_MIN: Final = 90.0
SIDE_PX_MIN: Final = 20.0
"""What AUTO asks for beside sharpness."""

OVERLAP_MIN: Final = 0.4
JPEG_QUALITY: Final = 90

BANDS: Final = ((5, 15), (15, 30), (30, 50), (50, 101))
"""Of sharpness. AUTO asks for 5, MEDIUM for 30, HIGH for 50."""

BARS: Final = (5, 15, 20, 30)
SHARES: Final = (0.55, 0.25, 0.12, 0.08)
"""Of the pictures of a made-up event that are blurred so much. Ours: a guess at an evening with moving people."""

DRAWS: Final = 60

TERMS: Final = {"retail-0095": (0.03, 0.06, 0.1), "dlib": (0.01, 0.02, 0.04)}
PRODUCTS: Final = {"retail-0095": (0.1, 0.2), "dlib": (0.04, 0.08)}
"""Cosines that a term of each face, or of both, takes away where a face is quite blurred."""

TERM_BEGINS: Final = 30
"""Sharpness below which a term takes something away."""

SAME_PEOPLE: Final = {"df": "press", "if": "press", "bbt": "bbt", "fr": "fr", "cf": "cf"}
"""First parts of file names → pictures among which people come again; of the others each picture has its own."""

SIMILAR_PEOPLE: Final = ("groups/lz_10.jpg", "groups/lz_11.jpg")
"""Two pictures of classes of students, mostly young men."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces of all pictures in all conditions.

    Attributes:
        picture: (n,) name of the photograph.
        person: (n,) whom each shows.
        circle: (n,) within which people come again; portraits have their own labels.
        is_portrait: (n,) whether it is a portrait's.
        condition: (n,) number of size and blur; 0 as it came.
        side: (n,) px.
        sharpness: (n,) 0…100.
        embeddings: (n, dimension) float32, of unit length.
    """

    picture: NDArray[np.str_]
    person: NDArray[np.str_]
    circle: NDArray[np.str_]
    is_portrait: Mask
    condition: NDArray[np.intp]
    side: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    embeddings: NDArray[np.float32]

    def impostors(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> Mask:
        """Returns which pairs of these faces are surely of two people in two pictures."""
        labelled = self.is_portrait[left, None] & self.is_portrait[right]
        apart = self.circle[left, None] != self.circle[right]
        other_people = self.person[left, None] != self.person[right]
        impostors: Mask = other_people & (self.picture[left, None] != self.picture[right]) & (apart | labelled)
        return impostors

    def cosines(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.float32]:
        """Returns the cosines of each of these faces with each of those."""
        return np.asarray(self.embeddings[left] @ self.embeddings[right].T, np.float32)


Cosines = NDArray[np.floating[Any]]
Sharpness = NDArray[np.float64]

Score = Callable[[Cosines, Sharpness, Sharpness], Cosines]
"""Makes of cosines and the sharpness of rows and columns what is compared with a threshold."""


def photographs(folder: Path) -> Iterator[tuple[str, str, Image]]:
    """Yields file, person (empty for a group) and picture of those that the product accepts."""
    with (folder / "manifest.csv").open(newline="") as listed:
        rows = [row for row in csv.DictReader(listed) if row["file"].startswith(("people/", "groups/"))]
    for row in rows:
        try:
            image = decode((folder / row["file"]).read_bytes())
        except FaceError:
            continue
        yield row["file"], row["identity"] if row["file"].startswith("people/") else "", image


def conditions(image: Image, side: float, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
    """Yields the numbers of the wanted conditions and the picture in each, where it need not be enlarged for that."""
    for size_place, size in enumerate(SIDES_PX):
        scale = size / side if size else 1.0
        if scale > 1:
            continue
        small = cv2.resize(image.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for blur_place, blur in enumerate(BLURS):
            number = size_place * len(BLURS) + blur_place
            if number not in wanted:
                continue
            pixels = cv2.GaussianBlur(small, (0, 0), blur * side * scale) if blur else small
            written = io.BytesIO()
            PIL.Image.fromarray(pixels).save(written, "JPEG", quality=JPEG_QUALITY)
            with PIL.Image.open(written) as opened:
                saved = np.asarray(opened.convert("RGB"))
            yield number, Image(saved, *saved.shape[1::-1])


def found_again(engine: FaceEngine, image: Image, known: Sequence[AnalyzedFace]) -> dict[int, AnalyzedFace]:
    """Returns which of the known faces are found in a picture of the same content."""
    found = analyse(engine, image)
    again = {}
    for number, portrait in enumerate(known):
        best = max(found, key=lambda face: face.detection.box.overlap(portrait.detection.box), default=None)
        if best and best.detection.box.overlap(portrait.detection.box) >= OVERLAP_MIN:
            again[number] = best
    return again


def measure_faces(engine: FaceEngine, folder: Path, wanted: Collection[int] = ALL_CONDITIONS) -> Faces:
    """Finds and embeds every face in these conditions."""
    rows, embeddings = [], []
    for file, person, image in photographs(folder):
        whole = Image(image.pixels, *image.pixels.shape[1::-1])
        known = [face for face in analyse(engine, whole) if face.detection.confidence >= CONFIDENCE_MIN]
        known = known[:1] if person else known
        if not known:
            continue
        prefix = Path(file).name.partition("_")[0].rstrip("0123456789")
        circle = SAME_PEOPLE.get(prefix, file)
        side = float(np.median([side_px(face, whole) for face in known]))
        for condition, picture in conditions(whole, side, wanted):
            again = found_again(engine, picture, known)
            for number, face in again.items():
                who = person or f"{file} {number}"
                measured = (side_px(face, picture), face.quality.sharpness)
                rows.append((file, who, circle, bool(person), condition, *measured))
            if again:
                embeddings.append(engine.embed(picture, [face.detection for face in again.values()]))
    columns: list[NDArray[Any]] = [np.array(column) for column in zip(*rows, strict=True)]
    return Faces(*[*columns, np.concatenate(embeddings)])


def rate(scores: Cosines, mask: Mask, cosine: float) -> Rate:
    """Returns the share of the chosen pairs that pass."""
    return Rate.of(int((scores[mask] >= cosine).sum()), int(mask.sum()))


def total(rates: Sequence[Rate]) -> Rate:
    """Returns the share of all pairs together."""
    return Rate.of(sum(each.passing for each in rates), sum(each.pairs for each in rates))


def by_size(model: FaceModel, faces: Faces) -> list[list[str]]:
    """Returns rows of the table of sizes: what is not blurred, and sharp enough for AUTO."""
    rows = []
    for size_place, size in enumerate(SIDES_PX):
        chosen = faces.condition == size_place * len(BLURS)
        these = np.flatnonzero(chosen & (faces.side >= SIDE_PX_MIN) & (faces.sharpness >= BARS[0]))
        scores, once = faces.cosines(these, these), np.triu(np.ones((len(these), len(these)), bool), 1)
        same_picture = faces.picture[these, None] == faces.picture[these]
        two_people = faces.person[these, None] != faces.person[these]
        genuine = once & ~two_people
        row = [model.name, f"{size} px" if size else "as they came", str(len(these))]
        for kind in (once & faces.impostors(these, these), once & same_picture & two_people):
            row.append(f"{kind.sum():,}")
            row += [as_multiple(rate(scores, kind, model.cosine_min(at)), at) for at in SIMILARITIES[:2]]
        rows.append([*row, as_share(rate(scores, genuine, model.cosine_min(80)))])
    return rows


def means_of_similar_people(faces: Faces) -> tuple[float, float, float, float]:
    """Returns mean cosines of impostors: within two pictures of similar people, between these, and of all pictures."""
    one, other = (np.flatnonzero((faces.picture == file) & (faces.condition == 0)) for file in SIMILAR_PEOPLE)
    everybody = np.flatnonzero(faces.condition == 0)
    within = [faces.cosines(each, each)[np.triu_indices(len(each), 1)].mean() for each in (one, other)]
    apart = faces.cosines(everybody, everybody)[faces.impostors(everybody, everybody)].mean()
    return float(within[0]), float(within[1]), float(faces.cosines(one, other).mean()), float(apart)


def by_sharpness(model: FaceModel, faces: Faces, score: Score) -> list[list[str]]:
    """Returns for each band what passes where both faces are in it, and where one is and the other is a selfie."""
    selfies = np.flatnonzero(faces.is_portrait & (faces.condition == 0))
    rows = []
    for low, high in BANDS:
        chosen = (faces.sharpness >= low) & (faces.sharpness < high) & (faces.side >= SIDE_PX_MIN)
        at_60, at_80, genuine = [], [], []
        for condition in np.unique(faces.condition):
            these = np.flatnonzero(chosen & (faces.condition == condition))
            scores = score(faces.cosines(these, these), faces.sharpness[these], faces.sharpness[these])
            once = np.triu(np.ones(scores.shape, bool), 1)
            apart = once & faces.impostors(these, these)
            at_60.append(rate(scores, apart, model.cosine_min(60)))
            at_80.append(rate(scores, apart, model.cosine_min(80)))
            same = faces.person[these, None] == faces.person[these]
            genuine.append(rate(scores, once & same, model.cosine_min(80)))
        these = np.flatnonzero(chosen)
        scores = score(faces.cosines(selfies, these), faces.sharpness[selfies], faces.sharpness[these])
        theirs = (faces.person[selfies, None] == faces.person[these]) & (
            faces.picture[selfies, None] != faces.picture[these]
        )
        asked = rate(scores, faces.impostors(selfies, these), model.cosine_min(80))
        rows.append(
            [
                f"{low} to {min(high, 100)}",
                f"{total(at_80).pairs:,}",
                as_multiple(total(at_60), 60),
                as_multiple(total(at_80), 80),
                as_share(total(genuine)),
                f"{asked.pairs:,}",
                as_multiple(asked, 80),
                as_share(rate(scores, theirs, model.cosine_min(80))),
            ]
        )
    return rows


def event(model: FaceModel, faces: Faces) -> list[list[str]]:
    """Returns rows of the table of made-up events: what passes if so much sharpness is asked for."""
    random = np.random.default_rng(0)
    counted: dict[int, list[list[Rate]]] = {bar: [] for bar in BARS}
    rows_of: dict[tuple[str, int], NDArray[np.intp]] = {}
    for picture in np.unique(faces.picture):
        for condition in np.unique(faces.condition[faces.picture == picture]):
            rows_of[picture, condition] = np.flatnonzero((faces.picture == picture) & (faces.condition == condition))
    for _ in range(DRAWS):
        drawn = []
        for picture in np.unique(faces.picture):
            blur = random.choice(len(BLURS), p=SHARES)
            able = [key for key in rows_of if key[0] == picture and key[1] % len(BLURS) == blur]
            if able:
                drawn.append(rows_of[able[random.integers(len(able))]])
        rows = np.concatenate(drawn)
        for bar in BARS:
            these = rows[(faces.side[rows] >= SIDE_PX_MIN) & (faces.sharpness[rows] >= bar)]
            scores = faces.cosines(these, these)
            apart = np.triu(np.ones(scores.shape, bool), 1) & faces.impostors(these, these)
            counted[bar].append([rate(scores, apart, model.cosine_min(at)) for at in SIMILARITIES])
    return [
        [model.name, str(bar), f"{total([each[0] for each in rates]).pairs:,}"]
        + [as_multiple(total([each[place] for each in rates]), at) for place, at in enumerate(SIMILARITIES)]
        for bar, rates in counted.items()
    ]


def as_it_is(cosines: Cosines, _left: Sharpness, _right: Sharpness) -> Cosines:
    """The score that serves."""
    return cosines


def term(most: float) -> Score:
    """Returns a score that takes something away for each of the two faces."""
    return lambda cosines, left, right: cosines - most * (blurred(left)[:, None] + blurred(right))


def product(most: float) -> Score:
    """Returns a score that takes something away where both faces are blurred."""
    return lambda cosines, left, right: cosines - most * blurred(left)[:, None] * blurred(right)


def blurred(sharpness: Sharpness) -> Sharpness:
    """Returns how blurred faces are, 0 to 1."""
    return np.clip((TERM_BEGINS - sharpness) / TERM_BEGINS, 0, 1)


def scores_tried(model: str) -> Iterator[tuple[str, Score]]:
    """Yields scores that take something away from blurred faces, after the one that serves."""
    yield "cosine", as_it_is
    for most in TERMS[model]:
        yield f"cosine − p(x) − p(y), p up to {most}", term(most)
    for most in PRODUCTS[model]:
        yield f"cosine − q(x) q(y), up to {most}", product(most)


def measure(scratch: Path, folder: Path, models: Path) -> list[report.Section]:
    """Measures the recommended models and the embedded ones."""
    sizes, sharps, events, tried, alike = [], [], [], [], []
    for embedder, detector in (("retail-0095", "yunet"), ("dlib", "mtcnn")):
        engine = load_engine(embedder, detector, ModelFiles(scratch, models, scratch / "none"))
        faces = measure_faces(engine, folder)
        sizes += by_size(engine.model, faces)
        alike.append(f"{embedder} {', '.join(f'{mean:.3f}' for mean in means_of_similar_people(faces))}")
        sharps += [[embedder, *row] for row in by_sharpness(engine.model, faces, as_it_is)]
        events += event(engine.model, faces)
        for name, score in scores_tried(embedder):
            rows = by_sharpness(engine.model, faces, score)[:2]
            tried += [[embedder, name, *(row[column] for column in (0, 3, 4, 6, 7))] for row in rows]
    interval = "In brackets Wilson's 95 % interval, which takes pairs for independent."
    return [
        report.Section(
            "By size",
            "Photographs as they came, and shrunk until half of their faces are smaller than that: impostors of two "
            "pictures, and of one, at 60 and 80, as a multiple of what these mean (1 in 1,000 and in 10,000); genuine "
            f"pairs at 80. {interval}",
            ["model", "side", "faces", "two pictures", "at 60", "at 80", "one picture", "at 60", "at 80", "genuine"],
            sizes,
            notes="Faces of one picture match more often because their people are alike: to the eye the pairs that "
            "pass there as they came are look-alikes. Two of the pictures are of classes of young men; mean cosine of "
            "impostors within the one, within the other, between the two, and of all of two pictures: "
            f"{'; '.join(alike)}.",
        ),
        report.Section(
            "By sharpness",
            "All sizes and blurs together: pairs of which both faces are of one band and of pictures that were shrunk "
            f"and blurred alike, and selfies as they came against faces of a band. {interval}",
            [
                *("model", "sharpness", "impostors, both", "at 60", "at 80", "genuine, both, at 80"),
                *("impostors of selfies", "at 80", "selfies' people found at 80"),
            ],
            sharps,
        ),
        report.Section(
            "Events of sharp and blurred pictures",
            f"Each photograph at a size drawn at random, {SHARES[1]:.0%} of them blurred by {BLURS[1]:.0%} of a face's "
            f"side, {SHARES[2]:.0%} by {BLURS[2]:.0%}, {SHARES[3]:.0%} by {BLURS[3]:.0%}; {DRAWS} draws. Pairs of all "
            "faces of two pictures that are at least so sharp (AUTO asks for 5, MEDIUM for 30). The draws share their "
            "faces, so that the intervals are too narrow.",
            ["model", "sharpness from", "impostors", "at 60", "at 80", "at 90"],
            events,
        ),
        report.Section(
            "Terms in the score",
            "What would become of the two blurred bands if the score took something away from blurred faces: from "
            f"{TERM_BEGINS} on nothing, at 0 all of it. All at 80.",
            [
                "model",
                "score",
                "sharpness",
                "impostors, both",
                "genuine, both",
                "impostors of selfies",
                "selfies' people",
            ],
            tried,
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
        sections = measure(Path(scratch), arguments.folder, arguments.models)
    report.write("thresholds.md", "python -m benchmarks.thresholds", described, sections)


if __name__ == "__main__":
    main()
