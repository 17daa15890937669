import io
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from rekognition_emulator.demo.people import PEOPLE, View, album, selfie
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.pipeline import analyse
from rekognition_emulator.inference.selection import ModelFiles, load_engine
from rekognition_emulator.models.catalogue import RETAIL_0095, YUNET
from tests.support.networks import embedded_engine

pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")

_VIEWS = [
    View(),
    View(roll=12, light=0.7),
    View(side_px=220, roll=-12, blur=0.004),
    View(side_px=240, roll=15, blur=0.006, light=1.15),  # as far as albums go
]


@pytest.fixture(scope="module", params=["embedded", "recommended"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, weights: Callable[[str], Path]
) -> FaceEngine:
    """The engines that the people were chosen with."""
    cache_dir = tmp_path_factory.mktemp("networks")
    if request.param == "embedded":
        return embedded_engine(cache_dir, threads=2)
    folder, *_ = [weights(file).parent for model in (YUNET, RETAIL_0095) for file in model.files]
    return load_engine(RETAIL_0095.name, YUNET.name, ModelFiles(cache_dir, folder, folder, threads=2))


def _embed(engine: FaceEngine, picture: bytes) -> NDArray[np.float32]:
    image = decode(picture)
    (portrait,) = analyse(engine, image)
    (embedding,) = engine.embed(image, [portrait.detection])
    return np.asarray(embedding)


def test_roll_tilts_clockwise(engine: FaceEngine) -> None:
    """As the angle of the same name does in an answer."""
    rolls = []
    for roll in (-12, 12):
        (portrait,) = analyse(engine, decode(selfie(PEOPLE[0], View(roll=roll))))
        rolls.append(portrait.pose.roll)
    assert rolls[1] - rolls[0] == pytest.approx(24, abs=5)


def test_people_differ_and_stay_themselves(engine: FaceEngine) -> None:
    """With either engine nobody is taken for another at a similarity of 80, and everybody is recognised at it."""
    embeddings = np.array([[_embed(engine, selfie(seed, view)) for view in _VIEWS] for seed in PEOPLE])
    for mine in embeddings:
        assert engine.model.similarity(float((mine @ mine.T).min())) > 95
    for mine, others in itertools.combinations(embeddings, 2):
        assert engine.model.similarity(float((mine @ others.T).max())) < 80


def test_the_truth_of_an_album_is_true(engine: FaceEngine) -> None:
    """Every face that is said to be there is found there, looks like who it is said to be, and no other is found."""
    known = {seed: _embed(engine, selfie(seed)) for seed in PEOPLE}
    for picture in album(4, 5):
        image = decode(picture.jpeg)
        assert (image.width_px, image.height_px) == PIL.Image.open(io.BytesIO(picture.jpeg)).size
        detections = engine.detect(image)
        assert len(detections) == len(picture.appearances)
        embeddings = engine.embed(image, detections)
        for appearance in picture.appearances:
            found = max(range(len(detections)), key=lambda place: detections[place].box.overlap(appearance.box))
            assert detections[found].box.overlap(appearance.box) > 0.4
            assert max(known, key=lambda seed: float(known[seed] @ embeddings[found])) == appearance.seed


def test_the_large_library_is_loaded_only_to_make_people_up() -> None:
    """Importing the module costs nothing that the server would feel."""
    check = "import sys, rekognition_emulator.demo.people; sys.exit('skimage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False, cwd=Path(__file__).parents[3]).returncode == 0
