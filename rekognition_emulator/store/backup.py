"""The embedded database as a whole, into a folder and back: changes when a backup is made or read in another way.

A backup is a folder as ``pg_basebackup`` writes it: all files as they are, with the log of what was written meanwhile
and a manifest of SHA-256 checksums. ``pg_dump`` was refused: it would have every vector written and parsed as text and
every index built anew, a matter of hours where copying takes minutes.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from rekognition_emulator.store.database import open_pool
from rekognition_emulator.store.embedded import closed_database, embedded_database, hand_over, program
from rekognition_emulator.store.files import move

Progress = Callable[[int, int], None]
"""(bytes that are done, bytes that there are about) → None."""

_LOOK_S: Final = 0.2
"""Between two looks at how far a backup is."""


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
    target.parent.mkdir(parents=True, exist_ok=True)
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

    That is what ``pg_verifybackup`` does, which crashes in the package that our PostgreSQL comes from.

    Raises:
        BackupUnusable: it is none, or something of it is missing or changed.
    """
    manifest = _read_manifest(backup)
    files = {entry["Path"]: entry for entry in manifest["Files"]}
    total, read = sum(entry["Size"] for entry in files.values()), 0
    for name, entry in files.items():
        file = backup / name
        if not file.is_file():
            raise BackupUnusable(f"{backup} is damaged: {name} is missing.")
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != entry["Checksum"]:
                raise BackupUnusable(f"{backup} is damaged: {name} is not what was written.")
        read += entry["Size"]
        progress(read, total)
    for part in manifest["WAL-Ranges"]:
        span = ["--timeline", str(part["Timeline"]), "--start", part["Start-LSN"], "--end", part["End-LSN"]]
        command = [program("pg_waldump"), "--quiet", "--path", backup / "pg_wal", *span]
        if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603 - our own program
            raise BackupUnusable(f"{backup} is damaged: its write-ahead log in pg_wal does not reach to its end.")


def _read_manifest(backup: Path) -> Any:  # noqa: ANN401 - JSON
    file = backup / "backup_manifest"
    if not file.is_file():
        raise BackupUnusable(f"{backup} is no backup: it has no {file.name}.")
    # Source: PostgreSQL, "Backup Manifest Format": the last line has the SHA-256 of all lines before it.
    content, _, last = file.read_bytes().rstrip(b"\n").rpartition(b"\n")
    if hashlib.sha256(content + b"\n").hexdigest().encode() not in last:
        raise BackupUnusable(f"{backup} is damaged: its manifest is not what was written.")
    return json.loads(content + b"\n" + last)


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
        _copy(backup, arriving / data.name, progress)
        hand_over(arriving / data.name)
        with embedded_database(arriving) as url:
            open_pool(url, connections_max=1).close()
        aside = data.with_name(f"{data.name}.{datetime.now(UTC):%Y%m%dT%H%M%S}") if held else None
        if aside:
            move(data, aside)
        move(arriving / data.name, data)
        _clear(arriving)
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
    total = sum(path.stat().st_size for path in backup.rglob("*") if path.is_file())
    copied = 0

    def copy(source: str, destination: str) -> None:
        nonlocal copied
        shutil.copyfile(source, destination)
        copied += Path(destination).stat().st_size
        progress(copied, total)

    shutil.copytree(backup, target, copy_function=copy)
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
