import io
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from rekognition_emulator.demo import people
from rekognition_emulator.demo.people import PEOPLE, AlbumPicture, View, album, person, render, selfie
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


@pytest.fixture
def nobody_made_up() -> Iterator[None]:
    """Forgets the portrait and who was made of it, before and after the test."""
    for remembered in (people._portrait, people.person):
        remembered.cache_clear()
    yield
    for remembered in (people._portrait, people.person):
        remembered.cache_clear()


def _embed(engine: FaceEngine, picture: bytes) -> NDArray[np.float32]:
    image = decode(picture)
    (portrait,) = analyse(engine, image)
    (embedding,) = engine.embed(image, [portrait.detection])
    return np.asarray(embedding)


def test_a_person_looks_the_same_every_time() -> None:
    """A seed is all it takes, on every machine and in every process."""
    assert selfie(PEOPLE[0]) == selfie(PEOPLE[0])
    assert selfie(PEOPLE[0]) != selfie(PEOPLE[1])


def test_a_head_is_opaque_within_and_transparent_without() -> None:
    """It can be pasted on anything."""
    head = render(person(PEOPLE[0]), View(side_px=150))
    assert head.shape == (150, 150, 4)
    assert head.dtype == np.uint8
    assert head[75, 75, 3] == 255
    assert head[0, 0, 3] == head[-1, -1, 3] == 0


def test_light_and_blur_change_what_is_seen() -> None:
    """Half the light, half the brightness; a blurred face has less detail."""
    plain, dark, blurred = (
        render(person(PEOPLE[0]), view)[60:240, 60:240, :3].astype(float)
        for view in (View(), View(light=0.5), View(blur=0.02))
    )
    assert dark.mean() == pytest.approx(plain.mean() / 2, rel=0.02)
    assert np.abs(np.diff(blurred, axis=0)).mean() < np.abs(np.diff(plain, axis=0)).mean() / 2


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


def _shown(picture: AlbumPicture) -> list[int]:
    return [appearance.seed for appearance in picture.appearances]


def test_an_album_is_made_of_its_seed() -> None:
    """The same seed makes the same album, another seed another one."""
    assert list(album(1, 2)) == list(album(1, 2))
    assert [picture.jpeg for picture in album(1, 2)] != [picture.jpeg for picture in album(2, 2)]


def test_an_album_shows_one_to_five_different_people() -> None:
    """Nobody is twice in a picture, and only those who were asked for appear."""
    few = PEOPLE[:5]
    groups = [_shown(picture) for picture in album(3, 12, few)]
    assert {len(group) for group in groups} == {1, 2, 3, 4, 5}
    assert all(len(set(group)) == len(group) and set(group) <= set(few) for group in groups)
    assert [_shown(picture) for picture in album(3, 2, few[:1])] == [[few[0]]] * 2


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


@pytest.mark.usefixtures("nobody_made_up")
def test_without_the_portrait_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named, as a person who tries the demo does not know which library carries a portrait."""
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ImportError, match=r"rekognition-emulator\[demo\]"):
        selfie(PEOPLE[0])
