"""Which models serve on a fresh machine, and where set-up's weights are found."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rekognition_emulator.models.catalogue import AGE, ARCFACE, EXPRESSION, FACE_LANDMARKER, GENDER, RETAIL_0095, YUNET
from tests.server.story.test_face_models import found
from tests.support.networks import write_embedder
from tests.support.publisher import publishing
from tests.support.server import Server, command

MODELS = (YUNET, RETAIL_0095, FACE_LANDMARKER, AGE, GENDER, EXPRESSION)
"""That set-up fetches where all publishers can be reached."""

RECOMMENDED = {
    "status": "ready",
    "face_model": "retail-0095",
    "face_model_version": "108.1",
    "calibration": "measured",
    "detector": "yunet",
    "device": "cpu",
}


@pytest.fixture
def published(weights: Callable[[str], Path]) -> dict[str, bytes]:
    """The files of the recommended models."""
    return {file: weights(file).read_bytes() for model in MODELS for file in model.files}


def ready(server: Server) -> dict[str, str]:
    """Returns what ``/readyz`` says."""
    said: dict[str, str] = httpx.get(f"{server.url}/readyz").json()
    return said


def test_published_files_are_what_the_table_says(published: dict[str, bytes]) -> None:
    """By our checksum, by the publisher's own where there is one, and by size."""
    for model in MODELS:
        for file, sha256 in model.files.items():
            assert hashlib.sha256(published[file]).hexdigest() == sha256
            assert len(published[file]) == model.sizes[file]
            if stated := model.checksums.get(file):
                assert stated == f"SHA-384:{hashlib.sha384(published[file]).hexdigest()}"
    assert set(RETAIL_0095.checksums) == set(RETAIL_0095.files)


def test_a_folder_of_the_publishers_files_serves_as_it_is(
    start_server: Callable[..., Server], weights_dir: Path, published: dict[str, bytes], party: Path
) -> None:
    """Nothing has to be described or accepted, and the main job is done."""
    server = start_server(REKOGNITION_MODELS_DIR=str(weights_dir))
    assert ready(server) == RECOMMENDED
    client = server.client()
    assert client.create_collection(CollectionId="album")["FaceModelVersion"] == "108.1"
    for name in ("ada-plain.jpg", "ben.jpg"):
        picture = {"Bytes": (party / "album" / name).read_bytes()}
        client.index_faces(CollectionId="album", Image=picture, ExternalImageId=name)
    assert found(client, "album", party) == {"ada-plain.jpg"}
    assert server.stop() == 0


def test_set_up_fetches_once_for_every_data_directory(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], tmp_path: Path, published: dict[str, bytes]
) -> None:
    """Weights lie beside the environment: a second server with other data finds them, and neither fetches anything."""
    folder = tmp_path / "recommended"
    with publishing() as publisher:
        publisher.shelf |= published
        environment = {"REKOGNITION_RECOMMENDED_DIR": str(folder), "REKOGNITION_MODEL_MIRRORS": publisher.url}
        done = command(new_data_dir(), "models", "pull", "recommended", **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("was fetched and is verified, from") == len(publisher.asked) == len(published)
        for _ in range(2):
            server = start_server(new_data_dir(), **environment)
            assert ready(server) == RECOMMENDED
            assert server.stop() == 0
        assert len(publisher.asked) == len(published)
        assert {path.name for path in folder.iterdir()} == set(published)


def test_a_start_fetches_nothing(start_server: Callable[..., Server], new_data_dir: Callable[[], Path]) -> None:
    """Though the weights are a request away: who serves asks nobody, and what is embedded serves."""
    with publishing() as publisher:
        server = start_server(new_data_dir(), REKOGNITION_MODEL_MIRRORS=publisher.url)
        assert ready(server)["face_model"] == "dlib"
        assert ready(server)["detector"] == "mtcnn"
        assert server.stop() == 0
        assert not publisher.asked


def test_a_model_that_nobody_has_measured_serves_and_says_so(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], tmp_path: Path
) -> None:
    """Pulled and accepted, ArcFace serves; that its curve is provisional is said at the start and on the page."""
    write_embedder(tmp_path, ARCFACE)
    data_dir, environment = new_data_dir(), {"REKOGNITION_MODELS_DIR": str(tmp_path)}
    done = command(data_dir, "models", "pull", "arcface", "--accept-licence", **environment)
    assert done.returncode == 0, done.stderr
    server = start_server(data_dir, **environment)
    stdout: Any = server.process.stdout
    assert "What arcface means by a similarity is provisional" in stdout.readline()
    assert (ready(server)["face_model"], ready(server)["calibration"]) == ("arcface", "provisional")
    assert server.stop() == 0
