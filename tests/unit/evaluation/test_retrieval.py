import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.retrieval import PAGE, best_cosines, measure_retrieval, nearest_strangers

MODEL = FaceModel("straight", "1.1", 2, "ours", [(-1, 0), (0, 0), (1, 100)])
"""A cosine of 0.8 is a similarity of 80."""


def test_an_image_is_as_near_as_its_nearest_face() -> None:
    """Of several faces the best counts, and an image without any is nearest to nobody."""
    faces = np.array([(1, 0), (0, 1), (0, 1), (0.6, 0.8)], np.float32)
    best = best_cosines(np.array([(1, 0), (0, 1)], np.float32), faces, np.array([0, 0, 2, 2]), images=3)
    np.testing.assert_allclose(best, [(1, -np.inf, 0.6), (1, -np.inf, 1)])


@given(
    st.data(),
    st.lists(st.integers(0, 5), max_size=20).map(sorted),
    st.integers(1, 4),
)
def test_best_cosines_are_those_of_a_double_loop(data: st.DataObject, image_of: list[int], selfies: int) -> None:
    """Whatever images the faces are spread over, the result is what comparing one by one gives."""
    numbers = st.floats(-1, 1, width=32)
    faces = data.draw(arrays.arrays(np.float32, (len(image_of), 3), elements=numbers))
    asking = data.draw(arrays.arrays(np.float32, (selfies, 3), elements=numbers))
    best = best_cosines(asking, faces, np.array(image_of, np.intp), images=6)
    for row in range(selfies):
        for image in range(6):
            cosines = [float(faces[face] @ asking[row]) for face, of in enumerate(image_of) if of == image]
            assert best[row, image] == pytest.approx(max(cosines, default=-np.inf), abs=1e-5)


def test_numbers_by_hand() -> None:
    """Two people, one visitor who is not in the album, and an image without a face."""
    none = -np.inf
    best = np.array(
        [
            (0.95, 0.85, 0.50, none),  # finds both of its images at 80, one at 90
            (0.82, 0.10, 0.70, none),  # sees a stranger first at 80; its other image shows no face
            (0.65, 0.10, 0.00, none),  # shows nobody of the album
        ],
        np.float32,
    )
    relevant = np.array([(1, 1, 0, 0), (0, 0, 1, 1), (0, 0, 0, 0)], bool)
    measured = measure_retrieval(MODEL, best, relevant, faces=7)
    assert (measured.images, measured.faces, measured.selfies, measured.visitors) == (4, 7, 2, 1)
    ten = measured.at_ranks[0]  # all three images with a face are among the first ten
    assert ten.images == 10
    assert ten.precision == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert ten.recall == pytest.approx((2 / 2 + 1 / 2) / 2)
    at_60, at_80, at_90 = measured.at_thresholds
    assert at_60.precision == pytest.approx(3 / 4)
    assert at_60.recall == pytest.approx((1 + 1 / 2) / 2)
    assert at_60.false_positive_identification_rate == 1
    assert at_80.precision == pytest.approx(2 / 3)
    assert (at_80.recall, at_80.strangers_shown, at_80.false_positive_identification_rate) == (0.5, 0.5, 0)
    assert (at_90.precision, at_90.recall, at_90.strangers_shown) == (1, 0.25, 0)


def test_only_the_first_page_is_looked_at_for_strangers() -> None:
    """A stranger behind the first page does not disturb, one on it does."""
    best = np.linspace(0.99, 0.9, PAGE + 1, dtype=np.float32)[np.newaxis]
    relevant = np.ones((1, PAGE + 1), bool)
    relevant[0, PAGE] = False
    assert measure_retrieval(MODEL, best, relevant, faces=PAGE + 1).at_thresholds[1].strangers_shown == 0
    assert measure_retrieval(MODEL, best, relevant[:, ::-1], faces=PAGE + 1).at_thresholds[1].strangers_shown == 1


def test_what_cannot_be_told_is_left_out() -> None:
    """Without visitors from outside there is no rate of theirs, and nothing returned has no precision."""
    at_90 = measure_retrieval(MODEL, np.array([[0.5]], np.float32), np.array([[True]]), faces=1).at_thresholds[2]
    assert at_90.precision is None
    assert at_90.false_positive_identification_rate is None
    with pytest.raises(ValueError, match="no selfie shows anybody"):
        measure_retrieval(MODEL, np.array([[0.5]], np.float32), np.array([[False]]), faces=1)


def test_the_nearest_strangers_are_listed() -> None:
    """Where labels are wrong it shows there; images without a face, and those that show the person, are not listed."""
    best = np.array([(0.9, 0.5, -np.inf), (0.7, 0.8, 0.1)], np.float32)
    relevant = np.array([(1, 0, 0), (0, 0, 0)], bool)
    found = nearest_strangers(best, relevant, count=3)
    assert [(selfie, image) for _, selfie, image in found] == [(1, 1), (1, 0), (0, 1)]
    assert [cosine for cosine, _, _ in found] == pytest.approx([0.8, 0.7, 0.5])
    assert len(nearest_strangers(best, relevant)) == 4
