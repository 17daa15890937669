import asyncio
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
import structlog
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ServiceModel
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from rekognition_emulator.auth.keyring import Keyring
from rekognition_emulator.auth.keys import AccessKey, KeyStore
from rekognition_emulator.http import bodies
from rekognition_emulator.http.access_log import AccessLog
from rekognition_emulator.http.admission import Admission
from rekognition_emulator.http.authentication import Authenticator, Caller
from rekognition_emulator.http.dispatch import Dispatcher
from rekognition_emulator.http.endpoint import Endpoint, RequestHandler
from rekognition_emulator.http.enforcement import Enforcement, Mode
from rekognition_emulator.http.rate_limits import RateLimiter
from rekognition_emulator.http.responses import WireResponse
from rekognition_emulator.telemetry.observation import Observation, Observer, current, stage
from tests.support.keys import SECRET, VAULT, ListedKeys, a_key

HEADERS = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "RekognitionService.ListFaces"}
BODY = b'{"CollectionId":"a"}'
KEY = a_key("all")
SCOPE = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/{}/rekognition/aws4_request, SignedHeaders=host, Signature=0"


def authenticator(mode: Mode | None, keyring: Keyring | None = None) -> Authenticator:
    """Without a keyring there is no key, and nobody is asked for one if there is no mode."""
    store = Mock(KeyStore)
    store.all_keys.return_value = []
    return Authenticator(
        keyring or Keyring(store, Mock()),
        Enforcement(mode),
        is_local=True,
        account="123456789012",
        default_region="us-east-1",
    )


def keyring(key: AccessKey) -> Keyring:
    """A keyring that has read this key."""
    ring = Keyring(ListedKeys([key]), lambda: VAULT)
    ring.refresh()
    return ring


def signed(key: AccessKey, secret: str = SECRET) -> dict[str, str]:
    """The headers of a request to list faces that is signed so."""
    request = AWSRequest("POST", "http://localhost/", HEADERS, BODY)
    SigV4Auth(Credentials(key.access_key_id, secret), "rekognition", "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()} | {"host": "localhost"}


class Remembering(Observer):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.occupancies: list[tuple[int, int]] = []
        self.someone_waits = threading.Event()

    def answered(self, observation: Observation) -> None:
        """Remembers a request."""
        self.observations.append(observation)

    def occupied(self, inside: int, waiting: int) -> None:
        """Remembers how many were inside."""
        self.occupancies.append((inside, waiting))
        if waiting:
            self.someone_waits.set()


class Server:
    """A server with one worker and one slot to wait for albums, whose operation waits until it is released."""

    def __init__(
        self, model: ServiceModel, *, mode: Mode | None = None, keyring: Keyring | None = None, **rates: float
    ) -> None:
        self.released = threading.Event()
        self.released.set()
        self.called = threading.Semaphore(0)
        self.callers: list[Caller] = []
        self.logged: list[object] = []
        self.observer = Remembering()
        handlers = {"ListFaces": self.list_faces, "ListCollections": lambda _caller, _request: {"CollectionIds": []}}
        self.dispatcher = Dispatcher(
            model,
            handlers,
            lambda _error, _operation: None,
            "README",
            authorize=lambda *_: None,
            context_for=lambda caller, _: caller,
        )
        observers = [self.observer]
        self.recorded: list[tuple[Caller, WireResponse]] = []
        self.pages: dict[str, Any] = {}
        self.app = RequestHandler(
            {"/": Endpoint(self.dispatcher.body_bytes_max, self.dispatcher.dispatch)},
            self.pages,
            operation_of=self.dispatcher.operation,
            authenticator=authenticator(mode, keyring),
            admission=Admission(RateLimiter(rates), workers=1, queue_max=1, bulk={"ListFaces"}, observers=observers),
            record=lambda caller, answer: self.recorded.append((caller, answer)),
            access_log=AccessLog(observers),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI has it."""
        await self.app(scope, receive, send)

    def list_faces(self, caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
        """Remembers who came, and waits until it is released."""
        self.callers.append(caller)
        self.logged.append(structlog.contextvars.get_contextvars().get("request_id"))
        self.called.release()
        current().count("faces_found", 2)
        with stage("work"):
            assert self.released.wait(10)
        return {"Faces": []}

    def client(self) -> httpx.AsyncClient:
        """A client that calls the application directly."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self), base_url="http://localhost", headers=HEADERS)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Sends one request."""

        async def send() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(send())


@pytest.fixture
def serving(model: ServiceModel) -> Iterator[Callable[..., Server]]:
    """Makes servers, and lets go whoever waits in them."""
    made: list[Server] = []

    def make(**arguments: Any) -> Server:
        made.append(Server(model, **arguments))
        return made[-1]

    yield make
    for each in made:
        each.released.set()


@pytest.fixture
def server(serving: Callable[..., Server]) -> Server:
    """A fresh server."""
    return serving()


def test_answers_carry_the_headers_of_aws_and_no_others(server: Server) -> None:
    """Each answer has a fresh lower-case version 4 UUID as request id, a type and a length."""
    answers = [server.request("POST", "/", content=BODY) for _ in range(2)]
    assert [answer.text for answer in answers] == ['{"Faces":[]}'] * 2
    assert set(answers[0].headers) == {"x-amzn-requestid", "content-type", "content-length"}
    assert answers[0].headers["content-type"] == "application/x-amz-json-1.1"
    assert answers[0].headers["content-length"] == "12"
    ids = [answer.headers["x-amzn-requestid"] for answer in answers]
    assert all(str(uuid.UUID(text)) == text and uuid.UUID(text).version == 4 for text in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("authorization", "region"),
    [(SCOPE.format("eu-west-1"), "eu-west-1"), (SCOPE.format("../etc"), "us-east-1"), ("", "us-east-1")],
)
def test_tells_the_handler_who_calls(server: Server, authorization: str, region: str) -> None:
    """The caller's region is the one the request is signed for; its request id is the answer's and the log's."""
    answer = server.request("POST", "/", content=BODY, headers={"authorization": authorization})
    request_id = answer.headers["x-amzn-requestid"]
    assert server.callers == [Caller("123456789012", region, request_id)]
    assert server.logged == [request_id]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("PUT", "/"), ("DELETE", "/"), ("POST", "/x"), ("POST", "/a/b")]
)
def test_other_methods_and_paths_are_unknown(server: Server, method: str, path: str) -> None:
    """What is not a POST to the root is answered as AWS answers it."""
    answer = server.request(method, path)
    assert (answer.status_code, answer.text) == (404, "<UnknownOperationException/>")
    assert "x-amzn-requestid" in answer.headers


def test_pages_about_the_server_are_reachable(server: Server) -> None:
    """Whoever asks for them, and however."""

    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"alive"})

    server.pages["/healthz"] = page
    assert server.request("GET", "/healthz").text == "alive"
    assert server.request("POST", "/healthz").text == "alive"


def padded(length: int) -> bytes:
    """A valid body of exactly this length."""
    return BODY[:-1] + b" " * (length - len(BODY)) + b"}"


def scope(**more: str) -> dict[str, Any]:
    """A request to list faces, with more headers, as ASGI has it."""
    headers = [(name.encode(), value.encode()) for name, value in (HEADERS | more).items()]
    about: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST"}
    return about | {"path": "/", "query_string": b"", "headers": headers}


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    """Sends a body without saying how long it is."""
    for start in range(0, len(body), 2**20):
        yield body[start : start + 2**20]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_cap_is_refused(server: Server, *, announced: bool) -> None:
    """One byte over the cap is a 413 without a body, whether or not the length was announced; the cap is fine."""
    for length, status in [(server.dispatcher.body_bytes_max, 200), (server.dispatcher.body_bytes_max + 1, 413)]:
        body = padded(length)
        answer = server.request("POST", "/", content=body if announced else in_chunks(body))
        assert answer.status_code == status
    assert (answer.content, answer.headers["content-length"]) == (b"", "0")
    assert "content-type" not in answer.headers
    assert len(server.callers) == 1


def test_tells_to_slow_down_when_all_places_are_taken(server: Server) -> None:
    """One request works, one waits, the third is throttled at once; when they are done there is room again."""

    async def scenario() -> None:
        async with server.client() as client, asyncio.TaskGroup() as group:
            server.released.clear()
            working = group.create_task(client.post("/", content=BODY))
            assert await asyncio.to_thread(server.called.acquire, timeout=10)
            waiting = group.create_task(client.post("/", content=BODY))
            await asyncio.sleep(0.05)
            throttled = await client.post("/", content=BODY)
            assert throttled.status_code == 400
            assert throttled.json()["__type"] == throttled.json()["Code"] == "ThrottlingException"
            assert throttled.json()["Message"] == "Slow down; sudden increase in rate of requests."
            assert not working.done()
            assert not waiting.done()
            server.released.set()
            assert [(await task).status_code for task in (working, waiting)] == [200, 200]
            assert (await client.post("/", content=BODY)).status_code == 200

    asyncio.run(scenario())
    assert len(server.callers) == 3


def test_nobody_waits_for_an_album(server: Server) -> None:
    """Where all workers and places for albums are taken, what is no bulk is answered, and as often as it comes."""
    express = {"x-amz-target": "RekognitionService.ListCollections"}

    async def scenario() -> None:
        async with server.client() as client, asyncio.TaskGroup() as group:
            server.released.clear()
            album = [group.create_task(client.post("/", content=BODY)) for _ in range(2)]
            assert await asyncio.to_thread(server.observer.someone_waits.wait, 10)
            assert (await client.post("/", content=BODY)).status_code == 400
            for _ in range(3):
                assert (await client.post("/", content=b"{}", headers=express)).status_code == 200
            assert not any(task.done() for task in album)
            server.released.set()

    asyncio.run(scenario())


def leave_early(server: Server, *, stall: bool) -> list[dict[str, Any]]:
    """Sends half a body, then nothing more or a disconnect. Returns what the server sent."""
    sent: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": BODY[:5], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60 if stall and len(messages) == 1 else 0)
        return messages.pop(0)

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    asyncio.run(server(scope(), receive, send))
    return sent


def test_a_client_that_leaves_takes_no_place_with_it(server: Server) -> None:
    """Disconnecting in the middle of a body breaks nothing, calls no handler, and leaves no place taken."""
    with capture_logs() as logs:
        for _ in range(3):
            leave_early(server, stall=False)
    assert [line["error"] for line in logs] == ["ClientDisconnect"] * 3
    assert server.callers == []
    assert server.request("POST", "/", content=BODY).status_code == 200


def test_a_client_that_stalls_loses_its_place(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is given up."""
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.05)
    started = time.monotonic()
    for _ in range(3):
        assert leave_early(server, stall=True)[0]["status"] == 408
    assert time.monotonic() - started < 30
    assert server.request("POST", "/", content=BODY).status_code == 200


def test_writes_one_log_line_for_each_request(server: Server) -> None:
    """The access log says what was asked, how it ended, how long it took, and the request id of the answer."""
    with capture_logs() as logs:
        answer = server.request("POST", "/", content=BODY)
        server.request("POST", "/", content=b"{")
    assert len(logs) == 2
    assert {**logs[0], "ms": 0, "stages_ms": {}} == {
        "event": "request",
        "log_level": "info",
        "request_id": answer.headers["x-amzn-requestid"],
        "account": "123456789012",
        "operation": "ListFaces",
        "collection": "a",
        "status": 200,
        "error": None,
        "ms": 0,
        "bytes": 12,
        "stages_ms": {},
        "faces_found": 2,
    }
    assert list(logs[0]["stages_ms"]) == ["receive", "wait", "parse", "work", "render"]
    assert 0 < sum(logs[0]["stages_ms"].values()) <= logs[0]["ms"] + 0.5  # each is rounded
    assert (logs[1]["status"], logs[1]["error"]) == (400, "SerializationException")


def test_what_a_worker_has_answered_is_recorded(server: Server) -> None:
    """With who has asked, and with what was counted for it; what never got to a worker is not."""
    server.request("POST", "/", content=BODY)
    server.request("POST", "/", content=b"{")
    server.request("POST", "/", content=BODY, headers={"host": "album.example"})
    server.request("GET", "/")
    assert [(answer.operation, answer.error, answer.collection) for _, answer in server.recorded] == [
        ("ListFaces", None, "a"),
        ("ListFaces", "SerializationException", None),
    ]
    assert [dict(caller.trail.counts) for caller, _ in server.recorded] == [{"faces_found": 2}, {}]


def test_observers_are_told_of_every_request(server: Server) -> None:
    """They learn how each ended, also those that found no place or no page, and how many are inside and wait."""

    async def crowd() -> list[int]:
        server.released.clear()
        async with server.client() as client:
            first = asyncio.create_task(client.post("/", content=BODY))
            assert await asyncio.to_thread(server.called.acquire, timeout=10)
            second = asyncio.create_task(client.post("/", content=BODY))
            assert await asyncio.to_thread(server.observer.someone_waits.wait, 10)
            third = await client.post("/", content=BODY)
            server.released.set()
            elsewhere = await client.get("/")
            return [answer.status_code for answer in [third, await first, await second, elsewhere]]

    assert asyncio.run(crowd()) == [400, 200, 200, 404]
    ends = Counter((each.status, each.operation, each.error) for each in server.observer.observations)
    assert ends == {
        (400, None, "ThrottlingException"): 1,
        (200, "ListFaces", None): 2,
        (404, None, "UnknownOperationException"): 1,
    }
    assert (2, 1) in server.observer.occupancies
    assert server.observer.occupancies[-1] == (0, 0)
    assert all(each.seconds > 0 for each in server.observer.observations)


BEYOND = {"__type": "ProvisionedThroughputExceededException", "Message": "Provisioned Rate exceeded."}


def test_refuses_what_is_beyond_the_rate_of_its_account(serving: Callable[..., Server]) -> None:
    """With AWS's error, logged with whose limit it was; other operations go on, and the handler sees no more."""
    server = serving(ListFaces=0.001)
    with capture_logs() as logs:
        answers = [server.request("POST", "/", content=BODY) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 400, 400]
    told = answers[1].json()
    assert BEYOND.items() <= told.items()
    assert told["Code"] == told["__type"]
    assert len(server.callers) == 1
    assert [line.get("limit") for line in logs] == [None, *[("123456789012", "ListFaces")] * 2]
    assert [each.operation for each in server.observer.observations] == ["ListFaces", None, None]
    express = {"x-amz-target": "RekognitionService.ListCollections"}
    assert server.request("POST", "/", content=b"{}", headers=express).status_code == 200


def test_a_spent_limit_is_told_before_the_body_is_read(serving: Callable[..., Server]) -> None:
    """A refusal costs neither the body's memory nor a place nor a worker."""
    server = serving(ListFaces=0.001)
    assert server.request("POST", "/", content=BODY).status_code == 200
    inside = len(server.observer.occupancies)
    assert leave_early(server, stall=True)[0]["status"] == 400  # nobody waits for the other half
    assert len(server.observer.occupancies) == inside


class Slow:
    """A request whose body comes when it is let go."""

    def __init__(self, server: Server, headers: dict[str, str] | None = None, body: bytes = BODY) -> None:
        self.has_begun, self.comes = asyncio.Event(), asyncio.Event()
        self._server, self._scope, self._body = server, scope(**(headers or {})), body
        self._sent: list[dict[str, Any]] = []

    async def _receive(self) -> dict[str, Any]:
        self.has_begun.set()
        await self.comes.wait()
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: Any) -> None:
        self._sent.append(message)

    async def run(self) -> tuple[int, bytes]:
        """Returns status and body of its answer."""
        await self._server(self._scope, self._receive, self._send)
        return self._sent[0]["status"], self._sent[1]["body"]


def test_a_body_that_comes_holds_nothing_that_others_need(server: Server) -> None:
    """However many come, those whose bodies are there are served; of those that then come at once, some find room."""

    async def scenario() -> list[int]:
        slow = [Slow(server) for _ in range(20)]
        tasks = [asyncio.create_task(each.run()) for each in slow]
        for each in slow:
            await each.has_begun.wait()
        assert server.observer.occupancies == []
        async with server.client() as client:
            for _ in range(3):
                assert (await client.post("/", content=BODY)).status_code == 200
        for each in slow:
            each.comes.set()
        return [status for status, _ in await asyncio.gather(*tasks)]

    statuses = asyncio.run(scenario())
    assert statuses.count(200) >= 2
    assert set(statuses) == {200, 400}
    assert {each.error for each in server.observer.observations} == {None, "ThrottlingException"}


def test_who_is_not_proved_takes_no_slot_no_token_and_no_worker(serving: Callable[..., Server]) -> None:
    """A known key's id with a wrong secret: the body is read, and then that is all."""
    ring = keyring(KEY)
    server = serving(keyring=ring, ListFaces=0.001)
    for _ in range(5):
        answer = server.request("POST", "/", content=BODY, headers=signed(KEY, "wrong"))
        assert answer.json()["__type"] == "InvalidSignatureException"
    assert server.observer.occupancies == []
    assert server.request("POST", "/", content=BODY, headers=signed(KEY)).status_code == 200
    assert server.request("POST", "/", content=BODY, headers=signed(KEY)).json()["__type"] == BEYOND["__type"]
    assert [each.account for each in server.observer.observations][:6] == [*[None] * 5, KEY.account]
    assert [caller.principal and caller.principal.key for caller, _ in server.recorded] == [KEY.access_key_id]


def test_a_key_that_is_deleted_while_the_body_comes_opens_nothing(serving: Callable[..., Server]) -> None:
    """Though its request was let in for its head."""
    store = ListedKeys([KEY])
    ring = Keyring(store, lambda: VAULT)
    ring.refresh()
    server = serving(keyring=ring)

    async def scenario() -> tuple[int, bytes]:
        slow = Slow(server, signed(KEY))
        task = asyncio.create_task(slow.run())
        await slow.has_begun.wait()
        store.listed.clear()
        ring.refresh()
        slow.comes.set()
        return await task

    status, told = asyncio.run(scenario())
    assert (status, b"UnrecognizedClientException" in told) == (400, True)
    assert server.callers == []


def test_who_finds_no_slot_keeps_its_token(serving: Callable[..., Server]) -> None:
    """A request that is refused for lack of room is none of those that its account may send."""
    server = serving(ListFaces=3)

    async def scenario() -> list[int]:
        server.released.clear()
        slow = [Slow(server) for _ in range(3)]
        tasks = [asyncio.create_task(each.run()) for each in slow]
        for each in slow:
            await each.has_begun.wait()
            each.comes.set()
        assert await asyncio.to_thread(server.observer.someone_waits.wait, 10)
        server.released.set()
        statuses = [status for status, _ in await asyncio.gather(*tasks)]
        async with server.client() as client:
            statuses.append((await client.post("/", content=BODY)).status_code)
        return statuses

    assert sorted(asyncio.run(scenario())) == [200, 200, 200, 400]


def test_requests_that_wait_together_do_not_pass_together(serving: Callable[..., Server]) -> None:
    """Those that found a request left when they came, and none when their bodies were there, are refused then."""
    server = serving(ListFaces=0.001)

    async def scenario() -> list[int]:
        both = [Slow(server) for _ in range(2)]
        tasks = [asyncio.create_task(each.run()) for each in both]
        for each in both:
            await each.has_begun.wait()
        for each in both:
            each.comes.set()
        return [status for status, _ in await asyncio.gather(*tasks)]

    assert sorted(asyncio.run(scenario())) == [200, 400]
    assert len(server.callers) == 1


def test_unknown_operations_share_a_limit(serving: Callable[..., Server]) -> None:
    """Made-up names get no more than one name does."""
    server = serving(**{"*": 2})
    for number, status in enumerate(["Unknown", "Unknown", "Beyond"]):
        target = {"x-amz-target": f"RekognitionService.Made{number}"}
        answer = server.request("POST", "/", content=b"{}", headers=target)
        assert (
            answer.json()["__type"]
            == {
                "Unknown": "UnknownOperationException",
                "Beyond": BEYOND["__type"],
            }[status]
        )


@pytest.mark.parametrize("host", ["album.example", "localhost.example:8000", "[::1", "10.0.0.1"])
def test_a_foreign_name_is_refused_for_its_head(server: Server, host: str) -> None:
    """As long as nobody is asked for a key; the answer is AWS's, whoever gives it."""
    answer = server.request("POST", "/", content=BODY, headers={"host": host})
    assert (answer.status_code, answer.json()["__type"]) == (400, "AccessDeniedException")
    assert set(answer.headers) == {"x-amzn-requestid", "content-type", "content-length"}
    assert server.callers == []


def test_what_a_head_is_enough_for_is_decided_once(serving: Callable[..., Server]) -> None:
    """Also where only counted is what would be refused: one line for a request, under its id."""
    server = serving(mode="warn", ListFaces=1000)
    with capture_logs() as logs:
        answer = server.request("POST", "/", content=BODY)
    assert answer.status_code == 200
    spared = [line for line in logs if line["event"] == "would_be_denied"]
    assert {line["request_id"] for line in logs} == {answer.headers["x-amzn-requestid"]}
    assert [line["error"] for line in spared] == ["MissingAuthenticationTokenException"]
    assert server.observer.observations[0].would_be_denied == spared[0]["error"]
    assert server.recorded[0][0].trail.would_be_denied == spared[0]["error"]
