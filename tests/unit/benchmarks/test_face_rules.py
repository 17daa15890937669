"""The arithmetic of what is said about face details: curves that are fitted, and intervals."""

import numpy as np
import pytest

from benchmarks.face_details import interval
from benchmarks.face_rules import auc, fit_logistic, fit_threshold


def test_a_curve_is_found_again() -> None:
    """Labels that were drawn by a logistic curve give its threshold and slope."""
    draw = np.random.default_rng(1)
    measures = draw.uniform(0, 1, 20_000)
    labels = draw.random(len(measures)) < 1 / (1 + np.exp(-12 * (measures - 0.4)))
    threshold = fit_threshold(measures, labels, np.ones(len(measures)), balanced=False)
    assert threshold.at == pytest.approx(0.4, abs=0.01)
    assert threshold.slope == pytest.approx(12, rel=0.05)


def test_several_measures_count_together() -> None:
    """What was drawn by two of them and a constant is found again."""
    draw = np.random.default_rng(2)
    measures = draw.normal(3, 2, (20_000, 2))
    labels = draw.random(len(measures)) < 1 / (1 + np.exp(-(measures @ (0.8, -0.4) - 1.5)))
    counts = fit_logistic(measures, labels, np.ones(len(measures)), balanced=False)
    assert counts == pytest.approx((0.8, -0.4, -1.5), rel=0.1)


def test_few_faces_carry_little_confidence() -> None:
    """Classes that lie apart would otherwise give a slope without end."""
    measures, labels = np.array([0.0, 0.1, 0.9, 1.0]), np.array([False, False, True, True])
    confidences = []
    for times in (1, 10, 100):
        many = np.tile(measures, times), np.tile(labels, times)
        confidences.append(fit_threshold(*many, np.ones(4 * times), balanced=False).judge(0.9).confidence)
    assert confidences == sorted(confidences)
    assert confidences[0] < 80
    assert confidences[-1] > 99


def test_a_rare_class_weighs_as_much() -> None:
    """Its threshold lies between both, and not where hardly anything is taken for it."""
    measures = np.concatenate([np.linspace(0, 0.4, 3), np.linspace(0.3, 1, 300)])
    labels = np.arange(len(measures)) >= 3
    plain = fit_threshold(measures, labels, np.ones(len(measures)), balanced=False)
    assert plain.at < 0.2 < fit_threshold(measures, labels, np.ones(len(measures)), balanced=True).at


def test_weights_count_as_samples() -> None:
    """A face with two meshes counts once."""
    measures, labels = np.array([0.1, 0.5, 0.4, 0.9]), np.array([False, False, True, True])
    once = fit_threshold(measures, labels, np.ones(4), balanced=False)
    halves = fit_threshold(np.tile(measures, 2), np.tile(labels, 2), np.full(8, 0.5), balanced=False)
    assert (halves.at, halves.slope) == pytest.approx((once.at, once.slope))


def test_auc() -> None:
    """How often one of the one class measures more than one of the other; ties count half."""
    assert auc(np.array([0.0, 1.0, 2.0]), np.array([False, True, True])) == 1
    assert auc(np.array([1.0, 1.0]), np.array([False, True])) == 0.5


@pytest.mark.parametrize(("agree", "count", "low", "high"), [(9, 10, 0.596, 0.982), (10, 10, 0.722, 1.0)])
def test_intervals_are_wilsons(agree: int, count: int, low: float, high: float) -> None:
    """As R's binom.confint has them."""
    assert interval(agree, count) == pytest.approx((low, high), abs=0.001)
