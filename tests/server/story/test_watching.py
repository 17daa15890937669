"""What operators see of a server: a log line for every request, metrics, traces; and what nobody may see there."""

import base64
import json
import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.server import Server, create_key, keys_command


def page_of(server: Server) -> str:
    """Returns where a server that has just started serves its metrics."""
    assert server.process.stdout
    for line in server.process.stdout:
        if found := re.search(r"metrics on (\S+)", line):
            return found[1]
    raise AssertionError("no page of metrics")


def metrics(url: str) -> dict[str, float]:
    """Returns what a page of metrics says: name and labels → value."""
    lines = httpx.get(url).raise_for_status().text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def log_lines(data_dir: Path) -> list[dict[str, Any]]:
    """Returns the log lines of requests."""
    lines = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "request"]


def test_every_request_is_logged_counted_and_timed(
    start_server: Callable[..., Server], new_data_dir: Callable[[], Path], party: Path
) -> None:
    """Operation, collection, faces and stages are in the log; requests, errors, faces and pictures in the metrics."""
    data_dir = new_data_dir()
    server = start_server(data_dir, REKOGNITION_METRICS_PORT="0", REKOGNITION_INDEX="faiss")
    url, client = page_of(server), server.client()
    client.create_collection(CollectionId="party")
    pictures = {path.stem: path.read_bytes() for path in [*(party / "album").iterdir(), party / "wall.jpg"]}
    for picture in pictures.values():
        client.index_faces(CollectionId="party", Image={"Bytes": picture})
    client.search_faces_by_image(CollectionId="party", Image={"Bytes": (party / "selfie.jpg").read_bytes()})
    client.compare_faces(SourceImage={"Bytes": pictures["ben"]}, TargetImage={"Bytes": pictures["ada-and-ben"]})
    client.detect_faces(Image={"Bytes": pictures["ben"]})
    with suppress(ClientError):
        client.list_faces(CollectionId="nobody")

    indexed = next(line for line in log_lines(data_dir) if line.get("faces_indexed") == 2)
    assert (indexed["operation"], indexed["collection"], indexed["account"]) == ("IndexFaces", "party", "000000000000")
    stages = {"receive", "wait", "parse", "decode", "detect", "resize", "embed", "store", "render"}
    assert stages <= indexed["stages_ms"].keys()
    assert sum(indexed["stages_ms"].values()) <= indexed["ms"] + 0.05 * (len(indexed["stages_ms"]) + 1)  # rounded

    known = metrics(url)
    assert known['rekognition_requests_total{error="none",operation="IndexFaces"}'] == 5
    assert known['rekognition_requests_total{error="ResourceNotFoundException",operation="ListFaces"}'] == 1
    assert known['rekognition_billable_images_total{group="1"}'] == 7
    assert known['rekognition_billable_images_total{group="2"}'] == 1
    assert known["rekognition_faces_indexed_total"] == 5
    assert known['rekognition_request_seconds_count{operation="IndexFaces"}'] == 5
    assert known['rekognition_stage_seconds_count{stage="search"}'] == 1
    assert known["rekognition_index_lag_revisions_sum"] == 4  # pictures with faces, of which the index had not heard
    assert known["rekognition_requests_inside"] == known["rekognition_requests_waiting"] == 0
    assert known['rekognition_pool{pool="main",statistic="pool_size"}'] > 0
    (runs,) = (name for name in known if name.startswith("rekognition_server{"))
    assert 'face_model="dlib"' in runs
    assert 'detector="mtcnn"' in runs
    assert url.startswith("http://127.0.0.1:")  # nobody is asked for a key there
    assert httpx.get(f"{server.url}/metrics").is_client_error  # it is on no other port


def test_every_line_of_the_log_is_json(start_server: Callable[..., Server], new_data_dir: Callable[[], Path]) -> None:
    """Those of libraries as well, which here find their database gone, in whichever process."""
    data_dir = new_data_dir()
    server = start_server(data_dir, REKOGNITION_PROCESSES="2", REKOGNITION_THUMBNAILS="1")
    client = server.client()
    client.create_collection(CollectionId="party")
    os.kill(int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        with suppress(ClientError):
            client.list_collections()
        lines = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines()]
        if "psycopg.pool" in [line.get("logger") for line in lines]:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.stop() == 0
    lines = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    assert [line["name"] for line in lines if line["event"] == "unknown setting"] == ["REKOGNITION_THUMBNAILS"]


def test_of_several_processes_the_page_shows_the_sum(start_server: Callable[..., Server]) -> None:
    """What a killed process has counted stays counted; what was going on in it is over."""
    server = start_server(REKOGNITION_METRICS_PORT="0", REKOGNITION_PROCESSES="2")
    url = page_of(server)

    def known() -> tuple[float, float]:
        values = metrics(url)
        (processes,) = (value for name, value in values.items() if name.startswith("rekognition_server{"))
        return values.get('rekognition_requests_total{error="none",operation="ListCollections"}', 0), processes

    for _ in range(20):  # each on a new connection, which either may take
        assert server.post("ListCollections", {}).status_code == 200
    assert known() == (20, 2)
    victim = server.processes()[0]
    victim.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while victim.pid in [child.pid for child in server.processes()] or known()[1] != 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for _ in range(10):
        with suppress(httpx.TransportError):  # what the killed one had taken
            server.post("ListCollections", {})
    requests, processes = known()
    assert processes == 2
    assert requests >= 29


def test_a_collector_gets_a_span_for_every_request(new_data_dir: Callable[[], Path], party: Path) -> None:
    """It carries the request id of the answer and has the stages below it; what is left is sent at the end."""
    pytest.importorskip("opentelemetry.sdk", reason="tracing is an extra")
    from tests.support.collector import open_collector, values

    with open_collector() as collector:
        server = Server.start(new_data_dir(), REKOGNITION_OTLP_ENDPOINT=collector.url)
        try:
            answer = server.client().detect_faces(Image={"Bytes": (party / "selfie.jpg").read_bytes()})
        finally:
            assert server.stop() == 0
        spans = collector.spans()
    (request,) = (span for span in spans if span.name == "DetectFaces")
    assert values(request.attributes)["aws.request_id"] == answer["ResponseMetadata"]["RequestId"]
    below = {span.name for span in spans if span.parent_span_id == request.span_id}
    assert {"receive", "wait", "parse", "decode", "detect", "render"} <= below


def test_what_the_database_does_not_do_costs_a_line(new_data_dir: Callable[[], Path], database_url: str) -> None:
    """While it is away every request fails: the log says why, under the answer's id, and not where in our code."""
    data_dir = new_data_dir()
    server = Server.start(data_dir, REKOGNITION_DATABASE_URL=database_url)
    server.post("CreateCollection", {"CollectionId": "party"})
    with psycopg.connect(database_url) as session, ThreadPoolExecutor(1) as elsewhere:
        session.execute("LOCK TABLE faces IN ACCESS EXCLUSIVE MODE")
        waiting = elsewhere.submit(server.post, "ListFaces", {"CollectionId": "party"})
        cut_off = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted"
        while not session.execute(cut_off).fetchall():
            assert not waiting.done()
            time.sleep(0.01)
        answer = waiting.result()
    assert (answer.status_code, answer.json()["__type"]) == (500, "InternalServerError")
    assert server.post("ListFaces", {"CollectionId": "party"}).json()["Faces"] == []
    assert server.stop() == 0
    said = [json.loads(line) for line in (data_dir / "server.log").read_text().splitlines() if line.startswith("{")]
    (line,) = (line for line in said if line["level"] == "error")
    assert (line["event"], line["operation"]) == ("the database does not serve", "ListFaces")
    assert "terminating connection" in line["why"]
    assert line["request_id"] == answer.headers["x-amzn-requestid"]
    assert "exception" not in line


def test_nothing_that_is_logged_gives_anything_away(
    new_data_dir: Callable[[], Path], database_url: str, party: Path
) -> None:
    """Pictures, vectors, secrets, signatures and session tokens are in no line, whatever goes wrong, at any level."""
    data_dir = new_data_dir()
    environment = {"REKOGNITION_DATABASE_URL": database_url}
    access_key_id, secret = create_key(data_dir, "backend", **environment)
    printed = keys_command(data_dir, "session", "--key", "backend", "--collection", "party", **environment).stdout
    session = [json.loads(printed)[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    server = Server.start(data_dir, REKOGNITION_LOG_LEVEL="debug", REKOGNITION_METRICS_PORT="0", **environment)
    url = page_of(server)
    signatures: list[str] = []

    def client(*keys: str) -> Any:
        made = boto3.Session(*keys).client(
            "rekognition", "eu-central-1", endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1})
        )
        made.meta.events.register(
            "before-send.rekognition",
            lambda request, **_: signatures.append(request.headers["Authorization"].decode().rpartition("=")[2]),
        )
        return made

    try:
        backend = client(access_key_id, secret)
        backend.create_collection(CollectionId="party")
        picture, selfie = (party / "album" / "ben.jpg").read_bytes(), (party / "selfie.jpg").read_bytes()
        backend.index_faces(CollectionId="party", Image={"Bytes": picture})
        (seen,) = backend.index_faces(CollectionId="party", Image={"Bytes": selfie})["FaceRecords"]
        visitor = client(*session)
        visitor.search_faces_by_image(CollectionId="party", Image={"Bytes": selfie})
        with psycopg.connect(database_url, autocommit=True) as database:
            # From now on the database refuses faces, with a text that quotes them.
            database.execute("ALTER TABLE faces ADD CONSTRAINT canary CHECK (embedding IS NULL) NOT VALID")
            vectors = [row[0] for row in database.execute("SELECT embedding::text FROM faces").fetchall()]
        backend.delete_faces(CollectionId="party", FaceIds=[seen["Face"]["FaceId"]])
        wrong = client(access_key_id, secret[::-1])
        attempts: list[Callable[[], object]] = [
            lambda: wrong.search_faces_by_image(CollectionId="party", Image={"Bytes": selfie}),
            lambda: visitor.index_faces(CollectionId="party", Image={"Bytes": picture}),
            lambda: backend.index_faces(CollectionId="party", Image={"Bytes": selfie}),
            lambda: backend.index_faces(CollectionId="party", Image={"Bytes": picture[: len(picture) // 2]}),
            lambda: backend.detect_faces(Image={"S3Object": {"Bucket": "none", "Name": "none"}}),
        ]
        for attempt in attempts:
            with pytest.raises(ClientError):
                attempt()
        page = httpx.get(url).text
    finally:
        server.stop()

    told = (data_dir / "server.log").read_text() + page
    assert "CheckViolation" in told  # the worst that could happen did
    pieces = [base64.b64encode(each)[start : start + 24].decode() for each in (picture, selfie) for start in (0, 1200)]
    pieces += [repr(picture[:12])[2:-1], secret, secret[::-1], *session[1:], *signatures]
    assert len(signatures) == 10
    assert [piece for piece in pieces if piece in told] == []
    for vector in vectors:
        numbers = [number[:8] for number in vector.strip("[]").split(",")]
        assert sum(number in told for number in numbers) < 3  # some number may stand in a time
