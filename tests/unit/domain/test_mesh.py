"""What is read from a mesh: AWS's landmarks, and the head's rotation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain import mesh as meshes
from rekognition_emulator.domain.mesh import LANDMARKS_30, POINTS, Mesh, landmarks30, pose_of

RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings"


def turned(roll: float, yaw: float, pitch: float) -> NDArray[np.float64]:
    """Returns a head's rotation by AWS's angles in degrees, yaw first; x to the right, y down, z to the camera."""
    r, y, p = np.radians((roll, yaw, pitch))
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    return np.asarray(about_z @ about_x @ about_y)


def head(rotation: NDArray[np.float64], aspect: float = 1.0, scale: float = 0.02) -> Mesh:
    """A mesh of the canonical head, as far as its points are known, in the middle of an image of this aspect."""
    points = np.zeros((POINTS, 3))
    placed = scale * meshes._HEAD_PLACES @ rotation.T + (0.5 * aspect, 0.5, 0)
    points[meshes._HEAD_POINTS] = placed / (aspect, 1, -aspect)
    return Mesh(points.astype(np.float32), 1.0)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 16 / 9])
@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, 40, 0), (0, 0, 20), (-100, -35, 15), (170, 20, -25)])
def test_the_rotation_of_a_head_is_found(angles: tuple[float, float, float], aspect: float) -> None:
    """Whatever the image's shape; the pitch is AWS's, whose zero and scale are others."""
    pose = pose_of(head(turned(*angles), aspect), aspect)
    roll, yaw, pitch = angles
    expected = (roll, yaw, meshes.PITCH_ZERO + meshes.PITCH_SCALE * pitch)
    assert (pose.roll, pose.yaw, pose.pitch) == pytest.approx(expected, abs=0.02)


def test_signs_are_awss() -> None:
    """Roll grows clockwise, yaw towards the picture's right, pitch upwards."""
    tilted = head(turned(20, 0, 0)).points
    assert tilted[263, 1] > tilted[33, 1]  # its right eye is lower
    nose, bridge = head(turned(0, 20, 0)).points[[4, 6], 0]
    assert nose > bridge
    nose, bridge = head(turned(0, 0, 20)).points[[4, 6], 1]
    assert nose - bridge < np.diff(head(np.eye(3)).points[[6, 4], 1])


def test_no_angle_leaves_its_range() -> None:
    """Though AWS's pitch grows faster than ours."""
    assert pose_of(head(turned(0, 0, 85)), 1.0).pitch == 90


def test_a_mesh_without_extent_has_some_rotation() -> None:
    """Numbers all the same, which a damaged network might give."""
    pose = pose_of(Mesh(np.zeros((POINTS, 3), np.float32), 1.0), 1.0)
    assert np.isfinite((pose.roll, pose.yaw, pose.pitch)).all()


def test_landmarks_are_points_of_the_mesh_or_lie_beside_them() -> None:
    """Most are points; the jaw reaches further back, and so swings to the other side of a turned head than its nose."""
    straight, right = head(np.eye(3)), head(turned(0, 30, 0))
    names = list(LANDMARKS_30)
    for mesh in (straight, right):
        for name, place in zip(names, landmarks30(mesh), strict=True):
            if name not in meshes._BESIDE:
                assert place == pytest.approx(mesh.points[LANDMARKS_30[name], :2])
    chin = names.index("chinBottom")
    moved = [landmarks30(mesh)[chin][0] - mesh.points[LANDMARKS_30["chinBottom"], 0] for mesh in (straight, right)]
    assert moved[0] == pytest.approx(0, abs=1e-3)
    assert moved[1] < -0.005


def answers() -> list[dict[str, Any]]:
    """AWS's published faces that have all landmarks."""
    files = ("cli-detect-faces", "detectfaces-all-2022", "detectfaces-all-2023", "guide-detectfaces-all")
    paths = [RECORDINGS / f"{file}.json" for file in (*files, "indexfaces-v7-all-2024")]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"no answers of AWS's in {RECORDINGS}")
    found: list[dict[str, Any]] = []

    def gather(value: Any) -> None:
        if isinstance(value, dict):
            if len(value.get("Landmarks", ())) > 5 and "Pose" in value:
                found.append(value)
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                gather(each)

    for path in paths:
        gather(json.loads(path.read_text()))
    return found


def test_names_and_order_are_awss() -> None:
    """In every one of its published answers."""
    for answer in answers():
        assert [landmark["Type"] for landmark in answer["Landmarks"]] == list(LANDMARKS_30)
