import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

import rekognition_emulator
from rekognition_emulator.storage.database import DatabaseUnsuitable
from rekognition_emulator.storage.embedded_postgres import embedded_database

HOLDER = """
import sys
from pathlib import Path
from rekognition_emulator.cli.log import configure_logging
from rekognition_emulator.storage.embedded_postgres import embedded_database
configure_logging("info")
with embedded_database(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database open, until its input ends."""
    root = Path(rekognition_emulator.__file__).parents[1]
    command = [sys.executable, "-c", HOLDER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        yield process


def first_line(process: subprocess.Popen[str]) -> str:
    """Waits until the process has the database open."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def postmaster(directory: Path) -> psutil.Process:
    """The running server."""
    return psutil.Process(int((directory / "postgres" / "postmaster.pid").read_text().split()[0]))


def postmaster_pid(directory: Path) -> int | None:
    """The number that the running server has written down; None before it has."""
    with suppress(FileNotFoundError, IndexError, ValueError):
        return int((directory / "postgres" / "postmaster.pid").read_text().split()[0])
    return None


def takes_connections(url: str) -> bool:
    """Whether somebody answers there."""
    with suppress(psycopg.OperationalError):
        psycopg.connect(url).close()
        return True
    return False


def serves(process: psutil.Process, directory: Path) -> bool:
    """Whether this is a server of that directory, and no child of one."""
    with suppress(psutil.Error):
        return process.name() == "postgres" and str(directory / "postgres") in process.cmdline()
    return False


def stopped(directory: Path) -> bool:
    """Whether the server has ended properly."""
    return not (directory / "postgres" / "postmaster.pid").exists()


def notes(url: str) -> list[str]:
    """What was written so far."""
    with psycopg.connect(url) as connection:
        return [note for (note,) in connection.execute("SELECT note FROM notes ORDER BY note").fetchall()]


def write(url: str, note: str) -> None:
    """Writes, and returns when it is committed."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [note])


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A data directory that the tests below use one after the other; making one takes most of a second."""
    directory = Path(tempfile.mkdtemp(prefix="rekognition-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def test_data_survive_a_restart(home: Path) -> None:
    """The server stops with its last user, and the next one finds what was written."""
    with embedded_database(home) as url:
        write(url, "restart")
    assert stopped(home)
    with embedded_database(home) as url:
        assert "restart" in notes(url)


def test_processes_share_one_server_and_the_last_one_stops_it(home: Path) -> None:
    """Whoever comes at the same time or later joins, and nobody stops the server under another."""
    with holder(home) as first, holder(home) as second:
        url = first_line(first)
        assert first_line(second) == url
        first.communicate()
        write(url, "shared")
        assert not stopped(home)
        second.communicate()
    assert stopped(home)


def test_killed_process_leaves_a_server_that_the_next_one_takes_over(home: Path) -> None:
    """A kill -9 of the only user neither loses the server nor keeps it running for ever."""
    with holder(home) as process:
        first_line(process)
        process.kill()
    survivor = postmaster(home).pid
    with embedded_database(home) as url:
        assert postmaster(home).pid == survivor
        write(url, "taken over")
    assert stopped(home)


def test_committed_rows_survive_the_death_of_the_server(home: Path) -> None:
    """A kill -9 of every PostgreSQL process at once loses nothing that was committed."""
    with holder(home) as process:
        url = first_line(process)
        write(url, "committed")
        server = postmaster(home)
        family = [server, *server.children(recursive=True)]
        for member in family:
            member.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
        process.kill()
    with embedded_database(home) as url:
        assert "committed" in notes(url)


def test_a_server_that_dies_is_started_again_for_those_who_use_it(home: Path) -> None:
    """Killed under two processes, it is there again at the same URL, once, with everything; each kill heals."""
    with holder(home) as first, holder(home) as second:
        url = first_line(first)
        assert first_line(second) == url
        for number in range(2):
            write(url, f"before kill {number}")
            killed = postmaster(home)
            killed.kill()
            deadline = time.monotonic() + 20
            while postmaster_pid(home) == killed.pid or not takes_connections(url):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert f"before kill {number}" in notes(url)
            servers = [process for process in psutil.process_iter() if serves(process, home)]
            assert [server.pid for server in servers] == [postmaster_pid(home)]
        first.communicate()
        second.communicate()
    assert stopped(home)


def test_orphans_of_a_killed_server_end_before_the_next_one_starts(home: Path) -> None:
    """A busy process whose server was killed must not write beside the next server: that would damage the data."""
    with holder(home) as process:
        url = first_line(process)
        with psycopg.connect(url) as busy, ThreadPoolExecutor(1) as elsewhere:
            (number,) = busy.execute("SELECT pg_backend_pid()").fetchone() or (0,)
            # A loop that never looks up: it would not notice for a minute that its server is gone.
            loop = "DO $$ DECLARE i bigint := 0; BEGIN WHILE i < 3e9 LOOP i := i + 1; END LOOP; END $$"
            working = elsewhere.submit(busy.execute, loop)
            orphan = psutil.Process(number)
            while orphan.cpu_times().user < 0.1:
                time.sleep(0.01)
            postmaster(home).kill()
            process.kill()
            with embedded_database(home) as url:
                assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
                write(url, "after the orphans")
            assert isinstance(working.exception(timeout=10), psycopg.OperationalError)
    assert stopped(home)


def test_foreign_process_is_not_taken_for_the_server(home: Path) -> None:
    """After a reboot the number in a left-over lock file may belong to anybody, even to a process of the same user."""
    lock_file = home / "postgres" / "postmaster.pid"
    user = "pgserver" if os.geteuid() == 0 else None
    with embedded_database(home):
        lines = lock_file.read_text().splitlines()
    with subprocess.Popen(["sleep", "60"], user=user) as foreigner:
        lock_file.write_text("\n".join([str(foreigner.pid), *lines[1:]]))
        try:
            with embedded_database(home) as url:
                write(url, "after a reboot")
            assert foreigner.poll() is None
        finally:
            foreigner.kill()
    assert stopped(home)


def test_only_its_user_reaches_the_server(home: Path) -> None:
    """No password is asked, so the socket must be closed to other users, and there is no network port."""
    with embedded_database(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert (home / "postgres" / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_server_that_does_not_start_shows_its_own_words(home: Path) -> None:
    """The error quotes the end of PostgreSQL's log."""
    with pytest.raises(DatabaseUnsuitable, match="shared_buffers"), embedded_database(home, {"shared_buffers": "much"}):
        pass
    with embedded_database(home):
        pass


def test_data_of_another_version_are_refused(tmp_path: Path) -> None:
    """The sentence names both versions and touches nothing."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseUnsuitable, match="PostgreSQL 16, this is 18"), embedded_database(tmp_path):
        pass


def test_directory_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnsuitable, match="file"), embedded_database(tmp_path / "file" / "data"):
        pass


def test_long_and_odd_directory_with_an_unfinished_start(home: Path) -> None:
    """A path too long for a socket, with spaces and an apostrophe, works, and a half-made start is redone."""
    odd = home / ("an album's path " * 8)
    (odd / "postgres.unfinished").mkdir(parents=True)
    (odd / "postgres.unfinished" / "PG_VERSION").write_text("18\n")
    with embedded_database(odd) as url:
        write(url, "odd")
        sockets = Path((odd / "postgres" / "postmaster.pid").read_text().splitlines()[4])
        assert sockets != odd
    assert stopped(odd)
    assert not sockets.exists()


def files(directory: Path) -> dict[str, tuple[int, bytes]]:
    """What is in a directory, to the last byte and mode."""
    return {
        str(path.relative_to(directory)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in directory.rglob("*")
        if path.name != "postgres.lock"
    }


@pytest.mark.parametrize("content", [b"garbage\n", b"", b"\xff\xfe", b"18.4\n", None])
def test_a_data_directory_without_a_version_is_left_alone(content: bytes | None, tmp_path: Path) -> None:
    """Garbage in PG_VERSION, or no such file beside others, gives a sentence; nothing is written over."""
    (tmp_path / "postgres" / "base").mkdir(parents=True)
    (tmp_path / "postgres" / "base" / "1").write_bytes(b"somebody's faces")
    if content is not None:
        (tmp_path / "postgres" / "PG_VERSION").write_bytes(content)
    before = files(tmp_path)
    with (
        pytest.raises(DatabaseUnsuitable, match=r"PG_VERSION.*[Nn]othing was changed") as refused,
        embedded_database(tmp_path),
    ):
        pass
    assert "\n" not in str(refused.value)
    assert files(tmp_path) == before


def test_a_disk_without_room_gives_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """Of one megabyte: one line says why, no log repeats pages of it, and nothing half made stays."""
    with tempfile.TemporaryDirectory(prefix="rekognition-test-") as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode
        if mounted:
            pytest.skip("only root can mount a small disk")
        try:
            Path(folder).chmod(0o755)
            with (
                pytest.raises(DatabaseUnsuitable, match="No space left on device") as refused,
                embedded_database(Path(folder) / "data"),
            ):
                pass
            assert "\n" not in str(refused.value)
            assert not caplog.records
            assert [path.name for path in (Path(folder) / "data").iterdir()] == ["postgres.lock"]
        finally:
            subprocess.run(["umount", folder], check=True)


def test_the_data_directory_is_private_whatever_the_umask() -> None:
    """Root's server runs as another user, who may pass through it, and no more."""
    with tempfile.TemporaryDirectory(prefix="rekognition-test-") as folder:
        Path(folder).chmod(0o755)
        before = os.umask(0)
        try:
            with embedded_database(Path(folder) / "data", {"fsync": "off"}):
                pass
        finally:
            os.umask(before)
        assert not (Path(folder) / "data").stat().st_mode & 0o066
        for path in (Path(folder) / "data").iterdir():
            assert not path.stat().st_mode & 0o077
