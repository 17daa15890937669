import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rekognition_emulator.evaluation.accuracy import (
    FOLDS,
    PAIRS_PER_FOLD_MAX,
    best_threshold,
    draw_pairs,
    measure_accuracy,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-10, 10), st.booleans()), min_size=1, max_size=40))
def test_no_threshold_is_better_than_the_best(pairs: list[tuple[int, bool]]) -> None:
    """Trying every cosine, and one above all, finds none that tells more pairs apart."""
    cosines = np.array([cosine / 10 for cosine, _ in pairs], np.float32)
    same = np.array([same for _, same in pairs])
    reached = ((cosines >= best_threshold(cosines, same)) == same).sum()
    assert reached == max(((cosines >= threshold) == same).sum() for threshold in [*cosines, np.float32(2)])


def test_a_threshold_lies_half_way() -> None:
    """Cosines that were not seen fall to the side that is nearer; where it is best that no pair passes, none can."""
    cosines, same = np.array([0.2, 0.6, 0.8], np.float32), np.array([False, True, True])
    assert best_threshold(cosines, same) == pytest.approx(0.4)
    assert best_threshold(cosines, np.array([True, False, False])) > 1
    assert best_threshold(cosines, np.ones(3, bool)) == pytest.approx(-0.4)
    assert best_threshold(cosines, np.array([False, False, True])) == pytest.approx(0.7)


def test_each_fold_is_judged_by_the_threshold_of_the_others() -> None:
    """A fold whose cosines lie elsewhere is judged wrongly, though a threshold of its own would judge it rightly."""
    folds, same = np.repeat(np.arange(FOLDS), 4), np.tile([True, True, False, False], FOLDS)
    cosines = np.where(same, 0.8, 0.2).astype(np.float32)
    perfect = measure_accuracy(cosines, same, folds)
    assert perfect is not None
    assert (perfect.mean, perfect.standard_error, perfect.pairs) == (1, 0, 4 * FOLDS)
    cosines[folds == 3] -= 0.7
    shifted = measure_accuracy(cosines, same, folds)
    assert shifted is not None
    assert shifted.mean == pytest.approx(0.95)
    assert shifted.standard_error == pytest.approx(0.05)


def test_without_both_kinds_in_every_fold_there_is_no_accuracy() -> None:
    """A fold without strangers would be judged by half of the question."""
    folds, same = np.repeat(np.arange(FOLDS), 2), np.tile([True, False], FOLDS)
    same[folds == 4] = True
    assert measure_accuracy(np.zeros(2 * FOLDS, np.float32), same, folds) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 150), st.integers(1, 60))
def test_drawn_pairs_are_what_they_are_said_to_be(seed: int, pictures: int, people: int) -> None:
    """Kinds are true, nothing is compared with itself or drawn twice, and nobody is in two folds."""
    person = np.random.default_rng(seed).integers(0, people, pictures)
    drawn = draw_pairs(person)
    assert ((person[drawn.left] == person[drawn.right]) == drawn.same).all()
    pairs = list(zip(drawn.left.tolist(), drawn.right.tolist(), strict=True))
    assert all(left < right for left, right in pairs)
    assert len(set(pairs)) == len(pairs)
    seen = {(int(person[row]), int(fold)) for side in (drawn.left, drawn.right) for row, fold in zip(side, drawn.folds)}  # noqa: B905 - of one length
    assert len({who for who, _ in seen}) == len(seen)


def test_a_large_album_gives_as_many_pairs_as_lfw() -> None:
    """Three hundred of each kind in each fold."""
    drawn = draw_pairs(np.repeat(np.arange(500), 5))
    for fold in range(FOLDS):
        assert drawn.same[drawn.folds == fold].sum() == PAIRS_PER_FOLD_MAX
        assert (~drawn.same[drawn.folds == fold]).sum() == PAIRS_PER_FOLD_MAX
