import asyncio
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from rekognition_emulator.http import connection
from rekognition_emulator.http.connection import Connection, Connections

ANSWER = b"HTTP/1.1 200 OK"
REFUSAL = b"HTTP/1.1 400 Bad Request"


class Application:
    """Answers with the length of the body; /early before it reads, /refused likewise and with an error.

    /long with megabytes, /late when it is let go, /headers with the headers as they are after the body.
    """

    def __init__(self) -> None:
        self.began = 0
        self.let_go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request, as ASGI has it."""
        self.began += 1
        length, more = 0, scope["path"] not in {"/early", "/refused"}
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length, more = length + len(message["body"]), message["more_body"]
        if scope["path"] == "/late":
            assert await asyncio.to_thread(self.let_go.wait, 10)
        body = bytes(2**25) if scope["path"] == "/long" else b"%d" % length
        if scope["path"] == "/headers":
            body = repr(scope["headers"]).encode()
        head = [(b"content-length", b"%d" % len(body))]
        status = 400 if scope["path"] == "/refused" else 200
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


class Running:
    """A server in a thread."""

    def __init__(self, keep_alive_seconds: int = 5) -> None:
        self.application = Application()
        config = uvicorn.Config(
            self.application,
            http=partial(Connection, others=Connections()),  # type: ignore[arg-type] # makes what the class would
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=keep_alive_seconds,
        )
        self.uvicorn = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self.uvicorn.run, args=([self._listener],))
        self._thread.start()

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection on which this much has been sent."""
        client = socket.create_connection(self._listener.getsockname(), timeout=10)
        self._clients.append(client)
        client.sendall(sent)
        return client

    def held(self) -> int:
        """Connections that the server holds."""
        return len(self.uvicorn.server_state.connections)

    def stop(self) -> None:
        """Ends it, waiting for nothing."""
        self.uvicorn.should_exit = self.uvicorn.force_exit = True
        self._thread.join(10)
        for each in (self._listener, *self._clients):
            each.close()


@pytest.fixture
def server() -> Iterator[Running]:
    """A fresh server."""
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for 20 seconds."""
    monkeypatch.setattr(connection, "HEAD_SECONDS_MAX", 0.3)
    monkeypatch.setattr(connection, "REQUEST_SECONDS_MAX", 0.6)
    monkeypatch.setattr(connection, "ANSWER_SECONDS_MAX", 0.6)


def heard(client: socket.socket) -> bytes:
    """Everything until the server hangs up, politely or not."""
    pieces = []
    try:
        while piece := client.recv(2**16):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces)


def until(condition: Callable[[], bool]) -> None:
    """Waits for what comes soon."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Recorder(asyncio.Transport):
    """Keeps what is sent, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_write_buffer_size(self) -> int:
        """Everything goes out at once."""
        return 0

    def close(self) -> None:
        """Ends."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends a piece."""
        self.pieces.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        """Sends all of them as one piece."""
        self.pieces.append(b"".join(list_of_data))


def test_an_answer_leaves_in_one_piece() -> None:
    """Whoever has its head has its body: a process that is killed leaves no 200 with nothing in it."""

    async def talk() -> list[bytes]:
        config = uvicorn.Config(Application(), ws="none", lifespan="off", log_config=None)
        config.load()
        protocol, sent = Connection(config, ServerState(), {}, others=Connections()), Recorder()
        protocol.connection_made(sent)
        for _ in range(2):
            protocol.data_received(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
            await asyncio.sleep(0.01)
        protocol.connection_lost(None)
        return sent.pieces

    first, second = asyncio.run(talk())
    assert first == second
    assert first.startswith(ANSWER)
    assert first.endswith(b"\r\n\r\n5")


def test_an_ordinary_client_notices_nothing(server: Running) -> None:
    """Several requests on one connection, with heads in pieces and a body of megabytes, are answered in turn."""
    client = server.connect(b"POST / HT")
    time.sleep(0.05)
    client.sendall(b"TP/1.1\r\nhost: a\r\ncontent-length: 8000000\r\n\r\n" + bytes(8_000_000))
    assert client.recv(999).endswith(b"8000000")
    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert client.recv(999).endswith(b"5")
    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n" * 2)
    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert heard(client).count(ANSWER) == 3


def test_those_sent_behind_another_wait_for_their_turn(server: Running) -> None:
    """As many as may wait are answered after the one that takes time, in their order."""
    many = connection.PIPELINED_MAX - 1
    client = server.connect(
        b"POST /late HTTP/1.1\r\nhost: a\r\n\r\n" + b"POST /refused HTTP/1.1\r\nhost: a\r\n\r\n" * many
    )
    until(lambda: server.application.began == 1)
    threading.Timer(0.2, server.application.let_go.set).start()
    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    told = heard(client)
    assert (told.count(ANSWER), told.count(REFUSAL)) == (2, many)
    assert told.startswith(ANSWER)
    assert told.rfind(ANSWER) > told.rfind(REFUSAL)


def test_nobody_sends_requests_without_end_behind_another(server: Running) -> None:
    """Each would be kept until its turn; a client that waits for no answer gets a 400, and few requests are begun."""
    server.application.let_go.set()
    client = server.connect(b"POST /late HTTP/1.1\r\nhost: a\r\n\r\n" * 3000)
    assert b"400 Bad Request" in heard(client)
    assert server.application.began <= connection.PIPELINED_MAX + 1


def test_a_head_of_very_many_headers_is_refused(server: Running) -> None:
    """In memory each takes a hundred times its shortest form; as many as are allowed are taken."""
    most = connection.HEADERS_MAX - 2
    head = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + b"a:b\r\n" * most
    assert heard(server.connect(head + b"\r\n")).count(ANSWER) == 1
    assert b"400 Bad Request" in heard(server.connect(head + b"a:b\r\n" * 2))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trickled", [b"", b"POST / HTTP/1.1\r\n", b"a: b\r\n"])
def test_who_does_not_finish_a_head_is_hung_up_on(server: Running, trickled: bytes) -> None:
    """Silence, half a request and a header at a time all end at the deadline, which no further byte moves."""
    client = server.connect()
    began = time.monotonic()
    try:
        while time.monotonic() < began + 10:
            client.sendall(trickled or b"")
            client.settimeout(0.1)
            try:
                if not client.recv(1):
                    break
            except TimeoutError:
                trickled = trickled and b"a: b\r\n"
    except ConnectionError:
        pass
    assert time.monotonic() - began < 5
    until(lambda: server.held() == 0)
    assert server.application.began == 0


@pytest.mark.usefixtures("short")
def test_who_does_not_finish_a_body_is_hung_up_on(server: Running) -> None:
    """Not even a byte now and then keeps a request alive beyond its deadline, before or after its answer."""
    waiting = server.connect(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n")
    answered = server.connect(b"POST /early HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    assert ANSWER in answered.recv(999)
    refused = server.connect(b"POST /refused HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    assert REFUSAL in refused.recv(999)
    began = time.monotonic()
    clients = [waiting, answered, refused]
    while clients:
        for client in clients[:]:
            try:
                client.sendall(b"x" if client is waiting else b"1\r\nx\r\n")
            except ConnectionError:
                clients.remove(client)
        time.sleep(0.05)
        assert time.monotonic() - began < 5
    until(lambda: server.held() == 0)


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        pytest.param(b"POST /", b"x" * 4096, id="path"),
        pytest.param(b"POST / HTTP/1.1\r\n", b"a: b\r\n" * 500, id="headers"),
        pytest.param(b"POST / HTTP/1.1\r\na: ", b"b" * 4096, id="value"),
        pytest.param(b"POST / HTTP/1.1\r\n", b"a" * 4096, id="name"),
        pytest.param(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 500, id="trailers"),
        pytest.param(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;", b"x" * 4096, id="extension"),
        pytest.param(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 700, id="crumbs"),
    ],
)
def test_what_is_no_body_is_bounded(server: Running, head: bytes, endless: bytes) -> None:
    """Request line, headers, trailers and the lengths of chunks end at a bound, long before they fill the memory."""
    client = server.connect(head)
    sent = 0
    try:
        while sent < 2**25:
            client.sendall(endless)
            sent += len(endless)
    except ConnectionError:
        pass
    assert sent < 2**23  # what fits into the buffers on the way
    assert b" 200 " not in heard(client)
    until(lambda: server.held() == 0)


def test_a_large_head_still_passes(server: Running) -> None:
    """A token of 30 kB among the headers is nothing unusual."""
    client = server.connect(b"POST / HTTP/1.1\r\nhost: a\r\nx-amz-security-token: " + b"x" * 30_000 + b"\r\n\r\n")
    assert ANSWER in client.recv(999)


def test_a_head_in_a_single_read_is_counted_before_anything_is_made_of_it() -> None:
    """Also where its end has come, too: no task, no application, whatever else is in the same read."""

    async def talk(head: bytes) -> tuple[int, bytes]:
        application = Application()
        config = uvicorn.Config(application, ws="none", lifespan="off", log_config=None)
        config.load()
        state, sent = ServerState(), Recorder()
        protocol = Connection(config, state, {}, others=Connections())
        protocol.connection_made(sent)
        protocol.data_received(b"POST / HTTP/1.1\r\nhost: a\r\n" + head + b"\r\n\r\n")
        made = len(state.tasks)
        await asyncio.sleep(0.01)
        protocol.connection_lost(None)
        return made, b"".join(sent.pieces)

    for head in (b"a: " + b"x" * 65_600, b"\r\n".join([b"abc: def"] * 11_000)):
        assert len(head) < 2**18, "fits into one read"
        made, told = asyncio.run(talk(head))
        assert made == 0
        assert told.startswith(REFUSAL)
    made, told = asyncio.run(talk(b"a: " + b"x" * 60_000))
    assert made == 1
    assert told.startswith(ANSWER)


def test_trailers_become_no_headers(server: Running) -> None:
    """What comes after the body changes nothing of what was decided on the head, and nothing of the next request."""
    head = b"POST /headers HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    client = server.connect(head + b"5\r\nhello\r\n0\r\nx-amz-target: evil\r\nexpect: 100-continue\r\n\r\n")
    told = client.recv(999)
    assert told.startswith(ANSWER)
    assert b"x-amz-target" not in told
    assert b"transfer-encoding" in told
    client.sendall(b"POST /headers HTTP/1.1\r\nhost: a\r\nx-amz-target: mine\r\n\r\n")
    assert b"mine" in client.recv(999)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_who_writes_everything_before_reading_gets_the_answer(server: Running, connection: bytes) -> None:
    """As some SDKs do: 20 MB are read and dropped, and then the refusal is there; nothing breaks on the way."""
    head = b"POST /refused HTTP/1.1\r\nhost: a\r\nconnection: " + connection + b"\r\ncontent-length: %d\r\n\r\n"
    client = server.connect(head % 20_000_000)
    client.sendall(bytes(10_000_000))
    time.sleep(0.2)  # by now the answer has come, and with it the end of the connection
    client.sendall(bytes(10_000_000))
    if connection == b"keep-alive":
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    told = heard(client)
    assert told.startswith(REFUSAL)
    assert told.count(ANSWER) == (connection == b"keep-alive")
    until(lambda: server.held() == 0)


def test_who_sends_no_http_after_the_last_answer_is_hung_up_on(server: Running) -> None:
    """Lingering is for bodies."""
    head = b"POST /refused HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    for rest in (b"no number\r\n", b"1;" + b"x" * 2**18):
        client = server.connect(head)
        assert client.recv(999).startswith(REFUSAL)
        with suppress(ConnectionError):
            client.sendall(rest)
        until(lambda: server.held() == 0)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_an_endless_body_after_its_answer_is_cut_off(server: Running, connection: bytes) -> None:
    """Who goes on for ever is hung up on."""
    head = b"POST /early HTTP/1.1\r\nhost: a\r\nconnection: " + connection + b"\r\ncontent-length: %d\r\n\r\n"
    endless = server.connect(head % 2**40)
    with pytest.raises(ConnectionError):
        endless.sendall(bytes(2**28))


@pytest.mark.usefixtures("short")
def test_who_does_not_read_an_answer_is_hung_up_on(server: Running) -> None:
    """An answer of megabytes is not kept for a client that never fetches it."""
    client = server.connect(b"POST /long HTTP/1.1\r\nhost: a\r\n\r\n")
    until(lambda: server.application.began == 1)
    until(lambda: server.held() == 0)
    assert 0 < len(heard(client)) < 2**25


def test_a_slow_reader_gets_all(server: Running) -> None:
    """An answer that does not go out at once arrives whole."""
    client = server.connect(b"POST /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    time.sleep(0.2)
    assert len(heard(client).partition(b"\r\n\r\n")[2]) == 2**25


def test_answers_that_nobody_reads_are_bounded_together(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those go of which most is left; one that is being read, slowly, arrives whole."""
    monkeypatch.setattr(connection, "UNREAD_BYTES_MAX", 3 * 2**25)
    long = b"POST /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    reader = server.connect(long)
    read = reader.recv(2**16)
    while len(read) < 2**24:
        read += reader.recv(2**20)
    crowd = [server.connect(long) for _ in range(8)]
    until(lambda: server.application.began == 9)
    until(lambda: server.held() <= 4)
    assert len((read + heard(reader)).partition(b"\r\n\r\n")[2]) == 2**25
    lengths = [len(heard(client).partition(b"\r\n\r\n")[2]) for client in crowd]
    assert 1 <= lengths.count(2**25) <= 3


def test_idle_connections_lock_nobody_out(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are as many as may be, the one goes that has sent nothing for longest, and the newcomer is served."""
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 3)
    silent = server.connect()
    until(lambda: server.held() == 1)
    idle = server.connect(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert ANSWER in idle.recv(999)
    busy = server.connect(b"POST /late HTTP/1.1\r\nhost: a\r\n\r\n")
    until(lambda: server.application.began == 2)
    crowd = [server.connect(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n") for _ in range(5)]
    assert all(ANSWER in client.recv(999) for client in crowd)
    assert heard(silent) == heard(idle) == b""
    server.application.let_go.set()
    assert ANSWER in busy.recv(999)
    assert server.held() <= 3


def test_who_sends_on_stays_while_others_stand(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that come are not idle; of those that do not, the one goes that has stood for longest."""
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 3)
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n"
    standing, coming = server.connect(head), server.connect(head)
    for _ in range(99):
        coming.sendall(b"x")
        newcomer = server.connect(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert ANSWER in newcomer.recv(999)
    coming.sendall(b"x")
    assert coming.recv(999).endswith(b"100")
    assert heard(standing) == b""


def test_a_server_busy_with_all_its_connections_turns_clients_away(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who waits for an answer is hung up on; who leaves makes room."""
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 3)
    inside = [server.connect(b"POST /late HTTP/1.1\r\nhost: a\r\n\r\n") for _ in range(3)]
    until(lambda: server.application.began == 3)
    for _ in range(5):
        assert heard(server.connect()).startswith(b"HTTP/1.1 503 ")
    server.application.let_go.set()
    assert all(ANSWER in client.recv(999) for client in inside)
    assert ANSWER in server.connect(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n").recv(999)


def test_an_idle_connection_is_used_again_until_its_time_is_over() -> None:
    """Whatever uvicorn's own default is; an empty line in between does not keep it open."""
    server, request = Running(keep_alive_seconds=1), b"POST / HTTP/1.1\r\nhost: a\r\n\r\n"
    try:
        client = server.connect(request)
        assert ANSWER in client.recv(999)
        time.sleep(0.7)
        client.sendall(request)
        assert ANSWER in client.recv(999)
        began = time.monotonic()
        assert client.recv(1) == b""
        assert 0.5 < time.monotonic() - began < 5
    finally:
        server.stop()


@pytest.mark.usefixtures("short")
def test_an_empty_line_begins_no_request_and_keeps_nothing_open(server: Running) -> None:
    """It stops uvicorn's clock for idle connections, and starts ours."""
    client = server.connect(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert ANSWER in client.recv(999)
    client.sendall(b"\r\n")
    assert heard(client) == b""
    until(lambda: server.held() == 0)


def test_half_of_the_descriptors_are_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound follows the process's limit, which is raised as far as it may be."""
    limits = (256, 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    assert connection._connections_max() == 128
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: raised.append(pair))
    connection.open_more_descriptors()
    limits = (256, resource.RLIM_INFINITY)
    connection.open_more_descriptors()
    limits = (100_000, 100_000)
    connection.open_more_descriptors()
    assert raised == [(1000, 1000), (8192, resource.RLIM_INFINITY)]
    assert connection._connections_max() == 4096


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\0\x01\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST http:// HTTP/1.1\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\na\0b: c\r\n\r\n",
        b"POST / HTTP/1.1\r\n a: b\r\n\r\n",
        b"POST / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
        b"POST / HTTP/1.1\r\na: b\rc\r\n\r\n",
        b"POST / HTTP/1.1\na: b\n\n",
        b"POST / HTTP/1.1\r\n: a\r\n\r\n",
        b"POST / HTTP/1.1\r\na\xff: b\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length:\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\na",
        b"POST / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\na",
        b"POST / HTTP/1.1\r\ncontent-length: \xb2\r\n\r\naa",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\na\n0\n\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1e3\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ],
)
def test_what_is_not_http_is_refused(server: Running, sent: bytes) -> None:
    """Another protocol, headers that two parsers could read in two ways, lengths that are none: refused, no 5xx."""
    client = server.connect(sent)
    client.shutdown(socket.SHUT_WR)
    answer = heard(client)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    until(lambda: server.held() == 0)
