"""The figures of one evaluation, put together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.accuracy import Accuracy, PairList, draw_pairs, measure_accuracy
from rekognition_emulator.evaluation.bands import Band, BandCounter
from rekognition_emulator.evaluation.comparison import AlbumComparison, compare_pairs
from rekognition_emulator.evaluation.scores import FALSE_MATCH_RATES, OperatingPoint, Scores

SIMILARITIES: Final = (80.0, 90.0, 99.0)
"""Thresholds that clients use: AWS's default, and those its guides recommend."""


@dataclass(frozen=True, slots=True)
class AtSimilarity:
    """What passes at a similarity with the calibration that the model has.

    Attributes:
        similarity: 0…100.
        cosine: the model's for it.
        false_matches: stranger pairs that pass.
        true_matches: pairs of one person that pass.
        false_positive_identification_rate: how often the search for somebody who is not in the album finds somebody;
            grows with the album. None for listed pairs.
        false_negative_identification_rate: how often the search for somebody who is in the album finds no picture of
            them. None for listed pairs, and where nobody has a second picture.
    """

    similarity: float
    cosine: float
    false_matches: int
    true_matches: int
    false_positive_identification_rate: float | None = None
    false_negative_identification_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """How good a face model is on labelled pictures.

    Attributes:
        same_pairs: pairs of one person.
        stranger_pairs: pairs of two.
        accuracy: over ten folds; None where there are too few pairs for them.
        area_under_curve: of the ROC; None where a kind of pairs is missing.
        operating_points: thresholds at false match rates, by falling rate.
        roc: (cosine, false match rate, true match rate) as far as they are measured.
        at_similarities: what clients get at their thresholds.
        rank_one: how often, of all other pictures in the album, the nearest to one shows the same person; over
            pictures of people who have a second one. None for listed pairs, and where nobody has.
        searches: pictures that rank_one was counted over.
        bands: what passes by the size, sharpness and yaw of faces, and by group.
    """

    same_pairs: int
    stranger_pairs: int
    accuracy: Accuracy | None
    area_under_curve: float | None
    operating_points: Sequence[OperatingPoint]
    roc: Sequence[tuple[float, float, float]]
    at_similarities: Sequence[AtSimilarity]
    rank_one: float | None = None
    searches: int = 0
    bands: Sequence[Band] = ()


def measure_pairs(
    model: FaceModel, embeddings: NDArray[np.float32], pairs: PairList, counter: BandCounter
) -> Measurement:
    """Measures a model on listed pairs.

    Args:
        model: with its calibration.
        embeddings: (n, dimension) float32, rows of unit length.
        pairs: of their rows.
        counter: of the same rows, which has counted nothing yet.
    """
    cosines = compare_pairs(embeddings, pairs.left, pairs.right)
    counter.add(pairs.left, pairs.right, cosines, pairs.same)
    scores = Scores()
    scores.add(cosines[pairs.same], cosines[~pairs.same])
    accuracy = measure_accuracy(cosines, pairs.same, pairs.folds)
    at_similarities = [_at(model, scores, similarity) for similarity in SIMILARITIES]
    return replace(_measure(scores, accuracy, at_similarities), bands=counter.bands())


def measure_album(
    model: FaceModel,
    embeddings: NDArray[np.float32],
    people: NDArray[np.intp],
    compared: AlbumComparison,
    bands: Sequence[Band] = (),
) -> Measurement:
    """Measures a model on an album.

    Args:
        model: with its calibration.
        embeddings: (n, dimension) float32, rows of unit length.
        people: (n,) whom each row shows.
        compared: every picture with every other.
        bands: what was counted of the same pairs.
    """
    drawn = draw_pairs(people)
    accuracy = measure_accuracy(compare_pairs(embeddings, drawn.left, drawn.right), drawn.same, drawn.folds)
    has_mate = np.isfinite(compared.best_mates)
    mates, strangers = compared.best_mates[has_mate], compared.best_strangers
    at_similarities = []
    for similarity in SIMILARITIES:
        cosine = model.cosine_min(similarity)
        false_positive = float((strangers >= cosine).mean()) if np.isfinite(strangers).any() else None
        false_negative = float((mates < cosine).mean()) if len(mates) else None
        at_similarities.append(_at(model, compared.scores, similarity, false_positive, false_negative))
    rank_one = float((mates > strangers[has_mate]).mean()) if len(mates) else None
    return replace(
        _measure(compared.scores, accuracy, at_similarities), rank_one=rank_one, searches=len(mates), bands=bands
    )


def _measure(scores: Scores, accuracy: Accuracy | None, at_similarities: Sequence[AtSimilarity]) -> Measurement:
    return Measurement(
        same_pairs=scores.same_pairs,
        stranger_pairs=scores.stranger_pairs,
        accuracy=accuracy,
        area_under_curve=scores.area_under_curve(),
        operating_points=[scores.operating_point(rate) for rate in FALSE_MATCH_RATES],
        roc=scores.roc(),
        at_similarities=at_similarities,
    )


def _at(
    model: FaceModel,
    scores: Scores,
    similarity: float,
    false_positive: float | None = None,
    false_negative: float | None = None,
) -> AtSimilarity:
    cosine = model.cosine_min(similarity)
    true_matches, false_matches = scores.passing(cosine)
    return AtSimilarity(similarity, cosine, false_matches, true_matches, false_positive, false_negative)
