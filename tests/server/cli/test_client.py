"""What ``index-album`` sends is what boto3 would send: body, headers and signature."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ParamValidationError

from rekognition_emulator.cli.album.client import open_client

ENDPOINT = "http://rekognition.invalid"
ANSWER = b'{"FaceRecords": [], "UnindexedFaces": []}'
IMAGE = bytes(range(256)) * 5


class Answer:
    """The body of an answer, as botocore reads it."""

    def stream(self) -> Any:
        """All of it at once."""
        yield ANSWER


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def sent_by(client: Any, send: Callable[[Any], object], failures: int = 0) -> list[AWSPreparedRequest]:
    """The requests that a client makes for a call, the first of which fail; nothing leaves the process."""
    sent: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 500 if len(sent) <= failures else 200, {}, Answer())

    client.meta.events.register("before-send.rekognition", answer)
    send(client)
    client.meta.events.unregister("before-send.rekognition", answer)
    return sent


@pytest.mark.parametrize(
    "request_",
    [
        {"Image": {"Bytes": IMAGE}, "ExternalImageId": "IMG_0001.jpg", "MaxFaces": 3},
        {"Image": {"Bytes": bytearray(IMAGE)}},
        {"Image": {"Bytes": b""}},
        {"Image": {"S3Object": {"Bucket": "photos", "Name": 'a "Bytes": "AA==".jpg'}}},
    ],
)
def test_a_request_is_boto3s_own_byte_for_byte(request_: dict[str, Any]) -> None:
    """The same body under the same signature, which covers it."""
    ours = open_client("rekognition", ENDPOINT, "eu-central-1", 1)
    plain = boto3.session.Session(region_name="eu-central-1").client("rekognition", endpoint_url=ENDPOINT)

    def send(client: Any) -> object:
        return client.index_faces(CollectionId="album", **request_)

    for _ in range(10):  # until both are signed in the same second
        (one,), (other,) = sent_by(ours, send), sent_by(plain, send)
        assert one.body == other.body
        if one.headers["X-Amz-Date"] == other.headers["X-Amz-Date"]:
            break
    for name in ("Authorization", "Content-Length", "Content-Type", "X-Amz-Date", "X-Amz-Target"):
        assert one.headers[name] == other.headers[name]


def test_a_request_that_is_sent_again_has_its_image() -> None:
    """After an error of the service, as after none."""
    client = open_client("rekognition", ENDPOINT, "eu-central-1", 1)

    def send(client: Any) -> object:
        return client.index_faces(CollectionId="album", Image={"Bytes": IMAGE})

    first, second = sent_by(client, send, failures=1)
    assert first.body == second.body
    assert len(first.body) > len(IMAGE) * 4 / 3


def test_what_boto3_refuses_is_refused() -> None:
    """An image that is none."""
    client = open_client("rekognition", ENDPOINT, "eu-central-1", 1)
    with pytest.raises(ParamValidationError):
        client.index_faces(CollectionId="album", Image={"Bytes": 5})
