"""Collections into files of their own, and back."""

import hashlib
import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from psycopg_pool import ConnectionPool

import botocore_models
from rekognition_emulator.actor import Actor
from rekognition_emulator.admin.errors import require
from rekognition_emulator.api.core import ValidationException
from rekognition_emulator.arn import COLLECTION_ID
from rekognition_emulator.domain.faces import EnrolledFace, Owner
from rekognition_emulator.domain.users import User
from rekognition_emulator.files import NAME_BYTES_MAX, make_folder
from rekognition_emulator.http.validation import validator
from rekognition_emulator.operations.rendering import stored_face
from rekognition_emulator.progress import Progress
from rekognition_emulator.storage.archive import Check, open_archive
from rekognition_emulator.storage.archive_lines import Described
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.transfer import export_collection, import_collection

SUFFIX: Final = ".jsonl.gz"

FILE_NAME_BYTES_MAX: Final = NAME_BYTES_MAX - len("..unfinished")
"""Of an exported file, which has a longer name until it is complete."""

_DIGEST_CHARS: Final = 32
"""Of a SHA-256, where a name is too long for a file: no two names meet by accident."""

_WHY_CHARS: Final = 300
"""Of a reason why a line is refused."""

_REGION: Final = re.compile(r"[a-zA-Z0-9_\-][a-zA-Z0-9_.\-]{0,62}")
"""A region's name: AWS's are shorter and simpler; some of other makers' have dots."""


@dataclass(frozen=True, slots=True)
class ImportedCollection:
    """What a file has become.

    Attributes:
        described: what it holds.
        owner: whose collection it is now, and in which region.
        name: the collection's.
    """

    described: Described
    owner: Owner
    name: str


def archive_file(folder: Path, region: str, name: str) -> Path:
    """Returns where in a folder a collection is exported to; it is inside, whatever region and name are."""
    return folder / _file_name(region) / _file_name(name, SUFFIX)


def export_to_file(  # noqa: PLR0913 - what an export takes
    pool: ConnectionPool, actor: Actor, owner: Owner, name: str, file: Path, *, progress: Progress
) -> Described:
    """Writes a collection into a private file that must not exist, and that into the audit log.

    Args:
        pool: to the database.
        actor: who exports.
        owner: whose collection.
        name: the collection's.
        file: where to; folders that are missing are made.
        progress: told how many faces and users are written.

    Raises:
        CollectionNotFound: there is no such collection.
        ArchiveUnusable: the file exists.
        OSError: it cannot be written.
    """
    make_folder(file.parent)
    described = export_collection(pool, owner, name, file, progress)
    with pool.connection() as connection:
        record(
            connection,
            replace(actor, region=owner.region),
            collection=name,
            faces_exported=described.face_count,
            users_exported=described.user_count,
        )
    return described


def import_from_file(  # noqa: PLR0913 - what an import takes
    pool: ConnectionPool,
    actor: Actor,
    file: Path,
    *,
    name: str | None = None,
    region: str | None = None,
    progress: Progress,
) -> ImportedCollection:
    """Makes a collection of a file that was exported: all of it, or nothing.

    Args:
        pool: to the database.
        actor: who imports, and into whose account.
        file: that ``export_to_file`` has written; it is not believed.
        name: the collection's; by default the one that was exported.
        region: the collection's; likewise.
        progress: told how many faces and users are read.

    Raises:
        Refused: no collection or region can have such a name.
        CollectionExists: there is one of this name.
        ArchiveUnusable: the file was cut or changed, is of another version, or holds what the service does not take.
        OSError: it cannot be read.
    """

    def target(described: Described) -> tuple[Owner, str]:
        chosen, owner = name or described.name, Owner(actor.account, region or described.region)
        require(
            COLLECTION_ID.fullmatch(chosen),
            f"{chosen!r} cannot be a collection's name: up to 255 letters, digits, and _ . -",
        )
        require(
            _REGION.fullmatch(owner.region),
            f"{owner.region!r} cannot be a region: up to 63 letters, digits, and _ . -; choose another for the import.",
        )
        return owner, chosen

    described = import_collection(pool, actor, file, service_check(), target, progress)
    return ImportedCollection(described, *target(described))


def verify_file(file: Path, progress: Progress) -> Described:
    """Reads an exported file to its end, and returns what it holds.

    Args:
        file: that ``export_to_file`` has written.
        progress: told how many faces and users are read.

    Raises:
        ArchiveUnusable: it was cut or changed, or holds what the service does not take.
        OSError: it cannot be read.
    """
    with open_archive(file, service_check()) as (described, parts):
        done = 0
        for part in parts:
            done += len(part.users) + len(part.faces)
            progress(done, described.face_count + described.user_count)
    return described


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


def _file_name(name: str, suffix: str = "") -> str:
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
