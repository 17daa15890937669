import errno
import fcntl
import multiprocessing
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rekognition_emulator.storage.files import make_folder, whole_file


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    """Nothing but the code itself keeps others out."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Who may do what."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    """Under its hidden name as well, also where something with another mode lies there from an earlier program."""
    (tmp_path / ".a.unfinished").write_bytes(b"left behind, and longer")
    (tmp_path / ".a.unfinished").chmod(0o666)
    with whole_file(tmp_path / "a") as file:
        assert mode(tmp_path / ".a.unfinished") == 0o600
        file.write(b"content")
        assert not (tmp_path / "a").exists()
    assert mode(tmp_path / "a") == 0o600
    assert (tmp_path / "a").read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """Nothing half written, whatever ends it."""
    (tmp_path / "a").write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as file:
        file.write(bytes(1 // (file.write(b"half") - 4)))
    assert (tmp_path / "a").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_two_do_not_write_one_file(tmp_path: Path) -> None:
    """The second is told, and the first one's file is whole."""
    with whole_file(tmp_path / "a") as file:
        with pytest.raises(FileExistsError, match="another process"), whole_file(tmp_path / "a"):
            pass
        file.write(b"first")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_a_link_that_somebody_laid_is_not_followed(tmp_path: Path) -> None:
    """Under the hidden name, into a file of somebody else's."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / ".a.unfinished").symlink_to("theirs")
    with pytest.raises(OSError, match="symbolic links"), whole_file(tmp_path / "a"):
        pass
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def _write_and_die(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), 9)


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    """And no copy of it stays."""
    context = multiprocessing.get_context("spawn")

    process = context.Process(target=_write_and_die, args=(tmp_path / "a",))
    process.start()
    process.join(60)
    assert (tmp_path / ".a.unfinished").exists()
    with whole_file(tmp_path / "a") as file:
        file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_any_name_that_a_file_can_have(tmp_path: Path) -> None:
    """The hidden name is no longer than names may be."""
    for name in ("n" * 255, "ü" * 127, os.fsdecode(b"\xe9t\xe9")):
        with whole_file(tmp_path / name) as file:
            file.write(b"content")
        assert (tmp_path / name).read_bytes() == b"content"


def test_folders_are_private_and_others_stay_as_they_are(tmp_path: Path) -> None:
    """Those that are made, also on the way; not the one that was there."""
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / path) for path in (".", "a", "a/b", "a/b/c")] == [0o755, 0o700, 0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "d")


def test_a_file_system_without_locks_is_written_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network share is where exports and journals often go."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with whole_file(tmp_path / "a") as file:
        file.write(b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
