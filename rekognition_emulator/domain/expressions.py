"""What a mesh says of a face: whether it smiles, its eyes and mouth are open, and where it looks.

Each rule is a measure of the mesh, and the threshold that it is compared with. A smile is judged by what the network
for expressions sees as well, where there is one. Of the networks that give a mesh only the newer names the strength of
movements, by which a gaze is told; by the older the irises tell it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import EyeDirection, Verdict
from rekognition_emulator.domain.detection import Pose
from rekognition_emulator.domain.mesh import Mesh, points_in_head


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a measure turns from no to yes, and how fast: a logistic curve.

    Attributes:
        at: the measure at which both are as likely.
        slope: of the log odds; negative where a low measure means yes.
    """

    at: float
    slope: float

    def judge(self, measure: float) -> Verdict:
        """Returns the likelier answer and its probability in percent."""
        # Beyond 30 the probability is 1 in 64-bit floats, too.
        odds = np.exp(np.clip(self.slope * (measure - self.at), -30, 30))
        return Verdict.of(float(odds / (1 + odds)))


SMILE: Final = Threshold(at=-3.53, slope=5.55)
"""Of ``smile_shape``. Source of this and the next ones: ours, the half of benchmarks/face_labels.csv to fit on, by
benchmarks/face_rules.py, and meshes of both generations; here 78 faces."""

SMILE_WEIGHTS: Final = (0.58, 0.32, -0.04)
"""What the log odds of a smile by its shape and those of a happy face count in the log odds of both, and a constant.
77 faces, whose log loss, each left out in turn, falls from 0.11 to 0.07."""

MOUTH_OPEN: Final = Threshold(at=-2.92, slope=2.9)
"""Of ``lip_gap``. 89 faces."""

LIP_GAP_MIN: Final = 0.01
"""What is less is no gap. Source: ours; lips that are shut have up to four times as much."""

EYES_OPEN: Final = Threshold(at=0.141, slope=22.3)
"""Of ``lid_gap`` by the newer mesh, which comes with blendshapes. 85 faces, three of them with shut eyes that weigh as
much as the others together; tells them apart better than ``eyeBlink`` does, which the laughing raise, too."""

EYES_OPEN_BY_ATTENTION: Final = Threshold(at=0.157, slope=30.0)
"""Of ``lid_gap`` by the older mesh, which draws lids farther apart. The same faces."""

GAZE_DEGREES: Final = 29.0
"""By how much the eyes turn in the head at a strength of one of ``eyeLook…``. Source: ours, fitted to a network for
gazes on 3,000 faces, of whose variance it explains 75 % in yaw and 28 % in pitch."""

IRIS_DEGREES: Final = (117.0, 58.0)
"""By how much the eyes turn, across and up, when the pupils move by an eye's width, without such strengths. Source:
ours, fitted to what those strengths say of 147 labelled faces with open eyes; the correlations are 0.74 and 0.30."""

IRIS_REST: Final = 0.063
"""How far above the line between an eye's corners its pupil stands when it looks straight ahead, in the eye's width.
Source: ours, the median of those faces."""

IRIS_SHIFT_MAX: Final = 0.25
"""A pupil that seems to stand farther from the eye's middle was not found. Ours: it would be turned by 29°."""

GAZE_CONFIDENCE: Final = 51.5
"""The mean of those shares of the variance, in percent: whoever needs a gaze to rely on should not rely on this one."""

_TINY: Final = float(np.finfo(np.float32).tiny)
"""Stands for distances of zero, as only a network that is broken sees them."""

_LEAST: Final = 1e-4
"""A probability nearer to 0 or 1 says no more. Source: ours."""

_EYES: Final = ((33, 133, 159, 145, 468), (362, 263, 386, 374, 473))
"""Of the picture's left and right eye: its left and right corner, upper and lower lid, pupil. Source: MediaPipe,
face_mesh_connections.py."""
_MOUTH: Final = (61, 291)
_LIPS: Final = ((13, 82, 312), (14, 87, 317))
"""Of the upper and of the lower lip where they meet: their middle, and what is left and right of it."""


def smile(mesh: Mesh, aspect: float) -> Verdict:
    """Judges whether the corners of the mouth are drawn up.

    Args:
        mesh: of the face.
        aspect: the image's width divided by its height.
    """
    return SMILE.judge(smile_shape(mesh, aspect))


def smile_if_happy(by_shape: Verdict, happy: float) -> Verdict:
    """Judges by the shape of a mouth and by what another network sees in the face.

    Args:
        by_shape: what ``smile`` says.
        happy: how likely the face is a happy one, 0…1.
    """
    of_shape, of_happy, constant = SMILE_WEIGHTS
    odds = of_shape * log_odds(by_shape.probability) + of_happy * log_odds(happy) + constant
    return Verdict.of(1 / (1 + math.exp(-odds)))


def log_odds(probability: float) -> float:
    """Returns the logarithm of the odds of a probability, which is taken for no surer than ``_LEAST``."""
    certain = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(certain / (1 - certain))


def mouth_open(mesh: Mesh, aspect: float) -> Verdict:
    """Judges whether there is a gap between the lips, be it for a smile; arguments as ``smile``'s."""
    return MOUTH_OPEN.judge(lip_gap(mesh, aspect))


def eyes_open(mesh: Mesh, aspect: float) -> Verdict:
    """Judges whether the eyes are open, both taken together; arguments as ``smile``'s."""
    threshold = EYES_OPEN if mesh.blendshapes else EYES_OPEN_BY_ATTENTION
    return threshold.judge(lid_gap(mesh, aspect))


def smile_shape(mesh: Mesh, aspect: float) -> float:
    """Returns how far the corners of the mouth are drawn up and back, in centimetres of the canonical face.

    Up is counted from the middle of the mouth, where the lips meet, and back from the axis of the head. In that face's
    frame turned heads have the same; arguments as ``smile``'s.
    """
    points = points_in_head(mesh, aspect)
    corners = points[list(_MOUTH)].mean(axis=0)
    middle = points[[lip[0] for lip in _LIPS]].mean(axis=0)
    return float(middle[1] - corners[1] - corners[2])


def lip_gap(mesh: Mesh, aspect: float) -> float:
    """Returns the logarithm of the gap between the lips, in distances between the pupils and at least ``LIP_GAP_MIN``.

    It varies by ratios: among mouths that are open the most, among those that are shut the least. Depth counts, so that
    turned heads have the same; arguments as ``smile``'s.
    """
    points = _solid(mesh, aspect)
    gaps = [_norm(points[lower] - points[upper]) for upper, lower in zip(*_LIPS, strict=True)]
    return math.log(max(float(np.mean(gaps)) / _pupil_distance(points), LIP_GAP_MIN))


def lid_gap(mesh: Mesh, aspect: float) -> float:
    """Returns an eye's height in its widths as the image shows it, the mean of both; arguments as ``smile``'s."""
    flat = _flat(mesh, aspect)
    heights = [_ratio(flat, (up, down), (left, right)) for left, right, up, down, _ in _EYES]
    return float(np.mean(heights))


def eye_direction(mesh: Mesh, pose: Pose, aspect: float) -> EyeDirection:
    """Returns where the eyes look: where the head is turned, and how they are turned in it.

    Args:
        mesh: of the face.
        pose: of the head.
        aspect: the image's width divided by its height.
    """
    across, up = _look(mesh.blendshapes) if mesh.blendshapes else _iris_shift(_flat(mesh, aspect))
    return EyeDirection(pose.yaw + across, pose.pitch + up, GAZE_CONFIDENCE)


def _look(strengths: Mapping[str, float]) -> tuple[float, float]:
    """Returns by how many degrees the eyes are turned towards the picture's right, and up.

    Left and right are the person's: whose left eye looks out of the face looks to the picture's right.
    """
    right = strengths["eyeLookOutLeft"] + strengths["eyeLookInRight"]
    left = strengths["eyeLookInLeft"] + strengths["eyeLookOutRight"]
    up, down = _both(strengths, "eyeLookUp"), _both(strengths, "eyeLookDown")
    return GAZE_DEGREES * (right - left) / 2, GAZE_DEGREES * (up - down)


def _iris_shift(flat: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the same, by where the pupils stand between the corners of the eyes, in the frame of the eyes."""
    shifts = []
    for left, right, _, _, pupil in _EYES:
        across = flat[right] - flat[left]
        width = max(_norm(across), _TINY)
        shift = (flat[pupil] - (flat[left] + flat[right]) / 2) / width
        along = across / width
        shifts.append((shift @ along, shift @ (along[1], -along[0])))
    turned = np.clip(np.mean(shifts, axis=0) - (0, IRIS_REST), -IRIS_SHIFT_MAX, IRIS_SHIFT_MAX) * IRIS_DEGREES
    return float(turned[0]), float(turned[1])


def _both(strengths: Mapping[str, float], movement: str) -> float:
    return (strengths[f"{movement}Left"] + strengths[f"{movement}Right"]) / 2


def _flat(mesh: Mesh, aspect: float) -> NDArray[np.float64]:
    """Returns the points as the picture shows them, (POINTS, 2), in heights of it."""
    return np.asarray(mesh.points[:, :2] * np.array([aspect, 1.0]), np.float64)


def _solid(mesh: Mesh, aspect: float) -> NDArray[np.float64]:
    """Returns the points with their depths, (POINTS, 3), in heights of the image."""
    return np.asarray(mesh.points * np.array([aspect, 1.0, aspect]), np.float64)


def _pupil_distance(points: NDArray[np.float64]) -> float:
    return max(_norm(points[_EYES[1][4]] - points[_EYES[0][4]]), _TINY)


def _ratio(flat: NDArray[np.float64], measured: tuple[int, int], unit: tuple[int, int]) -> float:
    """Returns the distance between two points in distances between two others."""
    return _norm(flat[measured[0]] - flat[measured[1]]) / max(_norm(flat[unit[0]] - flat[unit[1]]), _TINY)


def _norm(vector: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(vector))
