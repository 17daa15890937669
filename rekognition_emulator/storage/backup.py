"""The embedded database as a whole, into a folder and back.

A backup is a folder as ``pg_basebackup`` writes it: all files as they are, with the log of what was written meanwhile
and a manifest of SHA-256 checksums. ``pg_dump`` was refused: it would have every vector written and parsed as text and
every index built anew, a matter of hours where copying takes minutes.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn

import psycopg

from rekognition_emulator.storage.data_directory import hand_over, program
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.embedded_postgres import closed_database, embedded_database
from rekognition_emulator.storage.files import make_folder, move, private

Progress = Callable[[int, int], None]
"""(bytes that are done, bytes that there are about) → None."""

_LOOK_S: Final = 0.2
"""Between two looks at how far a backup is."""

_MANIFEST: Final = "backup_manifest"

_SEGMENT_BYTES: Final = 16 * 2**20
"""Of the write-ahead log's files. Source: initdb's default, which is ours."""

_LOCATION: Final = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})")
"""Of a byte in the write-ahead log: its upper and lower 32 bits."""


class BackupUnusable(Exception):
    """A backup cannot be written there, or is not what was written; the text says why."""


def back_up(directory: Path, target: Path, progress: Progress) -> None:
    """Copies the database under a directory, which may be in use, into a new folder: completely or not at all.

    Raises:
        BackupUnusable: the folder exists, or PostgreSQL does not manage.
        DatabaseUnsuitable: there is no database that can be opened.
        OSError: the folder cannot be written.
    """
    if target.exists():
        raise BackupUnusable(f"{target} exists already; nothing is overwritten.")
    if not (directory / "postgres").exists():
        raise BackupUnusable(f"{directory} holds no database.")
    make_folder(target.parent)
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with embedded_database(directory) as url:
            _copy_running(url, unfinished, progress)
        os.sync()  # once for all, where the thousand files one by one would take a minute
        move(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def verify_backup(backup: Path, progress: Progress) -> None:
    """Compares a backup with its manifest, file by file, and reads through the log that it needs to become consistent.

    That is what ``pg_verifybackup`` does, which crashes in the package that our PostgreSQL comes from; but here also a
    file of the log that the backup does not need is a file too many: PostgreSQL would replay it.

    Raises:
        BackupUnusable: it is none, or something of it is missing, changed or was added.
    """
    manifest = _read_manifest(backup)
    total, read = sum(size for size, _ in manifest.files.values()), 0
    for name, (size, checksum) in manifest.files.items():
        file = backup / name
        if file.is_symlink() or not file.is_file():
            raise BackupUnusable(f"{backup} is damaged: {name} is missing.")
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != checksum:
                raise BackupUnusable(f"{backup} is damaged: {name} is not what was written.")
        read += size
        progress(read, total)
    known = {_MANIFEST, *manifest.files, *(f"pg_wal/{name}" for part in manifest.log for name in part.segments())}
    for name in _files_of(backup):
        if name not in known:
            raise BackupUnusable(f"{backup} has a file that was not written with it: {name}.")
    for part in manifest.log:
        span = ["--timeline", str(part.timeline), "--start", part.start, "--end", part.end]
        command: list[str | Path] = [program("pg_waldump"), "--quiet", "--path", backup / "pg_wal", *span]
        if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603 - our own program
            raise BackupUnusable(f"{backup} is damaged: its write-ahead log in pg_wal does not reach to its end.")


def _files_of(backup: Path) -> Iterator[str]:
    """Yields whatever is in a folder and is no folder, by its path there; a link is not followed."""

    def refuse(error: OSError) -> NoReturn:
        raise error

    for folder, folders, files in os.walk(backup, onerror=refuse):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            yield (Path(folder) / name).relative_to(backup).as_posix()


@dataclass(frozen=True, slots=True)
class _LogPart:
    """A part of the write-ahead log that a backup needs, between two locations of one timeline."""

    timeline: int
    start: str
    end: str

    def segments(self) -> Iterator[str]:
        """Yields the names of the files that it lies in, and of the one where it would go on."""
        for number in range(_location(self.start) // _SEGMENT_BYTES, _location(self.end) // _SEGMENT_BYTES + 1):
            upper, lower = divmod(number, 2**32 // _SEGMENT_BYTES)
            yield f"{self.timeline:08X}{upper:08X}{lower:08X}"


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What a backup consists of: path → size in bytes and SHA-256, and what it needs of the write-ahead log."""

    files: Mapping[str, tuple[int, str]]
    log: Sequence[_LogPart]


def _location(text: str) -> int:
    found = _LOCATION.fullmatch(text)
    if not found:
        raise ValueError(text)
    return int(found[1], 16) << 32 | int(found[2], 16)


def _read_manifest(backup: Path) -> _Manifest:
    file = backup / _MANIFEST
    if not file.is_file():
        raise BackupUnusable(f"{backup} is no backup: it has no {file.name}.")
    # Source: PostgreSQL, "Backup Manifest Format": the last line has the SHA-256 of all lines before it.
    content, _, last = file.read_bytes().rstrip(b"\n").rpartition(b"\n")
    if hashlib.sha256(content + b"\n").hexdigest().encode() not in last:
        raise BackupUnusable(f"{backup} is damaged: its manifest is not what was written.")
    try:
        manifest: Any = json.loads(content + b"\n" + last)
        log = [
            _LogPart(int(part["Timeline"]), str(part["Start-LSN"]), str(part["End-LSN"]))
            for part in manifest["WAL-Ranges"]
        ]
        files = {str(entry["Path"]): (int(entry["Size"]), str(entry["Checksum"])) for entry in manifest["Files"]}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BackupUnusable(f"{backup} is no backup: its manifest is not one of PostgreSQL's.") from error
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BackupUnusable(f"{backup} is no backup: its manifest names a file outside.")
    return _Manifest(files, log)


def restore(backup: Path, directory: Path, *, replace: bool, progress: Progress) -> Path | None:
    """Puts a backup in the place of the database under a directory, once it has proven to start.

    Args:
        backup: a folder that ``back_up`` has written.
        directory: whose database nobody may have open.
        replace: whether a database that is there is set aside; it is never deleted.
        progress: told how far copying is.

    Returns:
        Where the earlier database is now; None if there was none.

    Raises:
        BackupUnusable: the backup is damaged, or there is a database and ``replace`` is not set.
        DatabaseUnsuitable: the database is in use, or the backup's does not start or is not ours.
        OSError: a file cannot be read or written.
    """
    with closed_database(directory) as data:
        held = data.exists()
        if held and not replace:
            raise BackupUnusable(f"{data.parent} holds a database; --force sets it aside.")
        verify_backup(backup, progress)
        arriving = data.with_name("restore.unfinished")
        _clear(arriving)
        try:
            make_folder(arriving)
            _copy(backup, arriving / data.name, progress)
            hand_over(arriving / data.name)
            with embedded_database(arriving) as url:
                open_pool(url, connections_max=1).close()
            aside = data.with_name(f"{data.name}.{datetime.now(UTC):%Y%m%dT%H%M%S}") if held else None
            if aside:
                move(data, aside)
            move(arriving / data.name, data)
        finally:
            _clear(arriving)  # a copy that does not fit on the disk as well
    return aside


def _copy_running(url: str, target: Path, progress: Progress) -> None:
    command: list[str | Path] = [program("pg_basebackup"), "--dbname", url, "--pgdata", target, "--no-password"]
    options = ["--checkpoint=fast", "--wal-method=stream", "--manifest-checksums=SHA256", "--no-sync"]
    with tempfile.TemporaryFile("w+") as said, psycopg.connect(url, autocommit=True) as connection:
        process = subprocess.Popen([*command, *options], stderr=said, env={**os.environ, "LC_ALL": "C"})  # noqa: S603 - our own program
        try:
            while process.poll() is None:
                query = "SELECT backup_streamed, backup_total FROM pg_stat_progress_basebackup"
                for streamed, total in connection.execute(query):
                    progress(streamed, total or streamed)
                time.sleep(_LOOK_S)
        finally:
            process.terminate()  # does nothing if it has ended
            process.wait()
        if process.returncode:
            said.seek(0)
            raise BackupUnusable(f"PostgreSQL does not write {target}: {_first_words(said.read())}.")


def _copy(backup: Path, target: Path, progress: Progress) -> None:
    """Copies a backup that was verified, in which there are no links, so that nobody else can read the copy."""
    total = sum(path.stat().st_size for path in backup.rglob("*") if path.is_file())
    copied = 0
    for folder, _, files in os.walk(backup):
        there = target / Path(folder).relative_to(backup)
        make_folder(there)
        for name in files:
            with (Path(folder) / name).open("rb") as read, open(there / name, "wb", opener=private) as written:
                shutil.copyfileobj(read, written)
                copied += written.tell()
            progress(copied, total)
    os.sync()


def _clear(arriving: Path) -> None:
    """Removes what an earlier attempt has left, after stopping its server."""
    if arriving.exists():
        with closed_database(arriving):
            shutil.rmtree(arriving)


def _first_words(said: str) -> str:
    """Returns the first complaint of a program, without the program's name."""
    line = said.strip().partition("\n")[0]
    return line.partition("error: ")[2] or line
