"""``export`` and ``import``: collections into files of their own, and back."""

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import typer
from rich.progress import Progress as Bars

import botocore_models
from rekognition_emulator.api.core import ValidationException
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import counting
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.cli.wording import counted, in_words
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import EnrolledFace, Owner
from rekognition_emulator.domain.users import User
from rekognition_emulator.http.validation import validator
from rekognition_emulator.operations.rendering import stored_face
from rekognition_emulator.storage.archive import ArchiveUnusable, Check
from rekognition_emulator.storage.archive_lines import Described
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.files import make_folder
from rekognition_emulator.storage.transfer import Progress, export_collection, import_collection, list_names

SUFFIX: Final = ".jsonl.gz"

FILE_NAME_BYTES_MAX: Final = 255 - len("..unfinished")
"""Of an exported file, which has a longer name until it is complete. Source: NAME_MAX of usual file systems."""

_DIGEST_CHARS: Final = 32
"""Of a SHA-256, where a name is too long for a file: no two names meet by accident."""

_WHY_CHARS: Final = 300
"""Of a reason why a line is refused."""

_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")
"""A collection's name, as the service model has it; under another one nobody could ask for it."""

_REGION: Final = re.compile(r"[a-zA-Z0-9_\-][a-zA-Z0-9_.\-]{0,62}")
"""A region's name: AWS's are shorter and simpler; some of other makers' have dots."""


def export_collections(names: Sequence[str], target: Path, region: str | None) -> None:
    """Writes collections into private files of their own; exits with 1 if one of them could not be written.

    Args:
        names: the collections'; none means all of them.
        target: a folder, for files ``REGION/NAME.jsonl.gz``, or for one collection the file itself.
        region: the collections'; by default that of the settings, or all regions if all collections are wanted.
    """
    settings = read_settings()
    left_out = 0
    with data_errors_exit_with_message(), open_database(settings) as pool, counting() as bars:
        wanted = [(region or settings.region, name) for name in names] or [
            listed for listed in list_names(pool, settings.account_id) if region in {None, listed[0]}
        ]
        if target.name.endswith(".gz") and len(wanted) != 1:
            sys.exit(f"{target} is a file, and a file holds one collection; name a folder.")
        for where, name in wanted:
            file = target if target.name.endswith(".gz") else target / file_name(where) / file_name(name, SUFFIX)
            try:
                make_folder(file.parent)
                begin = partial(_begin, bars)
                described = export_collection(pool, Owner(settings.account_id, where), name, file, begin)
            except CollectionNotFound:
                typer.echo(f"There is no collection {name} in {where}.", err=True)
                left_out += 1
                continue
            except (ArchiveUnusable, OSError) as error:
                typer.echo(f"{name} in {where} is not exported: {in_words(error)}", err=True)
                left_out += 1
                continue
            with pool.connection() as connection:
                record(
                    connection,
                    operator("export", settings.account_id, where),
                    collection=name,
                    faces_exported=described.face_count,
                    users_exported=described.user_count,
                )
            typer.echo(f"{name} in {where} → {file}: {_counted(described)}")
    if left_out:
        sys.exit(f"{left_out:,} of {len(wanted):,} collections are not exported.")


def file_name(name: str, suffix: str = "") -> str:
    """Returns a name for a file or folder that leads nowhere else, whatever characters or length ``name`` has.

    Letters, digits and ``_.-~`` stay as they are. A name that is too long is cut, and goes on with ``%`` and a digest.
    """
    safe = quote(name, safe="", errors="surrogatepass")
    if not safe.strip("."):  # no name, this folder, or the one above it
        safe = safe.replace(".", "%2E") or "%"
    if len(safe) + len(suffix) > FILE_NAME_BYTES_MAX:
        digest = hashlib.sha256(os.fsencode(safe)).hexdigest()[:_DIGEST_CHARS]
        safe = f"{safe[: FILE_NAME_BYTES_MAX - len(suffix) - len(digest) - 1]}%{digest}"
    return safe + suffix


@cache
def service_check() -> Check:
    """Returns what AWS's service model demands of the collections, users and faces in an archive."""
    model = botocore_models.load()
    validate_collection, validate_user, validate_face = (
        validator(model.shape_for(shape)) for shape in ("CreateCollectionRequest", "User", "Face")
    )

    def check(told: Described | User | EnrolledFace) -> str | None:
        try:
            match told:
                case Described():
                    validate_collection({"CollectionId": told.name, "Tags": told.tags})
                case User():
                    validate_user({"UserId": told.user_id})
                case EnrolledFace():
                    validate_face(stored_face(told, "1"))
        except ValidationException as error:
            # It repeats the value, which may be long and anything but readable.
            return f"what the service does not take: {ascii(str(error))[1:-1][:_WHY_CHARS]}"
        return None

    return check


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
        if not _REGION.fullmatch(owner.region):
            sys.exit(
                f"{owner.region!r} cannot be a region: up to 63 letters, digits, and _ . -; --region names another"
            )
        return owner, chosen

    with data_errors_exit_with_message(), open_database(settings) as pool, counting() as bars:
        for file in files:
            begin = partial(_begin, bars)
            described = import_collection(
                pool, operator("import", settings.account_id), file, service_check(), target, begin
            )
            owner, chosen = target(described)
            typer.echo(f"{file} → {chosen} in {owner.region}: {_counted(described)}")


def _begin(bars: Bars, described: Described) -> Progress:
    task = bars.add_task(described.name, total=described.face_count + described.user_count)
    return partial(bars.advance, task)


def _counted(described: Described) -> str:
    faces, users = counted(described.face_count, "face"), counted(described.user_count, "user")
    return f"{faces} of model {described.face_model_version} and {users}"
