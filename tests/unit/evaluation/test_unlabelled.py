from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.evaluation.calibration import SIMILARITIES, TooFewPairs
from rekognition_emulator.evaluation.unlabelled import FACES_MAX, calibrate_unlabelled, presumed_impostors

DIMENSION = 64


def people(seed: int, count: int) -> NDArray[np.float32]:
    """Returns directions of as many people: cosines of two have a mean of 0 and a deviation of 1/8."""
    directions = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return unit(directions)


def another_view(seed: int, faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns faces of the same people, with cosines of about 0.8 to the first ones."""
    moved = faces + 0.75 * people(seed, len(faces))
    return unit(moved)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the rows with a length of 1."""
    of_length_one: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return of_length_one


@cache
def random_cosines() -> NDArray[np.float64]:
    """Cosines of four million pairs of random directions, without their signs."""
    # The cosine of two random directions, squared, has a beta distribution.
    return np.sqrt(np.random.default_rng(0).beta(0.5, (DIMENSION - 1) / 2, 4_000_000))


def rate_beyond(cosine: float) -> float:
    """Returns how many of these pairs are nearer than that, as a share."""
    return float((random_cosines() > cosine).mean() / 2)


@pytest.mark.parametrize("repeats", [0, 60])
def test_thresholds_keep_their_rates(repeats: int) -> None:
    """On made-up faces, of which the true rates are known, with and without people who come to a second event."""
    faces = people(1, 600)
    faces = np.concatenate([faces, another_view(2, faces[:repeats])])
    events = np.arange(len(faces))
    curve = calibrate_unlabelled(presumed_impostors(faces, events, events))
    assert curve.repeated == pytest.approx(repeats, abs=8)
    assert [(point.similarity, point.false_match_rate) for point in curve.points] == list(SIMILARITIES)
    assert [point.measured for point in curve.points] == [True, True, True, True, True, False, False]
    for point in curve.points[:6]:
        assert 0.4 < rate_beyond(point.cosine) / point.false_match_rate < 2.5


def test_within_an_event_only_faces_of_one_image_are_compared() -> None:
    """Whoever is in several images of an event is no impostor of themselves."""
    faces = people(3, 6)
    pairs = presumed_impostors(faces, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1]))
    assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == {
        (0, 1),
        (2, 3),
        (4, 5),
        *((face, other) for face in range(4) for other in (4, 5)),
    }
    np.testing.assert_allclose(pairs.cosines, (faces[pairs.first] * faces[pairs.second]).sum(axis=1), atol=1e-6)


def test_more_faces_than_are_compared_are_drawn_alike_every_time() -> None:
    """The result does not depend on chance, and memory is bounded."""
    faces = np.repeat(people(4, 1), FACES_MAX + 10, axis=0)
    image_of = np.arange(len(faces)) // 2
    one, other = (presumed_impostors(faces, image_of, np.zeros(len(faces), int)) for _ in range(2))
    assert one.faces == FACES_MAX
    assert (one.first == other.first).all()
    assert len(one.cosines) < FACES_MAX


def test_too_few_pairs_are_refused() -> None:
    """A sentence says what it takes."""
    faces, one_event = people(5, 40), np.zeros(40, int)
    with pytest.raises(TooFewPairs, match=r"takes 1,000 pairs .* here are 20"):
        calibrate_unlabelled(presumed_impostors(faces, np.arange(40) // 2, one_event))


def test_copies_are_refused() -> None:
    """Faces that are all the same make no curve."""
    faces = np.repeat(people(6, 1), 100, axis=0)
    with pytest.raises(TooFewPairs, match="too much alike"):
        calibrate_unlabelled(presumed_impostors(faces, np.arange(100), np.arange(100)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(60, 300), st.floats(0, 0.3))
def test_a_curve_rises_whatever_the_faces(seed: int, count: int, share: float) -> None:
    """Points rise strictly in cosine, between the curve's ends."""
    faces = people(seed, count)
    faces = np.concatenate([faces, another_view(seed + 1, faces[: int(share * count)])])
    curve = calibrate_unlabelled(presumed_impostors(faces, np.arange(len(faces)), np.arange(len(faces))))
    assert (np.diff([-1, *(point.cosine for point in curve.points), 1]) > 0).all()
