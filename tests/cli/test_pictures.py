import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import botocore_models
from rekognition_emulator.cli.journal import Journal, Outcome
from rekognition_emulator.cli.pictures import EXTERNAL_IMAGE_ID_MAX, Folder, Picture, external_image_id

SHAPE = botocore_models.load().shape_for("ExternalImageId")
WISHES = {"collection": "album", "max_faces": None}


def path_of(name: str) -> bytes:
    """Reads an ExternalImageId back, as the docstring of its maker says."""

    def decoded(found: re.Match[str]) -> str:
        return bytes.fromhex(found[1]).decode("latin-1") if found[1] else "/"

    return re.sub(r"::((?:[0-9A-F]{2})+):|:", decoded, name).encode("latin-1")


@given(st.text(st.sampled_from("aB7_.-/: ZoëÜ☃写AF0\x00%"), min_size=1, max_size=12) | st.text(min_size=1, max_size=12))
@example("day 1/IMG_7.jpg")
@example("a//b/:c:/::41:")
@settings(deadline=None)
def test_no_two_paths_have_the_same_name(path: str) -> None:
    """Any path can be read back from its ExternalImageId, which has only characters that it may have."""
    encodable = os.fsdecode(path.encode("utf-8", "replace"))
    name = external_image_id(encodable)
    assert path_of(name) == os.fsencode(encodable)
    assert re.fullmatch(SHAPE.metadata["pattern"], name)


def test_names_stay_readable() -> None:
    """Most paths look as people write them, and the limit is the service's own."""
    assert external_image_id("IMG_0001.jpg") == "IMG_0001.jpg"
    assert external_image_id("church/DSC-7.JPG") == "church:DSC-7.JPG"
    assert external_image_id("day 1/Zoë.jpg") == "day::20:1:Zo::C3AB:.jpg"
    assert SHAPE.metadata["max"] == EXTERNAL_IMAGE_ID_MAX


def test_a_folder_lists_everything_but_what_is_hidden(tmp_path: Path) -> None:
    """In the order of paths, with what tells a changed picture from the same one; a name says what is a picture."""
    for name in ("b.JPG", "a/2.png", "a/1.jpeg", "notes.txt", ".DS_Store", ".trash/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "nowhere.jpg").symlink_to("missing")
    listed = list(Folder(tmp_path).list_pictures())
    assert sorted(picture.path for picture in listed) == ["a/1.jpeg", "a/2.png", "b.JPG", "notes.txt", "nowhere.jpg"]
    assert [picture.path for picture in listed if not picture.is_picture] == ["notes.txt"]
    before = {picture.path: picture for picture in listed}
    os.utime(tmp_path / "b.JPG", ns=(1, 1))
    after = {picture.path: picture for picture in Folder(tmp_path).list_pictures()}
    assert {path for path in before if before[path] != after[path]} == {"b.JPG"}


def outcome(path: str, **more: str) -> Outcome:
    """An indexed picture."""
    return Outcome(path, path, 7, "then", "indexed", faces=2, unindexed={"LOW_SHARPNESS": 1}, **more)


def picture(path: str, stamp: str = "then") -> Picture:
    """What lists say of it."""
    return Picture(path, path, 7, stamp)


def test_a_journal_remembers_what_is_indexed(tmp_path: Path) -> None:
    """A picture is known by its path, size and time, or else by its content."""
    with Journal(tmp_path / "journal", WISHES) as journal:
        journal.add(outcome("a.jpg", sha256="5e"))
        assert journal.find(picture("a.jpg")) is None  # of this run nobody asks again
    with Journal(tmp_path / "journal", WISHES) as journal:
        assert journal.find(picture("a.jpg")) == outcome("a.jpg", sha256="5e")
        assert journal.find(picture("a.jpg", "now")) is None
        assert journal.find_content(outcome("a.jpg", sha256="5e")) == outcome("a.jpg", sha256="5e")
        assert journal.find_content(outcome("a.jpg", sha256="5f")) is None
        assert journal.find(picture("b.jpg")) is None


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_line_that_was_cut_off_is_forgotten(kept: float, tmp_path: Path) -> None:
    """A process that ends in the middle of a line costs that line, and the next one is whole."""
    with Journal(tmp_path / "journal", WISHES) as journal:
        journal.add(outcome("a.jpg"))
        whole = (tmp_path / "journal").stat().st_size
        journal.add(outcome("b.jpg"))
    size = (tmp_path / "journal").stat().st_size
    os.truncate(tmp_path / "journal", whole + int(kept * (size - whole)))
    with Journal(tmp_path / "journal", WISHES) as journal:
        assert journal.find(picture("a.jpg"))
        assert not journal.find(picture("b.jpg"))
        journal.add(outcome("b.jpg"))
    with Journal(tmp_path / "journal", WISHES) as journal:
        assert journal.find(picture("b.jpg"))


def test_a_journal_of_something_else_says_nothing(tmp_path: Path) -> None:
    """Another collection of the same name, or other wishes: every picture is indexed again."""
    with Journal(tmp_path / "journal", WISHES) as journal:
        journal.add(outcome("a.jpg"))
    with Journal(tmp_path / "journal", {**WISHES, "max_faces": 1}) as journal:
        assert not journal.find(picture("a.jpg"))


def test_a_file_that_is_no_journal_is_not_overwritten(tmp_path: Path) -> None:
    """A slip of the pen costs nobody a picture."""
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff a picture")
    with pytest.raises(FileExistsError, match="is no journal"):
        Journal(tmp_path / "a.jpg", WISHES)
    assert (tmp_path / "a.jpg").read_bytes() == b"\xff\xd8\xff a picture"
