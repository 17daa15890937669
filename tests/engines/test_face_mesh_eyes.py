"""What the network for irises adds to a mesh of 468 points: irises, and lids where they are seen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.engines.face_mesh import EYE_CONTOURS, EYE_CROP_SIDE, EYES, IRIS_SIDE_PX, FaceMeshNetwork
from rekognition_emulator.faces.detection import BoundingBox, Detection
from rekognition_emulator.faces.image import Image

SIDE_PX = 192
EYE_PX = 20
EYE_DISTANCE_PX = 50
BROWS = (70, 300)
"""Points that the network for irises says nothing about; here right above the middles of the eyes."""


def _mesh(crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Sees a frontal face."""
    points = np.full((len(crops), 468, 3), SIDE_PX / 2, np.float32)
    for (left, right), brow, x in zip(EYES, BROWS, (70, 70 + EYE_DISTANCE_PX), strict=True):
        points[:, left, :2], points[:, right, :2] = (x - EYE_PX / 2, 80), (x + EYE_PX / 2, 80)
        points[:, brow, :2] = x, 60
    return [points.reshape(len(crops), -1), np.full((len(crops), 1), 9, np.float32)]


def _iris(crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Sees iris and lids an eighth of the crop's side right of its middle: towards the nose."""
    seen = np.array([IRIS_SIDE_PX * (1 / 2 + 1 / 8), IRIS_SIDE_PX / 2, 0], np.float32)
    return [np.tile(seen, (len(crops), 71)), np.tile(seen, (len(crops), 5))]


def test_lids_and_irises_lie_where_the_network_sees_them() -> None:
    """Each eye's contour moves as a whole, the right eye's, which is shown mirrored, to the other side; brows stay."""
    image = Image(np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8), SIDE_PX, SIDE_PX)
    landmarks = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]], np.float32)
    detection = Detection(BoundingBox(0.3, 0.3, 0.4, 0.4), landmarks, 99.0)
    (mesh,) = FaceMeshNetwork(_mesh, SIDE_PX, iris=_iris).fit(image, [detection])
    assert mesh is not None
    brow, scale = mesh.points[BROWS[0], 0], np.diff(mesh.points[list(BROWS), 0])[0] / EYE_DISTANCE_PX
    shift = EYE_CROP_SIDE * EYE_PX / 8
    for seen in (list(EYE_CONTOURS[0]), [468]):
        assert (mesh.points[seen, 0] - brow) / scale == pytest.approx(shift, abs=1e-3)
    for seen in (list(EYE_CONTOURS[1]), [473]):
        assert (mesh.points[seen, 0] - brow) / scale == pytest.approx(EYE_DISTANCE_PX - shift, abs=1e-3)
    assert np.ptp(mesh.points[[*EYE_CONTOURS[0], *EYE_CONTOURS[1], 468, 473], 1]) == pytest.approx(0, abs=1e-5)
