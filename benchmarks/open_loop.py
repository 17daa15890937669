"""Requests that come at their time, whether or not earlier ones are answered.

Clients that wait for their answers slow down with the server, and so never ask for more than it gives. Here each
request has its moment, and what it takes is counted from there. All of them come from one process, which sends bodies
made beforehand over connections that stay open, so that it takes little of the cores that it shares with the server.
"""

import asyncio
import random
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import uvloop

TIMEOUT_S: Final = 60.0
"""For an answer. Source: the default of boto3's ``read_timeout``."""

NUMBER: Final = b"$NUMBER"
"""Stands in a body for the number of its request."""

RETRIED: Final = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException"})
BACKOFF_SECONDS_MAX: Final = 20.0
"""Between two attempts; before that a random part of 1, 2, 4 … s. Source: botocore's retry mode ``standard``."""


@dataclass(frozen=True)
class Stream:
    """Requests of one kind.

    Attributes:
        operation: that they ask for.
        bodies: of requests, at random. In turn, those that a busy server takes would be always the same ones.
        rate: requests a second, evenly.
        attempts_max: how often one is sent until it is not refused for its rate.
    """

    operation: str
    bodies: Sequence[bytes]
    rate: float
    attempts_max: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of one request.

    Attributes:
        operation: that it asked for.
        due: its moment, in seconds from the start.
        seconds: from there to its last answer.
        status: of that, in HTTP; 0 if the connection broke or nothing came in time.
        error: the error code of an answer that is an error.
    """

    operation: str
    due: float
    seconds: float
    status: int
    error: str | None


@dataclass(frozen=True)
class Offered:
    """What came of all, how long until the last answer, and the seconds of a core that sending them took."""

    outcomes: Sequence[Outcome]
    seconds: float
    core_seconds: float


def offer(address: str, streams: Sequence[Stream], seconds: float) -> Offered:
    """Sends streams to a server, ``host:port``, for so long, and waits for the last answer."""
    started, worked = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(_Client(address).offer(streams, seconds))
    return Offered(outcomes, time.perf_counter() - started, time.process_time() - worked)


class _Client:
    def __init__(self, address: str) -> None:
        self._address = address
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._outcomes: list[Outcome] = []

    async def offer(self, streams: Sequence[Stream], seconds: float) -> Sequence[Outcome]:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as asked:
            for stream in streams:
                asked.create_task(self._send_all(stream, started, seconds, asked))
        for _, writer in self._free:
            writer.close()
        return self._outcomes

    async def _send_all(self, stream: Stream, started: float, seconds: float, asked: asyncio.TaskGroup) -> None:
        bodies, chance = [body.partition(NUMBER) for body in stream.bodies], random.Random(0)
        for number in range(int(stream.rate * seconds)):
            due = number / stream.rate
            await asyncio.sleep(max(0, started + due - time.perf_counter()))
            request = _request(self._address, stream.operation, chance.choice(bodies), number)
            asked.create_task(self._ask(stream, request, started, due))

    async def _ask(self, stream: Stream, request: Sequence[bytes], started: float, due: float) -> None:
        status, error = await self._send(request)
        for attempt in range(1, stream.attempts_max):
            if error not in RETRIED:
                break
            await asyncio.sleep(min(random.random() * 2 ** (attempt - 1), BACKOFF_SECONDS_MAX))
            status, error = await self._send(request)
        taken = time.perf_counter() - started - due
        self._outcomes.append(Outcome(stream.operation, due, taken, status, error))

    async def _send(self, request: Sequence[bytes]) -> tuple[int, str | None]:
        writer = None
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await self._connection()
                writer.writelines(request)
                await writer.drain()  # SDKs, too, look for the answer when all is sent
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
            if b"connection: close" in head.lower():
                writer.close()
            else:
                self._free.append((reader, writer))
            code = re.search(rb'"__type":"(\w+)"', body)
            return int(head.split(b" ", 2)[1]), code[1].decode() if code else None
        if writer is not None:
            writer.close()
        return 0, None

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():  # as SDKs do: a server may close what is not used for a while
                return reader, writer
            writer.close()
        host, _, port = self._address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
        writer.transport.set_write_buffer_limits(0)
        return reader, writer


def _request(address: str, operation: str, parts: tuple[bytes, bytes, bytes], number: int) -> Sequence[bytes]:
    """Returns a request in pieces, of which the largest, the picture, is not copied."""
    before, mark, after = parts
    before += b"%d" % number if mark else b""
    head = (
        f"POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-amz-json-1.1\r\n"
        f"X-Amz-Target: RekognitionService.{operation}\r\nContent-Length: {len(before) + len(after)}\r\n\r\n"
    )
    return head.encode() + before, after
