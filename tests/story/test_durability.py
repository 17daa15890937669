"""What was acknowledged is there after any crash, and no picture is half there."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from rekognition_emulator.demo.people import album
from tests.server import Server

CLIENTS = 3
CRASHES = 4
PEOPLE_SHOWN = 3


@pytest.mark.timeout(300)
def test_kill_loses_nothing_acknowledged_and_leaves_no_half_picture(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path]
) -> None:
    """Killed in the middle of indexing, every second time together with its database, the server forgets nothing."""
    group = next(picture for picture in album(seed=1, pictures=24) if len(picture.appearances) == PEOPLE_SHOWN)
    data_dir = new_data_dir()
    numbers = count()
    acknowledged: dict[str, set[str]] = {}
    started: set[str] = set()

    def index(server: Server) -> None:
        client = server.client()
        while True:
            name = f"picture-{next(numbers)}"
            started.add(name)
            try:
                answer = client.index_faces(CollectionId="album", Image={"Bytes": group.jpeg}, ExternalImageId=name)
            except (BotoCoreError, ClientError):
                return
            acknowledged[name] = {record["Face"]["FaceId"] for record in answer["FaceRecords"]}

    for crash in range(CRASHES):
        server = start_server(data_dir)
        if crash == 0:
            server.client().create_collection(CollectionId="album")
        with ThreadPoolExecutor(CLIENTS) as clients:
            indexing = [clients.submit(index, server) for _ in range(CLIENTS)]
            time.sleep(0.5 + 0.2 * crash)
            server.kill()
            if crash % 2:
                kill_database(data_dir)
        for done in indexing:
            done.result()

    stored: dict[str, set[str]] = {}
    client = start_server(data_dir).client()
    for face in all_faces(client):
        stored.setdefault(face["ExternalImageId"], set()).add(face["FaceId"])
    assert len(acknowledged) > CRASHES
    assert {name: stored.get(name) for name in acknowledged} == acknowledged
    assert stored.keys() <= started
    assert {len(faces) for faces in stored.values()} == {PEOPLE_SHOWN}
    assert client.describe_collection(CollectionId="album")["FaceCount"] == PEOPLE_SHOWN * len(stored)


def all_faces(client: Any) -> Iterator[Any]:
    """Every face of the album, page by page."""
    for page in client.get_paginator("list_faces").paginate(CollectionId="album"):
        yield from page["Faces"]


def kill_database(data_dir: Path) -> None:
    """Kills the embedded database's first process; its others notice and end."""
    postmaster = int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
