import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest

from rekognition_emulator.storage import backup
from rekognition_emulator.storage.backup import BackupUnusable, back_up, restore, verify_backup
from rekognition_emulator.storage.database import DatabaseUnsuitable, open_pool
from rekognition_emulator.storage.embedded_postgres import closed_database, embedded_database
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


def silent(_done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder for databases and backups."""
    # Not below pytest's own folder: as root, the database's user must be able to enter every parent.
    directory = Path(mkdtemp(prefix="rekognition-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def opened(directory: Path) -> AbstractContextManager[str]:
    """The database; where a test starts it, nothing has to survive the machine."""
    return embedded_database(directory, {"fsync": "off"})


def write(directory: Path, name: str) -> None:
    """Makes a collection with three faces."""
    with opened(directory) as url, open_pool(url, connections_max=1) as pool:
        store = PostgresStore(pool)
        faces = picture(embeddings(3))
        store.add_faces(ACTOR, store.create_collection(ACTOR, OWNER, name, "100.1"), faces[0].face.image_id, faces)


def names(directory: Path) -> list[str]:
    """Which collections there are."""
    with opened(directory) as url, open_pool(url, connections_max=1) as pool:
        return [
            collection.name for collection in PostgresStore(pool).list_collections(OWNER, after=None, limit=9).items
        ]


@pytest.fixture(scope="module")
def saved(home: Path) -> Path:
    """A backup that was made while the database was in use, and written to afterwards."""
    data_dir, target = home / "data", home / "backups" / "first"
    seen: list[tuple[int, int]] = []
    with opened(data_dir):
        write(data_dir, "before")
        back_up(data_dir, target, lambda done, total: seen.append((done, total)))
        write(data_dir, "after")
    assert seen == sorted(seen)
    return target


def test_a_backup_comes_back_as_it_was_and_nothing_is_deleted(home: Path, saved: Path) -> None:
    """What was written later is gone from the database, and still in what was set aside."""
    with pytest.raises(BackupUnusable, match="holds a database; --force"):
        restore(saved, home / "data", replace=False, progress=silent)
    assert names(home / "data") == ["after", "before"]
    aside = restore(saved, home / "data", replace=True, progress=silent)
    assert names(home / "data") == ["before"]
    assert aside
    (home / "other").mkdir()
    aside.rename(home / "other" / "postgres")
    assert names(home / "other") == ["after", "before"]


def test_a_backup_fills_a_directory_that_is_not_there_yet(home: Path, saved: Path) -> None:
    """Another machine starts from it, and left-overs of an attempt that was killed are in nobody's way."""
    (home / "new" / "restore.unfinished" / "postgres").mkdir(parents=True)
    assert restore(saved, home / "new", replace=False, progress=silent) is None
    assert names(home / "new") == ["before"]
    assert sorted(path.name for path in (home / "new").iterdir()) == ["postgres", "postgres.lock"]


def test_a_database_in_use_is_not_replaced(home: Path, saved: Path) -> None:
    """Neither by force; and while one restore goes on, there is no other."""
    with opened(home / "data"), pytest.raises(DatabaseUnsuitable, match="in use: stop the server"):
        restore(saved, home / "data", replace=True, progress=silent)
    with closed_database(home / "data"), pytest.raises(DatabaseUnsuitable, match="in use"):
        restore(saved, home / "data", replace=True, progress=silent)


def flip(file: Path) -> None:
    """Changes one bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def link(file: Path) -> None:
    """Puts a link in the place of a file, to the same content."""
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")


def resign(copy: Path, manifest: bytes) -> None:
    """Writes a manifest whose own checksum is right, as whoever changes a backup on purpose can."""
    content = manifest[:-1] + b"\n"
    last = b',"Manifest-Checksum":"%s"}\n' if len(manifest) > 2 else b'"Manifest-Checksum":"%s"}\n'
    (copy / "backup_manifest").write_bytes(content + last % hashlib.sha256(content).hexdigest().encode())


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (lambda copy: flip(copy / "global" / "pg_control"), "global/pg_control is not what was written"),
    "missing": (lambda copy: (copy / "PG_VERSION").unlink(), "PG_VERSION is missing"),
    "manifest": (lambda copy: flip(copy / "backup_manifest"), "its manifest is not what was written"),
    "cut": (lambda copy: (copy / "backup_manifest").write_text(""), "its manifest is not what was written"),
    "log": (lambda copy: shutil.rmtree(copy / "pg_wal"), "write-ahead log"),
    "none": (lambda copy: (copy / "backup_manifest").unlink(), "is no backup"),
    "added": (lambda copy: (copy / "recovery.signal").touch(), "was not written with it: recovery.signal"),
    "added below": (lambda copy: (copy / "base" / "x").touch(), "was not written with it: base/x"),
    "added log": (
        lambda copy: (copy / "pg_wal" / "0000000100000000000000FF").touch(),
        "was not written with it: pg_wal/0000000100000000000000FF",
    ),
    "link to a folder": (lambda copy: (copy / "pg_tblspc" / "1").symlink_to("/etc"), "with it: pg_tblspc/1"),
    "link to a file": (
        lambda copy: link(copy / "PG_VERSION"),
        "PG_VERSION is missing",
    ),
    "a manifest of its own": (lambda copy: resign(copy, b"{}"), "its manifest is not one of PostgreSQL's"),
    "a manifest of elsewhere": (
        lambda copy: resign(copy, b'{"WAL-Ranges":[],"Files":[{"Path":"../../etc/passwd","Size":1,"Checksum":"x"}]}'),
        "its manifest names a file outside",
    ),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    damage: Callable[[Path], object], says: str, saved: Path, tmp_path: Path
) -> None:
    """Whatever is missing or changed is named, and the directory stays as it is."""
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    verify_backup(copy, silent)
    damage(copy)
    with pytest.raises(BackupUnusable, match=says):
        verify_backup(copy, silent)
    with pytest.raises(BackupUnusable, match=says):
        restore(copy, tmp_path / "data", replace=True, progress=silent)
    assert not (tmp_path / "data" / "postgres").exists()


@pytest.mark.usefixtures("saved")
def test_backups_are_private_whatever_the_umask(home: Path) -> None:
    """A backup, and what a restore makes of it, is its owner's alone at every moment."""
    seen: list[Path] = []

    def look(done: int, total: int) -> None:
        if done in {0, total}:
            seen.extend(path for path in (home / "strict").rglob("*") if path.lstat().st_mode & 0o044)

    before = os.umask(0)
    try:
        back_up(home / "data", home / "strict" / "deep" / "backup", silent)
        restore(home / "strict" / "deep" / "backup", home / "strict" / "data", replace=False, progress=look)
    finally:
        os.umask(before)
    look(0, 0)
    assert seen == []
    assert names(home / "strict" / "data")


def test_a_disk_that_is_full_ends_a_restore_in_words(home: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database that was there stays, and nothing half copied takes room."""

    def full(_source: object, _target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    before = names(home / "data")
    with pytest.raises(OSError, match="No space left on device"):
        restore(saved, home / "data", replace=True, progress=silent)
    assert names(home / "data") == before
    assert not (home / "data" / "restore.unfinished").exists()


def test_a_backup_appears_when_it_is_complete(home: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is overwritten, an interrupted one leaves nothing, and of no database there is none."""
    with pytest.raises(BackupUnusable, match="exists already"):
        back_up(home / "data", saved, silent)
    with pytest.raises(BackupUnusable, match="holds no database"):
        back_up(home / "nowhere", home / "backups" / "second", silent)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "_LOOK_S", 0.001)
    with pytest.raises(KeyboardInterrupt):
        back_up(home / "data", home / "backups" / "second", interrupt)
    assert [path.name for path in (home / "backups").iterdir()] == ["first"]


def test_a_backup_of_a_later_program_is_refused(home: Path, saved: Path) -> None:
    """A database that is sound, but not one that this program can work with, is not put in the place of ours."""
    restore(saved, home / "later", replace=False, progress=silent)
    with opened(home / "later") as url, psycopg.connect(url) as connection:
        connection.execute("INSERT INTO applied_migrations (name, sha256) VALUES ('9999.future.sql', '')")
    back_up(home / "later", home / "future", silent)
    with pytest.raises(DatabaseUnsuitable, match="later version"):
        restore(home / "future", home / "data", replace=True, progress=silent)
    assert "before" in names(home / "data")
