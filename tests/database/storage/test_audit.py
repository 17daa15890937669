import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from structlog.testing import capture_logs

from rekognition_emulator.actor import Actor
from rekognition_emulator.auth.keys import AccessKey
from rekognition_emulator.domain.errors import CollectionExists, CollectionNotFound
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.storage import audit, auditing
from rekognition_emulator.storage.audit import AuditFilter, AuditRecord, entries, expire
from rekognition_emulator.storage.auditing import AuditLog
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.keys import PostgresKeyStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.transfer import export_collection, import_collection
from rekognition_emulator.storage.users import PostgresUserStore
from rekognition_emulator.telemetry.observation import Observation
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


def asked(operation: str | None, **known: object) -> Observation:
    """A request of somebody who is known."""
    observation = Observation(str(uuid4()), operation=operation, account=OWNER.account, region=OWNER.region)
    observation.key_name, observation.collection, observation.status = "backend", "album", 200
    for name, value in known.items():
        setattr(observation, name, value)
    return observation


def logged(pool: ConnectionPool, **sought: object) -> list[AuditRecord]:
    """All rows, the first one first."""
    return list(entries(pool, AuditFilter(**sought)))[::-1]  # type: ignore[arg-type] # any of them


def by(operation: str, **known: object) -> Actor:
    """Who makes a change, and with which operation."""
    return replace(ACTOR, operation=operation, key_name="backend", **known)  # type: ignore[arg-type] # any of them


def changes(pool: JoiningPool, name: str = "album") -> dict[str, Callable[[Actor], object]]:
    """Every operation that changes something, in an order in which each can be done."""
    store, users, tags = PostgresStore(pool), PostgresUserStore(pool), PostgresTagStore(pool)
    faces = picture(embeddings(3))
    ids = [new.face.face_id for new in faces]

    def album() -> Collection:
        return store.get_collection(OWNER, name)

    return {
        "CreateCollection": lambda actor: store.create_collection(actor, OWNER, name, "100.1"),
        "IndexFaces": lambda actor: store.add_faces(actor, album(), faces[0].face.image_id, faces),
        "TagResource": lambda actor: tags.add_tags(actor, album(), {"event": "wedding"}),
        "UntagResource": lambda actor: tags.remove_tags(actor, album(), ["event"]),
        "CreateUser": lambda actor: users.create_user(actor, album(), "ada"),
        "AssociateFaces": lambda actor: users.associate_faces(
            actor, album(), "ada", ids[:2], near_enough=lambda _: True
        ),
        "DisassociateFaces": lambda actor: users.disassociate_faces(actor, album(), "ada", ids[:1]),
        "DeleteUser": lambda actor: users.delete_user(actor, album(), "ada"),
        "DeleteFaces": lambda actor: store.delete_faces(actor, album(), [*ids[:1], uuid4()]),
        "DeleteCollection": lambda actor: store.delete_collection(actor, OWNER, name),
    }


def test_every_change_brings_its_row(pool: JoiningPool) -> None:
    """It is there when the change is, without anybody writing it later, and stays when the collection is deleted."""
    for operation, change in changes(pool).items():
        observation = asked(operation)
        with observation.current():
            change(by(operation))
        assert observation.is_recorded
    rows = logged(pool)
    assert [row.operation for row in rows] == list(changes(pool))
    assert {(row.key_name, row.collection, row.status, row.error) for row in rows} == {("backend", "album", 200, None)}
    counts = {row.operation: row.counts for row in rows if row.counts}
    assert counts == {
        "IndexFaces": {"faces_indexed": 3},
        "AssociateFaces": {"faces_associated": 2},
        "DisassociateFaces": {"faces_disassociated": 1},
        "DeleteFaces": {"faces_deleted": 1},
        "DeleteCollection": {"faces_deleted": 2, "users_deleted": 0},
    }
    (deletion,) = (row for row in rows if row.deleted_faces)
    assert (deletion.operation, len(deletion.deleted_faces or ())) == ("DeleteFaces", 1)


def test_what_cannot_be_logged_is_not_done(pool: JoiningPool) -> None:
    """Where the database refuses the row, it refuses every change as well."""
    refused = "ALTER TABLE audit_log ADD CONSTRAINT none CHECK (false) NOT VALID"
    accepted = "ALTER TABLE audit_log DROP CONSTRAINT none"
    state = """
        SELECT (SELECT array_agg((name, revision, face_count, user_count, tags)::text) FROM collections),
               (SELECT array_agg((face_id, user_id)::text ORDER BY face_id) FROM faces),
               (SELECT array_agg(user_id ORDER BY user_id) FROM users)
    """
    with pool.connection() as database:
        for operation, change in changes(pool).items():
            before = database.execute(state).fetchone()
            database.execute(refused)
            with pytest.raises(psycopg.errors.CheckViolation):
                change(by(operation))
            assert database.execute(state).fetchone() == before
            database.execute(accepted)
            change(by(operation))
            assert database.execute(state).fetchone() != before


def test_a_change_that_fails_leaves_no_row(pool: JoiningPool, store: PostgresStore) -> None:
    """The transaction takes its row along; what is said of the failure is said by who answers."""
    store.create_collection(ACTOR, OWNER, "album", "100.1")
    with pytest.raises(CollectionExists):
        store.create_collection(ACTOR, OWNER, "album", "100.1")
    assert len(logged(pool)) == 1


def test_nothing_is_changed_by_nobody(pool: JoiningPool, store: PostgresStore) -> None:
    """A change without somebody who makes it is none."""
    for change in changes(pool, "other").values():
        with pytest.raises((AttributeError, CollectionNotFound)):
            change(cast("Actor", None))
    assert not store.list_collections(OWNER, after=None, limit=10).items
    assert logged(pool) == []


def test_reads_and_refusals_are_written_soon(pool: JoiningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, each with the time of its end; who is not known leaves none, a change only its own."""
    monkeypatch.setattr(auditing, "WRITE_S", 0.01)
    log = AuditLog(pool)
    log.answered(asked("SearchFaces", counts={"faces_matched": 3, "index_lag": 1}))
    log.answered(asked("DeleteFaces", status=400, error="AccessDeniedException", is_recorded=True))
    log.answered(asked("SearchFaces", would_be_denied="AccessDeniedException", in_session=True, key_id="AKIA1"))
    log.answered(asked("IndexFaces", is_recorded=True))
    log.answered(asked("ListFaces", account=None))
    log.answered(asked(None))
    time.sleep(0.2)
    before = time.time()
    with log.followed():
        deadline = time.monotonic() + 10
        while len(rows := logged(pool)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert [(row.operation, row.error) for row in rows] == [
        ("SearchFaces", None),
        ("DeleteFaces", "AccessDeniedException"),
        ("SearchFaces", None),
    ]
    assert rows[0].counts == {"faces_matched": 3}
    assert (rows[2].would_be_denied, rows[2].in_session) == ("AccessDeniedException", True)
    assert rows[0].at.timestamp() < before - 0.15


def test_refusals_without_end_are_few_rows(pool: JoiningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key has some rows a minute; what is beyond is counted by what was refused, not by what a caller makes up."""
    monkeypatch.setattr(auditing, "WRITE_S", 0.01)
    log = AuditLog(pool)

    def refused(number: int, key: str, operation: str, error: str) -> None:
        made_up = {"collection": f"made-up-{number}", "region": f"made-up-{number}", "counts": {"faces_found": number}}
        log.answered(asked(operation, error=error, status=400, key_id=key, key_name=key, **made_up))

    for number in range(5_000):
        refused(number, "narrow", ("DeleteFaces", "ListFaces")[number % 2], "AccessDeniedException")
        log.answered(asked("SearchFaces", key_id="narrow")) if number < 100 else None
    refused(0, "other", "DeleteFaces", "AccessDeniedException")
    refused(0, "narrow", "DeleteFaces", "ValidationException")
    log.answered(asked("DeleteFaces", status=500, error="InternalServerError", is_recorded=True, key_id="narrow"))
    assert len(log._rows) == auditing.REFUSALS_A_MINUTE + 100 + 1 + 1
    with log.followed():
        pass
    rows = logged(pool)
    counted = [row for row in rows if row.times > 1]
    told = {(row.operation, row.times, row.error, row.key_name, row.collection, row.region) for row in counted}
    assert told == {
        ("DeleteFaces", 2_470, "AccessDeniedException", "narrow", None, None),
        ("ListFaces", 2_470, "AccessDeniedException", "narrow", None, None),
    }
    assert all(row.first_at and row.first_at < row.at and row.counts == {} for row in counted)
    assert sum(row.times for row in rows) == 5_000 + 100 + 3
    assert len(rows) == auditing.REFUSALS_A_MINUTE + 100 + 1 + 1 + 3
    assert [row.operation for row in rows if row.error == "InternalServerError"] == ["DeleteFaces"]


def test_each_minute_has_its_counts(pool: JoiningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written when it is over, also where nobody asks any more, and the next one begins with rows again."""
    monkeypatch.setattr(auditing, "WRITE_S", 0.01)
    monkeypatch.setattr(auditing, "REFUSALS_A_MINUTE", 2)
    log = AuditLog(pool)
    with log.followed():
        for expected in ([1, 1, 3], [1, 1, 3] * 2):
            for _ in range(5):
                log.answered(asked("DeleteFaces", error="AccessDeniedException", status=400))
            log._refusals._ends_at = 0.0  # the minute is over
            deadline = time.monotonic() + 20
            while [row.times for row in logged(pool)] != expected:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_counts_have_bounded_memory(pool: JoiningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, how many are in no row is said in the other log."""
    monkeypatch.setattr(auditing, "REFUSALS_A_MINUTE", 0)
    monkeypatch.setattr(auditing, "COUNTS_MAX", 2)
    log = AuditLog(pool)
    for number in range(6):
        log.answered(asked(f"Operation{number % 3}", error="AccessDeniedException", status=400))
    with capture_logs() as lines, log.followed():
        pass
    assert [(row.operation, row.times) for row in logged(pool)] == [("Operation0", 2), ("Operation1", 2)]
    assert [line["rows"] for line in lines if line["log_level"] == "error"] == [2]


def test_rows_wait_while_the_database_is_away(pool: JoiningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written when it is back, also at the end of the server; beyond a bound they are counted instead."""
    monkeypatch.setattr(auditing, "WRITE_S", 0.01)
    monkeypatch.setattr(auditing, "ROWS_MAX", 3)
    monkeypatch.setattr(auditing, "BATCH", 2)
    original, failures = audit.append, iter([psycopg.OperationalError(), psycopg.OperationalError()])

    def unwilling(*arguments: object) -> None:
        if error := next(failures, None):
            raise error
        original(*arguments)  # type: ignore[arg-type] # as it is called

    monkeypatch.setattr(auditing, "append", unwilling)
    log = AuditLog(pool)
    for number in range(5):
        log.answered(asked("SearchFaces", collection=str(number)))
        time.sleep(0.01)  # far more than the order of two writes is uncertain by
    with log.followed():
        deadline = time.monotonic() + 10
        while len(logged(pool)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        log.answered(asked("SearchFaces", collection="last"))
    assert [row.collection for row in logged(pool)] == ["0", "1", "2", "last"]


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE audit_log SET key_name = 'somebody else'",
        "UPDATE audit_log SET kept_until = now()",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ],
)
def test_rows_stay_as_they_are(attempt: str, pool: JoiningPool, store: PostgresStore) -> None:
    """The database refuses to change or remove a row before its time, whoever asks."""
    with asked("CreateCollection").current():
        store.create_collection(ACTOR, OWNER, "album", "100.1")
    before = logged(pool)
    with pool.connection() as database, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        database.execute(attempt)
    assert logged(pool) == before != []


def test_rows_go_when_their_time_is_over(
    database_url: str, pool: JoiningPool, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some at a time, by one server at a time; what was set when they were written counts."""
    with open_pool(database_url, connections_max=1, audit_days=3) as short:
        PostgresStore(short).create_collection(ACTOR, OWNER, "short", "100.1")
    store.create_collection(ACTOR, OWNER, "usual", "100.1")
    with pool.connection() as database:
        days = database.execute("SELECT kept_until - at FROM audit_log ORDER BY at").fetchall()
        assert [span.days for (span,) in days] == [3, audit.KEPT_DAYS]
        database.execute("""
            INSERT INTO audit_log SELECT at - interval '9 days', now() - interval '1 second', request_id, account,
                region, access_key_id, key_name, in_session, operation, 'old', subject,
                status, error, would_be_denied, counts, deleted_faces
            FROM audit_log, generate_series(1, 5)
        """)
        monkeypatch.setattr(audit, "EXPIRED_AT_ONCE", 4)
        with database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", [audit._LOCK])
            assert not expire(pool)  # another server is at it
        assert len(logged(pool)) == 12
        assert [expire(pool) for _ in range(3)] == [True, True, False]
    assert [row.collection for row in logged(pool)] == ["short", "usual"]


def test_what_an_operator_changes(pool: JoiningPool, store: PostgresStore, tmp_path: Path) -> None:
    """The commands' rows say what they were about: an index, a face model, a key; and how many faces."""
    album = store.create_collection(ACTOR, OWNER, "album", "100.1")
    faces = picture(embeddings(3))
    store.add_faces(ACTOR, album, faces[0].face.image_id, faces)
    staging, keys = PostgresReembeddingStore(pool), PostgresKeyStore(pool)
    now = datetime.now(UTC)
    key = AccessKey("AKIA1", "shop", OWNER.account, "{}", "full", b"sealed", True, now, None)
    store.choose_index(ACTOR, album, "faiss")
    staging.stage(album, "98.0", {new.face.face_id: embeddings(1, 16)[0] for new in faces})
    staging.exchange(ACTOR, album, "98.0")
    staging.discard(ACTOR, store.get_collection(OWNER, "album"), ["100.1"])
    export_collection(pool, OWNER, "album", tmp_path / "album.gz", lambda _: lambda _: None)
    import_collection(
        pool, ACTOR, tmp_path / "album.gz", lambda _: None, lambda _: (OWNER, "copy"), lambda _: lambda _: None
    )
    keys.add(ACTOR, key)
    keys.rotate(ACTOR, replace(key, access_key_id="AKIA2"), now)
    keys.enable(ACTOR, "AKIA2", enabled=False)
    keys.enable(ACTOR, "nobody", enabled=False)
    keys.delete(ACTOR, "shop")
    assert [(row.subject, row.counts) for row in logged(pool)[2:]] == [
        ("faiss", {}),
        ("98.0", {"faces_exchanged": 3}),
        ("100.1", {"embeddings_dropped": 3}),
        (None, {"faces_imported": 3, "users_imported": 0}),
        ("shop AKIA1: full", {}),
        ("shop AKIA2: full", {}),
        ("AKIA2", {}),
        ("shop", {}),
    ]


def test_what_is_sought(pool: JoiningPool) -> None:
    """By collection, key, operation and time; of many, the latest."""
    for name in ("album", "other"):
        for operation, change in changes(pool, name).items():
            change(by(operation, key_id="AKIA1"))
    rows = logged(pool)
    assert logged(pool, collection="other") == [row for row in rows if row.collection == "other"] != []
    assert logged(pool, operation="DeleteFaces") == [row for row in rows if row.operation == "DeleteFaces"]
    assert logged(pool, key="AKIA1") == logged(pool, key="backend") == rows
    assert logged(pool, key="other") == []
    assert logged(pool, since=rows[7].at) == rows[7:]
    assert logged(pool, limit=2) == rows[-2:]


def test_a_transaction_of_several_stores_takes_its_rows_along(pool: JoiningPool) -> None:
    """A refusal of the store inside a larger transaction leaves the row of neither."""
    store = PostgresStore(pool)

    def twice() -> None:
        with pool.transaction():
            store.create_collection(ACTOR, OWNER, "album", "100.1")
            store.create_collection(ACTOR, OWNER, "album", "100.1")

    with asked("CreateCollection").current(), pytest.raises(CollectionExists):
        twice()
    assert logged(pool) == []
