"""Who did what: the audit log of a running server, as an operator reads it."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.server import ROOT, Server, Session, create_key, keys_command

Line = dict[str, Any]

PARTY = "arn:aws:rekognition:eu-central-1:000000000000:collection/party"


def audit_lines(data_dir: Path, *options: str, **environment: str) -> list[Line]:
    """Returns what ``audit`` says."""
    done = subprocess.run(
        [sys.executable, "-m", "rekognition_emulator", "audit", "--json", *options],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "REKOGNITION_DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def create_session(data_dir: Path, **environment: str) -> Session:
    """Returns temporary credentials for the collection of the party."""
    printed = keys_command(data_dir, "session", "--key", "backend", "--collection", "party", **environment).stdout
    key, secret, token = (json.loads(printed)[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    return key, secret, token


def canaries(pictures: list[bytes], vectors: list[list[float]]) -> list[str]:
    """Returns pieces of pictures and vectors in the ways in which they could be written."""
    starts = [base64.b64encode(each)[start : start + 24].decode() for each in pictures for start in (0, 1200)]
    starts += [each[:40].hex() for each in pictures] + [repr(each[:12])[2:-1] for each in pictures]
    starts += [np.array(vector[:4], "<f4").tobytes().hex() for vector in vectors]
    return starts + [str(number)[:8] for vector in vectors for number in vector[:8]]


def test_who_did_what(new_data_dir: Callable[[], Path], database_url: str, party: Path) -> None:
    """Keys, sessions, refusals and the operator stand in the log; pictures, vectors, secrets and signatures do not."""
    data_dir = new_data_dir()
    environment = {"REKOGNITION_DATABASE_URL": database_url}
    backend = create_key(data_dir, "backend", **environment)
    reader = create_key(data_dir, "reader", "--policy", "read", **environment)
    session = create_session(data_dir, **environment)
    server = Server.start(data_dir, **environment)
    signatures: list[str] = []

    def client(*keys: str) -> Any:
        made = boto3.Session(*keys).client(
            "rekognition", "eu-central-1", endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1})
        )
        made.meta.events.register(
            "before-send.rekognition",
            lambda request, **_: signatures.append(request.headers["Authorization"].decode().rpartition("=")[2]),
        )
        return made

    album = {"CollectionId": "party"}
    selfie, picture = (party / "selfie.jpg").read_bytes(), (party / "album" / "ada-and-ben.jpg").read_bytes()
    try:
        client(*backend).create_collection(**album)
        records = client(*backend).index_faces(**album, Image={"Bytes": picture})["FaceRecords"]
        ids = [record["Face"]["FaceId"] for record in records]
        with psycopg.connect(database_url) as database:
            vectors = [row[0] for row in database.execute("SELECT embedding::real[] FROM faces").fetchall()]
        client(*backend).tag_resource(ResourceArn=PARTY, Tags={"event": "wedding"})
        with pytest.raises(ClientError, match="AccessDenied"):
            client(*reader).untag_resource(ResourceArn=PARTY, TagKeys=["event"])
        client(*session).search_faces_by_image(**album, Image={"Bytes": selfie})
        client(*reader).list_faces(**album)
        with pytest.raises(ClientError, match="AccessDenied"):
            client(*reader).delete_faces(**album, FaceIds=ids)
        with pytest.raises(ClientError, match="InvalidSignature"):
            client(backend[0], backend[1][::-1]).list_faces(**album)
        client(*backend).delete_faces(**album, FaceIds=ids[:1])
        client(*backend).delete_collection(**album)
        assert keys_command(data_dir, "disable", "reader", **environment).returncode == 0
    finally:
        assert server.stop() == 0

    rows = audit_lines(data_dir, **environment)
    told = [(row["key_name"], row["in_session"], row["operation"], row["error"], row["counts"]) for row in rows]
    operator = next(row["key_name"] for row in rows if row["operation"] == "keys create")
    assert operator.startswith("(operator")
    assert sorted(told, key=str) == sorted(
        [
            (operator, False, "keys create", None, {}),
            (operator, False, "keys create", None, {}),
            (operator, False, "keys session", None, {}),
            ("backend", False, "CreateCollection", None, {}),
            ("backend", False, "IndexFaces", None, {"faces_found": 2, "faces_indexed": 2}),
            ("backend", True, "SearchFacesByImage", None, {"faces_found": 1, "faces_matched": 1}),
            ("backend", False, "TagResource", None, {}),
            ("reader", False, "UntagResource", "AccessDeniedException", {}),
            ("reader", False, "ListFaces", None, {}),
            ("reader", False, "DeleteFaces", "AccessDeniedException", {}),
            ("backend", False, "DeleteFaces", None, {"faces_deleted": 1}),
            ("backend", False, "DeleteCollection", None, {"faces_deleted": 1, "users_deleted": 0}),
            (operator, False, "keys disable", None, {}),
        ],
        key=str,
    )
    assert {row["collection"] for row in rows if row["region"]} == {"party"}
    assert {row["access_key_id"] for row in rows if row["key_name"] == "backend"} == {backend[0]}
    assert [row["deleted_faces"] for row in rows if row["deleted_faces"]] == [ids[:1]]
    narrow = ("--collection", "party", "--key", "reader", "--since", "1h", "--operation", "DeleteFaces")
    assert [row["error"] for row in audit_lines(data_dir, *narrow, **environment)] == ["AccessDeniedException"]

    with psycopg.connect(database_url) as database:
        said = str(database.execute("SELECT array_agg(audit_log::text) FROM audit_log").fetchone())
    assert "faces_indexed" in said
    assert len(signatures) == 10
    pieces = [*canaries([picture, selfie], vectors), backend[1], reader[1], *session[1:], *signatures]
    assert [piece for piece in pieces if piece in said] == []


def test_what_is_acknowledged_is_in_the_log(new_data_dir: Callable[[], Path], party: Path) -> None:
    """However the server ends, and before it has written anything down later; without keys it was nobody."""
    data_dir = new_data_dir()
    server = Server.start(data_dir)
    rekognition = server.client()
    try:
        rekognition.create_collection(CollectionId="party")
        picture = {"Bytes": (party / "album" / "ben.jpg").read_bytes()}
        (record,) = rekognition.index_faces(CollectionId="party", Image=picture)["FaceRecords"]
        rekognition.delete_faces(CollectionId="party", FaceIds=[record["Face"]["FaceId"]])
    finally:
        server.kill()
    rows = audit_lines(data_dir)
    assert [(row["operation"], row["key_name"]) for row in rows] == [
        (operation, "(anonymous)") for operation in ("CreateCollection", "IndexFaces", "DeleteFaces")
    ]
    assert rows[-1]["deleted_faces"] == [record["Face"]["FaceId"]]


def test_a_log_that_refuses_stops_changes(start_server: Callable[..., Server], database_url: str, party: Path) -> None:
    """The answer is an error, nothing is stored, and reads go on; their rows are written once the log takes them."""
    server = start_server(REKOGNITION_DATABASE_URL=database_url)
    rekognition = server.client()
    rekognition.create_collection(CollectionId="party")
    picture = {"Bytes": (party / "album" / "ben.jpg").read_bytes()}
    with psycopg.connect(database_url, autocommit=True) as database:
        database.execute("ALTER TABLE audit_log ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
        with pytest.raises(ClientError, match="InternalServerError"):
            rekognition.index_faces(CollectionId="party", Image=picture)
        assert rekognition.list_faces(CollectionId="party")["Faces"] == []
        database.execute("ALTER TABLE audit_log DROP CONSTRAINT full_disk")
        assert len(rekognition.index_faces(CollectionId="party", Image=picture)["FaceRecords"]) == 1
        deadline = time.monotonic() + 20
        rows: list[Any] = []
        while len(rows) < 4:
            assert time.monotonic() < deadline
            with suppress(psycopg.Error):
                rows = database.execute("SELECT operation, status FROM audit_log ORDER BY at").fetchall()
            time.sleep(0.1)
    assert rows == [("CreateCollection", 200), ("IndexFaces", 500), ("ListFaces", 200), ("IndexFaces", 200)]
