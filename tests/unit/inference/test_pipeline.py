from collections.abc import Callable

import numpy as np
import pytest

from rekognition_emulator.domain.detection import AnalyzedFace, Detection, Pose, Quality
from rekognition_emulator.domain.quality import QualityFilter, Reason, brightness_of
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.pipeline import FACES_MAX, analyse, select

_PICTURE = Image(np.full((500, 1000, 3), 128, np.uint8), width_px=2000, height_px=1000)


@pytest.fixture
def portrait(face: Callable[..., Detection]) -> Callable[..., AnalyzedFace]:
    """Makes a portrait of a face with this side, as part of the picture."""

    def make(side: float, sharpness: float = 90.0) -> AnalyzedFace:
        return AnalyzedFace(face(0.1, 0.1, side), Pose(0, 0, 0), Quality(50, sharpness))

    return make


def test_faces_come_largest_first(face: Callable[..., Detection], scripted: Callable[..., FaceEngine]) -> None:
    """Whatever order the engine finds them in."""
    found = [face(0.1, 0.1, side) for side in (0.1, 0.3, 0.2)]
    portraits = analyse(scripted(found), _PICTURE)
    assert [portrait.detection for portrait in portraits] == [found[1], found[2], found[0]]


def test_only_the_hundred_largest_count(face: Callable[..., Detection], scripted: Callable[..., FaceEngine]) -> None:
    """Of more faces the smallest are not even reported."""
    found = [face(0.1, 0.1, 0.1 + place / 1000) for place in range(130)]
    portraits = analyse(scripted(found), _PICTURE)
    assert len(portraits) == FACES_MAX
    assert portraits[-1].detection is found[30]


def test_a_picture_without_faces_has_no_portraits(scripted: Callable[..., FaceEngine]) -> None:
    """Nothing found is an answer, not an error."""
    assert analyse(scripted([]), _PICTURE) == []


def test_pose_and_quality_are_measured(face: Callable[..., Detection], scripted: Callable[..., FaceEngine]) -> None:
    """Brightness comes from the pixels, and the pose is in proportion to the picture as it was sent."""
    tilted = face(0.2, 0.2, 0.4)
    tilted.landmarks[[1, 4], 1] += 0.1
    (portrait,) = analyse(scripted([tilted]), _PICTURE)
    assert portrait.quality.brightness == pytest.approx(brightness_of(128 / 2.55), abs=0.1)
    (square,) = analyse(scripted([tilted]), Image(_PICTURE.pixels, 1000, 1000))
    assert 0 < portrait.pose.roll < square.pose.roll


def test_faces_below_the_bar_are_rejected_with_reasons(portrait: Callable[..., AnalyzedFace]) -> None:
    """The others are kept in their order."""
    portraits = [portrait(0.3), portrait(0.2, sharpness=0), portrait(0.1), portrait(0.01)]
    kept, rejected = select(portraits, _PICTURE, QualityFilter.AUTO, max_faces=10)
    assert kept == [portraits[0], portraits[2]]
    assert rejected == [(portraits[1], [Reason.LOW_SHARPNESS]), (portraits[3], [Reason.SMALL_BOUNDING_BOX])]


def test_without_a_bar_everything_is_kept(portrait: Callable[..., AnalyzedFace]) -> None:
    """NONE asks nothing."""
    portraits = [portrait(0.2, sharpness=0), portrait(0.0001)]
    assert select(portraits, _PICTURE, QualityFilter.NONE, max_faces=10) == (portraits, [])


def test_the_smallest_faces_go_when_there_are_too_many(portrait: Callable[..., AnalyzedFace]) -> None:
    """Among good faces size decides."""
    portraits = [portrait(side) for side in (0.4, 0.3, 0.2, 0.1)]
    kept, rejected = select(portraits, _PICTURE, QualityFilter.AUTO, max_faces=2)
    assert kept == portraits[:2]
    assert rejected == [(portraits[2], [Reason.EXCEEDS_MAX_FACES]), (portraits[3], [Reason.EXCEEDS_MAX_FACES])]


def test_poor_faces_go_before_small_ones_when_there_are_too_many(portrait: Callable[..., AnalyzedFace]) -> None:
    """A large blurred face gives way to a small sharp one, even if no bar was asked for; the order stays by size."""
    portraits = [portrait(0.4, sharpness=0), portrait(0.3), portrait(0.2, sharpness=0), portrait(0.1)]
    kept, rejected = select(portraits, _PICTURE, QualityFilter.NONE, max_faces=3)
    assert kept == [portraits[0], portraits[1], portraits[3]]
    assert rejected == [(portraits[2], [Reason.EXCEEDS_MAX_FACES])]


def test_faces_below_the_bar_do_not_use_up_the_places(portrait: Callable[..., AnalyzedFace]) -> None:
    """A rejected face keeps its own reasons and takes nobody's place."""
    portraits = [portrait(0.4, sharpness=0), portrait(0.3)]
    kept, rejected = select(portraits, _PICTURE, QualityFilter.AUTO, max_faces=1)
    assert kept == [portraits[1]]
    assert rejected == [(portraits[0], [Reason.LOW_SHARPNESS])]
