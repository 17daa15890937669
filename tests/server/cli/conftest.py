from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from rekognition_emulator.cli import calibration, evaluation, retrieval, train_attributes, unlabelled
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine

POINTS = np.array([(0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.42, 0.6), (0.58, 0.6)], np.float32)


def picture_of(person: int, take: int) -> PIL.Image.Image:
    """A picture in which ``ColourEngine`` sees that person; different takes differ a little."""
    picture = PIL.Image.effect_noise((160, 160), 60).convert("RGB")  # sharp enough for the quality filter
    picture.paste((person >> 8, person & 255, take), (0, 0, 8, 8))
    return picture if person else PIL.Image.new("RGB", picture.size)


class ColourEngine(FaceEngine):
    """Knows people by the red and green of a picture's corner, to the last shade; a black picture shows nobody."""

    @property
    def model(self) -> FaceModel:
        """A model that is calibrated to its own embeddings."""
        curve = ((-1, 0), (0.3, 40), (0.4, 60), (0.5, 80), (0.55, 90), (0.6, 99), (1, 100))
        return FaceModel("colours", "1.2", 64, "ours", curve)

    def detect(self, image: Image) -> list[Detection]:
        """One face in the middle."""
        return [Detection(BoundingBox(0.2, 0.2, 0.6, 0.6), POINTS, 99.9)] if image.pixels.any() else []

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        """A direction per person, and a little noise per take."""
        red, green, blue = (int(shade) for shade in image.pixels[0, 0])
        direction = np.random.default_rng((red, green)).normal(size=64)
        direction += 0.4 * np.random.default_rng((red, green, blue)).normal(size=64)
        unit = direction / np.linalg.norm(direction)
        return np.tile(unit.astype(np.float32), (len(detections), 1))


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands work with ``ColourEngine``."""
    monkeypatch.setattr(evaluation, "load_face_engine", lambda _settings: ColourEngine())
    monkeypatch.setattr(retrieval, "load_face_engine", lambda _settings: ColourEngine())
    monkeypatch.setattr(train_attributes, "load_face_engine", lambda _settings: ColourEngine())
    monkeypatch.setattr(unlabelled, "load_face_engine_to_measure", lambda _settings: ColourEngine())
    monkeypatch.setattr(calibration, "load_face_engine_to_measure", lambda _settings: ColourEngine())


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two takes of each of 25 people, and a picture of nobody."""
    directory = tmp_path_factory.mktemp("colours")
    for person in range(1, 26):
        folder = directory / f"person-{person:02}"
        folder.mkdir()
        for take in (1, 2):
            picture_of(person, take).save(folder / f"{folder.name}_{take:04}.png")
    picture_of(0, 0).save(directory / "person-01" / "nobody.png")
    return directory


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV album of one picture of each of 448 people: just enough for a curve."""
    directory = tmp_path_factory.mktemp("crowd")
    for person in range(1, 449):
        picture_of(person, 0).save(directory / f"{person}.png")
    (directory / "album.csv").write_text("file,person\n" + "".join(f"{one}.png,{one}\n" for one in range(1, 449)))
    return directory / "album.csv"


@pytest.fixture(scope="session")
def selfies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third take of each of five people who are in the album, and one of somebody who is not."""
    directory = tmp_path_factory.mktemp("selfies")
    for person in (1, 2, 3, 4, 5, 99):
        (directory / f"person-{person:02}").mkdir()
        picture_of(person, 3).save(directory / f"person-{person:02}" / "selfie.png")
    return directory
