"""Private files and folders: only their owner may read them, from the first byte on, and they appear as a whole.

Whatever is made of faces is written this way: exports, backups, journals, reports. The modes are given when a file or
folder is made, so that no umask widens them and there is no moment before a chmod.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

_NAME_BYTES_MAX: Final = 255
"""Of a file's name. Source: NAME_MAX of Linux's file systems and macOS's."""

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


def make_folder(path: Path) -> None:
    """Makes a private folder, and those above it that are missing. One that is there keeps its mode.

    Raises:
        OSError: it cannot be made, or is a file.
    """
    try:
        path.mkdir(FOLDER_MODE, exist_ok=True)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(FOLDER_MODE, exist_ok=True)


def private(path: str, flags: int) -> int:
    """Opens a file that, if it is made here, is private: an ``opener`` for ``open``."""
    return os.open(path, flags, FILE_MODE)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Yields a private file that appears under its name when it is complete and on the disk, otherwise not at all.

    Until then it has a hidden name beside it. What a killed process has left there is overwritten by the next one.

    Raises:
        FileExistsError: another process is writing the same file.
        OSError: it cannot be written.
    """
    unfinished = _unfinished(path)
    with _taken(unfinished) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            move(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def move(path: Path, target: Path) -> None:
    """Renames a file or folder, and returns when the new name is on the disk."""
    path.rename(target)
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _unfinished(path: Path) -> Path:
    name = f".{path.name}.unfinished"
    if len(os.fsencode(name)) > _NAME_BYTES_MAX:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()}.unfinished"
    return path.with_name(name)


def _taken(path: Path) -> IO[bytes]:
    """Opens an empty file that no other process writes, also if one that was killed has left it here."""
    with ExitStack() as unless_it_is_ours:
        file = os.fdopen(private(os.fspath(path), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW), "wb")
        unless_it_is_ours.enter_context(file)
        if not lock(file, path):
            raise FileExistsError(f"{path} is being written by another process.")
        file.truncate(0)
        os.fchmod(file.fileno(), FILE_MODE)  # an earlier version of this program may have made it
        unless_it_is_ours.pop_all()
        return file


def lock(file: IO[Any], path: Path) -> bool:
    """Says whether an open file is now this process's alone, and still the one of this name.

    On a file system without locks, as some network shares are, everybody is taken to be alone.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    with suppress(FileNotFoundError):  # another has just finished it and renamed it
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    return False
