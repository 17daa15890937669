import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.faces import NewFace
from rekognition_emulator.imaging.crops import cut_chip
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.models.catalogue import ARCFACE
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from tests.support.gallery import ACTOR, OWNER, embeddings, picture
from tests.support.networks import COARSE, write_embedder, write_manifest
from tests.support.scripted import FRONTAL

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """Two models of the operator's own."""
    path = write_embedder(tmp_path, replace(ARCFACE, files={"toy.onnx": None}, dimension=64))
    toy = {"file": "toy.onnx", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "dimension": 64, "side_px": 112}
    fed = {"template": "arcface", "colours": "RGB", "layout": "NHWC", "mean": 127.5, "scale": 0.01, "licence": "ours"}
    for number in (1, 2):
        write_manifest(tmp_path, name=f"toy{number}", version=f"1000.{number}", **toy, **fed, calibration=COARSE)
    return tmp_path


@pytest.fixture
def reembed(database_url: str, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on the test's database; returns how it ended and what it said."""
    monkeypatch.setattr(os, "nice", lambda _: 0)  # this process is not to be slower from now on

    def run(*options: str, name: str = "album") -> tuple[int, str]:
        environment = {
            "REKOGNITION_DATABASE_URL": database_url,
            "REKOGNITION_REGION": OWNER.region,
            "REKOGNITION_MODELS_DIR": str(models_dir),
            "REKOGNITION_DATA_DIR": str(tmp_path / "data"),
            "REKOGNITION_FACE_MODEL": "dlib",
        }
        outcome = CliRunner().invoke(app, ["reembed", "--collection", name, *options], env=environment)
        assert "Traceback" not in outcome.output
        return outcome.exit_code, outcome.output

    return run


@pytest.fixture
def faces(store: PostgresStore) -> list[UUID]:
    """The faces of an album, with chips of nothing in particular."""
    album = store.create_collection(ACTOR, OWNER, "album", "100.1")
    pixels = np.random.default_rng(1).integers(0, 255, (3, 300, 300, 3), np.uint8)
    seen = Detection(BoundingBox(0, 0, 1, 1), FRONTAL.astype(np.float32), 99.0)
    new = [
        NewFace(each.face, each.embedding, cut_chip(Image(rows, 300, 300), seen))
        for each, rows in zip(picture(embeddings(3, 128)), pixels, strict=True)
    ]
    return [face.face_id for face in store.add_faces(ACTOR, album, new[0].face.image_id, new)]


def test_there_and_back(reembed: Run, store: PostgresStore, faces: list[UUID]) -> None:
    """Each step says what it has done and what comes next, and none is done twice or out of turn."""
    before = [store.get_embedding(store.get_collection(OWNER, "album"), face_id) for face_id in faces]
    assert reembed("--confirm")[0] == reembed("--rollback")[0] == 1
    code, said = reembed("--to", "toy1")
    assert (code, "--rollback" in said, "--confirm" in said) == (0, True, True)
    assert "3 faces of model version 1000.1" in reembed("--status")[1]
    assert "kept from before: 3 embeddings of version 100.1" in reembed("--status")[1]
    assert reembed("--to", "toy1")[0] == 1
    code, said = reembed("--to", "toy2")
    assert (code, "still keeps the embeddings of model version 100.1" in said) == (1, True)
    assert reembed("--rollback")[0] == 0
    album = store.get_collection(OWNER, "album")
    assert album.face_model_version == "100.1"
    assert all(
        np.array_equal(store.get_embedding(album, face_id), vector)
        for face_id, vector in zip(faces, before, strict=True)
    )
    assert "3 embeddings of model version 1000.1 dropped" in reembed("--confirm")[1]
    assert reembed("--rollback")[0] == 1
    assert reembed("--to", "toy2")[0] == 0


@pytest.mark.usefixtures("faces")
def test_faces_that_cannot_be_embedded_are_named(reembed: Run, store: PostgresStore) -> None:
    """The album stays as it is until they have what it takes, or are gone; what waits for another model then goes."""
    album = store.get_collection(OWNER, "album")
    bare = store.add_faces(ACTOR, album, uuid4(), picture(embeddings(2, 128, seed=5)))
    code, said = reembed("--to", "toy1")
    assert code == 1
    assert all(f"{face.face_id}  neither chip nor source" in said for face in bare)
    assert "2 of 5 faces" in said
    assert "on the way: 3 embeddings of version 1000.1" in reembed("--status")[1]
    store.delete_faces(ACTOR, album, [face.face_id for face in bare])
    assert reembed("--to", "toy2")[0] == 0
    assert "1000.1" not in reembed("--status")[1]


@pytest.mark.usefixtures("faces")
def test_what_is_asked_wrongly_is_said_in_a_sentence(reembed: Run, store: PostgresStore, pool: JoiningPool) -> None:
    """Unknown names, no step or two, and another process at work."""
    assert reembed("--status", name="nowhere") == (1, "There is no collection nowhere.\n")
    assert "none of" in reembed("--to", "nobody")[1]
    assert reembed()[0] == reembed("--to", "toy1", "--status")[0] == 2
    with PostgresReembeddingStore(pool).alone(store.get_collection(OWNER, "album")):
        assert reembed("--to", "toy1") == (1, "Another process changes the face model of album.\n")
