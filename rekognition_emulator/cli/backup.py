"""``backup``, ``restore`` and ``verify``; what they do is in ``store``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database
from rekognition_emulator.cli.progress import copying, counting
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.cli.transfer import service_check
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.archive import open_archive
from rekognition_emulator.storage.backup import Progress, back_up, restore, verify_backup
from rekognition_emulator.storage.integrity import check_collections, check_tables


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
    faults = 0
    collections = faces = 0
    with open_database(read_settings()) as pool, counting() as bars:
        task = bars.add_task("collections", total=None)
        for checked in check_collections(pool):
            collections += 1
            faces += checked.face_count
            bars.advance(task)
            for fault in checked.faults:
                faults += 1
                typer.echo(f"The collection {checked.name} in {checked.region} {fault}.")
        for fault in check_tables(pool):
            faults += 1
            typer.echo(fault)
    typer.echo(f"{counted(collections, 'collection')} with {counted(faces, 'face')}: {faults or 'nothing'} wrong.")
    sys.exit(1 if faults else 0)


def _verify_export(file: Path) -> None:
    with open_archive(file, service_check()) as (described, parts), counting() as bars:
        task = bars.add_task(described.name, total=described.face_count + described.user_count)
        for part in parts:
            bars.advance(task, len(part.users) + len(part.faces))
    typer.echo(f"{file} is as it was written: {described.name} with {counted(described.face_count, 'face')}.")


def _embedded(instead: str) -> Settings:
    settings = read_settings()
    if settings.database_url:
        sys.exit(f"REKOGNITION_DATABASE_URL names a PostgreSQL of your own: use {instead} there.")
    return settings


@contextmanager
def _bytes(what: str) -> Iterator[Progress]:
    with copying() as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
