from pathlib import Path

import pytest

from rekognition_emulator.cli import calibration, evaluation, retrieval, train_attributes, unlabelled
from tests.support.colours import ColourEngine, picture_of


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
