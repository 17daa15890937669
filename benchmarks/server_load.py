"""A server under load, and what it and its PostgreSQL take.

The clients must not eat the cores that are measured: they are threads of one process that send bodies made beforehand
over connections that stay open, and the results say how much of the machine they took.
"""

import base64
import http.client
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.support.server import Server

REGION: Final = "us-east-1"


@dataclass(frozen=True)
class Load:
    """What came of it.

    Attributes:
        seconds: that it lasted.
        latencies: seconds of each picture.
        refused: answers other than 200.
        server, database, clients: seconds of a core that each of them took.
    """

    seconds: float
    latencies: Sequence[float]
    refused: int
    server: float
    database: float
    clients: float


def post(
    address: str, operation: str, body: Callable[[int], bytes], clients: int, more: Callable[[int], bool]
) -> tuple[list[float], int]:
    """Has so many clients send requests while there is more to do.

    Args:
        address: of the server, ``host:port``.
        operation: that all of them ask for.
        body: of the request of this number.
        clients: threads, each with a connection of its own.
        more: says whether the request of this number is still to be sent.

    Returns:
        Seconds of each request, and how many answers were other than 200.
    """
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"RekognitionService.{operation}"}
    latencies: list[float] = []
    refused: list[int] = []
    numbers = itertools.count()

    def client() -> None:
        connection = http.client.HTTPConnection(address, timeout=120)
        while more(number := next(numbers)):
            sent = body(number)
            start = time.perf_counter()
            connection.request("POST", "/", sent, headers)
            answer = connection.getresponse()
            answer.read()
            latencies.append(time.perf_counter() - start)
            if answer.status != 200:
                refused.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, len(refused)


@dataclass(frozen=True)
class Taken:
    """Seconds of a core that each of them took so far."""

    server: float
    database: float
    clients: float


class Album:
    """A running server with one collection; ``address`` is its ``host:port``."""

    def __init__(self, server: Server, data_dir: Path, pictures: Sequence[bytes]) -> None:
        self.address = server.url.removeprefix("http://")
        self._client = server.client(region=REGION)
        self._process = psutil.Process(server.process.pid)
        self._postgres = psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))
        self._numbers = itertools.count()
        self._images = [b'","Image":{"Bytes":"' + base64.b64encode(picture) + b'"}}' for picture in pictures]
        self._client.create_collection(CollectionId="album")

    def resident_mb(self) -> float:
        """Returns the server's resident memory, without PostgreSQL's."""
        return float(self._process.memory_info().rss / 1e6)

    def index(self, clients: int, more: Callable[[int], bool]) -> Load:
        """Has so many clients index pictures, each under a new name, while there is more to do."""

        def body(_: int) -> bytes:
            number = next(self._numbers)
            head = f'{{"CollectionId":"album","ExternalImageId":"{number}'.encode()
            return head + self._images[number % len(self._images)]

        before, started = self.taken(), time.perf_counter()
        latencies, refused = post(self.address, "IndexFaces", body, clients, more)
        seconds, after = time.perf_counter() - started, self.taken()
        return Load(
            seconds,
            latencies,
            refused,
            after.server - before.server,
            after.database - before.database,
            after.clients - before.clients,
        )

    def bodies(self, collection: str, name: str) -> list[bytes]:
        """Returns for each picture the body of a request that indexes it into a collection under a name."""
        head = f'{{"CollectionId":"{collection}","ExternalImageId":"{name}'.encode()
        return [head + image for image in self._images]

    def fill(self, collection: str, rounds: int) -> str:
        """Makes another collection, with all pictures so many times; returns the id of a face in it."""
        self._client.create_collection(CollectionId=collection)
        bodies = [body for number in range(rounds) for body in self.bodies(collection, f"round{number}-")]
        _, refused = post(self.address, "IndexFaces", bodies.__getitem__, 4, lambda number: number < len(bodies))
        assert not refused
        faces = self._client.list_faces(CollectionId=collection, MaxResults=1)["Faces"]
        return str(faces[0]["FaceId"])

    def taken(self) -> Taken:
        """Returns what server, PostgreSQL and this process took so far."""
        server, parent = self._process.cpu_times(), self._postgres.cpu_times()
        database = parent.user + parent.system + parent.children_user + parent.children_system
        for child in self._postgres.children():
            times = child.cpu_times()
            database += times.user + times.system
        return Taken(server.user + server.system, database, time.process_time())


@contextmanager
def running(data_dir: Path, pictures: Sequence[bytes], **environment: str) -> Iterator[tuple[Album, float]]:
    """Yields an album in a server that was started before on the same folder, and how many seconds its start took."""
    settings = {"REKOGNITION_STRICT": "false", "REKOGNITION_LOG_LEVEL": "warning", "REKOGNITION_REGION": REGION}
    settings |= environment
    Server.start(data_dir, **settings).stop()
    started = time.perf_counter()
    server = Server.start(data_dir, **settings)
    seconds = time.perf_counter() - started
    try:
        yield Album(server, data_dir, pictures), seconds
    finally:
        server.stop()
