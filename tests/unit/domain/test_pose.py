import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Pose
from rekognition_emulator.domain.pose import HEAD, estimate_pose

_ANGLES = st.floats(-50, 50)


def _project(roll: float, yaw: float, pitch: float) -> NDArray[np.float32]:
    """Landmarks of the generic head in a square picture: turned by yaw, then nodded by pitch, then tilted by roll."""
    (cr, sr), (cy, sy), (cp, sp) = ((math.cos(a), math.sin(a)) for a in map(math.radians, (roll, yaw, pitch)))
    about_y = np.array([(cy, 0, sy), (0, 1, 0), (-sy, 0, cy)])
    about_x = np.array([(1, 0, 0), (0, cp, -sp), (0, sp, cp)])
    about_z = np.array([(cr, -sr, 0), (sr, cr, 0), (0, 0, 1)])
    points = HEAD @ (about_z @ about_x @ about_y).T
    ratios: NDArray[np.float32] = (points[:, :2] * 0.07 + (0.4, 0.3)).astype(np.float32)
    return ratios


@given(_ANGLES, _ANGLES, _ANGLES)
def test_angles_of_a_projected_head_come_back(roll: float, yaw: float, pitch: float) -> None:
    """The three angles are told apart."""
    pose = estimate_pose(_project(roll, yaw, pitch), 1.0)
    assert (pose.roll, pose.yaw, pose.pitch) == pytest.approx((roll, yaw, pitch), abs=0.1)


@given(_ANGLES, st.floats(0.3, 3))
def test_the_shape_of_the_picture_does_not_matter(roll: float, aspect: float) -> None:
    """The same face has the same angles in a wider picture; a face unlike the generic head, which hides no stretch."""
    square = _project(roll, 20, 10)
    square[2:, 0] += (0.010, 0.005, -0.002)
    square[1, 1] -= 0.012
    wide = (square / (aspect, 1)).astype(np.float32)
    expected, pose = estimate_pose(square, 1.0), estimate_pose(wide, aspect)
    assert (pose.roll, pose.yaw, pose.pitch) == pytest.approx((expected.roll, expected.yaw, expected.pitch), abs=0.1)


def test_an_upright_face_that_looks_into_the_camera_has_no_angles() -> None:
    """All zero is the reference."""
    pose = estimate_pose(_project(0, 0, 0), 1.0)
    assert (pose.roll, pose.yaw, pose.pitch) == pytest.approx((0, 0, 0), abs=1e-3)


def test_roll_grows_when_the_right_eye_sinks() -> None:
    """Clockwise in the picture is positive, all the way to upside down."""
    assert estimate_pose(_project(30, 0, 0), 1.0).roll == pytest.approx(30, abs=0.1)
    assert estimate_pose(_project(-120, 0, 0), 1.0).roll == pytest.approx(-120, abs=0.1)


def test_yaw_grows_when_the_nose_moves_to_the_right_of_the_picture() -> None:
    """As in the service's answers, where the nose of a face with positive yaw lies right of the middle of the eyes."""
    frontal = _project(0, 0, 0)
    turned = frontal.copy()
    turned[2, 0] += 0.02
    assert estimate_pose(turned, 1.0).yaw > 10


def test_pitch_grows_when_the_nose_rises_towards_the_eyes() -> None:
    """As in the service's answers, where a face that looks up has positive pitch."""
    lifted = _project(0, 0, 0)
    lifted[2, 1] -= 0.02
    assert estimate_pose(lifted, 1.0).pitch > 10


@pytest.mark.parametrize(
    ("landmarks", "aspect", "published"),
    [
        # Angles and landmarks that the service published together, of pictures whose shape is a common one.
        (
            [(0.0494, 0.4632), (0.0872, 0.4639), (0.0758, 0.5021), (0.054, 0.5442), (0.0846, 0.5464)],
            16 / 9,
            Pose(-1.03, 16.38, 5.98),
        ),
        (
            [(0.3553, 0.4217), (0.4674, 0.422), (0.3679, 0.5259), (0.3594, 0.6365), (0.4525, 0.6376)],
            3 / 2,
            Pose(-0.67, -24.36, 5.27),
        ),
        (
            [(0.5797, 0.7453), (0.6079, 0.7427), (0.598, 0.7621), (0.5884, 0.792), (0.6063, 0.792)],
            3 / 2,
            Pose(-4.58, 10.56, 15.66),
        ),
    ],
)
def test_the_services_own_faces_get_about_its_angles(
    landmarks: list[tuple[float, float]], aspect: float, published: Pose
) -> None:
    """Signs and scale agree with the service's, so that a client's limits keep their meaning."""
    pose = estimate_pose(np.array(landmarks, np.float32), aspect)
    assert pose.roll == pytest.approx(published.roll, abs=3)
    assert pose.yaw == pytest.approx(published.yaw, abs=8)
    assert pose.pitch == pytest.approx(published.pitch, abs=8)


@pytest.mark.parametrize(
    "landmarks",
    [np.zeros((5, 2)), np.full((5, 2), np.nan), np.full((5, 2), np.inf), np.linspace((0, 0), (1, 1), 5)],
    ids=["point", "nan", "infinite", "line"],
)
def test_degenerate_landmarks_have_no_angles(landmarks: NDArray[np.float64]) -> None:
    """What cannot be a face gets zeros, not an error and not NaN."""
    assert estimate_pose(landmarks.astype(np.float32), 1.5) == Pose(0.0, 0.0, 0.0)


@given(st.lists(st.floats(width=32), min_size=10, max_size=10), st.floats(0.008, 125))
def test_no_landmarks_whatever_give_a_nan(numbers: list[float], aspect: float) -> None:
    """The answer is JSON, which has no NaN."""
    pose = estimate_pose(np.array(numbers, np.float32).reshape(5, 2), aspect)
    assert all(-180 <= angle <= 180 for angle in (pose.roll, pose.yaw, pose.pitch))
