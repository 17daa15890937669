"""The server that the conformance suite is run against, and the bucket that it reads pictures from."""

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.server import Server

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 server."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
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
def server(s3_url: str) -> Iterator[Server]:
    """A server that also checks its own answers, with a bucket to read from."""
    # Not below pytest's own folder: as root, the database's user must be able to enter every parent.
    with TemporaryDirectory(prefix="rekognition-test-") as data_dir:
        environment = {"REKOGNITION_S3_ENDPOINT_URL": s3_url, **KEYS}
        server = Server.start(Path(data_dir), **environment)
        yield server
        server.stop()
