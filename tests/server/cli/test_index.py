import os
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.faces import Collection, Embedding, Match
from rekognition_emulator.search.faiss import FaissIndex
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

Run = Callable[..., str]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Runs ``index`` on the test's database and returns what it says."""

    def run(*arguments: str, succeeds: bool = True) -> str:
        environment = {
            "REKOGNITION_DATABASE_URL": database_url,
            "REKOGNITION_DATA_DIR": str(tmp_path),
            "REKOGNITION_REGION": OWNER.region,
            "COLUMNS": "200",
        }
        result = CliRunner().invoke(app, ["index", *arguments], env=environment)
        assert (result.exit_code == 0) is succeeds, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


@pytest.fixture
def store(pool: ConnectionPool) -> PostgresStore:
    """Two collections of 100 faces, and an empty one."""
    store = PostgresStore(pool)
    for name in ("fair", "wedding"):
        faces = picture(embeddings(100, dimension=32))
        store.add_faces(ACTOR, store.create_collection(ACTOR, OWNER, name, "100.1"), faces[0].face.image_id, faces)
    store.create_collection(ACTOR, OWNER, "empty", "100.1")
    return store


def chosen(store: PostgresStore) -> dict[str, str | None]:
    """Which index each collection has chosen."""
    return {each.name: each.index for each in store.list_collections(OWNER, after=None, limit=10).items}


@pytest.mark.usefixtures("store")
def test_status_names_the_index_of_each_collection(run: Run) -> None:
    """With faces, what they are searched by and whether that is ready."""
    lines = {line.split("│")[2].strip(): line for line in run("status").splitlines() if "│" in line}
    assert {"fair", "wedding", "empty"} <= lines.keys()
    assert "100" in lines["fair"]
    assert "pgvector (as set)" in lines["fair"]
    assert "exact" in lines["fair"]
    assert "all" in lines["fair"]
    assert "fair" not in run("status", "--collection", "wedding")


@pytest.mark.parametrize("name", ["faiss", "milvus", "memory", "pgvector"])
def test_collections_are_switched_when_the_other_index_is_ready_and_sound(
    run: Run, store: PostgresStore, name: str
) -> None:
    """Each index is filled and checked first; ``settings`` goes back to what the servers are set to."""
    said = run("switch", "--to", name, "--collection", "fair")
    assert "fair: 2,500 of 2,500 nearest faces of 50 probes found, recall 1.0000" in said
    assert chosen(store) == {"empty": None, "fair": name, "wedding": None}
    assert name in run("status", "--collection", "fair")
    run("switch", "--to", "settings")
    assert chosen(store) == {"empty": None, "fair": None, "wedding": None}


def test_an_index_that_loses_faces_is_not_switched_to(
    run: Run, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collection stays where it was, the command says why and fails; ``verify`` notices it, too."""
    search = FaissIndex.search

    def losing(self: FaissIndex, collection: Collection, probe: Embedding, **rest: object) -> list[Match]:
        return search(self, collection, probe, **rest)[1:]  # type: ignore[arg-type] # handed on

    monkeypatch.setattr(FaissIndex, "search", losing)
    said = run("switch", "--to", "faiss", "--collection", "fair", succeeds=False)
    assert "recall 0.98" in said
    assert "fair stays with pgvector." in said
    assert chosen(store)["fair"] is None
    store.choose_index(ACTOR, store.get_collection(OWNER, "fair"), "faiss")
    said = run("verify", succeeds=False)
    assert "Not as it should be: fair." in said
    assert "wedding: 2,500 of 2,500" in said


def test_rebuilding_makes_a_snapshot_anew(run: Run, store: PostgresStore, tmp_path: Path) -> None:
    """What is damaged on disk is replaced, and verified afterwards."""
    run("switch", "--to", "faiss", "--collection", "fair")
    (snapshot,) = (tmp_path / "indexes" / "faiss").glob("*.snapshot")
    sound = snapshot.read_bytes()
    os.truncate(snapshot, 100)
    assert "fair: built, exact" in run("rebuild", "--collection", "fair")
    assert len(snapshot.read_bytes()) == len(sound)
    assert "recall 1.0000" in run("verify", "--collection", "fair")


@pytest.mark.usefixtures("store")
def test_what_is_not_there_is_said_in_a_sentence(run: Run) -> None:
    """A collection or an index that does not exist."""
    assert run("verify", "--collection", "nobody", succeeds=False).strip() == "There is no collection nobody."
    assert "is none of pgvector, faiss" in run("switch", "--to", "paper", succeeds=False)
