"""What an operator does when somebody wants to be forgotten: delete, then erase beside the running server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from rekognition_emulator.storage.embedded_postgres import embedded_database
from tests.support.server import Server, command


def traces(data_dir: Path, face_id: str) -> list[bytes]:
    """Returns what the files have of a face: its embedding, whole and halved, and its chip."""
    with embedded_database(data_dir) as url, psycopg.connect(url) as database:
        embedding, jpeg = database.execute(
            "SELECT embedding::real[], jpeg FROM faces JOIN face_chips USING (collection_id, face_id)"
            " WHERE face_id = %s",
            [face_id],
        ).fetchone() or ((), b"")
        database.execute("CHECKPOINT")
    vector = np.array(embedding)
    return [vector.astype("<f4").tobytes(), jpeg[len(jpeg) // 2 :][:60]]


def found(data_dir: Path, pieces: list[bytes]) -> list[bool]:
    """Says of each piece whether any file of the data directory has it."""
    contents = [path.read_bytes() for path in data_dir.rglob("*") if path.is_file()]
    return [any(piece in content for content in contents) for piece in pieces]


def test_somebody_is_forgotten(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], party: Path
) -> None:
    """No file has anything of the face afterwards, that of another is found as before, and the log says who asked."""
    data_dir = new_data_dir()
    server = start_server(data_dir, REKOGNITION_KEEP_CHIPS="true")
    client: Any = server.client()
    album = {"CollectionId": "party"}
    client.create_collection(**album)
    ids = {}
    for name in ("ben", "ada-plain"):
        picture = {"Bytes": (party / "album" / f"{name}.jpg").read_bytes()}
        (record,) = client.index_faces(**album, Image=picture)["FaceRecords"]
        ids[name] = record["Face"]["FaceId"]
    gone, kept = (traces(data_dir, ids[name]) for name in ("ben", "ada-plain"))
    snapshots = data_dir / "indexes" / "faiss"
    snapshots.mkdir(parents=True)
    (snapshots / "1.snapshot").write_bytes(gone[0])
    client.delete_faces(**album, FaceIds=[ids["ben"]])
    assert found(data_dir, gone) == found(data_dir, kept) == [True, True]

    done = command(data_dir, "erase")
    assert done.returncode == 0, done.stderr
    assert "written anew" in done.stdout
    assert found(data_dir, gone) == [False, False]
    assert found(data_dir, kept) == [True, True]
    selfie = {"Bytes": (party / "selfie.jpg").read_bytes()}
    (match,) = client.search_faces_by_image(**album, Image=selfie)["FaceMatches"]
    assert match["Face"]["FaceId"] == ids["ada-plain"]
    with embedded_database(data_dir) as url, psycopg.connect(url) as database:
        said = database.execute("SELECT key_name FROM audit_log WHERE operation = 'erase'").fetchall()
    assert [name.startswith("(operator") for (name,) in said] == [True]


def test_what_is_left_to_the_operator_is_said(new_data_dir: Callable[[], Path]) -> None:
    """Other databases and indexes beside are not touched, but named, and the command fails."""
    data_dir = new_data_dir()
    (data_dir / "postgres.20260101T000000").mkdir()
    (data_dir / "indexes" / "milvus").mkdir(parents=True)
    done = command(data_dir, "erase")
    assert done.returncode == 1
    assert str(data_dir / "postgres.20260101T000000") in done.stdout
    assert "Milvus" in done.stdout
