import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.evaluation.scores import BINS_PER_UNIT, FALSE_MATCHES_MIN, Scores, pairs_needed

BIN = 1 / BINS_PER_UNIT


def counted(same: NDArray[np.float32], strangers: NDArray[np.float32]) -> Scores:
    """Counts cosines."""
    scores = Scores()
    scores.add(same, strangers)
    return scores


@st.composite
def cosines(draw: st.DrawFn, pairs_min: int = 0) -> NDArray[np.float32]:
    """Cosines, of which several may be equal, and the ends may be among them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(pairs_min, pairs_min + 300))
    drawn = np.clip(random.normal(draw(st.sampled_from([0.0, 0.9])), 0.3, count), -1, 1)
    return np.asarray(drawn.round(draw(st.sampled_from([1, 2, 7]))), np.float32)


@settings(max_examples=25, deadline=None)
@given(cosines(), cosines(pairs_min=100))
def test_a_threshold_keeps_its_false_match_rate_and_is_the_lowest_that_does(
    same: NDArray[np.float32], strangers: NDArray[np.float32]
) -> None:
    """On the pairs that it was measured on, no more strangers pass than were asked for, and one bin lower more do."""
    point = counted(same, strangers).operating_point(0.1)
    assert point.cosine is not None
    assert (strangers >= point.cosine).mean() <= 0.1
    assert (strangers >= point.cosine - BIN).mean() > 0.1
    if len(same):
        assert point.true_match_rate == pytest.approx((same >= point.cosine).mean())


@settings(max_examples=25, deadline=None)
@given(cosines(), cosines())
def test_counting_agrees_with_sorting(same: NDArray[np.float32], strangers: NDArray[np.float32]) -> None:
    """What passes at a bin's edge, and the area under the curve, are what all cosines side by side give."""
    scores = counted(same, strangers)
    edge = 0.5  # a multiple of a bin's width
    assert scores.passing(edge) == ((same >= edge).sum(), (strangers >= edge).sum())
    if len(same) and len(strangers):
        wins = np.sign(same[:, None].astype(float) - strangers) / 2 + 0.5
        assert scores.area_under_curve() == pytest.approx(wins.mean(), abs=1e-4)
        assert (strangers < scores.stranger_cosine_max()).all()
    else:
        assert scores.area_under_curve() is None


@settings(max_examples=10, deadline=None)
@given(cosines(), cosines(pairs_min=100), st.randoms(use_true_random=False), st.integers(0, 100))
def test_neither_order_nor_portions_matter(
    same: NDArray[np.float32], strangers: NDArray[np.float32], random: np.random.Generator, cut: int
) -> None:
    """The same pairs in another order, and in two portions, are the same measurement."""
    whole = counted(same, strangers)
    shuffled = strangers.tolist()
    random.shuffle(shuffled)
    portions = counted(same[::-1], np.array(shuffled[:cut], np.float32))
    portions.add(np.empty(0, np.float32), np.array(shuffled[cut:], np.float32))
    assert portions.operating_point(0.1) == whole.operating_point(0.1)
    assert portions.roc() == whole.roc()


@settings(max_examples=15, deadline=None)
@given(cosines(pairs_min=1), cosines(pairs_min=FALSE_MATCHES_MIN))
def test_a_roc_falls_on_both_axes_and_stays_within_what_was_seen(
    same: NDArray[np.float32], strangers: NDArray[np.float32]
) -> None:
    """A higher threshold lets fewer pass; the curve begins where all do."""
    scores = counted(same, strangers)
    cosines, false, true = np.array(scores.roc()).T
    assert (np.diff(cosines) > 0).all()
    assert (np.diff(false) <= 0).all()
    assert (np.diff(true) <= 0).all()
    assert (false[0], true[0]) == (1, 1)
    for cosine, false_match_rate, true_match_rate in scores.roc():
        assert false_match_rate == pytest.approx((strangers >= cosine).mean())
        assert true_match_rate == pytest.approx((same >= cosine).mean())


def test_what_too_few_pairs_cannot_tell_is_not_told() -> None:
    """One pair less than it takes gives no threshold, but how many it would take; and the curve ends where it must."""
    strangers = np.linspace(-1, 1, 999, dtype=np.float32)
    unknown = counted(strangers, strangers).operating_point(0.01)
    assert (unknown.cosine, unknown.true_match_rate, unknown.pairs_needed) == (None, None, 1000)
    assert counted(strangers, np.append(strangers, 0).astype(np.float32)).operating_point(0.01).cosine is not None
    assert [pairs_needed(rate) for rate in (1e-1, 1e-4, 1e-6)] == [100, 100_000, 10_000_000]
    assert min(rate for _, rate, _ in counted(strangers, strangers).roc()) >= (FALSE_MATCHES_MIN - 1) / 999
    assert counted(strangers, strangers[: FALSE_MATCHES_MIN - 1]).roc() == []


def test_copies_of_one_picture_still_have_a_threshold_above() -> None:
    """Where strangers have cosine 1, no cosine keeps the rate, and the threshold is beyond what any pair can reach."""
    point = counted(np.ones(1, np.float32), np.ones(100, np.float32)).operating_point(0.1)
    assert point.cosine is not None
    assert point.cosine > 1
    assert point.true_match_rate == 0
