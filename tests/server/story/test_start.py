"""Starting and stopping, as an operator sees it."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import onnxruntime
import pytest

from tests.support.server import ROOT, Server


def has_ipv6() -> bool:
    """Returns whether the loopback address of IPv6 can be listened on."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        return True
    return False


def run(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "rekognition_emulator", *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "REKOGNITION_DATA_DIR": str(data_dir),
            "REKOGNITION_ATTRIBUTES_DIR": str(data_dir),  # not what happens to lie in somebody's home
            "REKOGNITION_RECOMMENDED_DIR": str(data_dir),  # nor what set-up has fetched
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"REKOGNITION_HOST": "0.0.0.0"}, "there is no access key yet: create one with"),
        ({"REKOGNITION_HOST": "0.0.0.0", "REKOGNITION_AUTH": "warn"}, "there is no access key yet"),
        ({"REKOGNITION_HOST": "example.com"}, "REKOGNITION_HOST"),
        ({"REKOGNITION_AUTH": "off"}, "REKOGNITION_AUTH"),
        ({"REKOGNITION_CORS_ORIGINS": "https://shop.example/path"}, "REKOGNITION_CORS_ORIGINS"),
        ({"REKOGNITION_PORT": "eighty"}, "REKOGNITION_PORT"),
        ({"REKOGNITION_S3_BUCKET": "photos"}, "REKOGNITION_S3_BUCKET is no setting: REKOGNITION_S3_BUCKETS is."),
        ({"REKOGNITION_INDEX": "nothing"}, "REKOGNITION_INDEX"),
        ({"REKOGNITION_DETECTOR": "nothing"}, "detector nothing is none of mtcnn, yunet"),
        ({"REKOGNITION_FACE_MODEL": "nothing"}, "face model nothing is none of auto, dlib"),
        ({"REKOGNITION_ACCEPT_LICENCES": "archface"}, "REKOGNITION_ACCEPT_LICENCES: is none of scrfd-10g"),
        ({"REKOGNITION_FACE_MODEL": "arcface"}, "REKOGNITION_ACCEPT_LICENCES=arcface"),
        ({"REKOGNITION_FACE_MODEL": "sface"}, "face_recognition_sface_2021dec.onnx is neither in"),
        ({"REKOGNITION_DETECTOR": "yunet"}, "face_detection_yunet_2023mar.onnx is neither in"),
        ({"REKOGNITION_DEVICE": "tpu"}, "REKOGNITION_DEVICE: must be 'cpu' or 'cuda'"),
        ({"REKOGNITION_S3_BUCKETS": ""}, "REKOGNITION_S3_BUCKETS is empty"),
        ({"REKOGNITION_MODEL_MIRRORS": "ftp://mirror/"}, "REKOGNITION_MODEL_MIRRORS"),
        ({"REKOGNITION_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}, "database cannot be used"),
    ],
)
def test_what_an_operator_can_mend_is_said_in_words(
    environment: dict[str, str], says: str, new_data_dir: Callable[[], Path]
) -> None:
    """A wrong setting or database ends the start with a sentence and an exit code, without a traceback."""
    ended = run(new_data_dir(), **environment)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_options_take_the_place_of_settings(server: Server, new_data_dir: Callable[[], Path]) -> None:
    """Where to listen may be said either way; what is wrong is named as it was said."""
    port = server.url.rpartition(":")[2]
    ended = run(new_data_dir(), "serve", "--port", port, "--host", "127.0.0.1", REKOGNITION_HOST="example.com")
    assert ended.returncode == 1
    assert f"in use: 127.0.0.1 port {port}; --port or REKOGNITION_PORT chooses another" in ended.stderr
    ended = run(new_data_dir(), "serve", "--host", "example.com")
    assert ended.returncode == 1
    assert "--host: " in ended.stderr
    assert "REKOGNITION_HOST" not in ended.stderr


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_address_of_ipv6_has_brackets(start_server: Callable[..., Server], processes: str) -> None:
    """What is printed can be pasted, the address of the metrics as well."""
    here = "::1"
    server = start_server(
        REKOGNITION_HOST=here,
        REKOGNITION_METRICS_HOST=here,
        REKOGNITION_METRICS_PORT="0",
        REKOGNITION_PROCESSES=processes,
    )
    assert re.fullmatch(r"http://\[::1\]:\d+", server.url)
    assert server.client().list_collections()["CollectionIds"] == []
    assert server.process.stdout
    banner: list[str] = []
    while not (banner and banner[-1].startswith("Prometheus")):
        banner.append(server.process.stdout.readline())
        assert banner[-1], "it ends without them"
    assert any(f'endpoint_url="{server.url}"' in line for line in banner)
    assert re.fullmatch(r"Prometheus finds metrics on http://\[::1\]:\d+/metrics\n", banner[-1])


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="here it may be present")
def test_an_absent_device_ends_the_start_with_a_sentence(new_data_dir: Callable[[], Path]) -> None:
    """A server that was told to use a GPU does not serve from the CPU instead."""
    ended = run(new_data_dir(), REKOGNITION_DEVICE="cuda")
    assert ended.returncode == 1
    assert ended.stderr.startswith("REKOGNITION_DEVICE=cuda asks for a device")
    assert ended.stderr.count("\n") == 1


def test_a_port_in_use_is_said_in_words(server: Server, new_data_dir: Callable[[], Path]) -> None:
    """A second server on the same port does not start."""
    ended = run(new_data_dir(), REKOGNITION_PORT=server.url.rpartition(":")[2])
    assert ended.returncode == 1
    assert ended.stderr.startswith("Address already in use: 127.0.0.1 port ")
    assert ended.stderr.count("\n") == 1


def test_a_port_for_metrics_in_use_is_said_in_words(server: Server, new_data_dir: Callable[[], Path]) -> None:
    """Nothing serves whose metrics nobody could read."""
    port = server.url.rpartition(":")[2]
    ended = run(new_data_dir(), REKOGNITION_METRICS_PORT=port)
    assert ended.returncode == 1
    assert f"127.0.0.1 port {port}, for metrics" in ended.stderr


def test_health_pages(server: Server) -> None:
    """Alive and ready are two questions, and ready names the models."""
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "alive"}
    assert httpx.get(f"{server.url}/readyz").json() == {
        "status": "ready",
        "face_model": "dlib",
        "face_model_version": "100.1",
        "calibration": "measured",
        "detector": "mtcnn",
        "device": "cpu",
    }


def test_the_page_of_operations(server: Server) -> None:
    """All that AWS has, served or not and why; whoever calls one that is not is sent there."""
    listed = httpx.get(f"{server.url}/operations").json()
    assert len(listed) == 75
    assert (listed["IndexFaces"], listed["DetectText"]) == ("served", "out of scope: not about faces")
    assert "GET /operations" in server.post("DetectText", {}).json()["message"]


def test_a_second_start_keeps_everything_and_a_stop_is_clean(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path]
) -> None:
    """Told to stop, the server exits with 0 and takes its database along; started again it knows its collections."""
    data_dir = new_data_dir()
    first = start_server(data_dir)
    first.client().create_collection(CollectionId="kept")
    assert first.stop() == 0
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    second = start_server(data_dir)
    assert second.client().list_collections()["CollectionIds"] == ["kept"]


def test_two_servers_on_one_data_directory_say_so_and_share_it(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path]
) -> None:
    """The second neither harms the first nor has a database of its own, and the first may leave before it."""
    data_dir = new_data_dir()
    first = start_server(data_dir)
    first.client().create_collection(CollectionId="first")
    second = start_server(data_dir)
    assert (data_dir / "server.log").read_text().count("shares the embedded database with another process") == 1
    assert first.stop() == 0
    assert second.client().list_collections()["CollectionIds"] == ["first"]
    assert second.stop() == 0
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_an_external_database_serves_two_servers(start_server: Callable[..., Server], database_url: str) -> None:
    """Servers share what one database holds, and none starts a database of its own."""
    one = start_server(REKOGNITION_DATABASE_URL=database_url)
    other = start_server(REKOGNITION_DATABASE_URL=database_url, REKOGNITION_INDEX="memory")
    one.client().create_collection(CollectionId="shared")
    assert other.client().describe_collection(CollectionId="shared")["FaceCount"] == 0
    assert one.stop() == other.stop() == 0


def test_regions_are_walls(server: Server) -> None:
    """A collection exists in the region that the request is signed for, and in no other."""
    here, there = server.client(region="ap-south-1"), server.client(region="us-gov-west-1")
    arn = here.create_collection(CollectionId="walled")["CollectionArn"]
    assert arn == "aws:rekognition:ap-south-1:000000000000:collection/walled"
    assert "walled" not in there.list_collections()["CollectionIds"]
    there.create_collection(CollectionId="walled")
    here.delete_collection(CollectionId="walled")
    assert there.describe_collection(CollectionId="walled")["FaceCount"] == 0
    there.delete_collection(CollectionId="walled")


@pytest.mark.parametrize("region", ["local", "auto", "us-east-1-custom"])
def test_a_region_that_aws_does_not_have_is_one_of_its_own(region: str, server: Server) -> None:
    """As clients are configured that never meant AWS; its name stands wherever a region does."""
    here = server.client(region=region)
    arn = here.create_collection(CollectionId="own")["CollectionArn"]
    assert arn == f"aws:rekognition:{region}:000000000000:collection/own"
    here.tag_resource(ResourceArn=f"arn:{arn}", Tags={"a": "b"})
    assert here.list_tags_for_resource(ResourceArn=f"arn:{arn}")["Tags"] == {"a": "b"}
    assert "own" not in server.client(region="us-east-1").list_collections()["CollectionIds"]
    here.delete_collection(CollectionId="own")
