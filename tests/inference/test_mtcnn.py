import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors import mtcnn
from rekognition_emulator.inference.detectors.mtcnn import Mtcnn, suppress, suppress_nested
from rekognition_emulator.inference.embedded import MtcnnDetector

RECORDED = Path(__file__).parent / "recorded" / "mtcnn.json"
"""What the package ``mtcnn`` finds with TensorFlow: numbers only; the file says which version and settings."""

boxes = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(5, 40), st.integers(5, 40), st.integers(1, 10**6)),
    min_size=1,
    max_size=25,
    unique_by=lambda box: box[4],
)


@pytest.fixture(scope="module")
def detector(cache_dir: Path) -> Mtcnn:
    """The detector alone, which searches from any size."""
    return MtcnnDetector(cache_dir, threads=1)._mtcnn


def test_finds_what_the_package_finds(detector: Mtcnn, photograph: Callable[[str], Image]) -> None:
    """The oracle: of the faces that the package's own code finds, 95 % come back nearly where they were."""
    overlaps, errors = [], []
    for file, picture in json.loads(RECORDED.read_text())["pictures"].items():
        if not picture["faces"]:
            continue
        found = detector.detect(photograph(file), 36)
        ours = [BoundingBox(left, top, right - left, bottom - top) for left, top, right, bottom in found.boxes.tolist()]
        for face in picture["faces"]:
            theirs = BoundingBox(*face["box"])
            overlap, best = max(((theirs.overlap(box), place) for place, box in enumerate(ours)), default=(0.0, -1))
            overlaps.append(overlap)
            if overlap >= 0.8:
                distances = np.abs(found.landmarks[best] - np.array(face["landmarks"]))
                errors.append(distances.mean() / max(theirs.width, theirs.height))
    assert len(overlaps) > 250
    assert np.mean(np.array(overlaps) >= 0.8) >= 0.95
    assert np.median(overlaps) > 0.9
    assert np.percentile(errors, 95) < 0.03


def test_noise_costs_no_more_than_the_bounds(detector: Mtcnn) -> None:
    """An adversarial picture meets the bounds between the stages and comes to an end."""
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    assert len(detector.detect(Image(noise, 2000, 1500), 20).scores) <= mtcnn.REFINEMENTS_MAX


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_glance_at_a_turned_picture_sees_its_face_where_it_is(
    detector: Mtcnn, portrait: Image, quarter_turns: int
) -> None:
    """In the turn that sets it upright it is seen nearly as a detection there sees it, and in no other as surely."""
    upright = np.ascontiguousarray(portrait.pixels[:, 40:441])
    lying = np.ascontiguousarray(np.rot90(upright, -quarter_turns))
    found = detector.detect(Image(upright, 401, 512), 40)
    (box,), (points,) = found.boxes, found.landmarks
    views = list(detector.glance(Image(lying, lying.shape[1], lying.shape[0]), 40))
    seen = views[quarter_turns]
    best = int(seen.scores.argmax())
    side = box[2] - box[0]
    np.testing.assert_allclose(seen.boxes[best], box, atol=0.1 * side)
    np.testing.assert_allclose(seen.landmarks[best], points, atol=0.05 * side)
    others = [view.scores.max(initial=0) for turns, view in enumerate(views) if turns != quarter_turns]
    assert max(others) < seen.scores[best]


@given(boxes)
def test_suppression_keeps_the_best_of_each_heap(rows: list[tuple[int, int, int, int, int]]) -> None:
    """What stays does not overlap; what went overlaps something better that stayed."""
    table = np.array(rows, np.float32)
    corners, scores = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1), table[:, 4]
    kept = suppress(corners, scores, 0.5)
    as_box = [BoundingBox(*map(float, row[:4])) for row in table]
    assert list(scores[kept]) == sorted(scores[kept], reverse=True)
    for place in range(len(rows)):
        better = [as_box[k].overlap(as_box[place]) for k in kept if scores[k] > scores[place]]
        assert (max(better, default=0) <= 0.5 + 1e-6) if place in kept else (max(better) >= 0.5 - 1e-6)


def test_nested_box_is_dropped() -> None:
    """A small box inside a better one goes, though their intersection over union is small; the reverse as well."""
    squares = np.array([[0, 0, 100, 100], [10, 10, 40, 40], [200, 0, 300, 100]], np.float32)
    assert list(suppress_nested(squares, np.array([0.9, 0.8, 0.7], np.float32), 0.7)) == [0, 2]
    assert list(suppress_nested(squares, np.array([0.8, 0.9, 0.7], np.float32), 0.7)) == [1, 2]


def test_nothing_suppresses_to_nothing() -> None:
    """No boxes are no boxes."""
    empty = np.empty((0, 4), np.float32)
    assert len(suppress(empty, empty[:, 0], 0.5)) == 0
    assert len(suppress_nested(empty, empty[:, 0], 0.5)) == 0
