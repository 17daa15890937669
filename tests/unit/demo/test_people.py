import sys
from collections.abc import Iterator

import numpy as np
import pytest

from rekognition_emulator.demo import people
from rekognition_emulator.demo.people import PEOPLE, AlbumPicture, View, album, person, render, selfie

pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")


@pytest.fixture
def nobody_made_up() -> Iterator[None]:
    """Forgets the portrait and who was made of it, before and after the test."""
    for remembered in (people._portrait, people.person):
        remembered.cache_clear()
    yield
    for remembered in (people._portrait, people.person):
        remembered.cache_clear()


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


@pytest.mark.usefixtures("nobody_made_up")
def test_without_the_portrait_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named, as a person who tries the demo does not know which library carries a portrait."""
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ImportError, match=r"rekognition-emulator\[demo\]"):
        selfie(PEOPLE[0])
