"""A server with everything around it that can fail."""

import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from rekognition_emulator.storage.embedded_postgres import embedded_database
from tests.faults.neighbours import Line, Storage
from tests.faults.workload import Picture
from tests.support.server import Server, command

START_S = 30
"""In which a server starts again, or something is wrong."""

HOLD_S = 12
"""For which locks are held: longer than a statement waits for one."""

DISK_MB = 400
"""Of a small disk: a new database takes 100 MB of it."""


class Deployment:
    """A server that is started again whenever it ends, as a supervisor would, on the same port.

    Attributes:
        line: to its PostgreSQL, if that is not the embedded one.
        storage: that it reads from, if it has one.
    """

    def __init__(self, logs: Path, data_dir: Path, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.data_dir = data_dir
        self.database_dir = data_dir
        self.line: Line | None = None
        self.storage: Storage | None = None
        self._logs = logs
        self._environment = {
            "REKOGNITION_DATA_DIR": str(data_dir),
            "REKOGNITION_PORT": str(port),
            "REKOGNITION_LOG_LEVEL": "warning",
            **environment,
        }
        self._server: Server | None = None

    def start(self) -> None:
        """Starts the server, however often that takes."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                self._server = Server.start(self._logs, **self._environment)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self) -> int:
        """Asks the server to end and returns its exit code."""
        assert self._server
        return self._server.stop()

    def serving(self) -> list[psutil.Process]:
        """Returns the server's processes."""
        assert self._server
        return [psutil.Process(self._server.process.pid), *self._server.processes()]

    def verify(self) -> str:
        """Returns what the operator's check of the database says; empty if it finds nothing."""
        done = command(self.data_dir, "verify", **self._environment)
        return "" if done.returncode == 0 else f"verify: {done.stdout}{done.stderr}"

    def kill_server(self) -> None:
        """``kill -9`` of the server, all its processes; its PostgreSQL goes on."""
        self._kill_serving()
        self.start()

    def kill_parent(self) -> None:
        """``kill -9`` of the process that has started the others."""
        assert self._server
        self._server.kill()
        self.start()

    def kill_process(self) -> None:
        """``kill -9`` of one of several server processes."""
        assert self._server
        if processes := self._server.processes():
            with suppress(psutil.NoSuchProcess):
                random.choice(processes).kill()

    def kill_everything(self) -> None:
        """``kill -9`` of the server and of PostgreSQL, as a power cut would."""
        self._kill_serving(self._postmaster())
        self.start()

    def kill_database(self) -> None:
        """``kill -9`` of PostgreSQL's first process."""
        self._postmaster().kill()

    def kill_backend(self) -> None:
        """``kill -9`` of a process of PostgreSQL that serves a connection; PostgreSQL then drops all of them."""
        with suppress(psutil.Error, IndexError):
            children = self._postmaster().children()
            random.choice([each for each in children if "postgres postgres" in " ".join(each.cmdline())]).kill()

    def hold_locks(self) -> None:
        """Another session locks the table of faces for longer than a statement waits."""
        with self.connect() as session, session.transaction():
            session.execute("LOCK TABLE faces IN ACCESS EXCLUSIVE MODE")
            time.sleep(HOLD_S)

    def fill_disk(self) -> None:
        """No byte is left on the disk for three seconds, and PostgreSQL wants new files."""
        ballast = self.data_dir / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        until = time.monotonic() + 3
        while time.monotonic() < until:
            with suppress(psycopg.OperationalError), self.connect() as session:
                session.execute("SELECT pg_switch_wal()")
            time.sleep(0.1)
        ballast.unlink()

    def slow_storage(self) -> None:
        """Object storage does not answer in the time that it has, for a while."""
        assert self.storage
        self.storage.pause_s = 25
        time.sleep(6)
        self.storage.pause_s = 0

    def cut_line(self) -> None:
        """All connections to PostgreSQL break at once."""
        assert self.line
        self.line.cut()

    def hold_line(self) -> None:
        """Nothing comes through to or from PostgreSQL for four seconds."""
        assert self.line
        self.line.hold_up(4)

    def _kill_serving(self, *others: psutil.Process) -> None:
        assert self._server
        family = [*self.serving(), *others]
        for process in family:
            process.kill()
        self._server.kill()
        psutil.wait_procs(family, timeout=10)

    def connect(self) -> psycopg.Connection:
        """Opens a session of PostgreSQL beside the server's."""
        return psycopg.connect(f"postgresql://postgres@/postgres?host={self._socket_path().parent}", autocommit=True)

    def _socket_path(self) -> Path:
        return self.database_dir / "postgres" / ".s.PGSQL.5432"

    def _postmaster(self) -> psutil.Process:
        file = self.database_dir / "postgres" / "postmaster.pid"
        deadline = time.monotonic() + START_S
        while True:
            try:
                postmaster = psutil.Process(int(file.read_text().split()[0]))
                if postmaster.name() == "postgres":
                    return postmaster
            except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)


@contextmanager
def embedded(**environment: str) -> Iterator[Deployment]:
    """A server with its own PostgreSQL."""
    with _folder() as folder:
        yield from _run(Deployment(folder, folder, **environment))


@contextmanager
def external(**environment: str) -> Iterator[Deployment]:
    """A server with a PostgreSQL elsewhere, reached through a line; whoever runs that one starts it again."""
    with _folder() as folder, _folder() as database_dir, embedded_database(database_dir), ExitStack() as stack:
        line = Line(database_dir / "postgres" / ".s.PGSQL.5432")
        stack.callback(line.close)
        url = f"postgresql://postgres@127.0.0.1:{line.port}/postgres"
        deployment = Deployment(folder, folder, REKOGNITION_DATABASE_URL=url, **environment)
        deployment.line, deployment.database_dir = line, database_dir
        yield from _run(deployment)


@contextmanager
def with_storage(pictures: Sequence[Picture], **environment: str) -> Iterator[Deployment]:
    """A server with object storage, and its own PostgreSQL."""
    with _folder() as folder, ExitStack() as stack:
        storage = Storage(pictures)
        stack.callback(storage.close)
        deployment = Deployment(
            folder,
            folder,
            REKOGNITION_S3_ENDPOINT_URL=storage.url,
            AWS_ACCESS_KEY_ID="server",
            AWS_SECRET_ACCESS_KEY="server",
            **environment,
        )
        deployment.storage = storage
        yield from _run(deployment)


@contextmanager
def on_small_disk(**environment: str) -> Iterator[Deployment]:
    """A server whose data are on a disk of their own.

    Raises:
        PermissionError: this user may not mount one.
    """
    with _folder() as logs, _folder() as disk:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(disk)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            raise PermissionError(mounted.stderr.decode())
        try:
            yield from _run(Deployment(logs, disk, **environment))
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _run(deployment: Deployment) -> Iterator[Deployment]:
    deployment.start()
    try:
        yield deployment
    finally:
        with suppress(ProcessLookupError):
            deployment.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    # Short, for sockets; and as root, the database's user must be able to enter it.
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
