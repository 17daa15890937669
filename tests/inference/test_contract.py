"""What every engine must do, whatever its networks. A model joins by its line in the table."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import LANDMARKS, Detection
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.composed import ComposedEngine
from rekognition_emulator.inference.engine import FaceDetector, FaceEngine
from rekognition_emulator.inference.selection import ModelFiles, load_detector, load_engine
from rekognition_emulator.models.catalogue import DETECTORS, EMBEDDERS, MTCNN
from tests.support.networks import MOBILEFACE, write_manifest

OWN_DETECTOR = "yunet-n"
OWN_EMBEDDER = "mobileface"


@pytest.fixture(scope="module")
def open_detector(model_files: ModelFiles, put_detector: Callable[[str], None]) -> Callable[[str], FaceDetector]:
    """Opens a detector once, whatever the order of the tests; what is not at hand is made out of YuNet's network."""

    @cache
    def open_it(name: str) -> FaceDetector:
        put_detector(name)
        return load_detector(name, model_files)

    return open_it


@pytest.fixture(scope="module")
def open_engine(
    model_files: ModelFiles, weights: Callable[[str], Path], models_dir: Path
) -> Callable[[str], FaceEngine]:
    """Opens an embedder once, behind MTCNN; small networks stand in for large ones."""

    @cache
    def open_it(name: str) -> FaceEngine:
        if name == OWN_EMBEDDER:
            (models_dir / MOBILEFACE["file"]).symlink_to(weights(MOBILEFACE["file"]))
            write_manifest(models_dir, name=name, **MOBILEFACE, calibration=[[0.35, 40], [0.5, 80]])
        return load_engine(name, MTCNN.name, model_files)

    return open_it


@pytest.fixture(scope="module")
def look(portrait: Image) -> Callable[[FaceDetector], Detection]:
    """Returns the one face of the portrait, as a detector sees it; each is asked once."""

    @cache
    def see(detector: FaceDetector) -> Detection:
        (found,) = detector.detect(portrait)
        return found

    return see


@pytest.fixture(params=[*DETECTORS, OWN_DETECTOR])
def detector(request: pytest.FixtureRequest, open_detector: Callable[[str], FaceDetector]) -> FaceDetector:
    """Each detector of the table, and an operator's own."""
    return open_detector(request.param)


@pytest.fixture(params=[*EMBEDDERS, OWN_EMBEDDER])
def engine(request: pytest.FixtureRequest, open_engine: Callable[[str], FaceEngine]) -> FaceEngine:
    """Each embedder of the table, and an operator's own."""
    return open_engine(request.param)


@pytest.fixture
def found(detector: FaceDetector, look: Callable[[FaceDetector], Detection]) -> Detection:
    """The portrait's face for tests of detectors."""
    return look(detector)


@pytest.fixture
def face(engine: FaceEngine, look: Callable[[FaceDetector], Detection]) -> Detection:
    """The portrait's face for tests of embedders."""
    return look(engine)


def turned(image: Image) -> Image:
    """The same picture lying on its side, wider on a grey ground: another picture with the same person."""
    pixels = np.pad(image.pixels[::2, ::2], ((0, 0), (100, 100), (0, 0)), constant_values=128)
    return Image(pixels, pixels.shape[1], pixels.shape[0])


def test_portrait_has_one_face_where_it_is(found: Detection) -> None:
    """A plain portrait gives one sure detection around the face, taller than wide."""
    assert found.confidence > 99
    assert found.confidence <= 100
    assert 0.3 < found.box.left + found.box.width / 2 < 0.55
    assert 0.1 < found.box.top + found.box.height / 2 < 0.35
    assert found.box.height > found.box.width


def test_small_face_in_a_large_picture_is_found(detector: FaceDetector, portrait: Image, found: Detection) -> None:
    """A face of 40 px in a picture of 1920 x 1080 is found, which is what AWS promises."""
    side_px = round(portrait.width_px * 40 / (min(found.box.width, found.box.height) * portrait.width_px))
    pixels = np.full((1080, 1920, 3), 127, np.uint8)
    pixels[400 : 400 + side_px, 1200 : 1200 + side_px] = cv2.resize(
        portrait.pixels, (side_px, side_px), interpolation=cv2.INTER_AREA
    )
    assert len(detector.detect(Image(pixels, 1920, 1080))) == 1


def test_landmarks_lie_in_the_box_as_a_face_has_them(found: Detection) -> None:
    """Names and places agree: the left eye has the smaller x, eyes above nose above mouth."""
    assert found.landmarks.shape == (5, 2)
    assert found.landmarks.dtype == np.float32
    at = dict(zip(LANDMARKS, found.landmarks, strict=True))
    assert found.box.left < at["eye_left"][0] < at["nose"][0] < at["eye_right"][0] < found.box.left + found.box.width
    assert at["mouth_left"][0] < at["mouth_right"][0]
    assert found.box.top < at["eye_left"][1] < at["nose"][1] < at["mouth_left"][1] < found.box.top + found.box.height


def test_left_is_the_pictures_left(detector: FaceDetector, found: Detection, mirrored: Image) -> None:
    """In the mirrored picture the names stay with the sides, not with the person's eyes."""
    (other,) = detector.detect(mirrored)
    swapped = np.array([1, 0, 2, 4, 3])
    expected = found.landmarks[swapped] * (-1, 1) + (1, 0)
    assert np.abs(other.landmarks - expected).max() < 0.012


def test_ratios_do_not_depend_on_the_decoded_size(detector: FaceDetector, found: Detection, portrait: Image) -> None:
    """A picture decoded at half its size gives the same box in ratios."""
    (smaller,) = detector.detect(Image(portrait.pixels[::2, ::2], portrait.width_px, portrait.height_px))
    assert smaller.box.overlap(found.box) > 0.8


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


def test_same_picture_gives_the_same_faces(detector: FaceDetector, portrait: Image, found: Detection) -> None:
    """Determinism: a second run is bit for bit the first."""
    (again,) = detector.detect(portrait)
    assert (again.box, again.confidence) == (found.box, found.confidence)
    assert np.array_equal(again.landmarks, found.landmarks)


def test_same_face_gives_the_same_numbers(engine: FaceEngine, portrait: Image, face: Detection) -> None:
    """Determinism, likewise."""
    assert np.array_equal(engine.embed(portrait, [face]), engine.embed(portrait, [face]))


def test_every_detector_serves_every_embedder(
    detector: FaceDetector, engine: FaceEngine, portrait: Image, found: Detection, face: Detection
) -> None:
    """What joins them are five landmarks: where each detector sees them, the embedder recognises the face."""
    joined = ComposedEngine(detector, engine, threads=1)
    assert joined.model == engine.model
    mine, other = joined.embed(portrait, [found])[0], engine.embed(portrait, [face])[0]
    assert engine.model.similarity(float(mine @ other)) > 80


def test_many_threads_find_what_one_finds(detector: FaceDetector, portrait: Image, mirrored: Image) -> None:
    """Worker threads share a detector: different pictures at once do not mix."""
    pictures = [portrait, mirrored, turned(portrait)]
    alone = [detector.detect(image)[0].landmarks for image in pictures]
    with ThreadPoolExecutor(6) as workers:
        together = list(workers.map(detector.detect, pictures * 2))
    assert all(np.array_equal(answer[0].landmarks, alone[place % 3]) for place, answer in enumerate(together))


def test_many_threads_embed_as_one_does(engine: FaceEngine, portrait: Image, mirrored: Image) -> None:
    """Worker threads share an embedder: different faces at once do not mix."""
    pictures = [(image, engine.detect(image)) for image in (portrait, mirrored, turned(portrait))]

    def embed(picture: tuple[Image, list[Detection]]) -> NDArray[np.float32]:
        return engine.embed(*picture)

    alone = list(map(embed, pictures))
    with ThreadPoolExecutor(6) as workers:
        together = list(workers.map(embed, pictures * 4))
    assert all(np.array_equal(answer, alone[place % 3]) for place, answer in enumerate(together))


@pytest.mark.parametrize("shape", [(80, 80), (80, 1500), (1500, 80), (24, 32), (5, 5)])
def test_picture_of_nothing_has_no_face(detector: FaceDetector, shape: tuple[int, int]) -> None:
    """Grey pictures of any proportion have no faces and break nothing."""
    assert detector.detect(Image(np.full((*shape, 3), 127, np.uint8), shape[1], shape[0])) == []
