"""A dense mesh of one face, as a network fits it: what landmarks, pose, gaze and expressions are read from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Pose
from rekognition_emulator.domain.pose import pose_of_axes

POINTS: Final = 478
"""Of MediaPipe's topology: 468 of the face, then five of each iris, whose first is the pupil. Source: MediaPipe,
face_mesh_connections.py."""


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A mesh fitted to a face.

    Attributes:
        points: (POINTS, 3) float32. x and y in ratios of the upright image's width and height; z, which grows away from
            the camera, in the unit of x.
        presence: 0…1, how sure the network is that there is a face under the mesh.
        blendshapes: name of a movement, as MediaPipe calls it → how strong it is, 0…1; None where no network for it is
            at hand.
    """

    points: NDArray[np.float32]
    presence: float
    blendshapes: Mapping[str, float] | None = None


LANDMARKS_30: Final[Mapping[str, int]] = {
    "eyeLeft": 468,
    "eyeRight": 473,
    "mouthLeft": 61,
    "mouthRight": 291,
    "nose": 4,
    "leftEyeBrowLeft": 70,
    "leftEyeBrowRight": 107,
    "leftEyeBrowUp": 105,
    "rightEyeBrowLeft": 336,
    "rightEyeBrowRight": 300,
    "rightEyeBrowUp": 334,
    "leftEyeLeft": 33,
    "leftEyeRight": 133,
    "leftEyeUp": 159,
    "leftEyeDown": 145,
    "rightEyeLeft": 362,
    "rightEyeRight": 263,
    "rightEyeUp": 386,
    "rightEyeDown": 374,
    "noseLeft": 240,
    "noseRight": 460,
    "mouthUp": 0,
    "mouthDown": 17,
    "leftPupil": 468,
    "rightPupil": 473,
    "upperJawlineLeft": 34,
    "midJawlineLeft": 138,
    "chinBottom": 152,
    "midJawlineRight": 367,
    "upperJawlineRight": 264,
}
"""AWS's landmarks, by its names and in its order, and the point of a mesh that is nearest to each.

Source: ours. The canonical face was laid over the landmarks of AWS's five public answers, by the affine camera that
fits best; these points are then nearest.
"""

_BESIDE: Final[Mapping[str, tuple[float, float, float]]] = {
    "leftEyeBrowRight": (-0.48, 0.11, -0.18),
    "rightEyeBrowLeft": (0.48, 0.11, -0.18),
    "upperJawlineLeft": (0.05, 0.37, -2.33),
    "midJawlineLeft": (0.05, 0.35, -2.37),
    "chinBottom": (0.0, -0.11, -0.76),
    "midJawlineRight": (-0.05, 0.35, -2.37),
    "upperJawlineRight": (-0.05, 0.37, -2.33),
}
"""Where AWS's landmark lies from that point, in the frame of ``_HEAD``, if beside it: its jaw reaches further back.
Source: likewise, least squares over both sides. The root of the mean square of what is missing falls from 4.9 % of the
box's width to 0.8 for the jaw, from 2.2 to 0.7 for the chin, from 3.4 to 0.2 for the brows; for the others it is 0.7 to
1.7 without."""

_HEAD: Final[Mapping[int, tuple[float, float, float, float]]] = {
    4: (0.0, 0.4632, 7.5866, 0.0709),
    6: (0.0, -2.4733, 5.7886, 0.0321),
    10: (0.0, -8.2618, 4.4815, 0.0084),
    33: (-4.4459, -2.6640, 3.1734, 0.0587),
    54: (-6.2793, -6.6154, 1.4259, 0.0077),
    67: (-3.5240, -8.0060, 3.7292, 0.0091),
    117: (-5.2587, -0.9458, 2.9743, 0.0098),
    119: (-3.3007, -0.8616, 3.8728, 0.0146),
    121: (-1.8207, -1.4680, 4.2241, 0.0186),
    127: (-7.7431, -2.3650, -2.0052, 0.0052),
    129: (-1.7858, 0.9783, 4.8505, 0.1206),
    132: (-7.2709, 2.8909, -2.2525, 0.0056),
    133: (-1.8564, -2.5852, 3.7579, 0.0533),
    136: (-5.0853, 7.1786, 0.7147, 0.0669),
    143: (-6.4076, -2.2360, 1.5608, 0.0148),
    147: (-6.2349, 1.9444, 1.6635, 0.0143),
    198: (-1.2468, -0.2303, 5.6810, 0.0255),
    205: (-3.8329, 1.5373, 4.1377, 0.0473),
    263: (4.4459, -2.6640, 3.1734, 0.0587),
    284: (6.2793, -6.6154, 1.4259, 0.0077),
    297: (3.5240, -8.0060, 3.7292, 0.0091),
    346: (5.2587, -0.9458, 2.9743, 0.0098),
    348: (3.3007, -0.8616, 3.8728, 0.0146),
    350: (1.8207, -1.4680, 4.2241, 0.0186),
    356: (7.7431, -2.3650, -2.0052, 0.0052),
    358: (1.7858, 0.9783, 4.8505, 0.1206),
    361: (7.2709, 2.8909, -2.2525, 0.0056),
    362: (1.8564, -2.5852, 3.7579, 0.0533),
    365: (5.0853, 7.1786, 0.7147, 0.0669),
    372: (6.4076, -2.2360, 1.5608, 0.0148),
    376: (6.2349, 1.9444, 1.6635, 0.0143),
    420: (1.2468, -0.2303, 5.6810, 0.0255),
    425: (3.8329, 1.5373, 4.1377, 0.0473),
}
"""Points that move least with expressions → where a head that looks into the camera has them, in centimetres, x to the
picture's right, y down, z towards the camera, and how much each counts. Source: MediaPipe (Apache-2.0), its canonical
face and the points by which its face geometry is aligned, geometry_pipeline_metadata_landmarks.binarypb; rounded."""

_HEAD_POINTS: Final = list(_HEAD)
_HEAD_WEIGHTS: Final = np.array([weight for *_, weight in _HEAD.values()]) / sum(w for *_, w in _HEAD.values())
_HEAD_PLACES: Final = np.array([place for *place, _ in _HEAD.values()])
_HEAD_MIDDLE: Final = _HEAD_WEIGHTS @ _HEAD_PLACES
_HEAD_CENTRED: Final = _HEAD_PLACES - _HEAD_MIDDLE
_HEAD_CAMERA: Final = np.linalg.pinv(_HEAD_PLACES - _HEAD_PLACES.mean(axis=0))
"""(3, points): times a mesh's points, how far they move for each centimetre along the head's axes, by the affine camera
that explains them best."""

PITCH_ZERO: Final = 5.9
PITCH_SCALE: Final = 1.2
"""AWS's pitch is PITCH_ZERO degrees and PITCH_SCALE times what the canonical face has. Source: ours, 120 faces,
compared with ``pose.HEAD``, which was fitted to angles of AWS's, and five points of the same meshes."""


def landmarks30(mesh: Mesh) -> list[tuple[float, float]]:
    """Returns AWS's thirty landmarks in the order of ``LANDMARKS_30``: x and y in ratios of the upright image."""
    beside = np.array([_BESIDE.get(name, (0.0, 0.0, 0.0)) for name in LANDMARKS_30])
    places = mesh.points[list(LANDMARKS_30.values()), :2] + beside @ (_HEAD_CAMERA @ mesh.points[_HEAD_POINTS, :2])
    return [(float(x), float(y)) for x, y in places]


def pose_of(mesh: Mesh, aspect: float) -> Pose:
    """Returns the head's rotation, by the rigid motion that lays the canonical face nearest to a mesh.

    Args:
        mesh: of an upright image.
        aspect: the image's width divided by its height.
    """
    across, down, _ = _lay(_solid(mesh, aspect)).rotation
    pose = pose_of_axes(across, down)
    return replace(pose, pitch=min(max(PITCH_ZERO + PITCH_SCALE * pose.pitch, -90.0), 90.0))


def points_in_head(mesh: Mesh, aspect: float) -> NDArray[np.float64]:
    """Returns the points as the canonical face has its own, (POINTS, 3): turned into the camera, and in centimetres.

    Arguments as ``pose_of``'s; the axes are those of ``_HEAD``.
    """
    points = _solid(mesh, aspect)
    laid = _lay(points)
    return np.asarray((points - laid.middle) @ laid.rotation / laid.scale + _HEAD_MIDDLE, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """How the canonical face is laid over a mesh: turned, scaled and moved from its own middle to another.

    Attributes:
        rotation: (3, 3), of whose rows the first is the camera's axis to the picture's right in the head's frame.
        scale: the mesh's unit in a centimetre of the head.
        middle: (3,), where its middle comes to lie.
    """

    rotation: NDArray[np.float64]
    scale: float
    middle: NDArray[np.float64]


def _lay(points: NDArray[np.float64]) -> _Laid:
    """Finds the similarity that brings the canonical face nearest to a mesh, by weighted least squares (Kabsch 1976).

    Args:
        points: (POINTS, 3), of one unit in all directions, z towards the camera.
    """
    seen = points[_HEAD_POINTS]
    middle = _HEAD_WEIGHTS @ seen
    left, stretch, right = np.linalg.svd((_HEAD_WEIGHTS[:, None] * (seen - middle)).T @ _HEAD_CENTRED)
    signs = np.array((1.0, 1.0, np.sign(np.linalg.det(left @ right))))
    scale = float(stretch @ signs) / float(_HEAD_WEIGHTS @ (_HEAD_CENTRED**2).sum(axis=1))
    return _Laid(left @ np.diag(signs) @ right, max(scale, float(np.finfo(np.float32).tiny)), middle)


def _solid(mesh: Mesh, aspect: float) -> NDArray[np.float64]:
    """Returns the points in heights of the image, z towards the camera."""
    return np.asarray(mesh.points * np.array([aspect, 1.0, -aspect]), np.float64)
