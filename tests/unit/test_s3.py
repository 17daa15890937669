import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from structlog.testing import capture_logs

from rekognition_emulator import s3
from rekognition_emulator.domain.errors import ObjectTooLarge, ObjectUnavailable
from rekognition_emulator.s3 import OBJECT_BYTES_MAX, S3

ODD_KEYS = [
    "plain.jpg",
    "album 7/Zoë+Ünal & friends/100%25 #1?.jpg",
    "/leading//double/",
    "..a/.hidden/b../c...d/.../e",
    "line\nbreak\x7f",
    "\\☃.jpg",
    "%252e%252e/a%2fb.jpg",
    "?versionId=1&uploads#a",
    "@elsewhere/a",
    "\u202egpj.a\ufffe",
]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the server, found by boto3's own chain."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setattr(s3, "_ATTEMPTS", 1)


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    """A server that speaks S3."""
    pytest.importorskip("moto", reason="S3 is played by moto, a tool of the tests")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(moto_url: str) -> Any:
    """An empty bucket with versions."""
    resource = boto3.resource("s3", endpoint_url=moto_url)
    bucket = resource.Bucket("album-7")
    bucket.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    bucket.Versioning().enable()
    yield bucket
    bucket.object_versions.delete()
    bucket.delete()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Any]]:
    """Starts HTTP servers that answer every request by a script, write down its path and hang up."""
    with ExitStack() as stack:

        def start(script: Callable[[BaseHTTPRequestHandler], None], *, keep: bool = False) -> Any:
            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def answer(self) -> None:
                    server.paths.append(self.path)
                    script(self)

                def end_headers(self) -> None:
                    if not keep:
                        self.send_header("Connection", "close")  # as who hangs up should say
                    super().end_headers()

                do_GET = do_HEAD = answer  # noqa: N815 - the library's names

                def log_message(self, *_: Any) -> None:
                    pass

            server: Any = stack.enter_context(_Quiet(("127.0.0.1", 0), Handler))
            server.paths = []
            server.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


class _Quiet(ThreadingHTTPServer):
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up on a server is what some tests are about."""


def fetcher(url: str, buckets: frozenset[str] | None = None) -> S3:
    """What a server fetches with whose settings name this endpoint."""
    return S3(url, "auto", buckets, region="us-east-1", connections_max=2)


def warm_fetcher(url: str) -> S3:
    """The same, after its client was made, which takes its time and is no part of a fetch that is timed."""
    made = fetcher(url)
    made._connected()
    return made


def answer_with(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A script: always the same answer."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_names_its_object(key: str, scripted: Callable[..., Any]) -> None:
    """A key goes out as given, percent-encoded once: a server that decodes the path finds bucket and key again."""
    server = scripted(answer_with(200, b"picture"))
    assert fetcher(server.url).fetch_object("album-7", key) == b"picture"
    (path,) = server.paths
    assert unquoted(path) == f"/album-7/{key}".encode()


@pytest.mark.parametrize(
    "key",
    [
        "../../other-bucket/secret.jpg",
        "public/../private.jpg",
        "a/./b",
        "..",
        "a/.",
        "./a",
        "%2e%2e/secret.jpg",
        "a/%2E./secret.jpg",
        "..%2f..%2Fsecret.jpg",
        "\\..\\secret.jpg",
        "a%5c..%5Cb",
        "private.jpg\x00.txt",
        "private.jpg%00.txt",
    ],
)
def test_a_key_that_may_mean_another_object_never_goes_out(key: str, scripted: Callable[..., Any]) -> None:
    """Whoever resolves a path, decodes it twice or stops at a zero byte is not asked."""
    server = scripted(answer_with(200, b"picture"))
    with capture_logs() as logs, pytest.raises(ObjectUnavailable):
        fetcher(server.url).fetch_object("album-7", key)
    assert server.paths == []
    assert ("the name has a segment" in logs[0]["cause"], logs[0]["key"]) == (True, key)


@pytest.mark.parametrize(
    "bucket",
    [
        "abc--use1-az4--x-s3",
        "abc--xa-s3",
        "abc--ol-s3",
        "abc-s3alias",
        "abc.mrap",
        "...",
        "a.b.c",
        f"a{'0' * 40}--op-s3",
    ],
)
@pytest.mark.parametrize("style", ["auto", "path"])
def test_a_bucket_s_name_chooses_no_host(bucket: str, style: Literal["auto", "path"]) -> None:
    """Names that botocore gives a meaning are asked for at the endpoint like all others, or not at all."""
    storage = S3("http://storage.example:9000", style, None, region="us-east-1", connections_max=2)
    asked: list[str] = []

    def send(request: AWSPreparedRequest, **_: object) -> None:
        asked.append(request.url)
        raise ConnectionError

    storage._connected().meta.events.register_first("before-send.s3", send)
    with pytest.raises(ObjectUnavailable):
        storage.fetch_object(bucket, "a")
    assert asked in ([], [f"http://storage.example:9000/{bucket}/a"])


def unquoted(path: str) -> bytes:
    """Undoes one percent-encoding, and nothing else."""
    head, *escaped = path.encode("ascii").split(b"%")
    return head + b"".join(bytes.fromhex(piece[:2].decode()) + piece[2:] for piece in escaped)


def test_versions_and_the_newest(moto_url: str, bucket: Any) -> None:
    """A version names the content of its time; without one the newest counts."""
    old, new = (bucket.put_object(Key="a.jpg", Body=body).version_id for body in (b"old", b"new"))
    fetch = fetcher(moto_url).fetch_object
    assert [fetch("album-7", "a.jpg", version) for version in (old, new, None)] == [b"old", b"new", b"new"]


def test_an_empty_object_is_empty(moto_url: str, bucket: Any) -> None:
    """Nothing is a content too; that it is no picture is found out later."""
    bucket.put_object(Key="empty", Body=b"")
    assert fetcher(moto_url).fetch_object("album-7", "empty") == b""


@pytest.mark.parametrize(
    ("name", "key", "version"),
    [
        ("album-7", "missing.jpg", None),
        ("album-7", "a.jpg", "no-such-version"),
        ("no-such-bucket", "a.jpg", None),
        ("...", "a.jpg", None),
    ],
)
def test_what_is_not_there_is_unavailable(name: str, key: str, version: str | None, moto_url: str, bucket: Any) -> None:
    """Key, version and bucket may each be missing; the operator is told which object."""
    bucket.put_object(Key="a.jpg", Body=b"picture")
    with capture_logs() as lines, pytest.raises(ObjectUnavailable):
        fetcher(moto_url).fetch_object(name, key, version)
    (line,) = lines
    assert (line["log_level"], line["bucket"], line["key"]) == ("warning", name, key)
    assert line["cause"]


def test_only_allowed_buckets_are_asked_for(scripted: Callable[..., Any]) -> None:
    """A bucket outside the list costs the endpoint no request, however the key is spelt."""
    server = scripted(answer_with(200, b"picture"))
    fetch = fetcher(server.url, frozenset({"album-7"})).fetch_object
    assert fetch("album-7", "a.jpg") == b"picture"
    for name, key in [("album-8", "a.jpg"), ("ALBUM-7", "a.jpg"), ("album-8", "../album-7/a.jpg")]:
        with pytest.raises(ObjectUnavailable):
            fetch(name, key)
    assert len(server.paths) == 1


def test_no_credentials_no_request(scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without credentials of its own fetches nothing, and says why in its log."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = scripted(answer_with(200, b"picture"))
    with capture_logs() as lines, pytest.raises(ObjectUnavailable):
        fetcher(server.url).fetch_object("album-7", "a.jpg")
    assert "credentials" in lines[0]["cause"]
    assert not server.paths


@pytest.mark.parametrize("excess_bytes", [0, 1])
def test_fifteen_megabytes_are_the_most(excess_bytes: int, moto_url: str, bucket: Any) -> None:
    """15 MiB pass, one byte more does not."""
    bucket.put_object(Key="a", Body=bytes(OBJECT_BYTES_MAX + excess_bytes))
    fetch = fetcher(moto_url).fetch_object
    if excess_bytes:
        with pytest.raises(ObjectTooLarge):
            fetch("album-7", "a")
    else:
        assert len(fetch("album-7", "a")) == OBJECT_BYTES_MAX


def test_too_large_by_its_header_is_not_read(scripted: Callable[..., Any]) -> None:
    """The announced length is enough: the body, which never comes, is not waited for."""

    def announce(request: BaseHTTPRequestHandler) -> None:
        answer_with(200, b"", Content_Length=str(10**12))(request)
        time.sleep(3)

    fetch = warm_fetcher(scripted(announce).url).fetch_object
    began = time.monotonic()
    with pytest.raises(ObjectTooLarge):
        fetch("album-7", "a")
    assert time.monotonic() - began < 2


def endless(request: BaseHTTPRequestHandler) -> None:
    """A script: chunks until the client hangs up."""
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    while True:
        request.wfile.write(b"100000\r\n" + bytes(2**20) + b"\r\n")
        request.server.sent_mb += 1  # type: ignore[attr-defined] # the fixture's server keeps what tests give it


def test_too_large_without_a_length_is_not_read_to_its_end(scripted: Callable[..., Any]) -> None:
    """An endpoint that announces nothing and sends without end is cut off at the limit."""
    server = scripted(endless)
    server.sent_mb = 0
    with pytest.raises(ObjectTooLarge):
        fetcher(server.url).fetch_object("album-7", "a")
    assert server.sent_mb < 40


@pytest.mark.parametrize("length", ["100", "not a number", "-5"])
def test_a_length_that_is_not_true_gives_no_picture(length: str, scripted: Callable[..., Any]) -> None:
    """Half a picture is no picture, and nonsense in a header is no error of ours."""
    server = scripted(answer_with(200, b"half", Content_Length=length))
    with pytest.raises(ObjectUnavailable):
        fetcher(server.url).fetch_object("album-7", "a")


def test_more_than_announced_stays_out_of_the_next_object(scripted: Callable[..., Any]) -> None:
    """What follows the announced length is neither read nor taken for the next answer."""
    surplus = answer_with(200, b"picture" + b"HTTP/1.1 200 OK\r\n\r\nforged", Content_Length="7")
    fetch = fetcher(scripted(surplus, keep=True).url).fetch_object
    assert [fetch("album-7", "a") for _ in range(3)] == [b"picture"] * 3


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400])
def test_redirects_are_refused(status: int, scripted: Callable[..., Any]) -> None:
    """Neither HTTP's redirects nor S3's own, which name another region, lead anywhere."""
    elsewhere = scripted(answer_with(200, b"secret"))
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    location = f"{elsewhere.url}/album-7/a"
    server = scripted(answer_with(status, body, Location=location, x_amz_bucket_region="eu-west-1"))
    fetch = fetcher(server.url).fetch_object
    for _ in range(2):
        with pytest.raises(ObjectUnavailable):
            fetch("album-7", "a")
    assert server.paths == ["/album-7/a"] * 2
    assert elsewhere.paths == []


def trickle(request: BaseHTTPRequestHandler) -> None:
    """A script: a picture of 1 MB, a byte at a time."""
    answer_with(200, b"", Content_Length=str(2**20))(request)
    while True:
        request.wfile.write(b"x")
        time.sleep(0.02)


def silence(_: BaseHTTPRequestHandler) -> None:
    """A script: takes the request and says nothing."""
    time.sleep(3)


def trickling_head(request: BaseHTTPRequestHandler) -> None:
    """A script: a header, a byte at a time, each within the time for a byte."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(200):
        request.wfile.write(b"x")
        time.sleep(0.02)


def trickling_error(request: BaseHTTPRequestHandler) -> None:
    """A script: an error, a byte at a time."""
    answer_with(403, b"", Content_Length=str(2**20))(request)
    for _ in range(200):
        request.wfile.write(b"<")
        time.sleep(0.02)


@pytest.mark.parametrize("script", [trickle, trickling_head, trickling_error, silence])
def test_a_slow_endpoint_does_not_hold_a_worker(
    script: Any, scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not saying anything and saying it too slowly both end, the second at the total deadline."""
    monkeypatch.setattr(s3, "_READ_TIMEOUT_S", 0.4)
    monkeypatch.setattr(s3, "_TOTAL_S", 0.8)
    fetch = warm_fetcher(scripted(script).url).fetch_object
    began = time.monotonic()
    with pytest.raises(ObjectUnavailable):
        fetch("album-7", "a")
    assert time.monotonic() - began < 2


def test_what_trickles_takes_no_more_than_its_places(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that never comes to an end leaves behind as many threads as there are places, and later none."""
    monkeypatch.setattr(s3, "_READ_TIMEOUT_S", 0.5)
    monkeypatch.setattr(s3, "_TOTAL_S", 0.3)
    server = scripted(trickling_head)
    fetch = warm_fetcher(server.url).fetch_object  # with two places
    for _ in range(5):
        with pytest.raises(ObjectUnavailable):
            fetch("album-7", "a")
    assert len(server.paths) == 2
    deadline = time.monotonic() + 20
    while any(thread.name == "S3" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def endless_error(request: BaseHTTPRequestHandler) -> None:
    """A script: an error without end."""
    request.send_response(500)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    while True:
        request.wfile.write(b"100000\r\n" + b"<" * 2**20 + b"\r\n")
        request.server.sent_mb += 1  # type: ignore[attr-defined] # as above


def test_an_error_without_end_is_not_read_to_it(scripted: Callable[..., Any]) -> None:
    """Of an error page 64 kB are read, not gigabytes."""
    server = scripted(endless_error)
    server.sent_mb = 0
    with pytest.raises(ObjectUnavailable):
        fetcher(server.url).fetch_object("album-7", "a")
    assert server.sent_mb < 40


LAUGHS = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))


@pytest.mark.parametrize(
    "page",
    [
        f'<!DOCTYPE Error [<!ENTITY e0 "ha">{LAUGHS}]><Error><Code>&e12;</Code></Error>',
        '<!DOCTYPE Error [<!ENTITY e SYSTEM "file:///etc/passwd">]><Error><Code>&e;</Code></Error>',
        f'<!DOCTYPE Error [<!ENTITY e "{"x" * 30_000}">]><Error><Code>{"&e;" * 10_000}</Code></Error>',
        "<Error>" * 9000,
        "<Error><Code>" + "NoSuchKey" * 7000,
        "\0\xff",
        "",
    ],
)
def test_error_pages_are_no_way_in(page: str, scripted: Callable[..., Any]) -> None:
    """Entities that multiply or name files, elements without end and no XML at all give S3's one error, at once."""
    server = scripted(answer_with(404, page.encode("latin-1")))
    with capture_logs() as lines, pytest.raises(ObjectUnavailable):
        fetcher(server.url).fetch_object("album-7", "a")
    assert "root:" not in lines[0]["cause"]
    assert len(lines[0]["cause"]) < 200_000


def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    """A closed port is the operator's to mend: the caller gets S3's error, the log the cause."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as closed:
        port = closed.server_address[1]
    with capture_logs() as lines, pytest.raises(ObjectUnavailable):
        fetcher(f"http://127.0.0.1:{port}").fetch_object("album-7", "a")
    assert "Could not connect" in lines[0]["cause"]


def test_an_error_of_the_endpoint_is_tried_once_more(
    scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two attempts, and no more: the request's own client is waiting."""
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = scripted(answer_with(503, b""))
    with pytest.raises(ObjectUnavailable):
        fetcher(server.url).fetch_object("album-7", "a")
    assert len(server.paths) == 2


def test_threads_share_one_client(scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is made by the first of many fetches at once, and not before."""
    make = boto3.session.Session
    made = []

    def counted() -> Any:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(boto3.session, "Session", counted)
    fetch = fetcher(scripted(answer_with(200, b"picture")).url).fetch_object
    assert made == []
    fetched: list[bytes] = []
    threads = [threading.Thread(target=lambda: fetched.append(fetch("album-7", "a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [b"picture"] * 8
    assert len(made) == 1


@pytest.mark.parametrize(("region", "host"), [("eu-west-3", "eu-west-3"), (None, "eu-west-1")])
def test_without_a_setting_the_endpoint_is_aws(region: str | None, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is the chain's or else the server's; AWS_ENDPOINT_URL, which points SDKs at this server, is none."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region) if region else monkeypatch.delenv("AWS_DEFAULT_REGION")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:8080")
    client = S3(None, "auto", None, region="eu-west-1", connections_max=1)._connected()
    assert client.meta.endpoint_url == f"https://s3.{host}.amazonaws.com"


def test_the_bucket_can_stand_in_the_host_name(scripted: Callable[..., Any]) -> None:
    """Servers with a domain of their own per bucket are asked so; the path is then the key alone."""
    server = scripted(answer_with(200, b"picture"))
    url = server.url.replace("127.0.0.1", "localhost")
    store = S3(url, "virtual", None, region="us-east-1", connections_max=1)
    sent = []
    events = store._connected().meta.events
    events.register_first("before-send.s3.GetObject", lambda request, **_: sent.append(request.url))
    with contextlib.suppress(ObjectUnavailable):  # whether a name below localhost resolves is the machine's affair
        store.fetch_object("album-7", "a/b")
    assert sent[0] == url.replace("//", "//album-7.") + "/a/b"


def test_connections_are_kept(scripted: Callable[..., Any]) -> None:
    """Objects that were read to their end leave their connection for the next one."""
    ports = set()

    def answer(request: BaseHTTPRequestHandler) -> None:
        ports.add(request.client_address)
        answer_with(200, b"picture")(request)

    fetch = fetcher(scripted(answer, keep=True).url).fetch_object
    assert [fetch("album-7", "a") for _ in range(3)] == [b"picture"] * 3
    assert len(ports) == 1
