from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.curves import make_curve
from rekognition_emulator.domain.embedding import Evidence, FaceModel
from rekognition_emulator.evaluation.calibration import SIMILARITIES
from rekognition_emulator.models.catalogue import DLIB, EMBEDDERS, RETAIL_0095
from rekognition_emulator.models.curves import OPERATING_SIMILARITY, Calibration, provisional
from rekognition_emulator.models.records import Embedder

THRESHOLDS = st.floats(0.05, 0.95)


def model(calibration: Calibration) -> FaceModel:
    """A model of this curve."""
    return FaceModel("example", "99.0", 8, "ours", calibration)


def is_rising(calibration: Calibration) -> bool:
    """Returns whether a curve leads from (−1, 0) to (1, 100) and has no flat part."""
    leads = [*calibration[0], *calibration[-1]] == [-1, 0, 1, 100]
    return leads and all(a < c and b < d for (a, b), (c, d) in pairwise(calibration))


@given(THRESHOLDS)
def test_a_provisional_curve_keeps_what_the_publisher_says(threshold: float) -> None:
    """It rises, has the threshold where it belongs, and asks for more at each similarity that clients use."""
    curve = provisional(threshold)
    assert is_rising(curve)
    assert model(curve).similarity(threshold) == pytest.approx(OPERATING_SIMILARITY)
    assert model(curve).cosine_min(80) > threshold


@given(THRESHOLDS, THRESHOLDS)
def test_a_higher_threshold_asks_for_more_everywhere(one: float, other: float) -> None:
    """Of two models, the one whose publisher asks for more is asked for more at every similarity."""
    low, high = sorted((one, other))
    for (cosine, similarity), (higher, same) in zip(provisional(low), provisional(high), strict=True):
        assert similarity == same
        assert cosine <= higher


def test_the_guess_is_fair_where_the_truth_is_known() -> None:
    """Of retail-0095 and its own best threshold on pairs, 0.304, a curve is guessed that we have measured, too."""
    guessed = provisional(0.304)
    for similarity in (40, 60, 80, 90):
        measured = RETAIL_0095.face_model().cosine_min(similarity)
        assert model(guessed).cosine_min(similarity) == pytest.approx(measured, abs=0.01)


@pytest.mark.parametrize("embedder", EMBEDDERS.values(), ids=list(EMBEDDERS))
def test_every_model_of_the_table_has_a_curve_that_rises(embedder: Embedder) -> None:
    """It says what it rests on, and nobody has to measure before they serve."""
    assert embedder.calibration
    assert is_rising(embedder.calibration)
    assert embedder.calibration_source
    assert embedder.evidence is (Evidence.MEASURED if embedder.true_match_rate is not None else Evidence.PROVISIONAL)


@pytest.mark.parametrize("embedder", [DLIB, RETAIL_0095], ids=["dlib", "retail-0095"])
def test_measured_curves_say_what_each_similarity_means(embedder: Embedder) -> None:
    """Their points are those of ``calibrate``, from ordinary strangers up to one in a million."""
    assert embedder.calibration
    assert [similarity for _, similarity in embedder.calibration[1:-1]] == [meant for meant, _ in SIMILARITIES]


def test_the_shipped_curve_is_what_was_measured(calibration_faces: Path) -> None:
    """The command that made it makes it again; dlib's, measured on more pairs, keeps its promise on these, too."""
    made = make_curve(calibration_faces, "retail-0095")
    assert made.stranger_pairs > 19_600_000
    assert made.calibration == RETAIL_0095.calibration
    assert made.true_match_rates[SIMILARITIES.index((90.0, 1e-5))] == pytest.approx(
        RETAIL_0095.true_match_rate, abs=5e-4
    )
    dlib = make_curve(calibration_faces, "dlib")
    assert DLIB.calibration
    assert dlib.calibration[:3] == DLIB.calibration[:3]
    for (cosine, _), (shipped, _) in zip(dlib.calibration, DLIB.calibration, strict=True):
        assert cosine <= shipped <= cosine + 0.0015
