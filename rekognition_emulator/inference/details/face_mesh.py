"""MediaPipe's networks for a mesh of each face, of either generation.

The newer one, Face Mesh V2, gives the irises with the mesh and has a network for blendshapes beside it; they come in
one archive, ``face_landmarker.task``. The older, Attention Mesh, looks at the lips and the eyes once more, and gives
what it finds there, with the irises, beside a mesh without.
"""

import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.mesh import POINTS, Mesh
from rekognition_emulator.imaging.alignment import warp
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.sessions import Device, open_model
from rekognition_emulator.models.catalogue import FACE_LANDMARKER
from rekognition_emulator.models.records import FaceMesh
from rekognition_emulator.models.weights import prepared, read_verified

CONVERSION: Final = 1
"""Grows whenever ``tflite`` writes another graph from the same file."""

PRESENCE_MIN: Final = 0.5
"""A mesh of which its network is less sure is none: profiles, blurs of 50 px, and what is no face. Source: MediaPipe's
default, ``min_face_presence_confidence``."""

LOOKS_AGAIN: Final = 2
"""At a face of which the network is not sure, each time around the mesh that it has found: landmarks lead astray where
sunglasses or a turned head hide them. Source: ours; of 76 faces five are such, and two of them are found then."""

FACES_AT_ONCE: Final = 8
"""So many are run together; each takes 0.8 MB as it is fed, and several times that within the network. Source: ours."""

CROP_CENTRE: Final = 0.42
"""Where a face's crop has its centre, on the way from between the eyes to the middle of the mouth. Source: ours."""

CROP_SIDE: Final = 3.55
"""A crop's side, in distances from between the eyes to the middle of the mouth. Source: ours."""

EYE_DISTANCE_WEIGHT: Final = 1.05
"""What the distance between the eyes counts beside that, where it is the longer: heads that nod. Source: ours."""

MESH_CROP_SIDE: Final = 1.5
"""The side of a crop around a mesh that was found, in the longer of its own sides. Source: MediaPipe,
face_landmark_landmarks_to_roi.pbtxt."""

OUTER_CORNERS: Final = (33, 263)
"""Of the eyes. Source: likewise."""

LIPS: Final = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)
LEFT_EYE: Final = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
    *(130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190),
    *(226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65),
    *(143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193),
)
RIGHT_EYE: Final = (
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
    *(359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414),
    *(446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295),
    *(372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417),
)
LEFT_IRIS: Final = tuple(range(468, 473))
RIGHT_IRIS: Final = tuple(range(473, 478))
"""The points that Attention Mesh looks at once more, in the order in which it gives them; each eye's contour comes
first. Left and right are the picture's. Source: MediaPipe, tensors_to_face_landmarks_with_attention.pbtxt."""

CONTOUR_POINTS: Final = 16
"""Of an eye, whose mean depth is the iris's. Source: likewise."""

BLENDSHAPE_POINTS: Final = (
    *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78),
    *(80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152),
    *(153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246),
    *(249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312),
    *(314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381),
    *(382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478)),
)
"""What the network for blendshapes is fed of a mesh. Source: MediaPipe, face_blendshapes_graph.cc."""

BLENDSHAPES: Final = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff"),
    *("cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight"),
    *("eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight"),
    *("eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen"),
    *("jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight"),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft"),
    *("mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
"""Order of what it gives; left and right are the person's. Source: likewise."""

Run = Callable[[NDArray[np.floating]], list[NDArray[np.float32]]]
"""A network: (n, …) in, each of its outputs as (n, numbers)."""


class FaceMeshNetwork:
    """Fits a mesh to each face, in batches; thread-safe.

    Args:
        mesh: takes (n, side, side, 3) RGB of 0…1; gives x, y and z of each of ``POINTS`` in pixels of the crop, and the
            logit of the presence.
        side_px: of its crop.
        blendshapes: takes (n, 146, 2) pixels; gives (n, 52) strengths. None where there is no such network.
    """

    def __init__(self, mesh: Run, side_px: int, blendshapes: Run | None = None) -> None:
        self._mesh = mesh
        self._side_px = side_px
        self._blendshapes = blendshapes

    def fit(self, image: Image, detections: Sequence[Detection]) -> list[Mesh | None]:
        """Returns a mesh for each face found in a picture; None where its presence is below ``PRESENCE_MIN``."""
        meshes: list[Mesh | None] = []
        for first in range(0, len(detections), FACES_AT_ONCE):
            meshes += self._fit(image, detections[first : first + FACES_AT_ONCE])
        return meshes

    def _fit(self, image: Image, detections: Sequence[Detection]) -> list[Mesh | None]:
        size = np.array(image.pixels.shape[1::-1])
        landmarks = np.stack([detection.landmarks for detection in detections]).astype(np.float64)
        points, presences = self._place(image, _face_squares(landmarks * size))
        unsure = np.flatnonzero(presences < PRESENCE_MIN)
        for _ in range(LOOKS_AGAIN if len(unsure) else 0):
            points[unsure], presences[unsure] = self._place(image, _mesh_squares(points[unsure]))
        sure = np.flatnonzero(presences >= PRESENCE_MIN)
        meshes: list[Mesh | None] = [None] * len(detections)
        if not len(sure):
            return meshes
        points = points[sure]
        strengths = self._blendshapes(points[:, BLENDSHAPE_POINTS, :2])[0].tolist() if self._blendshapes else None
        ratios = (points / (*size, size[0])).astype(np.float32)
        for place, face in enumerate(sure):
            movements = dict(zip(BLENDSHAPES, strengths[place], strict=True)) if strengths else None
            meshes[face] = Mesh(ratios[place], float(presences[face]), movements)
        return meshes

    def _place(self, image: Image, squares: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns the points of the face in each square, in pixels of the picture, and its presence."""
        found, logits, *_ = self._mesh(_crops(image, squares, self._side_px))
        points = _from_crops(found.reshape(len(found), -1, 3), squares, self._side_px)
        return points, 1 / (1 + np.exp(-np.clip(logits[:, 0].astype(np.float64), -700, 700)))


def open_face_mesh(
    model: FaceMesh, folder: Path, cache_dir: Path, threads: int, device: Device = Device.CPU
) -> FaceMeshNetwork:
    """Opens a mesh's networks from its files.

    Args:
        model: of the table.
        folder: where the files lie.
        cache_dir: where networks are kept that had to be written as ONNX.
        threads: that one call may use.
        device: that the networks run on.

    Raises:
        WeightsMismatch: a file is damaged, cut short or another one.
        ModelUnusable: a file is not there, or nothing here runs networks on that device.
    """

    def opened(file: str, member: str | None = None) -> Any:  # noqa: ANN401 - untyped library
        sha256 = model.files[file]
        assert sha256
        contents = read_verified(folder / file, sha256)
        made_from = f"{(member or file).removesuffix('.tflite')}-{CONVERSION}-{sha256[:16]}"
        return open_model(prepared(made_from, cache_dir, lambda: _written(contents, member)), threads, device)

    if model.name == FACE_LANDMARKER.name:
        (archive,) = model.files
        mesh = opened(archive, "face_landmarks_detector.tflite")
        return FaceMeshNetwork(_run(mesh), _side(mesh), blendshapes=_run(opened(archive, "face_blendshapes.tflite")))
    mesh = opened(*model.files)
    return FaceMeshNetwork(looking_closer(_run(mesh)), _side(mesh))


def looking_closer(run: Run) -> Run:
    """Returns Attention Mesh as a network of one mesh: what it has looked at once more is put in its place.

    Depths remain those of its first look.

    Args:
        run: gives 468 points of x, y and z, then x and y of the parts, in the order above, and the logit.
    """

    def refined(crops: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        first, *parts, logits = run(crops)
        points = np.zeros((len(first), POINTS, 3), np.float32)
        points[:, : first.shape[1] // 3] = first.reshape(len(first), -1, 3)
        for places, part in zip((LIPS, LEFT_EYE, RIGHT_EYE, LEFT_IRIS, RIGHT_IRIS), parts, strict=True):
            points[:, places, :2] = part.reshape(len(part), -1, 2)
        for iris, eye in ((LEFT_IRIS, LEFT_EYE), (RIGHT_IRIS, RIGHT_EYE)):
            points[:, iris, 2] = points[:, eye[:CONTOUR_POINTS], 2].mean(axis=1, keepdims=True)
        return [points.reshape(len(points), -1), logits]

    return refined


def _written(file: bytes, member: str | None) -> bytes:
    """Writes a network, or one that an archive holds, as ONNX."""
    from rekognition_emulator.inference.conversion.tflite import convert  # noqa: PLC0415 - files are read once, not at every start

    return convert(zipfile.ZipFile(BytesIO(file)).read(member) if member else file)


def _side(session: Any) -> int:  # noqa: ANN401 - untyped library
    _, side, _, _ = session.get_inputs()[0].shape
    return int(side)


def _run(session: Any) -> Run:  # noqa: ANN401 - untyped library
    def run(fed: NDArray[np.floating]) -> list[NDArray[np.float32]]:
        outputs: list[NDArray[np.float32]] = session.run(None, {"input": fed.astype(np.float32, copy=False)})
        return outputs

    return run


def _face_squares(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the squares that faces are cut out by.

    Args:
        landmarks: (n, 5, 2) pixels, in the order of ``LANDMARKS``.

    Returns:
        (n, 2, 3): the middle of each square and its two sides, as columns.
    """
    eyes, mouths = landmarks[:, :2].mean(axis=1), landmarks[:, 3:].mean(axis=1)
    across = landmarks[:, 1] - landmarks[:, 0]
    distances = np.linalg.norm(across, axis=1)
    longest = np.maximum(np.linalg.norm(mouths - eyes, axis=1), EYE_DISTANCE_WEIGHT * distances)
    return _squares(eyes + CROP_CENTRE * (mouths - eyes), across, CROP_SIDE * longest)


def _mesh_squares(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the squares around meshes, as MediaPipe follows a face from one picture of a video to the next."""
    across = points[:, OUTER_CORNERS[1], :2] - points[:, OUTER_CORNERS[0], :2]
    level = _squares(np.zeros((len(points), 2)), across, np.ones(len(points)))[:, :, 1:]
    turned = np.einsum("nji,nkj->nki", level, points[..., :2])
    lowest, highest = turned.min(axis=1), turned.max(axis=1)
    middles = np.einsum("nij,nj->ni", level, (lowest + highest) / 2)
    return _squares(middles, across, MESH_CROP_SIDE * (highest - lowest).max(axis=1))


def _squares(
    middles: NDArray[np.float64], across: NDArray[np.float64], sides: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns (n, 2, 3): the middle of each square and its two sides, the first of which lies along ``across``."""
    lengths = np.linalg.norm(across, axis=1)
    level = np.where(lengths[:, None] > 0, across, (1.0, 0.0)) / np.where(lengths > 0, lengths, 1)[:, None]
    right = level * np.maximum(sides, 1)[:, None]
    down = np.stack([-right[:, 1], right[:, 0]], axis=1)
    return np.stack([middles, right, down], axis=2)


def _crops(image: Image, squares: NDArray[np.float64], side_px: int) -> NDArray[np.float32]:
    """Returns what squares hold as (n, side_px, side_px, 3) float32, RGB of 0…1, black beyond the picture's edge."""
    to_picture = squares[:, :, 1:] / side_px
    # Points are counted from a corner's edge here, pixels from their centres there.
    origin = squares[:, :, 0] - squares[:, :, 1:].sum(axis=2) / 2 + to_picture.sum(axis=2) / 2 - 0.5
    to_crop = np.linalg.inv(to_picture)
    shift = -np.einsum("nij,nj->ni", to_crop, origin)
    crops = warp(image, np.concatenate([to_crop, shift[:, :, None]], axis=2), side_px)
    return np.multiply(crops, 1 / 255, dtype=np.float32)


def _from_crops(points: NDArray[np.float32], squares: NDArray[np.float64], side_px: int) -> NDArray[np.float64]:
    """Takes (n, k, 3) points from pixels of crops to pixels of the picture; z is scaled as x and y are."""
    ratios = points / side_px
    flat = squares[:, None, :, 0] + np.einsum("nij,nkj->nki", squares[:, :, 1:], ratios[..., :2] - 0.5)
    depths = ratios[..., 2:] * np.linalg.norm(squares[:, :, 1], axis=1)[:, None, None]
    return np.concatenate([flat, depths], axis=2)
