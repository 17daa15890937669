import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from queue import Queue

import pytest

from benchmarks import open_loop
from benchmarks.open_loop import NUMBER, Offered, Stream, offer
from benchmarks.overload import Measured, _row

Answer = Callable[[int, bytes], Awaitable[bytes | None]]
"""(how many requests came before, body) → the answer; None hangs up."""

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
REFUSAL = b'HTTP/1.1 400 \r\nContent-Length: 32\r\n\r\n{"__type":"ThrottlingException"}'
BODIES = (b'{"Name":"' + NUMBER + b'"}',)


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Runs a server in a thread; yields its address."""
    came = 0
    addresses: Queue[str] = Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        with suppress(asyncio.IncompleteReadError), closing(writer):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length
                number, came = came, came + 1
                said = await answer(number, await reader.readexactly(int(length[1])))
                if said is None:
                    break
                writer.write(said)

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            addresses.put(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            await asyncio.to_thread(over.wait)

    over = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=[run()])
    thread.start()
    try:
        yield addresses.get(timeout=10)
    finally:
        over.set()
        thread.join()


def test_requests_come_though_none_is_answered() -> None:
    """A server that answers when the last has come gets them all: a client that waited would never send it."""
    names: set[bytes] = set()
    complete = asyncio.Event()

    async def answer(_: int, body: bytes) -> bytes:
        names.add(body)
        if len(names) == 20:
            complete.set()
        await complete.wait()
        return OK

    with serving(answer) as address:
        offered = offer(address, [Stream("IndexFaces", BODIES, 400)], 0.05)
    assert [each.status for each in offered.outcomes] == [200] * 20
    assert names == {b'{"Name":"%d"}' % number for number in range(20)}


def test_what_is_refused_is_sent_again_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without attempts left the refusal counts, and with them what came in the end."""
    monkeypatch.setattr(open_loop, "BACKOFF_SECONDS_MAX", 0)

    async def answer(number: int, _: bytes) -> bytes:
        return OK if number == 3 else REFUSAL

    with serving(answer) as address:
        outcomes = [
            offer(address, [Stream("IndexFaces", BODIES, 100, attempts_max)], 0.01).outcomes[0]
            for attempts_max in (1, 3, 1)
        ]
    assert [(each.status, each.error) for each in outcomes] == [
        (400, "ThrottlingException"),
        (200, None),
        (400, "ThrottlingException"),
    ]


def test_silence_and_broken_connections_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither stops the stream, nor passes for an answer."""
    monkeypatch.setattr(open_loop, "TIMEOUT_S", 0.2)

    async def answer(_: int, body: bytes) -> bytes | None:
        if b"1" in body:
            await asyncio.sleep(1)
        return None if b"2" in body else OK

    with serving(answer) as address:
        outcomes = offer(address, [Stream("IndexFaces", BODIES, 100)], 0.04).outcomes
    assert [each.status for each in sorted(outcomes, key=lambda each: each.due)] == [200, 0, 0, 200]


def test_a_row_counts_what_is_indexed_in_time_and_hides_nothing() -> None:
    """What the queue held at the end is indexed and no part of the rate; what is neither that nor refused is shown."""
    indexed = [open_loop.Outcome("IndexFaces", due, 1.0, 200, None) for due in (0.0, 5.0, 9.5)]
    refused = [open_loop.Outcome("IndexFaces", 1.0, 0.002, 400, "ThrottlingException")] * 6
    others = [open_loop.Outcome("IndexFaces", 1.0, 0.1, 500, "InternalServerError")]
    others += [open_loop.Outcome("IndexFaces", 1.0, 60.0, 0, None), open_loop.Outcome("SearchFaces", 1.0, 1.0, 0, None)]
    offered = Offered([*indexed, *refused, *others], 10.5, 1.0)
    row = _row("a load", Measured(offered, 10.0, (1, 3, 2), (1.0, 1.0)), 0.4)
    assert row[:4] == ["a load", "1.1", "0.20", "50%"]
    assert row[4:11] == ["1,000", "1,000", "1,000", "0.60", "2.0", "2.0", "2"]
