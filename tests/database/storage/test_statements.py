"""Every statement names its collection, so that tables may be distributed by it over several machines."""

import ast
import io
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import PIL.Image
import psycopg
import pytest
from psycopg_pool import ConnectionPool

import rekognition_emulator
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.inference.details.face_details import FaceDetails
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.registry import OPERATIONS
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.retention.store import RetentionStore
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage import tombstones
from rekognition_emulator.storage.answers import PostgresAnswerStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture
from tests.support.scripted import FRONTAL, ScriptedEngine

DISTRIBUTED: Final = (
    *("faces", "users", "removed_faces", "removed_users", "milestones"),
    *("face_chips", "picture_sources", "staged_embeddings"),
)
"""Tables of which a collection's rows lie together, on whichever machine. Here as in the README."""

TOUCHED: Final = re.compile(
    rf"\b(?:FROM|INTO|UPDATE|JOIN|USING|ONLY|TABLE|ON)\s+({'|'.join(DISTRIBUTED)})\b", re.IGNORECASE
)
"""How a statement names one of them."""

STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|DROP|ALTER|TRUNCATE|COPY)\b")
"""How one begins; prose does not."""

NAMED: Final = re.compile(r"\bcollection_id = (?:%|\d|ANY\()")
"""How it says whose rows it means: by a value, not by another table's column."""


def without_collection(statement: str) -> list[str]:
    """Returns those parts of a statement that touch a distributed table without saying whose rows they mean.

    A part is what stands in one pair of parentheses, or in none: it has its own FROM and its own WHERE.
    """
    rest = re.sub(r"--[^\n]*", "", statement).replace('"', "")
    rest = re.sub(r"\s+", " ", re.sub(r"'[^']*'", "''", rest))
    # The columns of an insertion say that what is inserted is some collection's.
    rest = re.sub(r"(INSERT INTO \w+) \(collection_id, [^()]*\)", r"\1 collection_id = %", rest)
    parts = []
    while inner := re.search(r"\(([^()]*)\)", rest):
        parts.append(inner[1])
        before = rest[: inner.start()]
        rest = before + ("(…" if before.endswith("ANY") else "…") + rest[inner.end() :]
    return [part.strip() for part in (*parts, rest) if TOUCHED.search(part) and not NAMED.search(part)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT embedding FROM faces WHERE face_id = %s",
        "DELETE FROM faces WHERE collection_id = %s AND face_id IN (SELECT face_id FROM faces LIMIT 5)",
        "SELECT (SELECT count(*) FROM users) FROM faces WHERE collection_id = %s",
        "SELECT 1 FROM faces WHERE collection_id = users.collection_id",
        "INSERT INTO removed_faces (revision, face_id) VALUES (%s, %s)",
        "SELECT face_id FROM faces -- WHERE collection_id = %s",
        "SELECT face_id FROM faces WHERE external_image_id = 'collection_id = %s'",
        'UPDATE "users" SET face_count = 0',
        "CREATE INDEX CONCURRENTLY everything ON faces (face_id)",
    ],
)
def test_the_check_would_notice(statement: str) -> None:
    """A statement that reads all machines is seen as one."""
    assert len(without_collection(statement)) == 1


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that goes to the database from now on, as psycopg is given it."""
    statements: list[str] = []

    def recording(name: str) -> Any:
        original = getattr(psycopg.Cursor, name)

        def record(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
            statements.append(query if isinstance(query, str) else query.as_string(cursor))
            return original(cursor, query, *args, **options)

        return record

    for name in ("execute", "executemany", "stream", "copy"):
        monkeypatch.setattr(psycopg.Cursor, name, recording(name))
    return statements


def context(pool: JoiningPool, index: FaceIndex) -> Context:
    """A server whose engine sees two faces in every picture."""
    boxes = [BoundingBox(left, 0.1, 0.3, 0.3) for left in (0.1, 0.6)]
    seen = [Detection(box, (FRONTAL * 0.3 + (box.left, 0.1)).astype(np.float32), 99.9) for box in boxes]
    return Context(
        engine=ScriptedEngine(seen),
        attributes=FaceDetails([]),
        store=PostgresStore(pool),
        users=PostgresUserStore(pool),
        tags=PostgresTagStore(pool),
        answers=PostgresAnswerStore(pool),
        index=index,
        fetch_object=lambda *_: photograph()["Bytes"],
        owner=OWNER,
        actor=ACTOR,
        keep_chips=True,
    )


def photograph() -> dict[str, bytes]:
    """Any picture: the engine does not look."""
    file = io.BytesIO()
    PIL.Image.effect_noise((400, 400), 90).convert("RGB").save(file, "png")
    return {"Bytes": file.getvalue()}


def tell(context: Context, name: str) -> set[str]:
    """Calls every operation on a collection of this name and returns which there were."""
    told = set()

    def call(operation: str, **request: Any) -> Any:
        told.add(operation)
        return OPERATIONS[operation].handler(context, request)  # type: ignore[literal-required] # any of them

    album, image = {"CollectionId": name}, {"Image": photograph()}
    arn = {"ResourceArn": f"arn:aws:rekognition:{OWNER.region}:{OWNER.account}:collection/{name}"}
    ada = album | {"UserId": "ada"}
    call("CreateCollection", **album, Tags={"event": "wedding"})
    call("TagResource", **arn, Tags={"year": "2026"})
    call("UntagResource", **arn, TagKeys=["year"])
    call("ListTagsForResource", **arn)
    call("DetectFaces", **image)
    call("CompareFaces", SourceImage=photograph(), TargetImage=photograph())
    call("IndexFaces", **album, Image={"S3Object": {"Bucket": "bucket", "Name": "1.png"}}, ExternalImageId="1")
    records = [record for _ in range(3) for record in call("IndexFaces", **album, Image=photograph())["FaceRecords"]]
    ids = [record["Face"]["FaceId"] for record in records]
    for number in (1, 2):
        call("CreateUser", **album, UserId=f"user-{number}", ClientRequestToken=f"{name}-{number}")
    call("CreateUser", **ada, ClientRequestToken=name)
    call("AssociateFaces", **ada, FaceIds=ids[:2], UserMatchThreshold=0)
    call("ListUsers", **album)
    call("ListFaces", **album)
    call("ListFaces", **ada)
    call("ListFaces", **album, FaceIds=ids[:1])
    call("SearchUsers", **ada)
    call("SearchUsers", **album, FaceId=ids[0])
    call("SearchUsersByImage", **album, **image)
    call("SearchFaces", **album, FaceId=ids[0])
    call("SearchFacesByImage", **album, **image)
    call("DisassociateFaces", **ada, FaceIds=ids[:1])
    call("DeleteFaces", **album, FaceIds=ids[2:])
    call("SearchFaces", **album, FaceId=ids[0], MaxFaces=4096)
    for number in (1, 2):
        call("DeleteUser", **album, UserId=f"user-{number}")
    call("DescribeCollection", **album)
    call("ListCollections")
    call("DeleteCollection", **album)
    return told


def literals() -> Iterator[str]:
    """Every statement in the sources that touches a distributed table."""
    for file in Path(rekognition_emulator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Constant(value=str() as text) if STATEMENT.match(text) and TOUCHED.search(text):
                    yield text


def test_no_statement_lacks_the_collection(
    sent: list[str], pool: JoiningPool, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are sent through all operations, housekeeping and indexes, composed ones among them."""
    monkeypatch.setattr(tombstones, "REMOVALS_KEPT", 1)
    monkeypatch.setattr(tombstones, "PRUNE_EVERY", 1)
    indexes = [PgvectorIndex(pool), PgvectorIndex(pool, exact_max=0), MemoryIndex(store, 1_000_000)]
    for number, index in enumerate(indexes):
        with closing(index):
            assert tell(context(pool, index), f"told-{number}") == set(OPERATIONS)
            created = store.create_collection(ACTOR, OWNER, f"prepared-{number}", "99.0")
            store.add_faces(ACTOR, created, uuid4(), picture(embeddings(200)))
            prepared = store.get_collection(OWNER, created.name)
            index.prepare(prepared, lambda *_: None)
            assert len(index.search(prepared, embeddings(1)[0], cosine_min=-1, limit=50)) == 50
            index.holding(prepared)
            index.forget(prepared)
            staging = PostgresReembeddingStore(pool)
            lacking = staging.lacking(prepared, "98.0", since=0, after=None, limit=200)
            with staging.alone(prepared), staging.exclusive(prepared):
                staging.stage(
                    ACTOR, prepared, "98.0", {origin.face.face_id: embeddings(1, 16)[0] for origin in lacking}
                )
                staging.exchange(ACTOR, prepared, "98.0")
            prepared = store.get_collection(OWNER, created.name)
            staging.standing(prepared)
            staging.discard(ACTOR, prepared, ["99.0"])
            retention = RetentionStore(pool)
            retention.choose(ACTOR, prepared, 1)
            assert {retention.count(expiry) + len(retention.faces(expiry, 9)) for expiry in retention.expiries()} == {0}
            store.set_history_token(prepared, uuid4())
            store.milestones([prepared.key])
    store.sweep()
    touching = [statement for statement in sent if TOUCHED.search(statement.replace('"', ""))]
    assert {table for statement in touching for table in TOUCHED.findall(statement)} == set(DISTRIBUTED)
    assert [statement for statement in touching if without_collection(statement)] == []


def test_no_statement_in_the_sources_lacks_the_collection() -> None:
    """Those that commands send, and whoever else."""
    written = list(literals())
    assert len(written) > 20
    assert [statement for statement in written if without_collection(statement)] == []


def test_keys_begin_with_the_collection(pool: ConnectionPool) -> None:
    """What is unique is so within a collection, and each table that knows collections is one of those above."""
    with pool.connection() as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'collection_id'"
        ).fetchall()
        unique = connection.execute("""
            SELECT indrelid::regclass::text, attname FROM pg_index
            JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] WHERE indisunique
        """).fetchall()
    # What is left to sweep is a list of collections; it stays where the collections are.
    assert {table for (table,) in tables} == {*DISTRIBUTED, "deleted_collections"}
    assert {first for table, first in unique if table in DISTRIBUTED} == {"collection_id"}
    assert set(DISTRIBUTED) <= {table for table, _ in unique}
