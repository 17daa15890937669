import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import botocore_models
from rekognition_emulator.cli.journal import Journal, Outcome, Sending
from rekognition_emulator.cli.pictures import EXTERNAL_IMAGE_ID_MAX, Exclusions, Folder, Picture, external_image_id
from rekognition_emulator.cli.report import write_report

SHAPE = botocore_models.load().shape_for("ExternalImageId")
ALBUM = {"album": "/album", "arn": "arn", "created": "then"}


PAGE = (Path(__file__).parents[3] / "docs" / "getting-started" / "first-album.md").read_text()


def path_of(name: str) -> bytes:
    """Reads an ExternalImageId back, by the function that the documentation gives."""
    (code,) = re.findall(r"^```python\n(import re\n+def path_of.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    documented: dict[str, Any] = {}
    exec(code, documented)  # as its readers do
    return os.fsencode(documented["path_of"](name))


def test_every_column_of_the_report_is_documented(tmp_path: Path) -> None:
    """Each, and no other."""
    write_report(tmp_path / "report.csv", [])
    columns = (tmp_path / "report.csv").read_text().strip().split(",")
    table = PAGE.partition("## Columns of the report")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(columns)


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


def outcome(path: str, **more: Any) -> Outcome:
    """An indexed picture."""
    return Outcome(path, path, 7, "then", "indexed", faces=2, unindexed={"LOW_SHARPNESS": 1}, **more)


def picture(path: str, stamp: str = "then") -> Picture:
    """What lists say of it."""
    return Picture(path, path, 7, stamp)


def entered(path: Path, **wishes: object) -> Journal:
    """A journal of this album."""
    return Journal(path, ALBUM, {"max_faces": None, **wishes})


def test_a_journal_remembers_what_is_indexed(tmp_path: Path) -> None:
    """A picture is known by its path, size and time, or else by its content."""
    with entered(tmp_path / "journal") as journal:
        journal.add(outcome("a.jpg", sha256="5e", face_ids=("1", "2"), stale=("0",)))
        assert journal.find(picture("a.jpg")) is None  # of this run nobody asks again
    with entered(tmp_path / "journal") as journal:
        assert journal.find(picture("a.jpg")) == outcome("a.jpg", sha256="5e", face_ids=("1", "2"), stale=("0",))
        assert journal.find(picture("a.jpg", "now")) is None
        assert journal.find_content(outcome("a.jpg", sha256="5e"))
        assert journal.find_content(outcome("a.jpg", sha256="5f")) is None
        assert journal.find(picture("b.jpg")) is None
        assert journal.paths == {"a.jpg"}
        journal.forget("a.jpg")
    with entered(tmp_path / "journal") as journal:
        assert journal.paths == set()


def test_what_was_sent_and_not_answered_is_remembered(tmp_path: Path) -> None:
    """Until an outcome comes, or it is known that nothing came of it; then nobody takes the old outcome for true."""
    with entered(tmp_path / "journal") as journal:
        journal.add(outcome("a.jpg"))
        journal.begin(outcome("a.jpg", sha256="5f"))
        journal.begin(outcome("b.jpg"))
        journal.settle("b.jpg")
        journal.begin(outcome("c.jpg"))
        journal.add(outcome("c.jpg"))
    for _ in range(2):
        with entered(tmp_path / "journal") as journal:
            assert journal.paths == {"a.jpg", "c.jpg"}
            sent = Sending("a.jpg", "5f", "then")
            assert [[*journal.interrupted(name)] for name in ("a.jpg", "b.jpg", "c.jpg")] == [[sent], [], []]
            assert journal.find(picture("a.jpg")) is None
            assert journal.known("a.jpg") == outcome("a.jpg")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_line_that_was_cut_off_is_forgotten(kept: float, tmp_path: Path) -> None:
    """A process that ends in the middle of a line costs that line, and the next one is whole."""
    with entered(tmp_path / "journal") as journal:
        journal.add(outcome("a.jpg"))
        whole = (tmp_path / "journal").stat().st_size
        journal.add(outcome("b.jpg"))
    size = (tmp_path / "journal").stat().st_size
    os.truncate(tmp_path / "journal", whole + int(kept * (size - whole)))
    with entered(tmp_path / "journal") as journal:
        assert journal.find(picture("a.jpg"))
        assert not journal.find(picture("b.jpg"))
        journal.add(outcome("b.jpg"))
    with entered(tmp_path / "journal") as journal:
        assert journal.find(picture("b.jpg"))


def test_a_journal_of_version_1_is_read(tmp_path: Path) -> None:
    """It does not say which faces there are."""
    head = {"journal": 1, **ALBUM, "max_faces": None}
    line = {"path": "a.jpg", "external_image_id": "a.jpg", "size_bytes": 7, "stamp": "then", "status": "indexed"}
    line |= {"sha256": "5e", "faces": 2, "unindexed": {}, "error": None}
    (tmp_path / "journal").write_text(f"{json.dumps(head)}\n{json.dumps(line)}\n")
    for _ in range(2):
        with entered(tmp_path / "journal") as journal:
            known = journal.find(picture("a.jpg"))
            assert known
            assert (known.faces, known.face_ids) == (2, None)


def test_other_wishes_send_again_and_forget_no_face(tmp_path: Path) -> None:
    """A journal of an earlier collection of the same name says nothing."""
    with entered(tmp_path / "journal") as journal:
        journal.add(outcome("a.jpg", face_ids=("1",)))
    for _ in range(2):
        with entered(tmp_path / "journal", max_faces=1) as journal:
            assert not journal.find(picture("a.jpg"))
            known = journal.known("a.jpg")
            assert known
            assert known.face_ids == ("1",)
    with Journal(tmp_path / "journal", {**ALBUM, "created": "later"}, {"max_faces": 1}) as journal:
        assert journal.paths == set()


def test_a_journal_belongs_to_one_album_and_one_run(tmp_path: Path) -> None:
    """Of another album every picture would seem to have vanished; of another run no line would be seen."""
    with entered(tmp_path / "journal") as journal:
        journal.add(outcome("a.jpg"))
        with pytest.raises(FileExistsError, match="in use"), entered(tmp_path / "journal"):
            pass
    other = Journal(tmp_path / "journal", {**ALBUM, "album": "/other"}, {"max_faces": None})
    with pytest.raises(FileExistsError, match="is the journal of /album in arn; --journal names another"), other:
        pass
    with entered(tmp_path / "journal") as journal:
        assert journal.find(picture("a.jpg"))


def test_a_file_that_is_no_journal_is_not_overwritten(tmp_path: Path) -> None:
    """A slip of the pen costs nobody a picture."""
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff a picture")
    with pytest.raises(FileExistsError, match="is no journal"), entered(tmp_path / "a.jpg"):
        pass
    assert (tmp_path / "a.jpg").read_bytes() == b"\xff\xd8\xff a picture"


def test_a_journal_that_cannot_be_written_names_the_option(tmp_path: Path) -> None:
    """As beside a folder that may only be read."""
    with (
        pytest.raises(OSError, match=r"journal cannot be written: .*; --journal names another place"),
        entered(tmp_path / "no" / "journal"),
    ):
        pass


def test_journals_and_reports_are_private_whatever_the_umask(tmp_path: Path) -> None:
    """They say whose pictures there are, and under which ids their faces are."""
    before = os.umask(0)
    try:
        with entered(tmp_path / "journal") as journal:
            journal.add(outcome("a.jpg"))
        write_report(tmp_path / "report.csv", [outcome("a.jpg")])
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["report.csv", "report.jsonl"])
def test_a_name_that_is_not_utf_8_is_reported(name: str, tmp_path: Path) -> None:
    """In a file that any program reads, which is UTF-8."""
    write_report(tmp_path / name, [outcome(os.fsdecode(b"latin1_\xe9t\xe9.jpg"), error=os.fsdecode(b"\xe9"))])
    text = (tmp_path / name).read_text("utf-8").replace("\\\\", "\\")
    assert r"latin1_\xe9t\xe9.jpg" in text


def test_what_systems_put_beside_pictures_is_left_out(tmp_path: Path) -> None:
    """And what the caller names: by name anywhere, or by path below the album."""
    kept = ["a.jpg", "day 1/b.jpg", "raw/c.jpg", "day 2/raw/d.jpg", "day 2/selected.jpg"]
    ours = [
        "@eaDir/a.jpg",
        "day 1/@eaDir/b.jpg/SYNOPHOTO.jpg",
        "#recycle/c.jpg",
        ".thumbnails/d.jpg",
        "__MACOSX/._a.jpg",
    ]
    for path in kept + ours:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    def listed(*globs: str) -> set[str]:
        return {picture.path for picture in Folder(tmp_path, Exclusions(globs)).list_pictures()}

    assert listed() == set(kept)
    assert listed("raw") == set(kept) - {"raw/c.jpg", "day 2/raw/d.jpg"}
    assert listed("/raw") == set(kept) - {"raw/c.jpg"}
    assert listed("day 2/*") == set(kept) - {"day 2/raw/d.jpg", "day 2/selected.jpg"}
    assert listed("sel*.jpg", "a.*") == set(kept) - {"a.jpg", "day 2/selected.jpg"}


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pictures would seem to have vanished, and their faces would be removed."""
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        list(Folder(tmp_path).list_pictures())
