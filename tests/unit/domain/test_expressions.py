"""What is read off a mesh, and a smile that another network sees as well."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from rekognition_emulator.domain.attributes import Verdict
from rekognition_emulator.domain.detection import Pose
from rekognition_emulator.domain.expressions import (
    GAZE_DEGREES,
    IRIS_DEGREES,
    IRIS_REST,
    MOUTH_OPEN,
    Threshold,
    eye_direction,
    eyes_open,
    mouth_open,
    smile,
    smile_if_happy,
)
from rekognition_emulator.domain.mesh import _HEAD, POINTS, Mesh

ASPECT = 1.5
STRAIGHT = Pose(0.0, 0.0, 0.0)
RESTING = {
    f"{movement}{side}": 0.0
    for movement in ("mouthSmile", "eyeBlink", "eyeLookUp", "eyeLookDown", "eyeLookIn", "eyeLookOut")
    for side in ("Left", "Right")
}


def mesh(  # noqa: PLR0913 - each is a trait of the face
    *,
    gap: float = 0.0,
    corners: tuple[float, float] = (0.0, 0.0),
    lids: float = 0.3,
    pupils: tuple[float, float] = (0.0, IRIS_REST),
    roll: float = 0.0,
    yaw: float = 0.0,
    strengths: Mapping[str, float] | None = None,
) -> Mesh:
    """Makes a mesh up, of a picture that is half as wide again as high, out of the canonical face.

    Args:
        gap: between the lips, in distances between the pupils.
        corners: how far those of the mouth are drawn up and back, in centimetres.
        lids: how far they are apart, in widths of the eye.
        pupils: how far they stand right of and above the middle of the eye, in its widths.
        roll: by how many degrees the head is tilted.
        yaw: by how many degrees it is turned.
        strengths: of movements.
    """
    points = np.zeros((POINTS, 3))
    for place, (*where, _) in _HEAD.items():
        points[place] = where
    for left, right, up, down, pupil in ((33, 133, 159, 145, 468), (362, 263, 386, 374, 473)):
        middle, width = (points[left] + points[right]) / 2, np.linalg.norm(points[right] - points[left])
        across = (points[right] - points[left]) / width
        upwards = np.cross((0, 0, 1), across) * -1
        points[up], points[down] = middle + lids / 2 * width * upwards, middle - lids / 2 * width * upwards
        points[pupil] = middle + width * (pupils[0] * across + pupils[1] * upwards)
    apart = np.linalg.norm(points[473] - points[468])
    for side, place in ((-1, 61), (1, 291)):
        points[place] = (2.5 * side, 4.3 - corners[0], 3.5 - corners[1])
    for across_lips, (upper, lower) in {-0.5: (82, 87), 0: (13, 14), 0.5: (312, 317)}.items():
        points[upper], points[lower] = ((across_lips, 4.3 + side * gap * apart / 2, 5.2) for side in (-1, 1))
    tilt, turn = np.radians(roll), np.radians(yaw)
    points = points @ np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    points = points @ np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    ratios = points / 30 / (ASPECT, 1, -ASPECT) + (0.5, 0.5, 0)
    return Mesh(ratios.astype(np.float32), 1.0, RESTING | dict(strengths) if strengths is not None else None)


def test_a_threshold_is_as_likely_as_not() -> None:
    """Beyond it a verdict gains confidence, either way; nothing overflows."""
    threshold = Threshold(at=0.5, slope=10)
    assert threshold.judge(0.5).confidence == pytest.approx(50)
    assert threshold.judge(0.9).value
    assert threshold.judge(0.9).confidence == pytest.approx(threshold.judge(0.1).confidence)
    assert not threshold.judge(0.1).value
    for far in (1e9, -1e9):
        assert threshold.judge(far).confidence == pytest.approx(100)
    falling = Threshold(at=0.5, slope=-10)
    assert falling.judge(0.1).value


@pytest.mark.parametrize("roll", [0, 30, -90, 180])
def test_shapes_are_read_at_any_roll(roll: float) -> None:
    """In a picture that is not square, too."""
    smiling = mesh(corners=(0.3, 0.4), gap=0.1, roll=roll)
    assert smile(smiling, ASPECT).value
    assert mouth_open(smiling, ASPECT).value
    assert eyes_open(smiling, ASPECT).value
    serious = mesh(corners=(-0.1, -0.1), gap=0.02, lids=0.03, roll=roll)
    assert not smile(serious, ASPECT).value
    assert not mouth_open(serious, ASPECT).value
    assert not eyes_open(serious, ASPECT).value


@pytest.mark.parametrize("yaw", [0, 30, -50])
def test_a_turned_head_smiles_as_much(yaw: float) -> None:
    """And gapes as much: both are read in its own frame."""
    for corners in ((0.3, 0.4), (0.0, 0.3), (-0.1, -0.1)):
        ahead, turned = (mesh(corners=corners, gap=0.06, yaw=angle) for angle in (0, yaw))
        assert smile(turned, ASPECT).probability == pytest.approx(smile(ahead, ASPECT).probability, abs=0.01)
        assert mouth_open(turned, ASPECT).probability == pytest.approx(mouth_open(ahead, ASPECT).probability, abs=0.01)


def test_corners_that_are_drawn_up_or_back_smile() -> None:
    """Either alone speaks for it."""
    still, up, back = (smile(mesh(corners=corners), ASPECT).probability for corners in ((0, 0), (0.3, 0), (0, 0.3)))
    assert up == pytest.approx(back, abs=0.01)
    assert still < up


def test_a_happy_face_smiles_rather() -> None:
    """What the shape leaves open the other network decides; where both are sure of the contrary, the shape does."""
    doubtful = Verdict.of(0.45)
    assert smile_if_happy(doubtful, 0.9).value
    assert not smile_if_happy(doubtful, 0.1).value
    assert not smile_if_happy(Verdict.of(0.55), 0.1).value
    assert smile_if_happy(Verdict.of(0.999), 0.001).value
    chances = [smile_if_happy(Verdict.of(0.6), happy).probability for happy in (0, 0.2, 0.5, 0.8, 1)]
    assert chances == sorted(chances)
    for certain in (0.0, 1.0):
        assert 50 <= smile_if_happy(Verdict.of(certain), certain).confidence < 100


def test_a_gap_is_measured_in_distances_between_the_eyes() -> None:
    """A larger face has no more open a mouth."""
    at = mesh(gap=math.exp(MOUTH_OPEN.at))
    larger = replace(at, points=at.points * np.float32(3))
    assert mouth_open(at, ASPECT).confidence == pytest.approx(50, abs=0.1)
    assert mouth_open(larger, ASPECT).confidence == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize(
    ("strengths", "yaw", "pitch"),
    [
        ({}, 0, 0),
        # The person's left is the picture's right.
        ({"eyeLookOutLeft": 1, "eyeLookInRight": 1}, GAZE_DEGREES, 0),
        ({"eyeLookInLeft": 1, "eyeLookOutRight": 1}, -GAZE_DEGREES, 0),
        ({"eyeLookUpLeft": 0.5, "eyeLookUpRight": 0.5}, 0, GAZE_DEGREES / 2),
        ({"eyeLookDownLeft": 0.5, "eyeLookDownRight": 0.5}, 0, -GAZE_DEGREES / 2),
    ],
)
def test_eyes_look_where_the_head_and_they_are_turned(strengths: dict[str, float], yaw: float, pitch: float) -> None:
    """Towards the picture's right and up are positive, as of a pose."""
    straight = eye_direction(mesh(strengths=strengths), STRAIGHT, ASPECT)
    assert (straight.yaw, straight.pitch) == pytest.approx((yaw, pitch))
    turned = eye_direction(mesh(strengths=strengths), Pose(5.0, 20.0, -10.0), ASPECT)
    assert (turned.yaw, turned.pitch) == pytest.approx((yaw + 20, pitch - 10))
    assert 50 <= turned.confidence < 60


@pytest.mark.parametrize("roll", [0, 40])
def test_without_strengths_the_pupils_say_it(roll: float) -> None:
    """In the frame of the eyes, and never beyond what eyes can do."""
    ahead = eye_direction(mesh(roll=roll), STRAIGHT, ASPECT)
    assert (ahead.yaw, ahead.pitch) == pytest.approx((0, 0), abs=0.1)
    aside = eye_direction(mesh(pupils=(0.1, IRIS_REST + 0.05), roll=roll), STRAIGHT, ASPECT)
    assert (aside.yaw, aside.pitch) == pytest.approx((0.1 * IRIS_DEGREES[0], 0.05 * IRIS_DEGREES[1]), abs=0.1)
    lost = eye_direction(mesh(pupils=(9.0, -9.0), roll=roll), STRAIGHT, ASPECT)
    assert abs(lost.yaw) < 60
    assert abs(lost.pitch) < 60


def test_points_that_coincide_say_something() -> None:
    """A mesh of nothing divides by nothing."""
    nothing = Mesh(np.zeros((POINTS, 3), np.float32), 1.0)
    for verdict in (smile(nothing, 1.0), mouth_open(nothing, 1.0), eyes_open(nothing, 1.0)):
        assert 50 <= verdict.confidence <= 100
    assert np.isfinite(eye_direction(nothing, STRAIGHT, 1.0).yaw)
