"""Which index searches is nothing that a client notices."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from rekognition_emulator.demo.people import PEOPLE, View, selfie
from rekognition_emulator.faces.gallery import Owner
from rekognition_emulator.store.postgres import PostgresStore
from tests.embeddings import DLIB, faces_of_people
from tests.gallery import picture
from tests.server import Server


def found(client: Any, face_ids: list[str]) -> list[list[tuple[str, float]]]:
    """What a search with each face finds, in the order of the answers."""
    answers = [
        client.search_faces(CollectionId="album", FaceId=face_id, FaceMatchThreshold=0, MaxFaces=200)
        for face_id in face_ids
    ]
    return [[(match["Face"]["FaceId"], match["Similarity"]) for match in answer["FaceMatches"]] for answer in answers]


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
    vectors, people = faces_of_people(3_000, DLIB)
    crowd = [face.face_id for face in store.add_faces(album, uuid4(), picture(vectors))]
    probes = [str(face_id) for face_id in crowd[:20]]
    for matches, person in zip(found(client, probes), people, strict=False):
        nearest = {face_id for face_id, _ in matches[: np.count_nonzero(people == person) - 1]}
        family = {str(face_id) for face_id, other in zip(crowd, people, strict=True) if other == person}
        assert len(nearest & family) >= 0.5 * len(nearest)  # dlib's space is crowded: strangers may come in between
    snapshot = data_dir / "indexes" / "faiss" / f"{album.key}.snapshot"
    while not snapshot.exists():
        time.sleep(0.01)

    views = [View(), View(roll=12, light=0.7)]
    ada = [
        client.index_faces(CollectionId="album", Image={"Bytes": selfie(PEOPLE[0], view)})["FaceRecords"][0]["Face"]
        for view in views
    ]
    probes.append(ada[0]["FaceId"])
    client.delete_faces(CollectionId="album", FaceIds=[str(face_id) for face_id in crowd[20:40]])
    before = found(client, probes)
    assert before[-1][0][0] == ada[1]["FaceId"]
    server.kill()
    client = start_server(data_dir, **environment).client()
    assert found(client, probes) == before
    assert not {str(face_id) for face_id in crowd[20:40]} & {
        face_id for face_id, _ in (match for matches in before for match in matches)
    }
