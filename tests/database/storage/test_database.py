import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from rekognition_emulator.storage import database
from rekognition_emulator.storage.database import DatabaseUnsuitable, open_pool, outage
from rekognition_emulator.storage.postgres import PostgresStore
from tests.faults.neighbours import Line
from tests.support.gallery import ACTOR, OWNER

MIGRATIONS = list((Path(database.__file__).parent / "migrations").glob("*.sql"))


def execute(url: str, *statements: str) -> None:
    """Runs statements, each on its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def refusal(url: str) -> str:
    """Returns the sentence with which a database is refused, which must be one line."""
    with pytest.raises(DatabaseUnsuitable) as refused:
        open_pool(url, connections_max=1)
    return str(refused.value)


def test_who_waits_is_served_when_the_database_is_back(database_url: str) -> None:
    """A request that comes just after PostgreSQL went is not left waiting when it is there again seconds later."""
    parts = urlsplit(database_url)
    if not (folders := parse_qs(parts.query).get("host")):
        pytest.skip("it is about a database that is reached by a socket in a folder")
    socket_path = Path(folders[0]) / ".s.PGSQL.5432"
    line = Line(socket_path)
    url = parts._replace(netloc=f"postgres@127.0.0.1:{line.port}", query="").geturl()
    with open_pool(url, connections_max=3) as pool, ThreadPoolExecutor(1) as threads:
        line.close()
        waiting = threads.submit(pool.getconn)
        time.sleep(database.RECONNECT_S + 1.5)  # by then the pool has given up
        assert not waiting.done()
        line = Line(socket_path, line.port)
        pool.putconn(waiting.result(database.RECONNECT_S + 1))
    line.close()


def test_empty_database_is_made_ready_by_several_at_once(empty_database_url: str) -> None:
    """Replicas that start together on a new database all come up, and the tables are made once."""
    with ThreadPoolExecutor(4) as threads:
        pools = list(threads.map(lambda _: open_pool(empty_database_url, connections_max=1), range(4)))
    for number, pool in enumerate(pools):
        with pool:
            PostgresStore(pool).create_collection(ACTOR, OWNER, f"album-{number}", "128.1")
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM applied_migrations").fetchone() == (len(MIGRATIONS),)


def test_tables_and_rows_survive_the_next_start(database_url: str) -> None:
    """What is up to date is left alone."""
    with open_pool(database_url, connections_max=1) as pool:
        created = PostgresStore(pool).create_collection(ACTOR, OWNER, "album", "128.1")
    with open_pool(database_url, connections_max=1) as pool:
        assert PostgresStore(pool).get_collection(OWNER, "album") == created


def test_edited_migration_is_refused(database_url: str) -> None:
    """Tables made from another text than the file now holds are not trusted."""
    execute(database_url, "UPDATE applied_migrations SET sha256 = 'other'")
    assert "0001.faces.sql" in refusal(database_url)


def test_tables_of_a_later_version_are_refused(database_url: str) -> None:
    """An old program does not write into tables that it does not know."""
    execute(database_url, "INSERT INTO applied_migrations (name, sha256) VALUES ('9999.future.sql', '')")
    assert "later version" in refusal(database_url)


def test_foreign_tables_are_left_alone(empty_database_url: str) -> None:
    """A database with another program's tables is refused, and nothing of ours is left in it."""
    execute(empty_database_url, "CREATE TABLE collections (stamps int)")
    assert "another program" in refusal(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("collections",)]


def test_missing_extension_is_one_clear_sentence(empty_database_url: str) -> None:
    """A server without pgvector is refused with the name of what has to be installed."""
    with psycopg.connect(empty_database_url) as connection:
        if connection.info.server_version < 180_000:
            pytest.skip("only PostgreSQL 18 can be told to look for extensions elsewhere")
    sentence = refusal(empty_database_url + "&options=-c%20extension_control_path%3D/nowhere")
    assert "pgvector" in sentence
    assert "install" in sentence


def test_user_without_rights_is_one_clear_sentence(empty_database_url: str, database_url: str) -> None:
    """A user who may create neither extension nor tables is told who has to do what."""
    execute(database_url, "DROP ROLE IF EXISTS visitor", "CREATE ROLE visitor LOGIN PASSWORD 'visitor'")
    for url, step in ((empty_database_url, "extension"), (database_url, "public")):
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        sentence = refusal(parts._replace(netloc=f"visitor:visitor@{host}").geturl())
        assert "owner" in sentence
        assert step in sentence
    execute(database_url, "DROP ROLE visitor")


@pytest.mark.parametrize(
    ("limit", "value", "named"),
    [("POSTGRES_VERSION_MIN", 99, "99 or later"), ("PGVECTOR_VERSION_MIN", (99, 1), "99.1")],
)
def test_old_versions_are_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch, limit: str, value: object, named: str
) -> None:
    """The sentence names the version that is needed."""
    monkeypatch.setattr(database, limit, value)
    assert named in refusal(database_url)


@pytest.mark.parametrize(
    "url", ["postgresql://eve:secret@127.0.0.1:1/faces", "postgresql://eve:secret@[::1/faces", "eve:secret"]
)
def test_unusable_url_does_not_repeat_its_password(url: str) -> None:
    """Start-up errors end up in logs; passwords do not."""
    assert "secret" not in refusal(url)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (psycopg.OperationalError("connection refused\nIs the server running?"), "connection refused"),
        (psycopg.errors.DiskFull("no space left\nCONTEXT:  COPY faces, line 1: 7f3a"), "no space left"),
        (PoolTimeout("no connection after 10 s"), "no connection after 10 s"),
        (psycopg.OperationalError(), "OperationalError"),
        (psycopg.errors.UniqueViolation("a row is there\nDETAIL:  Key (face_id)=(1)"), None),
        (ValueError("ours"), None),
    ],
)
def test_an_outage_is_told_in_a_line(error: Exception, why: str | None) -> None:
    """Without what comes after it, which may be rows; what is our own mistake is no outage."""
    assert outage(error) == why
