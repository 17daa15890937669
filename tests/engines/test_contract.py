"""What every engine must do, whatever its networks. A model joins by its line in the table."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.engines.models import DETECTORS, EMBEDDERS, YUNET
from rekognition_emulator.engines.selection import ModelFiles, load_engine
from rekognition_emulator.faces.detection import LANDMARKS, Detection
from rekognition_emulator.faces.engine import FaceEngine
from rekognition_emulator.faces.image import Image
from tests.networks import MOBILEFACE, write_manifest


@pytest.fixture(
    scope="session", params=[(detector, embedder) for detector in DETECTORS for embedder in [*EMBEDDERS, "mobileface"]]
)
def engine(
    request: pytest.FixtureRequest, model_files: ModelFiles, weights: Callable[[str], Path], models_dir: Path
) -> FaceEngine:
    """Each detector with each embedder, and with an operator's own; small networks stand in for large ones."""
    detector, embedder = request.param
    files = [*DETECTORS[detector].files] if detector == YUNET.name else []
    files += [MOBILEFACE["file"]] if embedder == "mobileface" else []
    for file in files:
        (models_dir / file).unlink(missing_ok=True)
        (models_dir / file).symlink_to(weights(file))
    if embedder == "mobileface":
        write_manifest(models_dir, name=embedder, **MOBILEFACE, calibration=[[0.35, 40], [0.5, 80]])
    return load_engine(embedder, detector, model_files)


@pytest.fixture(scope="session")
def face(engine: FaceEngine, portrait: Image) -> Detection:
    """The one face of the portrait."""
    (face,) = engine.detect(portrait)
    return face


def turned(image: Image) -> Image:
    """The same picture lying on its side, wider on a grey ground: another picture with the same person."""
    pixels = np.pad(image.pixels[::2, ::2], ((0, 0), (100, 100), (0, 0)), constant_values=128)
    return Image(pixels, pixels.shape[1], pixels.shape[0])


def test_portrait_has_one_face_where_it_is(face: Detection) -> None:
    """A plain portrait gives one sure detection around the face, taller than wide."""
    assert face.confidence > 99
    assert face.confidence <= 100
    assert 0.3 < face.box.left + face.box.width / 2 < 0.55
    assert 0.1 < face.box.top + face.box.height / 2 < 0.35
    assert face.box.height > face.box.width


def test_small_face_in_a_large_picture_is_found(engine: FaceEngine, portrait: Image, face: Detection) -> None:
    """A face of 40 px in a picture of 1920 x 1080 is found, which is what AWS promises."""
    side_px = round(portrait.width_px * 40 / (min(face.box.width, face.box.height) * portrait.width_px))
    pixels = np.full((1080, 1920, 3), 127, np.uint8)
    pixels[400 : 400 + side_px, 1200 : 1200 + side_px] = cv2.resize(
        portrait.pixels, (side_px, side_px), interpolation=cv2.INTER_AREA
    )
    assert len(engine.detect(Image(pixels, 1920, 1080))) == 1


def test_landmarks_lie_in_the_box_as_a_face_has_them(face: Detection) -> None:
    """Names and places agree: the left eye has the smaller x, eyes above nose above mouth."""
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks.dtype == np.float32
    at = dict(zip(LANDMARKS, face.landmarks, strict=True))
    assert face.box.left < at["eye_left"][0] < at["nose"][0] < at["eye_right"][0] < face.box.left + face.box.width
    assert at["mouth_left"][0] < at["mouth_right"][0]
    assert face.box.top < at["eye_left"][1] < at["nose"][1] < at["mouth_left"][1] < face.box.top + face.box.height


def test_left_is_the_pictures_left(engine: FaceEngine, face: Detection, mirrored: Image) -> None:
    """In the mirrored picture the names stay with the sides, not with the person's eyes."""
    (other,) = engine.detect(mirrored)
    swapped = np.array([1, 0, 2, 4, 3])
    expected = face.landmarks[swapped] * (-1, 1) + (1, 0)
    assert np.abs(other.landmarks - expected).max() < 0.012


def test_ratios_do_not_depend_on_the_decoded_size(engine: FaceEngine, face: Detection, portrait: Image) -> None:
    """A picture decoded at half its size gives the same box in ratios."""
    (smaller,) = engine.detect(Image(portrait.pixels[::2, ::2], portrait.width_px, portrait.height_px))
    assert smaller.box.overlap(face.box) > 0.8


def test_embeddings_have_unit_length(engine: FaceEngine, portrait: Image, face: Detection) -> None:
    """As many rows as faces, as many columns as the model says, each of length one."""
    embeddings = engine.embed(portrait, [face, face, face])
    assert embeddings.shape == (3, engine.model.dimension)
    assert embeddings.dtype == np.float32
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-5)


def test_no_faces_give_no_rows(engine: FaceEngine, portrait: Image) -> None:
    """An empty list is a list."""
    assert engine.embed(portrait, []).shape == (0, engine.model.dimension)


def test_rows_keep_the_order_of_the_faces(engine: FaceEngine, portrait: Image, face: Detection) -> None:
    """Row by row the face that was asked for, whatever else is in the batch."""
    shifted = Detection(face.box, face.landmarks + np.float32(0.02), face.confidence)
    both = engine.embed(portrait, [face, shifted])
    reverse = engine.embed(portrait, [shifted, face])
    assert np.abs(both - reverse[::-1]).max() < 1e-5
    assert np.abs(both[0] - both[1]).max() > 1e-3


def test_same_person_is_nearer_than_half_the_picture(engine: FaceEngine, portrait: Image, face: Detection) -> None:
    """Another picture of the same person is recognised; something that is no face at all is not."""
    other = turned(portrait)
    (again,) = engine.detect(other)
    elsewhere = Detection(face.box, face.landmarks + np.array([0.1, 0.5], np.float32), face.confidence)
    mine, nobody = engine.embed(portrait, [face, elsewhere])
    (me,) = engine.embed(other, [again])
    assert engine.model.similarity(float(mine @ me)) > 80
    assert engine.model.similarity(float(mine @ nobody)) < 40


def test_same_picture_gives_the_same_numbers(engine: FaceEngine, portrait: Image, face: Detection) -> None:
    """Determinism: a second run is bit for bit the first."""
    (again,) = engine.detect(portrait)
    assert (again.box, again.confidence) == (face.box, face.confidence)
    assert np.array_equal(again.landmarks, face.landmarks)
    assert np.array_equal(engine.embed(portrait, [face]), engine.embed(portrait, [again]))


def test_many_threads_get_the_answers_of_one(engine: FaceEngine, portrait: Image, mirrored: Image) -> None:
    """Worker threads share an engine: different pictures at once do not mix."""
    pictures = [portrait, mirrored, turned(portrait)] * 4

    def embed(image: Image) -> NDArray[np.float32]:
        return engine.embed(image, engine.detect(image))

    alone = [embed(image) for image in pictures[:3]]
    with ThreadPoolExecutor(6) as workers:
        together = list(workers.map(embed, pictures))
    assert all(np.array_equal(answer, alone[place % 3]) for place, answer in enumerate(together))


@pytest.mark.parametrize("shape", [(80, 80), (80, 1500), (1500, 80), (24, 32), (5, 5)])
def test_picture_of_nothing_has_no_face(engine: FaceEngine, shape: tuple[int, int]) -> None:
    """Grey pictures of any proportion have no faces and break nothing."""
    assert engine.detect(Image(np.full((*shape, 3), 127, np.uint8), shape[1], shape[0])) == []
