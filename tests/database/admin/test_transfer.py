import stat
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.admin.transfer import archive_file, export_to_file, import_from_file, verify_file
from rekognition_emulator.domain.errors import CollectionExists, CollectionNotFound
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.progress import no_progress
from rekognition_emulator.storage.archive import ArchiveUnusable
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

EXPORTER = Actor("export", OWNER.account, "a-request", "(operator ann)")


@pytest.fixture
def exported(store: PostgresStore, pool: ConnectionPool, tmp_path: Path) -> Path:
    """A file with three faces."""
    faces = picture(embeddings(3))
    store.add_faces(ACTOR, store.create_collection(ACTOR, OWNER, "album", "1.1"), faces[0].face.image_id, faces)
    file = archive_file(tmp_path / "all", OWNER.region, "album")
    export_to_file(pool, EXPORTER, OWNER, "album", file, progress=no_progress)
    return file


def test_an_export_is_private_and_audited(exported: Path, pool: ConnectionPool, tmp_path: Path) -> None:
    """Whoever took the faces out stands in the log, with the region and how many; the folders are theirs alone."""
    assert exported == tmp_path / "all" / OWNER.region / "album.jsonl.gz"
    for path in (exported, exported.parent, exported.parent.parent):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    (logged,) = entries(pool, AuditFilter(operation="export"))
    assert (logged.collection, logged.region, logged.key_name) == ("album", OWNER.region, "(operator ann)")
    assert logged.counts == {"faces_exported": 3, "users_exported": 0}


def test_an_export_that_fails_is_not_in_the_log(exported: Path, pool: ConnectionPool, tmp_path: Path) -> None:
    """Of a collection that is not there, or into a file that is."""
    before = len(list(entries(pool, AuditFilter(operation="export"))))
    with pytest.raises(CollectionNotFound):
        export_to_file(pool, EXPORTER, OWNER, "nothing", tmp_path / "nothing.gz", progress=no_progress)
    with pytest.raises(ArchiveUnusable):
        export_to_file(pool, EXPORTER, OWNER, "album", exported, progress=no_progress)
    assert len(list(entries(pool, AuditFilter(operation="export")))) == before


def test_an_import_says_what_came_of_it(exported: Path, store: PostgresStore, pool: ConnectionPool) -> None:
    """With the name and region that it had, or others, in the account of whoever imports."""
    told: list[tuple[int, int | None]] = []
    made = import_from_file(
        pool,
        EXPORTER,
        exported,
        name="copy",
        region="us-east-1",
        progress=lambda done, total: told.append((done, total)),
    )
    assert (made.owner, made.name, made.described.face_count) == (Owner(OWNER.account, "us-east-1"), "copy", 3)
    assert store.get_collection(made.owner, "copy").face_count == 3
    assert (told[0], told[-1]) == ((0, 3), (3, 3))
    with pytest.raises(CollectionExists):
        import_from_file(pool, EXPORTER, exported, progress=no_progress)
    made = import_from_file(pool, replace(EXPORTER, account="999999999999"), exported, progress=no_progress)
    assert (made.owner, made.name) == (Owner("999999999999", OWNER.region), "album")


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"name": "a/b"}, "cannot be a collection's name"),
        ({"name": "n" * 256}, "cannot be a collection's name"),
        ({"region": ".."}, "cannot be a region"),
        ({"region": "a b"}, "cannot be a region"),
    ],
)
def test_no_import_makes_what_nobody_could_ask_for(
    exported: Path, store: PostgresStore, pool: ConnectionPool, chosen: dict[str, str], why: str
) -> None:
    """A name that the service does not take is refused, and nothing is made."""
    store.delete_collection(ACTOR, OWNER, "album")
    with pytest.raises(Refused, match=why):
        import_from_file(pool, EXPORTER, exported, **chosen, progress=no_progress)
    assert store.list_collections(OWNER, after=None, limit=9).items == []


def test_a_file_is_verified_to_its_end(exported: Path) -> None:
    """Progress adds up, and a file that was cut is no file of ours."""
    told: list[tuple[int, int | None]] = []
    assert verify_file(exported, lambda done, total: told.append((done, total))).name == "album"
    assert told[-1] == (3, 3)
    exported.write_bytes(exported.read_bytes()[:-20])
    with pytest.raises(ArchiveUnusable):
        verify_file(exported, no_progress)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Whatever a region or a collection is called, its file is two levels down, and no other's."""
    names = ["..", ".", "", "a/b", "/etc", "%2E", "n" * 255, "n" * 254 + "m", "ü", "a"]
    files = {archive_file(tmp_path, region, name) for region in names for name in names}
    assert len(files) == len(names) ** 2
    assert all(file.resolve().parent.parent == tmp_path for file in files)
    assert all(len(part.encode()) <= 255 for file in files for part in file.relative_to(tmp_path).parts)
