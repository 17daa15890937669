import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.domain.embedding import FaceModel

_MODEL = FaceModel("example", "99.0", 128, "ours", ((-1, 0), (0.3, 40), (0.5, 80), (0.6, 90), (0.7, 99), (1, 100)))
_COSINES = st.floats(-1, 1)


@given(_COSINES, _COSINES)
def test_similarity_grows_with_the_cosine(one: float, other: float) -> None:
    """Nearer is never less similar, so a ranking by either is the same."""
    low, high = sorted((one, other))
    assert 0 <= _MODEL.similarity(low) <= _MODEL.similarity(high) <= 100


@given(st.floats(-1, 1 - 1e-5), st.floats(-1, 1 - 1e-5))
def test_different_cosines_have_different_similarities(one: float, other: float) -> None:
    """The curve has no flat part: no two thresholds mean the same."""
    if abs(one - other) > 1e-6:
        assert _MODEL.similarity(one) != _MODEL.similarity(other)


@given(st.floats(0, 100))
def test_a_threshold_comes_back_through_its_cosine(similarity: float) -> None:
    """The cosine that an index searches with is that of the threshold, but for rounding."""
    assert _MODEL.similarity(_MODEL.cosine_min(similarity)) == pytest.approx(similarity, abs=0.01)


@given(_COSINES)
def test_no_match_is_lost_between_threshold_and_cosine(cosine: float) -> None:
    """A pair never falls below the cosine of its own similarity."""
    assert cosine >= _MODEL.cosine_min(_MODEL.similarity(cosine))


@pytest.mark.parametrize(("cosine", "similarity"), [(-1, 0), (0.3, 40), (0.4, 60), (0.5, 80), (0.65, 94.5), (1, 100)])
def test_calibration_points_are_met_and_joined_by_straight_lines(cosine: float, similarity: float) -> None:
    """What was measured holds exactly."""
    assert _MODEL.similarity(cosine) == pytest.approx(similarity)


def test_only_identity_is_100() -> None:
    """The same pixels print 100.0 although their cosine is a rounding error away; a mere look-alike does not."""
    random = np.random.default_rng(3)
    for _ in range(100):
        embedding = random.normal(size=128).astype(np.float32)
        embedding /= np.linalg.norm(embedding)
        assert _MODEL.similarity(float(embedding @ embedding)) == 100
    assert _MODEL.similarity(1 - 1e-4) < 100
    assert _MODEL.similarity(1 + 1e-6) == 100
