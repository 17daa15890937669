"""Requests as no SDK sends them, against a running server: every one is answered, none with a 5xx."""

import json
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest

from tests.support.bombs import baseline
from tests.support.server import ROOT, Server

JSON = "application/x-amz-json-1.1"


@pytest.fixture(scope="module")
def new_server() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the tests."""
    with ExitStack() as stack:

        def start(**environment: str) -> Server:
            folder = stack.enter_context(TemporaryDirectory(prefix="rekognition-test-"))
            Path(folder).chmod(0o755)  # as root, the database's user must be able to enter
            server = Server.start(Path(folder), **environment)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="module")
def server(new_server: Callable[..., Server]) -> Server:
    """The server that these tests share."""
    return new_server()


BODIES = {
    "nothing": b"",
    "not-json": b"<xml/>",
    "half": b'{"CollectionId":"a',
    "two": b'{"CollectionId":"a"}{"CollectionId":"b"}',
    "not-utf-8": b'{"CollectionId":"\xff\xfe"}',
    "utf-16": '{"CollectionId":"a"}'.encode("utf-16"),
    "byte-order-mark": b'\xef\xbb\xbf{"CollectionId":"a"}',
    "overlong-slash": b'{"CollectionId":"\xc0\xaf"}',
    "encoded-surrogate": b'{"CollectionId":"\xed\xa0\x80"}',
    "nul": b'{"CollectionId":"a\0"}',
    "nan": b'{"CollectionId":"a","MaxResults":NaN}',
    "infinity": b'{"CollectionId":"a","MaxResults":-Infinity}',
    "beyond-double": b'{"CollectionId":"a","MaxResults":1e999}',
    "thousands-of-digits": b'{"CollectionId":"a","MaxResults":' + b"9" * 100_000 + b"}",
    "thousands-of-decimals": b'{"CollectionId":"a","MaxResults":0.' + b"9" * 100_000 + b"}",
    "deep-list": b"[" * 1_000_000,
    "deep-list-closed": b'{"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    "deep-objects": b'{"a":' * 200_000,
    "a-million-members": b"{" + b",".join(b'"%x":1' % n for n in range(500_000)) + b"}",
    "a-million-elements": b'{"FaceIds":[' + b"1," * 1_000_000 + b"1]}",
    "a-million-lists": b'{"x":[' + b"[]," * 1_000_000 + b"[]]}",
    "a-million-strings": b'{"x":[' + b'"",' * 1_000_000 + b'""]}',
    "lists-behind-a-quotation-mark": b'{"x":["\\"",' + b"[]," * 1_000_000 + b"[]]}",
    "a-long-key": b'{"' + b"k" * 5_000_000 + b'":1}',
    "a-long-name": b'{"CollectionId":"' + b"a" * 5_000_000 + b'"}',
    "escapes": b'{"CollectionId":"' + b"\\u0041" * 900_000 + b'"}',
    "wrong-base64": b'{"CollectionId":"a","Image":{"Bytes":"====%%%%"}}',
    "one-character-of-base64": b'{"CollectionId":"a","Image":{"Bytes":"A"}}',
    "types-in-disorder": b'{"CollectionId":{"a":[]},"MaxResults":"x","FaceIds":{},"Image":[1]}',
}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_is_too_odd_for_an_answer(name: str, server: Server) -> None:
    """Deep, huge, broken and wrongly encoded JSON is refused as the service refuses it, within seconds."""
    for operation in ("ListFaces", "IndexFaces", "DeleteFaces"):
        answer = server.post(operation, BODIES[name])
        assert answer.status_code == 400
        code = answer.json()["__type"]
        assert code in {
            "SerializationException",
            "ValidationException",
            "ResourceNotFoundException",
            "InvalidParameterException",
        }
        assert len(answer.content) < 2 * len(BODIES[name]) + 10_000  # a violation shows the value, as AWS's do


def test_of_a_key_that_comes_twice_the_last_counts(server: Server) -> None:
    """As every parser on the service's way reads it; validation sees the same value that the handler gets."""
    server.post("CreateCollection", {"CollectionId": "twice"})
    answer = server.post("DescribeCollection", b'{"CollectionId":"missing","CollectionId":"twice"}')
    assert answer.status_code == 200
    answer = server.post("DescribeCollection", b'{"CollectionId":"twice","CollectionId":"not valid"}')
    assert answer.json()["__type"] == "ValidationException"


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00\\ud800", "\\u0000", "\\uffff", "\\u202e", "\\ud83d\\ude00"])
def test_odd_characters_reach_no_further_than_they_may(text: str, server: Server) -> None:
    """Half a surrogate pair, a NUL or a mark that turns text round is refused, or stored as what it reads as."""
    server.post("CreateCollection", {"CollectionId": "odd"})
    requests = {
        "CreateUser": f'{{"CollectionId":"odd","UserId":"{text}"}}',
        "ListFaces": f'{{"CollectionId":"odd","NextToken":"{text}"}}',
        "TagResource": '{"ResourceArn":"arn:aws:rekognition:us-east-1:000000000000:collection/odd",'
        f'"Tags":{{"{text}":"{text}"}}}}',
        "DetectFaces": f'{{"Image":{{"S3Object":{{"Bucket":"{text}{text}{text}","Name":"{text}"}}}}}}',
        "SearchUsers": f'{{"CollectionId":"odd","UserId":"{text}"}}',
    }
    for operation, request in requests.items():
        answer = server.post(operation, request.encode())
        assert answer.status_code in {200, 400}
        json.loads(answer.content.decode("utf-8"))


def exchange(server: Server, sent: bytes, seconds: float = 20) -> bytes:
    """What comes back until the server hangs up."""
    address = urlsplit(server.url)
    received = b""
    with socket.create_connection((address.hostname, address.port), timeout=seconds) as client:
        client.sendall(sent)
        try:
            while piece := client.recv(2**16):
                received += piece
        except ConnectionError:
            pass
    return received


def http(operation: str, body: bytes, *headers: str) -> bytes:
    """A request as it goes over the wire, the last on its connection."""
    lines = [
        "POST / HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Content-Type: {JSON}",
        f"X-Amz-Target: RekognitionService.{operation}",
        *headers,
    ]
    if not headers or not any(line.lower().startswith(("content-length", "transfer")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@pytest.mark.parametrize(
    ("headers", "body", "statuses"),
    [
        ((), b"{}", {200}),
        (("Expect: 100-continue",), b"{}", {100}),
        (("Expect: a miracle",), b"{}", {200, 400, 417}),
        (("Transfer-Encoding: chunked",), b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", {200}),
        (("Content-Length: 99999999999",), b"{}", {413}),
        (("Content-Length: 16777216",), b"{}", {413}),
        (("Upgrade: websocket", "Connection: upgrade"), b"{}", {200, 400}),
        (("Upgrade: h2c", "Connection: upgrade, http2-settings", "HTTP2-Settings: AAMA"), b"{}", {200, 400}),
        (("X-Amz-Target: RekognitionService.ListCollections",), b"{}", {200, 400}),
        (("X-Amz-Target: \x00",), b"{}", {400}),
        (("X-Amz-Target: " + "x" * 60_000,), b"{}", {200, 400}),
        (("Authorization: " + "AWS4-HMAC-SHA256 " * 3000,), b"{}", {200, 400}),
        (("Authorization: AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;;;,Signature=",), b"{}", {200, 400}),
        (("Authorization: \xff\xfe",), b"{}", {200, 400}),
        (("X-Amz-Date: yesterday",), b"{}", {200, 400}),
        (("X-Amz-Security-Token: " + "A" * 30_000,), b"{}", {200, 400}),
        (("Content-Encoding: gzip",), b"\x1f\x8b", {400}),
        (("Content-Type: application/x-amz-json-1.1; charset=utf-7",), b"{}", {200, 400, 404}),
        (tuple(f"X-{number}: {number}" for number in range(100)), b"{}", {200}),
        (tuple(f"X-{number}: {number}" for number in range(2000)), b"{}", {400}),
        (tuple(f"X-{number}: {number}" for number in range(50_000)), b"{}", {400}),
    ],
)
def test_odd_headers_are_answered(headers: tuple[str, ...], body: bytes, statuses: set[int], server: Server) -> None:
    """Wrong lengths, upgrades, encodings and signatures of nonsense end in an answer, never in a 5xx or in silence."""
    received = exchange(server, http("ListCollections", body, *headers))
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", received)
    if found is None:  # the server hung up while we were still sending
        assert not received
        assert 400 in statuses
    else:
        assert int(found[1]) in statuses


def test_a_request_in_bytes_is_still_a_request(server: Server) -> None:
    """However a request is cut into packets, it is the same request."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in http("ListCollections", b"{}"):
            client.send(bytes([byte]))
        assert client.recv(99).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    """A client that does not wait gets every answer, one after the other."""
    first = http("ListCollections", b"{}").replace(b"Connection: close\r\n", b"")
    second = http("NoSuchOperation", b"{}").replace(b"Connection: close\r\n", b"")
    received = exchange(server, first + second + first + http("ListCollections", b"{"))
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received) == [b"200", b"400", b"200", b"400"]


def test_clients_that_leave_in_the_middle_leave_nothing_behind(server: Server) -> None:
    """Hundreds of connections that break off anywhere in a request keep no place, and the next client is served."""
    address = urlsplit(server.url)
    request = http("IndexFaces", json.dumps({"CollectionId": "a", "Image": {"Bytes": "A" * 4000}}).encode())
    for cut in range(0, 400 * len(request) // 400, max(len(request) // 400, 1)):
        with socket.create_connection((address.hostname, address.port), timeout=20) as client:
            client.sendall(request[:cut])
            if cut % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # breaks off with a reset
    assert server.post("ListCollections", {}).status_code == 200


def test_more_connections_than_descriptors(tmp_path: Path) -> None:
    """A crowd that only holds connections open keeps nobody out: the oldest go, long before descriptors run out."""
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120));"
        "sys.argv = ['rekognition_emulator']; runpy.run_module('rekognition_emulator', run_name='__main__')"
    )
    tmp_path.chmod(0o755)
    with TemporaryDirectory(prefix="rekognition-test-") as folder:
        Path(folder).chmod(0o755)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("REKOGNITION_")},
                "REKOGNITION_DATA_DIR": folder,
                "REKOGNITION_RECOMMENDED_DIR": folder,
                "REKOGNITION_PORT": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stderr
        try:
            url = next(found[1] for line in process.stdout if (found := re.search(r"ready on (http://\S+)", line)))
            server = Server(process, url)
            address = urlsplit(url)
            crowd = [socket.create_connection((address.hostname, address.port), timeout=20) for _ in range(100)]
            assert server.post("ListCollections", {}).status_code == 200
            closed = []
            for client in crowd:
                client.settimeout(0.02)
                try:
                    closed.append(client.recv(99) == b"")
                except TimeoutError:
                    closed.append(False)
            assert 40 <= closed.count(True) < 100
            assert closed == sorted(closed, reverse=True)
            for client in crowd:
                client.close()
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=20)
    assert "Too many open files" not in errors
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 120


def test_bombs_at_once_leave_the_server_as_it_was(server: Server) -> None:
    """Pictures of the largest sides, sent side by side, are decoded or refused, and afterwards it serves on."""
    picture = baseline(9000, 9000)
    rekognition = server.client()

    def send(_: int) -> int:
        try:
            rekognition.detect_faces(Image={"Bytes": picture})
        except rekognition.exceptions.ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(send, range(4))) <= {200, 400}
    assert server.post("ListCollections", {}).status_code == 200
