"""Attributes by small networks under the names of the real ones, so that the real loading code runs everywhere."""

import hashlib
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Attribute, Attributes, Emotion, Gender
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.details.deepface_attributes import SIDE_PX, _crops
from rekognition_emulator.inference.details.face_details import FaceDetails, load_face_details
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.catalogue import ESTIMATORS
from rekognition_emulator.models.manifest import vouch
from tests.support.networks import DEEPFACE, write_networks
from tests.support.scripted import ScriptedEngine

EVERYTHING = set(Attribute)


def attributes_in(folder: Path, accepted: AbstractSet[str] = frozenset(ESTIMATORS)) -> FaceDetails:
    """What estimates by the networks of a folder."""
    return load_face_details(ModelFiles(folder / "cache", folder, folder / "deepface", accepted), ScriptedEngine([]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all three networks."""
    folder = tmp_path_factory.mktemp("weights")
    write_networks(folder)
    return folder


def face(left: float) -> Detection:
    """An upright, square face of a tenth of the picture's width."""
    box = BoundingBox(left, 0.1, 0.1, 0.2)
    points = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    return Detection(box, (points * (0.1, 0.2) + (left, 0.1)).astype(np.float32), 99.9)


@pytest.fixture
def image() -> Image:
    """White on the left, black on the right."""
    pixels = np.zeros((400, 800, 3), np.uint8)
    pixels[:, :400] = 255
    return Image(pixels, 800, 400)


def test_each_face_gets_its_own_estimates(folder: Path, image: Image) -> None:
    """Age becomes a range as wide as the network errs, emotions are ranked, confidences are of what is stated."""
    white, black = attributes_in(folder).estimate(image, [face(0.1), face(0.7)], EVERYTHING)
    assert (white.age, black.age) == ((25, 35), (55, 65))
    assert white.gender
    assert black.gender
    assert (white.gender[0], black.gender[0]) == (Gender.FEMALE, Gender.MALE)
    assert (white.gender[1], black.gender[1]) == pytest.approx((90, 80), abs=0.1)
    assert white.emotions
    emotions, confidences = zip(*white.emotions, strict=True)
    assert emotions[0] is Emotion.HAPPY
    assert confidences[0] == pytest.approx(100 / 1.3, abs=0.1)
    assert list(confidences) == sorted(confidences, reverse=True)
    assert set(emotions) == set(Emotion) - {Emotion.CONFUSED}


def test_nothing_is_estimated_that_nobody_wants(folder: Path, image: Image) -> None:
    """Only the wanted attributes are there."""
    (found,) = attributes_in(folder).estimate(image, [face(0.1)], {Attribute.GENDER})
    assert (found.age, found.emotions) == (None, None)
    assert found.gender is not None


def test_nothing_is_invented_where_a_network_is_missing(folder: Path, image: Image, tmp_path: Path) -> None:
    """Without files there are no attributes; with one there is one."""
    faces = [face(0.1), face(0.7)]
    assert attributes_in(tmp_path / "nowhere").estimate(image, faces, EVERYTHING) == [Attributes()] * 2
    name = DEEPFACE[Attribute.AGE_RANGE]
    (tmp_path / name).write_bytes((folder / name).read_bytes())
    (found,) = attributes_in(tmp_path).estimate(image, faces[:1], EVERYTHING)
    assert found == Attributes(age=(25, 35))


def test_a_network_is_used_only_if_its_licence_is_accepted(folder: Path, image: Image) -> None:
    """A file that happens to lie there is not enough."""
    (found,) = attributes_in(folder, {"deepface-gender"}).estimate(image, [face(0.1)], EVERYTHING)
    assert found.gender is not None
    assert (found.age, found.emotions) == (None, None)


@pytest.mark.parametrize("vouched", [True, False])
def test_a_damaged_network_is_done_without(folder: Path, image: Image, tmp_path: Path, *, vouched: bool) -> None:
    """Whether its checksum says so or the runtime, the others go on and no request fails."""
    for name in DEEPFACE.values():
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    damaged = tmp_path / DEEPFACE[Attribute.GENDER]
    if vouched:
        vouch(tmp_path, ESTIMATORS["deepface-gender"], hashlib.sha256(damaged.read_bytes()).hexdigest(), "a test")
    damaged.write_bytes(damaged.read_bytes()[:-1] if vouched else b"no network")
    attributes = attributes_in(tmp_path)
    for _ in range(2):
        (found,) = attributes.estimate(image, [face(0.1)], EVERYTHING)
        assert found.age
        assert found.emotions
        assert found.gender is None


def test_a_picture_without_faces_needs_no_network(folder: Path, image: Image) -> None:
    """No faces, no estimates."""
    assert attributes_in(folder).estimate(image, [], EVERYTHING) == []


def marked(turn: int) -> tuple[NDArray[np.uint8], Detection]:
    """A narrow face with one blue eye, in a picture turned against the clock; everything around it is green."""
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[..., 1] = 200
    pixels[100:200, 120:180] = 90
    pixels[125:136, 130:141] = (0, 0, 255)
    points = np.array([(135, 130), (165, 130), (150, 150), (140, 175), (160, 175)]) / 300
    corners = np.array([(120, 100), (180, 200)]) / 300
    for _ in range(turn):
        pixels = np.rot90(pixels)
        points = np.stack([points[:, 1], 1 - points[:, 0]], axis=1)
        corners = np.stack([corners[:, 1], 1 - corners[:, 0]], axis=1)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    box = BoundingBox(left, top, right - left, bottom - top)
    return np.ascontiguousarray(pixels), Detection(box, points.astype(np.float32), 99.9)


def test_crops_are_level_centred_and_bgr() -> None:
    """The box fills the height, its sides are black bars, and blue is the first channel."""
    pixels, detection = marked(0)
    crop = _crops(Image(pixels, pixels.shape[1], pixels.shape[0]), [detection])[0]
    assert crop.shape == (SIDE_PX, SIDE_PX, 3)
    assert not crop[:, :40].any()
    assert not crop[:, -40:].any()
    assert crop[112, 112].tolist() == [90, 90, 90]
    eye = crop[round(0.30 * SIDE_PX), round(112 - 0.15 * SIDE_PX)]
    assert eye[0] > 200
    assert eye[2] < 50


def test_a_tilted_face_is_set_upright() -> None:
    """The same face with its eyes one above the other gives a crop with its eyes side by side."""
    pixels, detection = marked(1)
    crop = _crops(Image(pixels, pixels.shape[1], pixels.shape[0]), [detection])[0]
    eye = crop[round(0.30 * SIDE_PX), round(112 - 0.15 * SIDE_PX)]
    assert eye[0] > 200
    assert eye[2] < 50
