import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.calibration import SIMILARITIES, TooFewPairs, calibrate, pictures_needed
from rekognition_emulator.evaluation.scores import Scores


def strangers(seed: int, pairs: int) -> NDArray[np.float32]:
    """Makes up cosines of strangers."""
    return np.clip(np.random.default_rng(seed).normal(0.1, 0.12, pairs), -1, 0.99).astype(np.float32)


def counted(cosines: NDArray[np.float32]) -> Scores:
    """Counts them."""
    scores = Scores()
    scores.add(np.empty(0, np.float32), cosines)
    return scores


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(100_000, 1_200_000))
def test_a_curve_rises_and_keeps_every_promise_on_its_own_pairs(seed: int, pairs: int) -> None:
    """Points rise strictly in cosine and similarity, and at each no more strangers pass than its similarity means."""
    cosines = strangers(seed, pairs)
    curve = calibrate(counted(cosines))
    assert [(point.similarity, point.false_match_rate) for point in curve] == list(SIMILARITIES)
    assert (np.diff([-1, *(point.cosine for point in curve), 1]) > 0).all()
    for point in curve:
        assert (cosines >= point.cosine).mean() <= point.false_match_rate
        assert point.measured == (pairs * point.false_match_rate >= 10)


def test_what_cannot_be_measured_asks_for_more() -> None:
    """From 100,000 pairs on 80 is measured; 90 and 99 lie on the line to the end, higher than many pairs put them."""
    few, many = calibrate(counted(strangers(1, 100_000))), calibrate(counted(strangers(1, 10_000_000)))
    assert [point.similarity for point in few if not point.measured] == [90, 99]
    assert all(point.measured for point in many)
    *_, at_80, at_90, at_99 = few
    assert at_90.cosine == pytest.approx((at_80.cosine + 1) / 2)
    assert at_90.cosine > many[-2].cosine
    assert at_99.cosine > many[-1].cosine


def test_no_stranger_that_was_seen_passes_where_nothing_was_measured() -> None:
    """A pair of strangers above the line lifts it."""
    cosines = strangers(1, 100_000)
    cosines[0] = 0.95
    curve = calibrate(counted(cosines))
    *_, at_90, at_99 = curve
    assert at_90.cosine > 0.95
    assert at_99.cosine > at_90.cosine


@settings(max_examples=10, deadline=None)
@given(st.floats(-0.2, 0.6), st.floats(0.02, 0.12), st.integers(0, 2**32))
def test_ordinary_strangers_lie_low_whatever_the_model(mean: float, spread: float, seed: int) -> None:
    """Half of them below 6 and nine in ten below 20, however near to each other a model puts them; none at 38."""
    cosines = np.clip(np.random.default_rng(seed).normal(mean, spread, 200_000), -0.999, 0.999).astype(np.float32)
    curve = [(-1.0, 0.0), *((point.cosine, point.similarity) for point in calibrate(counted(cosines))), (1.0, 100.0)]
    model = FaceModel("example", "99.0", 8, "ours", curve)
    similarities = np.sort([model.similarity(float(cosine)) for cosine in cosines[:5000]])
    assert similarities[2500] < 7
    assert similarities[4500] < 22
    assert similarities[4950] == pytest.approx(40, abs=6)


def test_too_few_pairs_are_refused_with_what_it_takes() -> None:
    """No curve is made whose 80 nobody measured."""
    with pytest.raises(TooFewPairs, match=r"takes 100,000 pairs of strangers, such as 448 pictures.*here are 99,999"):
        calibrate(counted(strangers(1, 99_999)))
    with pytest.raises(TooFewPairs, match="here are 0 pairs"):
        calibrate(counted(strangers(1, 0)))


@pytest.mark.parametrize("cosine", [-1.0, 1.0])
def test_strangers_that_are_all_alike_make_no_curve(cosine: float) -> None:
    """Where one cosine would have to mean two similarities, the labels are asked after."""
    with pytest.raises(TooFewPairs, match="labelled as two people"):
        calibrate(counted(np.full(100_000, cosine, np.float32)))


@given(st.integers(1, 10**9))
def test_pictures_needed_are_just_enough(pairs: int) -> None:
    """So many pictures make the pairs, and one less does not."""
    pictures = pictures_needed(pairs)
    assert pictures * (pictures - 1) // 2 >= pairs > (pictures - 1) * (pictures - 2) // 2
