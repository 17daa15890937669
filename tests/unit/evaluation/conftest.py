from pathlib import Path

import pytest

from rekognition_emulator.demo.people import PEOPLE, View, selfie
from rekognition_emulator.inference.engine import FaceEngine
from tests.support.networks import embedded_engine

VIEWS = (View(), View(roll=10, light=0.8), View(side_px=220, blur=0.003))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> FaceEngine:
    """The engine that runs anywhere."""
    return embedded_engine(tmp_path_factory.mktemp("networks"), threads=1)


@pytest.fixture(scope="session")
def album_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people who do not exist, in three views each, a folder per person."""
    pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")
    directory = tmp_path_factory.mktemp("album")
    for seed in PEOPLE[:6]:
        folder = directory / f"person-{seed}"
        folder.mkdir()
        for number, view in enumerate(VIEWS):
            (folder / f"{number}.jpg").write_bytes(selfie(seed, view))
    return directory
