"""What a mesh says of a face: whether it smiles, its eyes and mouth are open, and where it looks.

Each rule is a measure of the mesh, and the threshold that it is compared with. The networks that give a mesh come in
two generations, of which only the newer names the strength of movements, so that some rules have two forms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.faces.attributes import EyeDirection, Verdict
from rekognition_emulator.faces.detection import Pose
from rekognition_emulator.faces.mesh import Mesh


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


SMILE: Final = Threshold(at=0.45, slope=10)
"""Of the mean strength of ``mouthSmileLeft`` and ``mouthSmileRight``. Source of the threshold: ours, 142 labelled
faces, of which it takes 97.8 % of the smiles and 4.1 % of the others for one. The slope is chosen, not fitted."""

SMILE_BY_SHAPE: Final = Threshold(at=0.86, slope=30)
"""Of the mouth's width in distances between the pupils, without such strengths. Chosen, not fitted."""

MOUTH_OPEN: Final = Threshold(at=0.16, slope=30)
"""Of the gap between the lips in widths of the mouth's inner edge. Source of the threshold: ours, 142 labelled faces.
The slope is chosen, not fitted."""

EYES_OPEN: Final = Threshold(at=0.6, slope=-15)
"""Of the mean strength of ``eyeBlinkLeft`` and ``eyeBlinkRight``. Source: ours, one face with its eyes shut has 0.69,
one with its eyes open 0.06. The slope is chosen, not fitted."""

EYES_OPEN_BY_SHAPE: Final = Threshold(at=0.15, slope=60)
"""Of an eye's height in its widths, the mean of both, without such strengths. Chosen, not fitted."""

GAZE_DEGREES: Final = 29.0
"""By how much the eyes turn in the head at a strength of one of ``eyeLook…``. Source: ours, fitted to a network for
gazes on 3,000 faces, of whose variance it explains 75 % in yaw and 28 % in pitch."""

IRIS_DEGREES: Final = (155.0, 208.0)
"""By how much the eyes turn, across and up, when the pupils move by an eye's width, without such strengths. Source:
ours, fitted to what those strengths say of 89 faces; the correlations are 0.86 and 0.54."""

IRIS_REST: Final = 0.077
"""How far above the line between an eye's corners its pupil stands when it looks straight ahead, in the eye's width.
Source: ours, the median of those faces."""

IRIS_SHIFT_MAX: Final = 0.25
"""A pupil that seems to stand farther from the eye's middle was not found. Ours: it would be turned by 40°."""

GAZE_CONFIDENCE: Final = 51.5
"""The mean of those shares of the variance, in percent: whoever needs a gaze to rely on should not rely on this one."""

_EYES: Final = ((33, 133, 159, 145, 468), (362, 263, 386, 374, 473))
"""Of the picture's left and right eye: its left and right corner, upper and lower lid, pupil. Source: MediaPipe,
face_mesh_connections.py."""
_MOUTH: Final = (61, 291)
_INNER_LIPS: Final = (78, 308, 13, 14)


def smile(mesh: Mesh, aspect: float) -> Verdict:
    """Judges whether the corners of the mouth are drawn up.

    Args:
        mesh: of the face.
        aspect: the image's width divided by its height.
    """
    if mesh.blendshapes:
        return SMILE.judge(_both(mesh.blendshapes, "mouthSmile"))
    flat = _flat(mesh, aspect)
    return SMILE_BY_SHAPE.judge(_ratio(flat, _MOUTH, (_EYES[0][4], _EYES[1][4])))


def mouth_open(mesh: Mesh, aspect: float) -> Verdict:
    """Judges whether there is a gap between the lips; arguments as ``smile``'s."""
    left, right, up, down = _INNER_LIPS
    return MOUTH_OPEN.judge(_ratio(_flat(mesh, aspect), (up, down), (left, right)))


def eyes_open(mesh: Mesh, aspect: float) -> Verdict:
    """Judges whether the eyes are open, both taken together; arguments as ``smile``'s."""
    if mesh.blendshapes:
        return EYES_OPEN.judge(_both(mesh.blendshapes, "eyeBlink"))
    flat = _flat(mesh, aspect)
    heights = [_ratio(flat, (up, down), (left, right)) for left, right, up, down, _ in _EYES]
    return EYES_OPEN_BY_SHAPE.judge(float(np.mean(heights)))


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
        width = max(float(np.hypot(*across)), np.finfo(np.float32).tiny)
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


def _ratio(flat: NDArray[np.float64], measured: tuple[int, int], unit: tuple[int, int]) -> float:
    """Returns the distance between two points in distances between two others."""
    one, other = np.hypot(*(flat[unit[0]] - flat[unit[1]])), np.hypot(*(flat[measured[0]] - flat[measured[1]]))
    return float(other / max(one, np.finfo(np.float32).tiny))
