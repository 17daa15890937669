"""Told to stop, a server finishes what it has begun, and does not take for ever."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.server import Server

REQUESTS = 8
END_S = 30
"""In which any end is one."""
OBJECT_S = 20
"""That reading an object may take, as the server has it."""


@pytest.mark.parametrize(("processes", "told"), [("1", signal.SIGTERM), ("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_what_was_taken_is_answered(
    processes: str, told: signal.Signals, start_server: Callable[..., Server], party: Path
) -> None:
    """Requests that wait or are worked on get their answers, nobody else is let in, and the exit code is 0."""
    server = start_server(REKOGNITION_PROCESSES=processes, REKOGNITION_WORKERS="2")
    client = server.client()
    client.create_collection(CollectionId="last")
    picture = {"Bytes": (party / "album" / "ada-plain.jpg").read_bytes()}

    def index(number: int) -> int:
        answer = client.index_faces(CollectionId="last", Image=picture, ExternalImageId=f"{number}.jpg")
        return len(answer["FaceRecords"])

    with ThreadPoolExecutor(REQUESTS) as clients:
        answers = [clients.submit(index, number) for number in range(REQUESTS)]
        while not any(answer.done() for answer in answers):
            time.sleep(0.005)
        server.process.send_signal(told)
        assert [answer.result() for answer in answers] == [1] * REQUESTS
    assert server.process.wait(END_S) == 0
    host, port = server.url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@contextmanager
def endless_storage() -> Iterator[tuple[str, threading.Event]]:
    """Object storage that sends a byte of a picture now and then, and whether it was asked for one."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    asked.set()
                    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: "e"\r\n\r\n')
                    while True:
                        connection.sendall(b"x")
                        time.sleep(0.1)

        threading.Thread(target=trickle, daemon=True).start()
        yield "http://{}:{}".format(*listener.getsockname()), asked


@pytest.mark.parametrize("processes", ["1", "2"])
def test_who_cannot_be_answered_in_time_does_not_keep_it(
    processes: str, start_server: Callable[..., Server], new_data_dir: Callable[[], Path]
) -> None:
    """A request that hangs is cut off after the time that it has; the exit code is 0, and the database is closed."""
    data_dir = new_data_dir()
    with endless_storage() as (url, asked), ThreadPoolExecutor(1) as clients:
        server = start_server(
            data_dir,
            REKOGNITION_PROCESSES=processes,
            REKOGNITION_STOP_SECONDS="1",
            REKOGNITION_S3_ENDPOINT_URL=url,
            AWS_ACCESS_KEY_ID="server",
            AWS_SECRET_ACCESS_KEY="server",
        )
        client = server.client()
        hanging = clients.submit(client.detect_faces, Image={"S3Object": {"Bucket": "photos", "Name": "endless.jpg"}})
        assert asked.wait(10)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(END_S) == 0
        assert time.monotonic() - started < OBJECT_S / 2
        assert hanging.exception() is not None
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_a_second_signal_ends_at_once(start_server: Callable[..., Server]) -> None:
    """Whoever presses Ctrl-C twice does not want to wait for requests."""
    with endless_storage() as (url, asked), ThreadPoolExecutor(1) as clients:
        server = start_server(
            REKOGNITION_S3_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID="server", AWS_SECRET_ACCESS_KEY="server"
        )
        client = server.client()
        hanging = clients.submit(client.detect_faces, Image={"S3Object": {"Bucket": "photos", "Name": "endless.jpg"}})
        assert asked.wait(10)
        started = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(END_S) == 0
        assert time.monotonic() - started < OBJECT_S / 2
        assert hanging.exception() is not None
