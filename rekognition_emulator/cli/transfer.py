"""``export`` and ``import``: collections into files of their own, and back."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from rekognition_emulator.admin.transfer import archive_file, export_to_file, import_from_file
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.cli.wording import counted, in_words
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.storage.archive import ArchiveUnusable
from rekognition_emulator.storage.archive_lines import Described
from rekognition_emulator.storage.transfer import list_names


def export_collections(names: Sequence[str], target: Path, region: str | None) -> None:
    """Writes collections into private files of their own; exits with 1 if one of them could not be written.

    Args:
        names: the collections'; none means all of them.
        target: a folder, for files ``REGION/NAME.jsonl.gz``, or for one collection the file itself.
        region: the collections'; by default that of the settings, or all regions if all collections are wanted.
    """
    settings = read_settings()
    actor = operator("export", settings.account_id)
    left_out = 0
    with data_errors_exit_with_message(), open_database(settings) as pool, counting() as bars:
        wanted = [(region or settings.region, name) for name in names] or [
            listed for listed in list_names(pool, settings.account_id) if region in {None, listed[0]}
        ]
        if target.name.endswith(".gz") and len(wanted) != 1:
            sys.exit(f"{target} is a file, and a file holds one collection; name a folder.")
        for where, name in wanted:
            file = target if target.name.endswith(".gz") else archive_file(target, where, name)
            owner = Owner(settings.account_id, where)
            try:
                described = export_to_file(pool, actor, owner, name, file, progress=bar(bars, name))
            except CollectionNotFound:
                typer.echo(f"There is no collection {name} in {where}.", err=True)
                left_out += 1
            except (ArchiveUnusable, OSError) as error:
                typer.echo(f"{name} in {where} is not exported: {in_words(error)}", err=True)
                left_out += 1
            else:
                typer.echo(f"{name} in {where} → {file}: {_counted(described)}")
    if left_out:
        sys.exit(f"{left_out:,} of {len(wanted):,} collections are not exported.")


def import_collections(files: Sequence[Path], name: str | None, region: str | None) -> None:
    """Makes a collection of each file.

    Args:
        files: that ``export_collections`` has written.
        name: the collection's, for one file; by default the one that was exported.
        region: the collections'; by default those that were exported.
    """
    settings = read_settings()
    if name is not None and len(files) != 1:
        sys.exit("--as gives one name to one file.")
    actor = operator("import", settings.account_id)
    with data_errors_exit_with_message(), open_database(settings) as pool, counting() as bars:
        for file in files:
            made = import_from_file(pool, actor, file, name=name, region=region, progress=bar(bars, file.name))
            typer.echo(f"{file} → {made.name} in {made.owner.region}: {_counted(made.described)}")


def _counted(described: Described) -> str:
    faces, users = counted(described.face_count, "face"), counted(described.user_count, "user")
    return f"{faces} of model {described.face_model_version} and {users}"
