"""Pictures that a request names in S3 are worth the same as pictures that it carries."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import PIL.Image
import pytest
from botocore.exceptions import ClientError

from tests.support.server import Server, create_key, keys_command

UNAVAILABLE = {
    "Code": "InvalidS3ObjectException",
    "Message": "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
}
UNUSABLE = {"Code": "InvalidS3ObjectException", "Message": "Request has invalid S3 object."}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "server", "AWS_SECRET_ACCESS_KEY": "server", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "event-photos"
KEY = "album 7/Zoë & Ünal.jpg"


@pytest.fixture(scope="module")
def portrait() -> bytes:
    """A JPEG with one face."""
    data = pytest.importorskip("skimage.data", reason="the portrait is scikit-image's")
    encoded = io.BytesIO()
    PIL.Image.fromarray(data.astronaut()).save(encoded, "JPEG", quality=95)
    return encoded.getvalue()


@pytest.fixture(scope="module")
def storage_url(portrait: bytes) -> Iterator[str]:
    """A server that speaks S3, with the portrait in a bucket and some objects that are no pictures."""
    pytest.importorskip("moto", reason="S3 is played by moto, a tool of the tests")
    from moto.server import ThreadedMotoServer

    storage = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    storage.start()
    url = "http://{}:{}".format(*storage.get_host_and_port())
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="photographer",
        aws_secret_access_key="photographer",
    )
    for bucket in (BUCKET, "private"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=KEY, Body=portrait)
    s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="text.jpg", Body=b"no picture")
    s3.put_object(Bucket=BUCKET, Key="huge", Body=bytes(15 * 2**20 + 1))
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield url
    storage.stop()


@pytest.fixture(scope="module")
def reader(start_server: Callable[..., Server], storage_url: str) -> Any:
    """A client of a server that may read one bucket."""
    server = start_server(
        REKOGNITION_S3_ENDPOINT_URL=storage_url, REKOGNITION_S3_BUCKETS=f"unused, {BUCKET}", **CREDENTIALS
    )
    return server.client(parameter_validation=False)


def stored(key: str = KEY, bucket: str = BUCKET, **more: str) -> dict[str, Any]:
    """An image that is an S3 object."""
    return {"S3Object": {"Bucket": bucket, "Name": key, **more}}


def refusal(reader: Any, image: dict[str, Any]) -> Any:
    """What DetectFaces says about an image that it does not take."""
    with pytest.raises(ClientError) as refused:
        reader.detect_faces(Image=image)
    return refused.value.response["Error"]


def test_an_object_answers_as_its_bytes_do(reader: Any, portrait: bytes) -> None:
    """DetectFaces, IndexFaces and SearchFacesByImage: faces, ImageId and matches do not tell where a picture was."""
    assert len(portrait) < 5 * 2**20
    sent = {"Bytes": portrait}
    faces = reader.detect_faces(Image=stored())["FaceDetails"]
    assert len(faces) == 1
    assert faces == reader.detect_faces(Image=sent)["FaceDetails"]

    reader.create_collection(CollectionId="objects")
    indexed = reader.index_faces(CollectionId="objects", Image=stored(), ExternalImageId="a")["FaceRecords"]
    assert len(indexed) == 1
    # The same picture under the same ExternalImageId is known, wherever it comes from.
    assert reader.index_faces(CollectionId="objects", Image=sent, ExternalImageId="a")["FaceRecords"] == indexed

    searches = [reader.search_faces_by_image(CollectionId="objects", Image=image) for image in (stored(), sent)]
    for key in ("FaceMatches", "SearchedFaceBoundingBox", "SearchedFaceConfidence"):
        assert searches[0][key] == searches[1][key]
    assert [match["Face"]["FaceId"] for match in searches[0]["FaceMatches"]] == [indexed[0]["Face"]["FaceId"]]


def test_bytes_win_over_an_object(reader: Any, portrait: bytes) -> None:
    """A request with both is answered from its bytes; the object is not asked for."""
    assert reader.detect_faces(Image={"Bytes": portrait, **stored("missing")})["FaceDetails"]


@pytest.mark.parametrize(
    "image",
    [
        stored("missing.jpg"),
        stored("../private/" + KEY),
        stored(bucket="private"),
        stored(bucket="no-such-bucket"),
        stored(Version="no-such-version"),
    ],
)
def test_objects_that_cannot_be_read_get_aws_s_error(reader: Any, image: dict[str, Any]) -> None:
    """Missing or forbidden makes no difference to the caller, who could otherwise feel around in our buckets."""
    assert refusal(reader, image) == UNAVAILABLE


@pytest.mark.parametrize("s3_object", [{}, {"Bucket": BUCKET}, {"Name": KEY}])
def test_half_an_object_is_unusable(reader: Any, s3_object: dict[str, str]) -> None:
    """The model requires neither bucket nor name, so that the answer is the operation's."""
    assert refusal(reader, {"S3Object": s3_object}) == UNUSABLE


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("empty", {"Code": "InvalidImageFormatException", "Message": "Request has invalid image format"}),
        ("text.jpg", {"Code": "InvalidImageFormatException", "Message": "Request has invalid image format"}),
        ("huge", {"Code": "ImageTooLargeException", "Message": "Image size is too large."}),
    ],
)
def test_objects_that_are_no_pictures_get_aws_s_error(reader: Any, key: str, error: dict[str, str]) -> None:
    """An empty object is no picture; more than 15 MB is too much even if it were one."""
    assert refusal(reader, stored(key)) == error


def test_who_may_not_read_an_object_learns_nothing_of_it(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], storage_url: str
) -> None:
    """A visitor's session and a narrow key get one answer for what is there and what is not; a grant opens its part."""
    data_dir = new_data_dir()
    full = create_key(data_dir, "full")
    narrow = create_key(data_dir, "narrow", "--policy", "read", "--s3", "event-photos/text*")
    server = start_server(data_dir, REKOGNITION_S3_ENDPOINT_URL=storage_url, **CREDENTIALS)
    server.keys = full
    server.client().create_collection(CollectionId="wedding")

    def in_session(*options: str) -> Any:
        arguments = ("session", "--key", "full", "--collection", "wedding", *options)
        made = json.loads(keys_command(data_dir, *arguments).stdout)
        return server.client(keys=(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]))

    def answer(client: Any, image: dict[str, Any]) -> Any:
        try:
            client.search_faces_by_image(CollectionId="wedding", Image=image)
        except ClientError as error:
            return error.response["Error"]
        return None

    for image in (stored(), stored("missing"), stored(bucket="private"), stored(bucket="no-such-bucket")):
        for client in (in_session(), in_session("--s3", "event-photos/other/*"), server.client(keys=narrow)):
            assert answer(client, image) == UNAVAILABLE
    for client in (server.client(), in_session("--s3", f"{BUCKET}/album*")):
        assert answer(client, stored()) is None
    assert answer(server.client(keys=narrow), stored("text.jpg"))["Code"] == "InvalidImageFormatException"
    lines = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines()]
    causes = [line["cause"] for line in lines if line["event"] == "no picture from S3"]
    assert causes == ["no policy allows it"] * 12


def test_storage_that_is_down_is_the_operator_s_to_see(
    start_server: Callable[..., Server], tmp_path: Any, portrait: bytes
) -> None:
    """A server starts and works without its storage; a request that needs it gets S3's error, the log the cause."""
    server = start_server(tmp_path, REKOGNITION_S3_ENDPOINT_URL="http://127.0.0.1:9", **CREDENTIALS)
    client = server.client()
    assert client.detect_faces(Image={"Bytes": portrait})["FaceDetails"]
    assert refusal(client, stored()) == UNAVAILABLE
    assert "Could not connect" in (tmp_path / "server.log").read_text()
