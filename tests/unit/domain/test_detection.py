import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.domain.detection import BoundingBox

_BOXES = st.builds(BoundingBox, *[st.floats(-0.5, 1.5)] * 2, *[st.floats(0.001, 1.5)] * 2)


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ((0.0, 0.0, 0.5, 0.5), 1.0),
        ((0.25, 0.0, 0.5, 0.5), 1 / 3),
        ((0.125, 0.125, 0.25, 0.25), 0.25),
        ((0.5, 0.0, 0.5, 0.5), 0.0),
        ((0.6, 0.6, 0.1, 0.1), 0.0),
        ((-0.25, -0.25, 0.5, 0.5), 1 / 7),
    ],
)
def test_overlap_is_intersection_over_union(other: tuple[float, float, float, float], overlap: float) -> None:
    """Equal, shifted, inside, touching, apart and reaching beyond the picture."""
    assert BoundingBox(0, 0, 0.5, 0.5).overlap(BoundingBox(*other)) == pytest.approx(overlap)


@given(_BOXES, _BOXES)
def test_overlap_is_symmetric_and_a_fraction(one: BoundingBox, other: BoundingBox) -> None:
    """Which box is asked about the other does not matter, and the answer stays between 0 and 1."""
    assert one.overlap(other) == pytest.approx(other.overlap(one))
    assert 0 <= one.overlap(other) <= 1 + 1e-9
    assert one.overlap(one) == pytest.approx(1)


def test_a_box_without_extent_overlaps_nothing() -> None:
    """Not even itself: there is no division by an area of nothing."""
    point = BoundingBox(0.5, 0.5, 0, 0)
    assert point.overlap(point) == 0
    assert point.overlap(BoundingBox(0, 0, 1, 1)) == 0
