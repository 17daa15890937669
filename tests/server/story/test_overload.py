"""More than a server can take: SDKs see it through, and neither albums nor bodies that never come keep others out."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.support.server import Keys, Server, create_key

CLIENTS = 8


@pytest.fixture(scope="module")
def narrow(start_server: Callable[..., Server]) -> Server:
    """A server that works on one picture of an album at a time and lets one wait, with a collection."""
    server = start_server(REKOGNITION_WORKERS="1", REKOGNITION_QUEUE_MAX="1")
    server.client().create_collection(CollectionId="overload")
    return server


def test_retries_of_an_sdk_make_its_caller_whole(narrow: Server, party: Path) -> None:
    """Four times as many clients as there is room for: with retries all pictures are indexed, without some refused."""
    picture = {"Bytes": (party / "album" / "ada-plain.jpg").read_bytes()}
    retrying = boto3.client(
        "rekognition",
        endpoint_url=narrow.url,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", "total_max_attempts": 20}, max_pool_connections=CLIENTS),
    )
    impatient = narrow.client()

    def index(number: int) -> bool:
        name = f"{number}.jpg"
        answer = retrying.index_faces(CollectionId="overload", Image=picture, ExternalImageId=name)
        return len(answer["FaceRecords"]) == 1

    def index_once(number: int) -> str:
        try:
            impatient.index_faces(CollectionId="overload", Image=picture, ExternalImageId=f"once-{number}.jpg")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "indexed"

    with ThreadPoolExecutor(CLIENTS) as threads:
        once = list(threads.map(index_once, range(CLIENTS)))
        assert set(once) == {"indexed", "ThrottlingException"}
        assert all(threads.map(index, range(CLIENTS * 2)))
    faces = retrying.list_faces(CollectionId="overload", MaxResults=100)["Faces"]
    assert len(faces) == CLIENTS * 2 + once.count("indexed")


def test_a_search_finds_room_while_an_album_is_refused(narrow: Server, party: Path) -> None:
    """An album that comes by more clients than there is room for takes no place away from visitors."""
    album, selfie = (party / "album" / "ada-plain.jpg").read_bytes(), (party / "selfie.jpg").read_bytes()
    client = narrow.client()
    client.index_faces(CollectionId="overload", Image={"Bytes": album}, ExternalImageId="found.jpg")
    searched, refused = False, threading.Event()

    def index(number: int) -> list[str]:
        sender, errors = narrow.client(), list[str]()
        while not searched:
            try:
                name = f"{number}-{len(errors)}.jpg"
                sender.index_faces(CollectionId="overload", Image={"Bytes": album}, ExternalImageId=name)
            except ClientError as error:
                errors.append(error.response["Error"]["Code"])
                refused.set()
        return errors

    with ThreadPoolExecutor(4) as threads:
        senders = [threads.submit(index, number) for number in range(4)]
        try:
            assert refused.wait(30)
            for _ in range(5):  # without retries
                answer = client.search_faces_by_image(CollectionId="overload", Image={"Bytes": selfie}, MaxFaces=1)
                assert answer["FaceMatches"]
        finally:
            searched = True
        assert {error for sender in senders for error in sender.result()} == {"ThrottlingException"}


@pytest.fixture(scope="module")
def guarded(start_server: Callable[..., Server], new_data_dir: Callable[[], Path]) -> Server:
    """A server that asks for a key, with room for as many requests as it comes with."""
    data_dir = new_data_dir()
    keys = create_key(data_dir, "victim")
    server = start_server(data_dir, REKOGNITION_WORKERS="2")
    server.keys = keys
    server.client().create_collection(CollectionId="overload")
    return server


def forged(server: Server, keys: Keys, operation: str, length: int) -> bytes:
    """The head of a request of this length, signed with a wrong secret."""
    headers = {"X-Amz-Target": f"RekognitionService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{server.url}/", headers, b"")
    SigV4Auth(Credentials(keys[0], keys[1][::-1]), "rekognition", "eu-central-1").add_auth(request)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    host = urlsplit(server.url).netloc
    return "\r\n".join(["POST / HTTP/1.1", f"Host: {host}", *lines, f"Content-Length: {length}", "", ""]).encode()


def connected(server: Server) -> socket.socket:
    """A connection."""
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


@pytest.mark.timeout(120)
def test_bodies_that_never_come_keep_nobody_out(guarded: Server, party: Path) -> None:
    """Though they claim the key of the caller, from its address: each of its requests is served, without retries."""
    picture = {"Bytes": (party / "album" / "ada-plain.jpg").read_bytes()}
    client = guarded.client()
    with ExitStack() as stack:
        for operation in ["IndexFaces", "ListCollections"] * 70:
            attacker = stack.enter_context(connected(guarded))
            attacker.sendall(forged(guarded, guarded.keys, operation, 5_000_000) + b"{")
        time.sleep(0.5)  # all have come
        for number in range(5):
            assert client.list_collections()["CollectionIds"] == ["overload"]
            assert client.detect_faces(Image=picture)["FaceDetails"]
            name = f"{number}.jpg"
            assert client.index_faces(CollectionId="overload", Image=picture, ExternalImageId=name)["FaceRecords"]


@pytest.mark.timeout(180)
def test_bodies_that_nearly_come_keep_nobody_out(guarded: Server, party: Path) -> None:
    """Though they are more than there is memory for, and fill it: who sends at a normal speed gets through."""
    client = guarded.client()
    picture = {"Bytes": (party / "album" / "ada-plain.jpg").read_bytes()}
    head, length = forged(guarded, guarded.keys, "DetectFaces", 5_000_000), 4_999_999

    def fill(attacker: socket.socket) -> None:
        sent, end = 0, time.monotonic() + 20
        attacker.settimeout(0.5)
        while sent < length and time.monotonic() < end:
            try:
                sent += attacker.send(bytes(min(length - sent, 2**16)))
            except TimeoutError:  # nobody reads at the moment
                continue
            except ConnectionError:
                break

    with ExitStack() as stack, ThreadPoolExecutor(40) as threads:
        attackers = [stack.enter_context(connected(guarded)) for _ in range(40)]  # 200 MB
        for attacker in attackers:
            attacker.sendall(head)
        filling = [threads.submit(fill, attacker) for attacker in attackers]
        for _ in range(5):
            assert client.detect_faces(Image=picture)["FaceDetails"]
            with pytest.raises(ClientError, match="InvalidImageFormat"):  # so five megabytes have come
                client.detect_faces(Image={"Bytes": bytes(5 * 2**20)})
        for each in filling:
            each.result()


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_who_writes_everything_first_hears_that_it_is_too_much(guarded: Server, connection: str) -> None:
    """As SDKs of Go and Ruby do: 20 MB, and then the answer."""
    head = forged(guarded, guarded.keys, "DetectFaces", 20_000_000)
    with connected(guarded) as client:
        client.sendall(head.removesuffix(b"\r\n") + f"Connection: {connection}\r\n\r\n".encode())
        time.sleep(0.2)  # the answer is there by now
        client.sendall(bytes(20_000_000))
        assert client.recv(999).startswith(b"HTTP/1.1 413 ")


def test_an_idle_connection_stays_as_long_as_is_set(start_server: Callable[..., Server]) -> None:
    """The setting reaches the connections; by default it is longer than proxies wait."""
    server = start_server(REKOGNITION_KEEP_ALIVE_SECONDS="2")
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    with connected(server) as client:
        for _ in range(2):
            client.sendall(request)
            assert client.recv(999).startswith(b"HTTP/1.1 404 ")
            time.sleep(1)
        began = time.monotonic()
        assert client.recv(1) == b""
        assert time.monotonic() - began < 10
