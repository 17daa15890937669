"""Several server processes behind one port: what one has answered all know, and one that dies is not missed."""

import base64
import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from rekognition_emulator.demo.people import PEOPLE, selfie
from rekognition_emulator.search.registry import INDEXES
from tests.support.server import Server

PROCESSES = 3

INSIDE_OR_FOLLOWING = [name for name in INDEXES if name in {"pgvector", "faiss", "memory"}]
"""Indexes that several processes of one machine can have at once."""


@pytest.fixture(scope="module")
def data_dir(new_data_dir: Callable[[], Path]) -> Path:
    """What the servers of this module leave to each other."""
    return new_data_dir()


@pytest.fixture(scope="module", params=INSIDE_OR_FOLLOWING)
def replicas(request: pytest.FixtureRequest, data_dir: Path, start_server: Callable[..., Server]) -> Iterator[Server]:
    """Three processes behind one port, with each of these indexes."""
    pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")
    server = start_server(data_dir, REKOGNITION_PROCESSES=str(PROCESSES), REKOGNITION_INDEX=request.param)
    yield server
    assert server.stop() == 0


@pytest.fixture
def album(replicas: Server) -> Iterator[str]:
    """An empty collection."""
    name = f"album-{uuid4()}"
    client = replicas.client(region="us-east-1")  # where requests belong that are not signed
    client.create_collection(CollectionId=name)
    yield name
    client.delete_collection(CollectionId=name)


class Wire:
    """A connection to one of the processes that stays open, and with that process."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
        self._connection.connect()
        port = self._connection.sock.getsockname()[1]
        self.ask("ListCollections")  # so that a process has taken the connection
        [self.pid] = [
            process.pid
            for process in server.processes()
            if any(held.raddr and held.raddr.port == port for held in process.net_connections("tcp"))
        ]

    def ask(self, operation: str, **request: Any) -> tuple[int, Any]:
        """Sends a request and returns status and answer."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"RekognitionService.{operation}"}
        self._connection.request("POST", "/", json.dumps(request), headers)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read() or "{}")

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()


@contextmanager
def wires(server: Server) -> Iterator[list[Wire]]:
    """Opens connections until there is one to each process."""
    with ExitStack() as stack:
        found: dict[int, Wire] = {}
        deadline = time.monotonic() + 20
        while len(found) < PROCESSES:
            assert time.monotonic() < deadline, f"only {len(found)} of {PROCESSES} processes take connections"
            wire = Wire(server)
            stack.callback(wire.close)
            found.setdefault(wire.pid, wire)
            for kept in found.values():
                kept.ask("ListCollections")  # a connection that is idle for five seconds is closed
        yield list(found.values())


def picture(person: int) -> dict[str, str]:
    """A picture of a made-up person, as it travels."""
    return {"Bytes": base64.b64encode(selfie(PEOPLE[person])).decode()}


def index(wire: Wire, album: str, person: int) -> str:
    """Has a picture with one face indexed and returns the face's id."""
    status, answer = wire.ask("IndexFaces", CollectionId=album, Image=picture(person), ExternalImageId=f"{person}.jpg")
    assert status == 200
    [record] = answer["FaceRecords"]
    return str(record["Face"]["FaceId"])


def others(wire: Wire, album: str, face_id: str) -> set[str]:
    """Searches with a face and returns the ids of all others."""
    status, answer = wire.ask("SearchFaces", CollectionId=album, FaceId=face_id, FaceMatchThreshold=0, MaxFaces=4096)
    assert status == 200, answer
    return {match["Face"]["FaceId"] for match in answer["FaceMatches"]}


@contextmanager
def going_on(*work: Callable[[], object]) -> Iterator[list[int]]:
    """Does things again and again, each in a thread, meanwhile; yields how often each was done so far."""
    end = threading.Event()
    done = [0] * len(work)

    def repeat(number: int) -> None:
        while not end.is_set():
            work[number]()
            done[number] += 1

    with ThreadPoolExecutor(len(work)) as threads:
        repeated = [threads.submit(repeat, number) for number in range(len(work))]
        try:
            yield done
        finally:
            end.set()
        for ended in repeated:
            ended.result()


def let_go_on(done: list[int], times: int, first: int = 0) -> None:
    """Waits until each thing, from the first that matters, was done so many times more."""
    before, deadline = list(done), time.monotonic() + 20
    while any(now < then + times for now, then in zip(done[first:], before[first:], strict=True)):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_one_process_has_answered_all_know(replicas: Server, album: str) -> None:
    """Indexed or deleted through any of them, a face is found or gone through each of them with the next request."""
    with wires(replicas) as connected:
        assert len({wire.pid for wire in connected}) == PROCESSES
        present = [index(connected[0], album, 0)]
        for person in range(1, 2 * PROCESSES + 1):
            present.append(index(connected[person % PROCESSES], album, person))
            for wire in connected:
                assert others(wire, album, present[0]) == set(present[1:])
        for number in range(PROCESSES):
            gone = present.pop()
            assert connected[number].ask("DeleteFaces", CollectionId=album, FaceIds=[gone])[0] == 200
            for wire in connected:
                assert others(wire, album, present[0]) == set(present[1:])


def test_the_same_picture_through_all_at_once_is_stored_once(replicas: Server, album: str) -> None:
    """Whoever comes second gets the face that the first has stored."""
    with wires(replicas) as connected, ThreadPoolExecutor(PROCESSES) as threads:
        for person in range(4):
            ids = set(threads.map(lambda wire, person=person: index(wire, album, person), connected))
            assert len(ids) == 1
        _, answer = connected[0].ask("DescribeCollection", CollectionId=album)
        assert answer["FaceCount"] == 4


def test_faces_are_deleted_while_others_search(replicas: Server, album: str) -> None:
    """A search sees a face as long as it is there, and never after its deletion was answered."""
    with wires(replicas) as (deleting, *searching):
        probe, *doomed = (index(deleting, album, person) for person in range(6))
        going: set[str] = set()
        gone: set[str] = set()

        def search(wire: Wire) -> None:
            before = set(gone)
            found = others(wire, album, probe)
            assert not found & before
            assert found | going == set(doomed)

        with going_on(*(partial(search, wire) for wire in searching)) as done:
            for face_id in doomed:
                let_go_on(done, 1)
                going.add(face_id)
                assert deleting.ask("DeleteFaces", CollectionId=album, FaceIds=[face_id])[0] == 200
                gone.add(face_id)
        assert others(searching[0], album, probe) == set()


def test_a_collection_is_deleted_while_others_search(replicas: Server) -> None:
    """Searches in it find something or say that it is gone, and nothing else."""
    outcomes: Counter[tuple[int, str | None]] = Counter()
    with wires(replicas) as (deleting, *searching):
        for _ in range(4):
            name = f"doomed-{uuid4()}"
            deleting.ask("CreateCollection", CollectionId=name)
            face_id = index(deleting, name, 0)
            index(deleting, name, 1)

            def search(wire: Wire, name: str = name, face_id: str = face_id) -> None:
                status, answer = wire.ask("SearchFaces", CollectionId=name, FaceId=face_id, FaceMatchThreshold=0)
                outcomes[status, answer.get("__type")] += 1

            with going_on(*(partial(search, wire) for wire in searching)) as done:
                let_go_on(done, 3)
                assert deleting.ask("DeleteCollection", CollectionId=name)[0] == 200
                let_go_on(done, 3)
    assert set(outcomes) == {(200, None), (400, "ResourceNotFoundException")}


def test_a_process_that_is_killed_is_not_missed(replicas: Server, album: str) -> None:
    """Its own connections break; the others go on, another takes its place, and what it had answered is there."""
    with wires(replicas) as (victim, *going):
        probe, *kept = (index(victim, album, person) for person in range(3))

        def work(wire: Wire) -> None:
            assert others(wire, album, probe) == set(kept)

        def suffer() -> None:
            with suppress(OSError, http.client.HTTPException):
                work(victim)

        with going_on(suffer, *(partial(work, wire) for wire in going)) as done:
            let_go_on(done, 3)
            os.kill(victim.pid, signal.SIGKILL)
            let_go_on(done, 10, first=1)
    with wires(replicas) as connected:
        assert victim.pid not in {wire.pid for wire in connected}
        for wire in connected:
            assert others(wire, album, probe) == set(kept)
