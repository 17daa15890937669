"""Several face models on one server, as operators and clients see it. Small networks stand in for large ones."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from rekognition_emulator.models.catalogue import ARCFACE
from rekognition_emulator.models.licences import Acceptance, record_acceptance
from tests.server.story.test_start import run
from tests.support.networks import COARSE, write_embedder, write_manifest
from tests.support.server import Server

TOY = {
    "file": "toy.onnx",
    "version": "1000.1",
    "dimension": 64,
    "side_px": 112,
    "template": "arcface",
    "colours": "RGB",
    "layout": "NHWC",
    "mean": 127.5,
    "scale": 0.01,
    "licence": "ours",
    "calibration": COARSE,
}


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """An operator's folder with a model of their own."""
    path = write_embedder(tmp_path, replace(ARCFACE, files={"toy.onnx": None}, dimension=64))
    write_manifest(tmp_path, name="toy", sha256=hashlib.sha256(path.read_bytes()).hexdigest(), **TOY)
    return tmp_path


def found(client: Any, collection: str, party: Path) -> set[str]:
    """Returns the pictures of a collection that a selfie finds."""
    selfie = (party / "selfie.jpg").read_bytes()
    answer = client.search_faces_by_image(CollectionId=collection, Image={"Bytes": selfie}, FaceMatchThreshold=80)
    return {match["Face"]["ExternalImageId"] for match in answer["FaceMatches"]}


def test_collections_keep_their_face_model(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], models_dir: Path, party: Path
) -> None:
    """Whatever the model for new collections, old ones are added to and searched with theirs; without it, refused."""
    data_dir, picture = new_data_dir(), {"Bytes": (party / "album" / "ada-plain.jpg").read_bytes()}
    before = start_server(data_dir, REKOGNITION_MODELS_DIR=str(models_dir), REKOGNITION_FACE_MODEL="toy")
    assert httpx.get(f"{before.url}/readyz").json()["face_model"] == "toy"
    client = before.client()
    assert client.create_collection(CollectionId="old")["FaceModelVersion"] == "1000.1"
    client.index_faces(CollectionId="old", Image=picture, ExternalImageId="first.jpg")
    assert before.stop() == 0

    after = start_server(data_dir, REKOGNITION_MODELS_DIR=str(models_dir))
    client = after.client()
    assert client.create_collection(CollectionId="new")["FaceModelVersion"] == "100.1"
    ben = (party / "album" / "ben.jpg").read_bytes()
    for collection, version in (("old", "1000.1"), ("new", "100.1")):
        for name, each in (("ada.jpg", picture["Bytes"] + b"\0"), ("ben.jpg", ben)):
            answer = client.index_faces(CollectionId=collection, Image={"Bytes": each}, ExternalImageId=name)
            assert answer["FaceModelVersion"] == version
    assert found(client, "old", party) >= {"first.jpg", "ada.jpg"}
    assert found(client, "new", party) == {"ada.jpg"}
    assert after.stop() == 0

    without = start_server(data_dir)
    client = without.client()
    assert client.describe_collection(CollectionId="old")["FaceModelVersion"] == "1000.1"
    with pytest.raises(ClientError, match=r"holds faces of model 1000\.1, which this server does not run"):
        found(client, "old", party)
    assert found(client, "new", party) == {"ada.jpg"}
    assert without.stop() == 0


def test_damaged_weights_end_the_start_with_a_sentence(models_dir: Path, tmp_path: Path) -> None:
    """A file that was cut short is named with both checksums, and nothing is served."""
    weights = models_dir / "toy.onnx"
    weights.write_bytes(weights.read_bytes()[:-1])
    ended = run(tmp_path / "data", REKOGNITION_MODELS_DIR=str(models_dir), REKOGNITION_FACE_MODEL="toy")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"The weights {weights} (")
    assert ended.stderr.count("\n") == 1


def test_an_accepted_licence_opens_its_model_and_is_logged(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], tmp_path: Path
) -> None:
    """What models pull recorded needs no setting; every start says whose word it was, and which model serves."""
    data_dir = new_data_dir()
    path = write_embedder(tmp_path, ARCFACE)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    write_manifest(tmp_path, name="arcface", sha256=checksum, calibration=COARSE)
    record_acceptance(tmp_path, Acceptance("arcface", ARCFACE.licence, "2030-01-01", "ada"))
    server = start_server(data_dir, REKOGNITION_MODELS_DIR=str(tmp_path))
    assert httpx.get(f"{server.url}/readyz").json()["face_model"] == "arcface"
    client = server.client()
    client.create_collection(CollectionId="new")
    version = client.describe_collection(CollectionId="new")["FaceModelVersion"]
    assert version == f"103.1.{int(checksum[:8], 16)}"
    assert server.stop() == 0
    said = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines()]
    (accepted,) = [line for line in said if line["event"] == "licence accepted"]
    assert (accepted["model"], accepted["licence"], accepted["accepted_by"]) == ("arcface", "not stated", "ada")
