import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

Run = Callable[..., str]


@pytest.fixture
def run(database_url: str) -> Run:
    """Runs a command on the test's database and returns what it says."""

    def run(*arguments: object, succeeds: bool = True) -> str:
        environment = {"REKOGNITION_DATABASE_URL": database_url, "REKOGNITION_REGION": OWNER.region, "COLUMNS": "200"}
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
        assert (result.exit_code == 0) is succeeds, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


@pytest.fixture
def albums(pool: ConnectionPool) -> PostgresStore:
    """Two collections in one region, and one of the same name in another."""
    store = PostgresStore(pool)
    for region, name in ((OWNER.region, "wedding"), (OWNER.region, "fair"), ("us-east-1", "wedding")):
        faces = picture(embeddings(3))
        collection = store.create_collection(ACTOR, Owner(OWNER.account, region), name, "100.1")
        store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    return store


@pytest.mark.usefixtures("albums")
def test_collections_are_exported_into_files_by_region_and_name(run: Run, tmp_path: Path) -> None:
    """All of them, or those that are named, or one into a file of any name."""
    assert "wedding in us-east-1" in run("export", "--all", "--to", tmp_path / "all")
    everything = sorted(str(file.relative_to(tmp_path / "all")) for file in (tmp_path / "all").rglob("*.gz"))
    assert everything == [
        f"{OWNER.region}/fair.jsonl.gz",
        f"{OWNER.region}/wedding.jsonl.gz",
        "us-east-1/wedding.jsonl.gz",
    ]
    run("export", "--all", "--region", "us-east-1", "--to", tmp_path / "one-region")
    assert [file.name for file in (tmp_path / "one-region").rglob("*.gz")] == ["wedding.jsonl.gz"]
    run("export", "--collection", "fair", "--collection", "wedding", "--to", tmp_path / "named")
    run("export", "--collection", "fair", "--to", tmp_path / "fair.gz")
    assert (tmp_path / "fair.gz").read_bytes() == (tmp_path / "named" / OWNER.region / "fair.jsonl.gz").read_bytes()


def test_files_become_collections(run: Run, albums: PostgresStore, tmp_path: Path) -> None:
    """With the name and the region that they had, or others."""
    run("export", "--all", "--to", tmp_path)
    here, there = tmp_path / OWNER.region / "wedding.jsonl.gz", tmp_path / "us-east-1" / "wedding.jsonl.gz"
    assert "wedding already; --as gives another name" in run("import", here, succeeds=False)
    said = run("import", here, "--as", "wedding-2", "--region", "ap-south-1")
    assert "wedding-2 in ap-south-1: 3 faces of model 100.1 and 0 users" in said
    albums.delete_collection(ACTOR, OWNER, "wedding")
    albums.delete_collection(ACTOR, Owner(OWNER.account, "us-east-1"), "wedding")
    run("import", here, there)
    for region, name in ((OWNER.region, "wedding"), ("us-east-1", "wedding"), ("ap-south-1", "wedding-2")):
        assert albums.get_collection(Owner(OWNER.account, region), name).face_count == 3


def test_no_name_chooses_a_path(run: Run, pool: ConnectionPool, tmp_path: Path) -> None:
    """A region or name out of an archive, or out of a request, leads nowhere but into the folder of the export."""
    store = PostgresStore(pool)
    regions = ["../../x", "..", ".", "a/b", "/etc", "", "%2E", "r" * 300, "local"]
    for region in regions:
        store.create_collection(ACTOR, Owner(OWNER.account, region), "..", "100.1")
    run("export", "--all", "--to", tmp_path / "a" / "b" / "all")
    outside = [file for file in tmp_path.rglob("*.gz") if tmp_path / "a" / "b" / "all" not in file.parents]
    inside = list((tmp_path / "a" / "b" / "all").glob("*/*.gz"))
    assert outside == []
    assert len({file.parent for file in inside}) == len(inside) == len(regions)
    for file in inside:
        plain = file.parent.name == "local"
        said = run("import", file, "--as", "new", succeeds=plain)
        assert plain or "cannot be a region" in said or "a region that is empty" in said
        if file.parent.name == "a%2Fb":
            run("import", file, "--as", "new", "--region", "eu-west-3")


def test_every_name_makes_a_file(run: Run, pool: ConnectionPool, tmp_path: Path) -> None:
    """Also one of 255 characters, and one that differs from it in the last of them."""
    store = PostgresStore(pool)
    for name in ("n" * 255, "n" * 254 + "m", "short"):
        store.create_collection(ACTOR, OWNER, name, "100.1")
    run("export", "--all", "--to", tmp_path)
    names = sorted(file.name for file in tmp_path.rglob("*.gz"))
    assert len(names) == 3
    assert "short.jsonl.gz" in names
    for file in tmp_path.rglob("*.gz"):
        assert "100.1" in run("import", file, "--region", "us-east-1")
    listed = store.list_collections(Owner(OWNER.account, "us-east-1"), after=None, limit=9).items
    assert [collection.name for collection in listed] == ["n" * 254 + "m", "n" * 255, "short"]


@pytest.mark.usefixtures("albums")
def test_one_that_cannot_be_exported_does_not_keep_the_others(run: Run, tmp_path: Path) -> None:
    """It is named, the others are written, and the exit code tells."""
    (tmp_path / OWNER.region).mkdir()
    (tmp_path / OWNER.region / "fair.jsonl.gz").write_text("mine")
    said = run("export", "--all", "--to", tmp_path, succeeds=False)
    assert f"fair in {OWNER.region} is not exported: " in said
    assert "exists already" in said
    assert "1 of 3 collections are not exported" in said
    assert len(list(tmp_path.rglob("wedding.jsonl.gz"))) == 2
    assert (tmp_path / OWNER.region / "fair.jsonl.gz").read_text() == "mine"


@pytest.mark.usefixtures("albums")
def test_exports_are_private_whatever_the_umask(run: Run, tmp_path: Path) -> None:
    """Embeddings are for their owner's eyes: files 0600 in folders 0700, from the first byte on."""
    before = os.umask(0)
    try:
        run("export", "--all", "--to", tmp_path / "new" / "folder")
    finally:
        os.umask(before)
    for path in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.usefixtures("albums")
def test_what_an_operator_can_mend_is_said_in_words(run: Run, tmp_path: Path) -> None:
    """Contradicting options, names that are none, files that are there or cannot be written end in a sentence."""
    assert "either --collection" in run("export", "--to", tmp_path, succeeds=False)
    assert "either --collection" in run("export", "--all", "--collection", "fair", "--to", tmp_path, succeeds=False)
    assert "There is no collection nothing" in run(
        "export", "--collection", "nothing", "--to", tmp_path, succeeds=False
    )
    assert "name a folder" in run("export", "--all", "--to", tmp_path / "all.gz", succeeds=False)
    file = tmp_path / "fair.gz"
    run("export", "--collection", "fair", "--to", file)
    assert "exists already" in run("export", "--collection", "fair", "--to", file, succeeds=False)
    assert "Not a directory" in run("export", "--collection", "fair", "--to", file / "folder", succeeds=False)
    assert "cannot be a collection's name" in run("import", file, "--as", "a/b", succeeds=False)
    assert "one name to one file" in run("import", file, file, "--as", "twice", succeeds=False)
    os.truncate(file, file.stat().st_size - 9)
    assert "is cut" in run("import", file, "--as", "cut", succeeds=False)
    assert "is cut" in run("verify", file, succeeds=False)
    assert "is no backup" in run("verify", tmp_path, succeeds=False)
    for command in (("backup", "--to", tmp_path / "new"), ("restore", "--from", tmp_path)):
        assert "PostgreSQL of your own" in run(*command, succeeds=False)


@pytest.mark.usefixtures("albums")
def test_verify_says_what_is_wrong(run: Run, pool: ConnectionPool, tmp_path: Path) -> None:
    """A sentence for each finding, and an exit code for scripts."""
    assert "3 collections with 9 faces: nothing wrong" in run("verify")
    run("export", "--collection", "fair", "--to", tmp_path / "fair.gz")
    assert "as it was written: fair with 3 faces" in run("verify", tmp_path / "fair.gz")
    with pool.connection() as connection:
        connection.execute("UPDATE collections SET face_count = 4 WHERE name = 'fair'")
    said = run("verify", succeeds=False)
    assert f"The collection fair in {OWNER.region} says that it has 4 faces, and has 3." in said
    assert "1 wrong" in said
