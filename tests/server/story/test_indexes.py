"""Which index searches is nothing that a client notices."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from rekognition_emulator.demo.people import PEOPLE, View, selfie
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.embeddings import DLIB, faces_of_people
from tests.support.gallery import ACTOR, picture
from tests.support.server import Server


def found(client: Any, face_ids: list[str]) -> list[list[tuple[str, float]]]:
    """What a search with each face finds, in the order of the answers."""
    searches = [{"FaceId": face_id, "FaceMatchThreshold": 0, "MaxFaces": 200} for face_id in face_ids]
    answers = [client.search_faces(CollectionId="album", **search)["FaceMatches"] for search in searches]
    return [[(match["Face"]["FaceId"], match["Similarity"]) for match in matches] for matches in answers]


def test_faiss_finds_the_same_after_kill_and_restart(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], database_url: str, store: PostgresStore
) -> None:
    """Searched, written down, changed, killed, started again: the same faces, the last ones too, and none that went."""
    environment = {"REKOGNITION_INDEX": "faiss", "REKOGNITION_DATABASE_URL": database_url}
    data_dir = new_data_dir()
    server = start_server(data_dir, **environment)
    client = server.client()
    client.create_collection(CollectionId="album")
    album = store.get_collection(Owner("000000000000", "eu-central-1"), "album")
    vectors, _ = faces_of_people(3_000, DLIB)
    crowd = [str(face.face_id) for face in store.add_faces(ACTOR, album, uuid4(), picture(vectors))]
    probes = crowd[:20]
    for row, matches in enumerate(found(client, probes)):
        nearest = np.argsort(-(vectors @ vectors[row]))[1:11]
        assert {face_id for face_id, _ in matches[:10]} == {crowd[near] for near in nearest}
    snapshot = data_dir / "indexes" / "faiss" / f"{album.key}.snapshot"
    while not snapshot.exists():
        time.sleep(0.01)

    views = [View(), View(roll=12, light=0.7)]
    ada = [
        client.index_faces(CollectionId="album", Image={"Bytes": selfie(PEOPLE[0], view)})["FaceRecords"][0]["Face"]
        for view in views
    ]
    probes.append(ada[0]["FaceId"])
    client.delete_faces(CollectionId="album", FaceIds=crowd[20:40])
    before = found(client, probes)
    assert before[-1][0][0] == ada[1]["FaceId"]
    server.kill()
    client = start_server(data_dir, **environment).client()
    assert found(client, probes) == before
    gone = {*crowd[20:40]}
    assert all(face_id not in gone for matches in before for face_id, _ in matches)
