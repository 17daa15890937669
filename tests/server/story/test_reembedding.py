"""An album gets another face model while it is used, and nobody but its operator notices."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from pgvector.psycopg import register_vector

from rekognition_emulator.demo.people import PEOPLE, album, selfie
from rekognition_emulator.storage.embedded_postgres import embedded_database
from tests.support.networks import MOBILEFACE, write_manifest
from tests.support.server import ROOT, Server

VISITORS = PEOPLE[1:4]
DLIB, OTHER = "100.1", MOBILEFACE["version"]


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """An album, as files."""
    pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")
    return {f"{number:03}.jpg": each.jpeg for number, each in enumerate(album(1, 26))}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, weights: Callable[[str], Path]) -> dict[str, str]:
    """Settings of a deployment that keeps chips and has two face models."""
    folder = tmp_path_factory.mktemp("models")
    (folder / MOBILEFACE["file"]).symlink_to(weights(MOBILEFACE["file"]))
    # Made-up people of one portrait: two of them reach 0.59, two views of one person do not go below 0.84.
    write_manifest(folder, name="mobileface", **MOBILEFACE, calibration=[[0.5, 40], [0.7, 80]])
    return {"REKOGNITION_MODELS_DIR": str(folder), "REKOGNITION_KEEP_CHIPS": "true"}


class Deployment:
    """A server, its database, and the operator's commands."""

    def __init__(self, server: Server, data_dir: Path, environment: dict[str, str], database_url: str) -> None:
        self.server = server
        self.client = server.client()
        self._settings = {**environment, "REKOGNITION_DATA_DIR": str(data_dir)}
        self._url = database_url

    def begin(self, *options: str) -> subprocess.Popen[str]:
        """Starts the command."""
        return subprocess.Popen(
            [sys.executable, "-m", "rekognition_emulator", "reembed", "--collection", "album", *options],
            cwd=ROOT,
            env={**os.environ, **self._settings, "REKOGNITION_REGION": "eu-central-1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def reembed(self, *options: str) -> tuple[int, str]:
        """Runs the command and returns how it ended, and all that it said."""
        command = self.begin(*options)
        said = command.communicate(timeout=120)
        return command.returncode, "".join(said)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Asks the database."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            register_vector(connection)
            return connection.execute(query).fetchall()

    def await_staging(self, command: subprocess.Popen[str]) -> None:
        """Returns as soon as the command has staged anything, which is less than everything."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            while connection.execute("SELECT FROM staged_embeddings LIMIT 1").fetchone() is None:
                assert command.poll() is None, command.communicate()

    def embeddings(self) -> dict[UUID, NDArray[np.float32]]:
        """Every face's embedding."""
        return {name: vector.to_numpy() for name, vector in self.rows("SELECT face_id, embedding FROM faces")}

    def faces(self) -> dict[str, Any]:
        """Every face as clients see it, but for the model."""
        pages = self.client.get_paginator("list_faces").paginate(CollectionId="album")
        faces = [face for page in pages for face in page["Faces"]]
        return {face["FaceId"]: {**face, "IndexFacesModelVersion": None} for face in faces}

    def index(self, pictures: dict[str, bytes]) -> None:
        """Adds pictures to the album."""
        for name, picture in pictures.items():
            self.client.index_faces(CollectionId="album", Image={"Bytes": picture}, ExternalImageId=name)

    def found(self) -> dict[int, tuple[set[str], str]]:
        """For each visitor the pictures and the best user that their selfie finds."""
        found = {}
        for visitor in VISITORS:
            wanted = {"CollectionId": "album", "Image": {"Bytes": selfie(visitor)}}
            matches = self.client.search_faces_by_image(**wanted, MaxFaces=4096)["FaceMatches"]
            users = self.client.search_users_by_image(**wanted)["UserMatches"]
            found[visitor] = {each["Face"]["ExternalImageId"] for each in matches}, users[0]["User"]["UserId"]
        return found


@pytest.fixture
def deployment(
    start_server: Callable[..., Server],
    new_data_dir: Callable[[], Path],
    environment: dict[str, str],
    pictures: dict[str, bytes],
) -> Iterator[Deployment]:
    """A server with an album and a user for each visitor."""
    data_dir = new_data_dir()
    server = start_server(data_dir, **environment)
    with embedded_database(data_dir) as url:
        here = Deployment(server, data_dir, environment, url)
        here.client.create_collection(CollectionId="album")
        here.index(dict(list(pictures.items())[:20]))
        for visitor in VISITORS:
            user = {"CollectionId": "album", "UserId": f"visitor-{visitor}"}
            here.client.create_user(**user)
            found = here.client.search_faces_by_image(CollectionId="album", Image={"Bytes": selfie(visitor)})
            ids = [match["Face"]["FaceId"] for match in found["FaceMatches"]]
            here.client.associate_faces(**user, FaceIds=ids[:5])
        yield here
        server.stop()


class Bustle:
    """What goes on in an album all the time.

    Attributes:
        answers: of searches by selfies: the model's version, whose selfie it was, and the pictures found.
    """

    def __init__(self, server: Server, pictures: dict[str, bytes], probe: str) -> None:
        self.answers: list[tuple[str, int, set[str]]] = []
        self.over = threading.Event()
        self._server, self._pictures, self._probe = server, list(pictures.items()), probe

    def search(self) -> None:
        """Visitors look for themselves, one after the other."""
        client, album = self._server.client(), {"CollectionId": "album"}
        for visitor in cycle(VISITORS):
            image = {"Bytes": selfie(visitor)}
            answer = client.search_faces_by_image(**album, Image=image, MaxFaces=4096)
            found = {match["Face"]["ExternalImageId"] for match in answer["FaceMatches"]}
            self.answers.append((answer["FaceModelVersion"], visitor, found))
            client.search_faces(**album, FaceId=self._probe)
            client.search_users(**album, FaceId=self._probe)
            client.search_users_by_image(**album, Image=image)
            if self.over.wait(0.1):
                return

    def photograph(self) -> None:
        """A photographer adds pictures."""
        client = self._server.client()
        for number, (name, picture) in enumerate(cycle(self._pictures)):
            # A few more bytes make it another picture of the same faces.
            image = {"Bytes": picture + bytes(1 + number)}
            client.index_faces(CollectionId="album", Image=image, ExternalImageId=name)
            if self.over.wait(0.1):
                return


@contextmanager
def visited(deployment: Deployment, pictures: dict[str, bytes]) -> Iterator[list[tuple[str, int, set[str]]]]:
    """Keeps visitors and a photographer busy; yields ``Bustle.answers``. No call of theirs may fail."""
    bustle = Bustle(deployment.server, pictures, next(iter(deployment.faces())))
    with ThreadPoolExecutor(3) as threads:
        working = [threads.submit(work) for work in (bustle.search, bustle.search, bustle.photograph)]
        try:
            yield bustle.answers
        finally:
            bustle.over.set()
        for each in working:
            each.result()


def await_answer(answers: list[tuple[str, int, set[str]]], version: str) -> None:
    """Returns when the latest answer is of this model's version."""
    while not answers or answers[-1][0] != version:
        time.sleep(0.05)


@pytest.mark.timeout(300)
def test_an_album_gets_another_model_under_its_visitors(deployment: Deployment, pictures: dict[str, bytes]) -> None:
    """Killed in between, then finished, gone back from and confirmed: ids, users and who is found stay the same."""
    faces, embeddings, found = deployment.faces(), deployment.embeddings(), deployment.found()
    assert {len(vector) for vector in embeddings.values()} == {128}
    users = deployment.client.list_users(CollectionId="album")["Users"]

    with visited(deployment, dict(list(pictures.items())[20:])) as answers:
        killed = deployment.begin("--to", "mobileface")
        deployment.await_staging(killed)
        killed.kill()
        killed.communicate()
        ((staged, there),) = deployment.rows(
            "SELECT (SELECT count(*) FROM staged_embeddings), (SELECT count(*) FROM faces)"
        )
        assert 0 < staged < there
        assert {version for version, _, _ in answers} == {DLIB}
        code, said = deployment.reembed("--to", "mobileface")
        assert code == 0, said
        await_answer(answers, OTHER)
    # Whichever model an answer is of, it finds who is in the album.
    assert {version for version, _, _ in answers} == {DLIB, OTHER}
    assert all(names >= found[visitor][0] for _, visitor, names in answers)

    after = deployment.faces()
    assert {name: after[name] for name in faces} == faces
    assert len(after) > len(faces)
    assert {len(vector) for vector in deployment.embeddings().values()} == {256}
    assert deployment.client.list_users(CollectionId="album")["Users"] == users
    assert deployment.client.describe_collection(CollectionId="album")["FaceModelVersion"] == OTHER
    assert {who: user for who, (_, user) in deployment.found().items()} == {who: f"visitor-{who}" for who in VISITORS}
    code, said = deployment.reembed("--status")
    assert f"{len(after)} faces of model version {OTHER}" in said
    assert "kept from before" in said

    with visited(deployment, dict(list(pictures.items())[20:])) as answers:
        await_answer(answers, OTHER)
        code, said = deployment.reembed("--rollback")
        assert code == 0, said
        await_answer(answers, DLIB)
    assert {version for version, _, _ in answers} == {DLIB, OTHER}
    assert all(names >= found[visitor][0] for _, visitor, names in answers)
    back = deployment.embeddings()
    assert all(np.array_equal(back[name], vector) for name, vector in embeddings.items())
    assert {len(vector) for vector in back.values()} == {128}
    assert {who: user for who, (_, user) in deployment.found().items()} == {who: f"visitor-{who}" for who in VISITORS}

    code, said = deployment.reembed("--confirm")
    assert code == 0, said
    assert deployment.rows("SELECT FROM staged_embeddings") == []
    assert deployment.reembed("--rollback") == (
        1,
        "album keeps no embeddings of another model: there is nothing to confirm and no way back.\n",
    )


@pytest.mark.timeout(300)
def test_pictures_in_s3_are_read_again(
    start_server: Callable[..., Server],
    new_data_dir: Callable[[], Path],
    environment: dict[str, str],
    pictures: dict[str, bytes],
) -> None:
    """Without chips faces come from where their pictures were read, as long as these are the same pictures."""
    pytest.importorskip("moto", reason="S3 is played by moto, a tool of the tests")
    from moto.server import ThreadedMotoServer

    storage = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    storage.start()
    try:
        url = "http://{}:{}".format(*storage.get_host_and_port())
        keys = {"AWS_ACCESS_KEY_ID": "server", "AWS_SECRET_ACCESS_KEY": "server", "AWS_DEFAULT_REGION": "us-east-1"}
        settings = {**environment, **keys, "REKOGNITION_KEEP_CHIPS": "false", "REKOGNITION_S3_ENDPOINT_URL": url}
        s3 = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="us", aws_secret_access_key="us"
        )
        s3.create_bucket(Bucket="events")
        data_dir = new_data_dir()
        server = start_server(data_dir, **settings)
        with embedded_database(data_dir) as database_url:
            here = Deployment(server, data_dir, settings, database_url)
            here.client.create_collection(CollectionId="album")
            for name, picture in list(pictures.items())[:3]:
                s3.put_object(Bucket="events", Key=name, Body=picture)
                image = {"S3Object": {"Bucket": "events", "Name": name}}
                here.client.index_faces(CollectionId="album", Image=image, ExternalImageId=name)
            faces = here.faces()
            assert here.rows("SELECT FROM face_chips") == []

            s3.put_object(Bucket="events", Key="001.jpg", Body=pictures["009.jpg"])
            code, said = here.reembed("--to", "mobileface")
            assert code == 1
            spoilt = {name for name, face in faces.items() if face["ExternalImageId"] == "001.jpg"}
            reason = "events/001.jpg holds another picture than the one that was indexed"
            assert {line.split("  ")[0] for line in said.splitlines() if line.endswith(reason)} == spoilt
            assert {len(vector) for vector in here.embeddings().values()} == {128}

            s3.put_object(Bucket="events", Key="001.jpg", Body=pictures["001.jpg"])
            assert here.reembed("--to", "mobileface")[0] == 0
            assert here.faces() == faces
            assert {len(vector) for vector in here.embeddings().values()} == {256}
            server.stop()
    finally:
        storage.stop()
