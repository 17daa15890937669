from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.evaluation.calibration import SIMILARITIES, TooFewPairs
from rekognition_emulator.evaluation.unlabelled import FACES_MAX, calibrate_unlabelled, presumed_impostors
from tests.support.labelled import LabelledFaces, draw_images

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


def rate_beyond(cosine: float) -> float:
    """Returns how many of four million pairs of random directions are nearer than that, as a share."""
    random = np.random.default_rng(0)
    # The cosine of two random directions, squared, has a beta distribution.
    squared = random.beta(0.5, (DIMENSION - 1) / 2, 4_000_000)
    return float((np.sqrt(squared) > cosine).mean() / 2)


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


@pytest.mark.parametrize("model", ["dlib", "retail_0095"])
@pytest.mark.parametrize("faces", [500, 2000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_would_give_the_same_threshold(model: str, faces: int, seed: int, calibration_faces: Path) -> None:
    """With a tenth of repeated people among real faces, the rate at 80 is that of labels within a factor of 2.5."""
    labelled_faces = LabelledFaces.read(calibration_faces, model)
    random = np.random.default_rng(seed)
    rows = labelled_faces.draw(random, faces)
    embeddings, people_of = labelled_faces.embeddings[rows], labelled_faces.people[rows]
    image_of = draw_images(random, faces)
    curve = calibrate_unlabelled(presumed_impostors(embeddings, image_of, image_of))
    first, second = np.triu_indices(faces, 1)
    cosines = (embeddings @ embeddings.T)[first, second]
    labelled = np.quantile(cosines[people_of[first] != people_of[second]], 1 - 1e-4)
    unlabelled = next(point.cosine for point in curve.points if point.similarity == 80)
    rates = [labelled_faces.impostor_rate(cosine) for cosine in (float(labelled), unlabelled)]
    assert 1 / 2.5 < rates[1] / rates[0] < 2.5
