"""``backup``, ``restore`` and ``verify``: the database as a whole, into a folder and back, and whether it is sound."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from rekognition_emulator.admin.database import verify_database
from rekognition_emulator.admin.transfer import verify_file
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database
from rekognition_emulator.cli.progress import bar, copying, counting
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.progress import Progress
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.backup import back_up, restore, verify_backup


def back_up_database(target: Path) -> None:
    """Copies the embedded database into a new folder."""
    settings = _embedded("pg_dump, pg_basebackup or its continuous archiving")
    with data_errors_exit_with_message():
        with _bytes("backup") as progress:
            back_up(settings.data_dir, target, progress)
        typer.echo(f"{settings.data_dir} is backed up in {target}.")


def restore_database(backup: Path, *, replace: bool) -> None:
    """Puts a backup in the place of the embedded database."""
    settings = _embedded("what it was backed up with")
    with data_errors_exit_with_message():
        with _bytes("restore") as progress:
            aside = restore(backup, settings.data_dir, replace=replace, progress=progress)
        typer.echo(f"{settings.data_dir} holds what was backed up in {backup}.")
        if aside:
            typer.echo(f"What it held before is in {aside}; delete it once you need it no more.")


def verify(path: Path | None) -> None:
    """Checks an export, a backup, or without a path the database; exits with 1 if anything is wrong."""
    with data_errors_exit_with_message():
        if path is None:
            _verify_database()
        elif path.is_dir():
            with _bytes("verify") as progress:
                verify_backup(path, progress)
            typer.echo(f"{path} is as it was written.")
        else:
            _verify_export(path)


def _verify_database() -> None:
    with open_database(read_settings()) as pool, counting() as bars:
        verified = verify_database(pool, bar(bars, "collections"))
    for collection in verified.faulty:
        for fault in collection.faults:
            typer.echo(f"The collection {collection.name} in {collection.region} {fault}.")
    for fault in verified.table_faults:
        typer.echo(fault)
    collections, faces = counted(verified.collections, "collection"), counted(verified.faces, "face")
    typer.echo(f"{collections} with {faces}: {verified.fault_count or 'nothing'} wrong.")
    sys.exit(1 if verified.fault_count else 0)


def _verify_export(file: Path) -> None:
    with counting() as bars:
        described = verify_file(file, bar(bars, file.name))
    typer.echo(f"{file} is as it was written: {described.name} with {counted(described.face_count, 'face')}.")


def _embedded(instead: str) -> Settings:
    settings = read_settings()
    if settings.database_url:
        sys.exit(f"REKOGNITION_DATABASE_URL names a PostgreSQL of your own: use {instead} there.")
    return settings


@contextmanager
def _bytes(what: str) -> Iterator[Progress]:
    with copying() as bars:
        yield bar(bars, what)
