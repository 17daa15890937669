"""What curves from thousands of labelled faces are worth, with labels and without: ``-m benchmarks.calibration``.

Measured on embeddings alone (``../shared/calibration``): no picture and no name is needed. What is measured: the
cosines of the false match rates that 60, 80, 90 and 99 mean; the threshold of 80 from a part of the faces, with labels
and without, and how many impostors among all faces pass it; and what passes by size, sharpness and yaw.
"""

import argparse
import os
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import report
from benchmarks.curves import ARRAYS
from rekognition_emulator.cli.bands import TITLES, as_multiple, as_share
from rekognition_emulator.evaluation.bands import SIMILARITIES, BandCounter, Covariates
from rekognition_emulator.evaluation.comparison import compare_album
from rekognition_emulator.evaluation.scores import Scores
from rekognition_emulator.evaluation.unlabelled import calibrate_unlabelled, presumed_impostors
from rekognition_emulator.models.catalogue import EMBEDDERS
from tests.support.labelled import LabelledFaces, draw_images

MEANINGS: Final = ((60.0, 1e-3), (80.0, 1e-4), (90.0, 1e-5), (99.0, 1e-6))
FACES: Final = (200, 500, 2000)
SEEDS: Final = (0, 1, 2)


def read_covariates(file: Path) -> Covariates:
    """Reads what the file says of each face."""
    with np.load(file) as arrays:
        sharpness, yaw = arrays["quality"][:, 1].astype(np.float32), np.abs(arrays["pose"][:, 1]).astype(np.float32)
        return Covariates(arrays["side_px"].astype(np.float32), sharpness, yaw)


def curve_rows(model: str, scores: Scores) -> list[list[str]]:
    """Returns rows of the table of curves."""
    rows = []
    for similarity, rate in MEANINGS:
        point = scores.operating_point(rate)
        assert point.cosine is not None
        assert point.true_match_rate is not None
        shipped = EMBEDDERS[model].face_model().cosine_min(similarity)
        times = scores.passing(shipped)[1] / scores.stranger_pairs / rate
        measured = (f"{point.cosine:.4f}", f"{point.true_match_rate:.1%}")
        rows.append([model, f"{similarity:.0f}", f"1 in {1 / rate:,.0f}", *measured, f"{shipped:.3f}", f"{times:.2f}"])
    return rows


def unlabelled_row(model: str, faces: LabelledFaces, count: int, seed: int) -> list[str]:
    """Returns a row of the table of curves without labels."""
    random = np.random.default_rng(seed)
    rows = faces.draw(random, count)
    image_of = draw_images(random, count)
    embeddings, people = faces.embeddings[rows], faces.people[rows]
    curve = calibrate_unlabelled(presumed_impostors(embeddings, image_of, image_of))
    first, second = np.triu_indices(count, 1)
    impostors = (embeddings @ embeddings.T)[first, second][people[first] != people[second]]
    labelled = float(np.quantile(impostors, 1 - 1e-4))
    unlabelled = next(point.cosine for point in curve.points if point.similarity == 80)
    rates = faces.impostor_rate(labelled), faces.impostor_rate(unlabelled)
    return [
        *(model, f"{count:,}", str(seed), f"{curve.repeated}", f"{labelled:.4f}", f"{unlabelled:.4f}"),
        *(f"{rates[0] / 1e-4:.2f}", f"{rates[1] / 1e-4:.2f}", f"{rates[1] / rates[0]:.2f}"),
    ]


def band_rows(model: str, counter: BandCounter) -> list[list[str]]:
    """Returns rows of the table of kinds of faces."""
    rows = []
    for band in counter.bands():
        false = [as_multiple(rate, at) for rate, at in zip(band.impostors, SIMILARITIES, strict=True)]
        genuine = (f"{band.genuine[0].pairs:,}", as_share(band.genuine[1]))
        rows.append([model, TITLES[band.measure], band.band, f"{band.impostors[0].pairs:,}", *false, *genuine])
    return rows


def measure(file: Path) -> list[report.Section]:
    """Measures both models."""
    covariates = read_covariates(file)
    curves, without, bands, said = [], [], [], ""
    for model, array in ARRAYS.items():
        faces = LabelledFaces.read(file, array)
        counter = BandCounter(EMBEDDERS[model].face_model(), covariates, [""] * len(faces.people))
        scores = compare_album(faces.embeddings, faces.people, counter=counter).scores
        said = (
            f"{len(faces.people):,} faces of {faces.people.max() + 1:,} people, half of LFW deep-funneled: "
            f"{scores.stranger_pairs:,} impostor pairs, {scores.same_pairs:,} genuine ones."
        )
        curves += curve_rows(model, scores)
        without += [unlabelled_row(model, faces, count, seed) for count in FACES for seed in SEEDS]
        bands += band_rows(model, counter)
    return [
        report.Section(
            "Curves",
            f"{said} Last: how many times as many impostors pass the cosine that is shipped as the similarity means. "
            "dlib's curve from 40 on was measured on all of LFW, with other pictures of the same kind.",
            ["model", "similarity", "false matches", "cosine", "true matches", "shipped", "times"],
            curves,
        ),
        report.Section(
            "With labels and without",
            "A part of these faces, a tenth of the people twice, three to eight of them in an image: the cosine of 80 "
            "by labels and without, how many times as many impostors among all faces pass each as one in 10,000, and "
            "the latter by the former. 200 faces have too few pairs to count it, and their curve errs on the "
            "side of caution.",
            ["model", "faces", "seed", "set aside", "labelled", "unlabelled", "passes", "passes", "ratio"],
            without,
        ),
        report.Section(
            "By kind of face",
            "All pairs, each counted for the worse of its two faces, with the curves that are shipped. False matches "
            "are a multiple of what 60, 80 and 90 mean; true matches are those at 80. In brackets Wilson's 95 % "
            "interval, which takes pairs for independent. All pictures are of 250 px, so that the range is narrow, and "
            "a side is the square root of the box's area here; smaller faces are on [another page](thresholds.md).",
            ["model", "by", "band", "impostors", "at 60", "at 80", "at 90", "genuine", "true matches"],
            bands,
        ),
    ]


def main() -> None:
    """Measures and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).parents[2] / "shared" / "calibration" / "faces.npz"
    parser.add_argument("--faces", type=Path, default=os.environ.get("REKOGNITION_TEST_CALIBRATION", beside))
    arguments = parser.parse_args()
    described = report.machine()
    report.write("calibration.md", "python -m benchmarks.calibration", described, measure(Path(arguments.faces)))


if __name__ == "__main__":
    main()
