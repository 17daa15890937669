"""Whether faces are found at the size that AWS promises, by the detectors that need no model of another licence."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors.single_shot import SingleShot
from rekognition_emulator.inference.engine import FaceDetector
from rekognition_emulator.inference.selection import ModelFiles, load_detector
from rekognition_emulator.models.catalogue import MTCNN, YUNET

RECORDED = Path(__file__).parent / "recorded" / "mtcnn_groups.json"
"""What the package ``mtcnn`` finds in group pictures, with TensorFlow; the file says which version and settings."""

OVERLAP_MIN = 0.4


@pytest.fixture(scope="module")
def groups() -> dict[str, Any]:
    """File → boxes of faces, in pixels: left, top, width, height."""
    pictures = json.loads(RECORDED.read_text())["pictures"]
    return {file: np.array(picture["faces"]) for file, picture in pictures.items()}


@pytest.fixture(scope="module", params=[MTCNN.name, YUNET.name])
def detector(
    request: pytest.FixtureRequest, cache_dir: Path, weights_dir: Path, weights: Callable[[str], Path]
) -> FaceDetector:
    """Those that serve without further ado."""
    if request.param == YUNET.name:
        weights(*YUNET.files)
    return load_detector(request.param, ModelFiles(cache_dir, weights_dir, weights_dir))


def missed(detector: FaceDetector, image: Image, faces: Any) -> int:
    """Returns how many of these faces, given in pixels, a detector does not find."""
    found = [face.box for face in detector.detect(image)]
    boxes = [BoundingBox(*box) for box in (faces / np.tile((image.width_px, image.height_px), 2)).tolist()]
    return sum(not any(box.overlap(other) >= OVERLAP_MIN for other in found) for box in boxes)


def test_every_face_is_found_that_the_package_finds(
    detector: FaceDetector, groups: dict[str, Any], photograph: Callable[[str], Image]
) -> None:
    """The oracle: in group pictures, none of its faces is missing; what it took for one and is none does not count."""
    lacking = {file: missed(detector, photograph(file), faces) for file, faces in groups.items()}
    assert sum(map(len, groups.values())) == 157
    assert not any(lacking.values()), lacking


def scenes(groups: dict[str, Any], photograph: Callable[[str], Image]) -> Iterator[tuple[Image, Any]]:
    """Yields scenes of 1920 × 1080: a lake, and before it a group whose smallest face has 40 px, and its faces."""
    lake = cv2.resize(photograph("noface/if_lake.jpg").pixels, (1920, 1080))
    random = np.random.default_rng(0)
    for file, faces in groups.items():
        scale = 40 / faces[:, 2:].min()
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(photograph(file).pixels, None, fx=scale, fy=scale, interpolation=how)
        height, width = small.shape[:2]
        if scale < 1.5 and height <= 1080 and width <= 1920:
            left, top = random.integers(0, (1921 - width, 1081 - height))
            pixels = lake.copy()
            pixels[top : top + height, left : left + width] = small
            yield Image(pixels, 1920, 1080), faces * scale + (left, top, 0, 0)


@pytest.mark.parametrize("factor", [1, 2])
def test_faces_of_the_promised_size_are_found(
    detector: FaceDetector, groups: dict[str, Any], photograph: Callable[[str], Image], factor: int
) -> None:
    """From 40 px of 1920 on, and in proportion in a larger picture: MTCNN finds all, YuNet 98 in a hundred."""
    lacking, faces_in_all = 0, 0
    for scene, faces in scenes(groups, photograph):
        pixels = cv2.resize(scene.pixels, None, fx=factor, fy=factor)
        lacking += missed(detector, Image(pixels, 1920 * factor, 1080 * factor), faces * factor)
        faces_in_all += len(faces)
    assert faces_in_all > 100
    assert lacking <= (0.02 * faces_in_all if isinstance(detector, SingleShot) else 0)
