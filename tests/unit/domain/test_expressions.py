"""What is read off a mesh: by strengths of movements where a network names them, by shape where none does."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from rekognition_emulator.domain.detection import Pose
from rekognition_emulator.domain.expressions import (
    GAZE_DEGREES,
    IRIS_REST,
    MOUTH_OPEN,
    Threshold,
    eye_direction,
    eyes_open,
    mouth_open,
    smile,
)
from rekognition_emulator.domain.mesh import POINTS, Mesh

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
    mouth: float = 0.4,
    lids: float = 0.3,
    pupils: tuple[float, float] = (0.0, IRIS_REST),
    turn: float = 0.0,
    strengths: Mapping[str, float] | None = None,
) -> Mesh:
    """Makes a mesh up, of a picture that is half as wide again as high.

    Args:
        gap: between the lips, in distances between the eyes.
        mouth: its width; the eyes are 0.4 apart.
        lids: how far they are apart, in widths of the eye.
        pupils: how far they stand right of and above the middle of the eye, in its widths.
        turn: of the head in the picture, in degrees.
        strengths: of movements.
    """
    points = np.zeros((POINTS, 2))
    for (left, right, up, down, pupil), centre in (
        ((33, 133, 159, 145, 468), (-0.2, -0.2)),
        ((362, 263, 386, 374, 473), (0.2, -0.2)),
    ):
        for place, shift in (
            (left, (-0.5, 0)),
            (right, (0.5, 0)),
            (up, (0, -lids / 2)),
            (down, (0, lids / 2)),
            (pupil, (pupils[0], -pupils[1])),
        ):
            points[place] = np.add(centre, np.multiply(shift, 0.1))
    points[61], points[291] = (-mouth / 2, 0.2), (mouth / 2, 0.2)
    for across, (upper, lower) in {-0.05: (82, 87), 0: (13, 14), 0.05: (312, 317)}.items():
        points[upper], points[lower] = (across, 0.2 - gap * 0.2), (across, 0.2 + gap * 0.2)
    points[10], points[152] = (0, -0.6), (0, 0.5)
    angle = np.radians(turn)
    points = points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + 0.5
    ratios = np.column_stack([points / (ASPECT, 1), np.zeros(POINTS)])
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


@pytest.mark.parametrize("turn", [0, 30, -90, 180])
def test_shapes_are_read_at_any_roll(turn: float) -> None:
    """In a picture that is not square, too."""
    smiling = mesh(mouth=0.5, gap=0.3, turn=turn)
    assert smile(smiling, ASPECT).value
    assert mouth_open(smiling, ASPECT).value
    assert eyes_open(smiling, ASPECT).value
    serious = mesh(mouth=0.3, gap=0.02, lids=0.03, turn=turn)
    assert not smile(serious, ASPECT).value
    assert not mouth_open(serious, ASPECT).value
    assert not eyes_open(serious, ASPECT).value


def test_a_gap_is_measured_in_distances_between_the_eyes() -> None:
    """A larger face has no more open a mouth."""
    at = mesh(gap=math.exp(MOUTH_OPEN.at))
    larger = replace(at, points=at.points * np.float32(3))
    assert mouth_open(at, ASPECT).confidence == pytest.approx(50, abs=0.1)
    assert mouth_open(larger, ASPECT).confidence == pytest.approx(50, abs=0.1)


def test_the_newer_mesh_is_read_by_rules_of_its_own() -> None:
    """Where the network names movements, they decide about smiles; lids are narrower by its mesh than by the older."""
    assert smile(mesh(mouth=0.3, strengths={"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}), ASPECT).value
    assert not smile(mesh(mouth=0.6, strengths={"mouthSmileLeft": 0.8}), ASPECT).value  # one corner alone is none
    assert smile(mesh(mouth=0.6), ASPECT).value
    assert eyes_open(mesh(lids=0.18, strengths={}), ASPECT).value
    assert not eyes_open(mesh(lids=0.18), ASPECT).value


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


@pytest.mark.parametrize("turn", [0, 40])
def test_without_strengths_the_pupils_say_it(turn: float) -> None:
    """In the frame of the eyes, and never beyond what eyes can do."""
    ahead = eye_direction(mesh(turn=turn), STRAIGHT, ASPECT)
    assert (ahead.yaw, ahead.pitch) == pytest.approx((0, 0), abs=0.1)
    aside = eye_direction(mesh(pupils=(0.1, IRIS_REST + 0.05), turn=turn), STRAIGHT, ASPECT)
    assert 10 < aside.yaw < 20
    assert 3 < aside.pitch < 15
    lost = eye_direction(mesh(pupils=(9.0, -9.0), turn=turn), STRAIGHT, ASPECT)
    assert abs(lost.yaw) < 60
    assert abs(lost.pitch) < 60


def test_points_that_coincide_say_something() -> None:
    """A mesh of nothing divides by nothing."""
    nothing = Mesh(np.zeros((POINTS, 3), np.float32), 1.0)
    for verdict in (smile(nothing, 1.0), mouth_open(nothing, 1.0), eyes_open(nothing, 1.0)):
        assert 50 <= verdict.confidence <= 100
    assert np.isfinite(eye_direction(nothing, STRAIGHT, 1.0).yaw)
