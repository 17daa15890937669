"""Evaluations of a face model on the operator's own labelled images: pairs, an album, or selfies that search one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rekognition_emulator.admin.measuring import Way, compare, describe, embed, embed_all
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.accuracy import PairList
from rekognition_emulator.evaluation.bands import BandCounter
from rekognition_emulator.evaluation.labels import (
    LabelledImage,
    LabelledPair,
    LabelledPicture,
    LabelsUnusable,
    read_album,
    read_pairs,
)
from rekognition_emulator.evaluation.measurement import Measurement, measure_album, measure_pairs
from rekognition_emulator.evaluation.pictures import Embedded, LeftOut
from rekognition_emulator.evaluation.retrieval import Retrieval, best_cosines, measure_retrieval, nearest_strangers
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.progress import ProgressOf

NearPair = tuple[float, Path, Path]
"""A cosine, and the two images that are so near to each other."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a face model tells people apart.

    Attributes:
        model: that was measured.
        measured: the numbers.
        images: how many had a face.
        left_out: the others, and why.
        nearest_strangers: of an album, nearest first; where labels are wrong, it shows here. Empty for listed pairs.
        pairs: how many were listed; None for an album.
        pairs_left_out: those of them that lack a face.
        document: everything, for machines.
    """

    model: FaceModel
    measured: Measurement
    images: int
    left_out: Sequence[LeftOut]
    nearest_strangers: Sequence[NearPair]
    pairs: int | None
    pairs_left_out: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SelfieEvaluation:
    """What selfies find in an album with one face model.

    Attributes:
        model: that was measured.
        retrieval: the numbers.
        left_out: images of the album and selfies without a face, and why.
        nearest_strangers: selfies and images of somebody else, nearest first.
        document: everything, for machines.
    """

    model: FaceModel
    retrieval: Retrieval
    left_out: Sequence[LeftOut]
    nearest_strangers: Sequence[NearPair]
    document: dict[str, Any]


def evaluate_pairs(engine: FaceEngine, listed: Path, images: Path, way: Way, progress_of: ProgressOf) -> Evaluation:
    """Measures a face model on listed pairs.

    Args:
        engine: to measure.
        listed: LFW's ``pairs.txt``, or CSV.
        images: where the images are.
        way: how they are embedded.
        progress_of: told of faces.

    Raises:
        LabelsUnusable: the list is not as it should be, or none of its pairs can be compared.
        OSError: a file cannot be read.
    """
    pairs = read_pairs(listed, images)
    embedded = embed(engine, [file for pair in pairs for file in (pair.left, pair.right)], way, progress_of)
    comparable = [pair for pair in pairs if pair.left in embedded.rows and pair.right in embedded.rows]
    if not comparable:
        raise LabelsUnusable(f"None of the {len(pairs):,} pairs can be compared: each lacks a face")
    counter = BandCounter(engine.model, embedded.covariates, _groups(comparable, embedded))
    measured = measure_pairs(engine.model, embedded.embeddings, _rows(comparable, embedded), counter)
    pairs_left_out = len(pairs) - len(comparable)
    document = describe(engine.model, listed, way.face, embedded.left_out) | {"pairs_left_out": pairs_left_out}
    return Evaluation(
        engine.model,
        measured,
        len(embedded.rows),
        embedded.left_out,
        [],
        len(pairs),
        pairs_left_out,
        document | _numbers(measured),
    )


def evaluate_album(engine: FaceEngine, album: Path, way: Way, progress_of: ProgressOf) -> Evaluation:
    """Measures a face model on an album, every image against every other.

    Args:
        engine: to measure.
        album: a folder with a folder of images per person, or CSV.
        way: how they are embedded.
        progress_of: told of faces, then of pairs.

    Raises:
        LabelsUnusable: the album labels no image, or none has a face.
        OSError: a file cannot be read.
    """
    pictures = read_album(album)
    embedded = embed(engine, [picture.file for picture in pictures], way, progress_of)
    group_of = {picture.file: picture.group for picture in pictures}
    counter = BandCounter(engine.model, embedded.covariates, [group_of[file] for file in embedded.rows])
    people, compared = compare(embedded, pictures, progress_of, counter)
    measured = measure_album(engine.model, embedded.embeddings, people, compared, counter.bands())
    files = list(embedded.rows)
    document = describe(engine.model, album, way.face, embedded.left_out)
    document |= {"people": int(people.max()) + 1, "pictures": len(people)}
    return Evaluation(
        engine.model,
        measured,
        len(embedded.rows),
        embedded.left_out,
        [(cosine, files[one], files[other]) for cosine, one, other in compared.nearest_strangers],
        None,
        0,
        document | _numbers(measured),
    )


def evaluate_selfies(  # noqa: PLR0913 - what such a measurement takes
    engine: FaceEngine,
    album: Path,
    images: Sequence[LabelledImage],
    selfies: Sequence[LabelledPicture],
    way: Way,
    *,
    progress_of: ProgressOf,
) -> SelfieEvaluation:
    """Measures what selfies find in an album with one face model.

    Args:
        engine: to measure.
        album: that the images were read from.
        images: to be found, as ``labels.read_event`` has them.
        selfies: to search by, as ``labels.read_album`` has them.
        way: how selfies are embedded.
        progress_of: told of images, then of faces.

    Raises:
        LabelsUnusable: no image or selfie has a face, or no selfie shows anybody in the album.
    """
    searched = embed_all(engine, [image.file for image in images], way.workers, progress_of)
    asking = embed(engine, [selfie.file for selfie in selfies], way, progress_of)
    people = [selfie.person for selfie in selfies if selfie.file in asking.rows]
    relevant = np.array([[person in image.people for image in images] for person in people])
    best = best_cosines(asking.embeddings, searched.embeddings, searched.image_of, len(images))
    try:
        retrieval = measure_retrieval(engine.model, best, relevant, len(searched.embeddings))
    except ValueError as error:
        raise LabelsUnusable(f"Nothing to measure: {error}. Are people called the same in both?") from error
    left_out, files = [*searched.left_out, *asking.left_out], list(asking.rows)
    return SelfieEvaluation(
        engine.model,
        retrieval,
        left_out,
        [(cosine, files[one], images[other].file) for cosine, one, other in nearest_strangers(best, relevant)],
        describe(engine.model, album, way.face, left_out) | asdict(retrieval),
    )


def _rows(pairs: Sequence[LabelledPair], embedded: Embedded) -> PairList:
    return PairList(
        left=np.array([embedded.rows[pair.left] for pair in pairs]),
        right=np.array([embedded.rows[pair.right] for pair in pairs]),
        same=np.array([pair.same for pair in pairs]),
        folds=np.array([pair.fold for pair in pairs]),
    )


def _groups(pairs: Sequence[LabelledPair], embedded: Embedded) -> list[str]:
    """Returns the group of each row.

    Raises:
        LabelsUnusable: an image belongs to two.
    """
    group_of = dict.fromkeys(embedded.rows, "")
    for pair in pairs:
        for file, group in ((pair.left, pair.left_group), (pair.right, pair.right_group)):
            if group and group_of[file] not in {"", group}:
                raise LabelsUnusable(f"{file} is said to belong to the group {group_of[file]} and to {group}")
            group_of[file] = group or group_of[file]
    return list(group_of.values())


def _numbers(measured: Measurement) -> dict[str, Any]:
    numbers = asdict(measured)
    numbers["roc"] = [
        {"cosine": cosine, "false_match_rate": false, "true_match_rate": true} for cosine, false, true in measured.roc
    ]
    return numbers
