"""``export`` and ``import``: changes when files are named in another way, or collections chosen."""

import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import typer
from rich.progress import Progress as Bars

from rekognition_emulator.cli.database import audited, data_said_in_words, open_database
from rekognition_emulator.cli.progress import counting
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.faces.gallery import Owner
from rekognition_emulator.observation import current
from rekognition_emulator.store.archive import Described
from rekognition_emulator.store.audit import record
from rekognition_emulator.store.transfer import Progress, export_collection, import_collection, list_names

SUFFIX: Final = ".jsonl.gz"

_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")
"""A collection's name, as the service model has it; under another one nobody could ask for it."""


def export_collections(names: Sequence[str], target: Path, region: str | None) -> None:
    """Writes collections into files of their own.

    Args:
        names: the collections'; none means all of them.
        target: a folder, for files ``REGION/NAME.jsonl.gz``, or for one collection the file itself.
        region: the collections'; by default that of the settings, or all regions if all collections are wanted.
    """
    settings = read_settings()
    with data_said_in_words(), open_database(settings) as pool, counting() as bars:
        wanted = [(region or settings.region, name) for name in names] or [
            listed for listed in list_names(pool, settings.account_id) if region in {None, listed[0]}
        ]
        if target.name.endswith(".gz") and len(wanted) != 1:
            sys.exit(f"{target} is a file, and a file holds one collection; name a folder.")
        for where, name in wanted:
            file = target if target.name.endswith(".gz") else target / where / f"{name}{SUFFIX}"
            file.parent.mkdir(parents=True, exist_ok=True)
            described = export_collection(pool, Owner(settings.account_id, where), name, file, partial(_begin, bars))
            with audited("export", settings.account_id, where, name), pool.connection() as connection:
                record(connection, faces_exported=described.face_count, users_exported=described.user_count)
            typer.echo(f"{name} in {where} → {file}: {_counted(described)}")


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

    def target(described: Described) -> tuple[Owner, str]:
        chosen = name or described.name
        if not _NAME.fullmatch(chosen):
            sys.exit(f"{chosen!r} cannot be a collection's name: up to 255 letters, digits, and _ . -")
        owner = Owner(settings.account_id, region or described.region)
        current().region, current().collection = owner.region, chosen  # for the audit log
        return owner, chosen

    with data_said_in_words(), open_database(settings) as pool, counting() as bars:
        for file in files:
            with audited("import", settings.account_id):
                described = import_collection(pool, file, target, partial(_begin, bars))
            owner, chosen = target(described)
            typer.echo(f"{file} → {chosen} in {owner.region}: {_counted(described)}")


def _begin(bars: Bars, described: Described) -> Progress:
    task = bars.add_task(described.name, total=described.face_count + described.user_count)
    return partial(bars.advance, task)


def _counted(described: Described) -> str:
    return f"{described.face_count:,} faces of model {described.face_model_version} and {described.user_count:,} users"
