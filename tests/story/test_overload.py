"""More than a server can take: SDKs see it through, and searches do not wait for albums."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.server import Server

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
