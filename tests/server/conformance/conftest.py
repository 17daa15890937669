"""The server that the conformance suite is run against, and the bucket that it reads pictures from."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest

from tests.support.server import Server, create_key

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 server."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    pytest.importorskip("moto", reason="S3 is played by moto, a tool of the tests")
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture(scope="session")
def bucket(s3_url: str) -> Any:
    """An empty bucket there."""
    keys = {name.lower(): value for name, value in KEYS.items()}
    created = boto3.resource("s3", "us-east-1", endpoint_url=s3_url, **keys).Bucket("conformance")
    created.create()
    return created


@pytest.fixture(scope="session")
def start(s3_url: str) -> Iterator[Callable[..., Server]]:
    """Starts servers that also check their own answers, with a bucket to read from."""
    with ExitStack() as stack:

        def start(*, with_key: bool, **environment: str) -> Server:
            # Not below pytest's own folder: as root, the database's user must be able to enter every parent.
            data_dir = Path(stack.enter_context(TemporaryDirectory(prefix="rekognition-test-")))
            key = create_key(data_dir, "conformance") if with_key else None
            server = Server.start(data_dir, REKOGNITION_S3_ENDPOINT_URL=s3_url, **KEYS, **environment)
            server.keys = key or server.keys
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def server(start: Callable[..., Server], engine_settings: dict[str, str]) -> Server:
    """A server that asks nobody for a key."""
    return start(with_key=False, **engine_settings)


@pytest.fixture(scope="session")
def guarded_server(start: Callable[..., Server], engine_settings: dict[str, str]) -> Server:
    """One that does."""
    return start(with_key=True, **engine_settings)
