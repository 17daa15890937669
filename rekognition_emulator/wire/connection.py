"""Changes when a connection may take more or less: of time, of bytes around a body, of the process's descriptors.

Uvicorn's protocol has no bounds here. A client could keep a connection for ever by sending nothing, a header a minute,
a header without end, a body after its answer, or by never reading the answer; each kept memory or one of the
descriptors, and with the last of those nobody else was let in. The bounds of a body itself are the endpoint's.

A connection has one deadline at a time: for the head of a request, then for the rest of it. What happens between a
request and its answer is bounded elsewhere.

An answer leaves in one piece. Uvicorn writes its head and its body one after the other, and of a process that is killed
in between a client gets a 200 with nothing in it, which botocore takes for an answer if it has no attempt left.

Who is refused is refused at the door where that is possible: without a task, and without the application.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Any, Final, cast

from starlette.responses import Response
from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

Door = Callable[[Scope], Response | None]
"""A request without its body → its whole answer, or None if it may come in. Never raises and never waits."""

HEAD_BYTES_MAX: Final = 65_536
"""Of everything that is no body: request line, headers, trailers, lengths of chunks. Ours: AWS's own load balancers
stop there; a signed request has 2 kB. A body may bring as much again as it is long, as in chunks of few bytes."""

HEAD_SECONDS_MAX: Final = 20.0
"""From connecting, or from a request's first byte, until its headers are complete. Ours."""

REQUEST_SECONDS_MAX: Final = 75.0
"""From there until its last byte. Ours: the endpoint gives up a body after 60 s, and can still say so."""

ANSWER_SECONDS_MAX: Final = 60.0
"""For an answer to be fetched. Ours: the largest, 2 MB, at 0.3 Mbit/s."""

SURPLUS_BYTES_MAX: Final = 2**24
"""What a client may still send of a body after its request was refused. Ours: a body of the largest size, so that the
client gets round to reading the answer instead of finding the connection broken."""

CONNECTIONS_MAX: Final = 4096
"""Ours: some 20 kB each. At most half of the descriptors that the process may open; the others are for the database,
models and object storage."""

_TURNED_AWAY: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
"""SDKs try again by themselves."""


def open_more_descriptors() -> None:
    """Lets the process open as many files and connections as its administrator allows, up to what makes sense."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS_MAX
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _connections_max() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, soft // 2)


class _Pieces:
    """A transport that sends together what is written in one turn of the loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pending: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends it soon."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending.append(data)

    def flush(self) -> None:
        """Sends it now."""
        if self._pending:
            self._transport.writelines(self._pending)
            self._pending = []

    def close(self) -> None:
        """Sends what is left and closes."""
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """One client's connection, bounded.

    Args:
        door: is asked about each request when it is its turn.
        uvicorns: what uvicorn makes its protocols of.
    """

    _deadline: asyncio.TimerHandle | None = None
    _excess_bytes = 0
    _surplus_bytes = 0

    def __init__(self, *uvicorns: Any, door: Door, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*uvicorns, **named)
        self._door = door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Starts the clock, or turns the client away."""
        super().connection_made(cast("asyncio.Transport", _Pieces(transport)))
        if len(self.connections) > _connections_max():
            self.transport.write(_TURNED_AWAY)
            self.transport.close()
        else:
            self._set_deadline(HEAD_SECONDS_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what is no body, after the parser has seen what of it is."""
        self._excess_bytes += len(data)
        super().data_received(data)
        if self._excess_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("Too much around the body.")

    def on_message_begin(self) -> None:
        """Starts the clock for the headers."""
        super().on_message_begin()
        self._set_deadline(HEAD_SECONDS_MAX)

    def on_headers_complete(self) -> None:
        """Starts the clock for the rest."""
        super().on_headers_complete()
        self._set_deadline(REQUEST_SECONDS_MAX)

    def on_body(self, body: bytes) -> None:
        """Counts what belongs to the body, and what nobody waits for any more."""
        super().on_body(body)
        self._excess_bytes -= 2 * len(body)
        if self.cycle.response_complete:
            self._surplus_bytes += len(body)
            if self._surplus_bytes > SURPLUS_BYTES_MAX:
                self.transport.abort()

    def on_message_complete(self) -> None:
        """Stops the clock: from here it is the server that takes its time."""
        super().on_message_complete()
        self._excess_bytes = self._surplus_bytes = 0
        self._clear_deadline()

    def on_response_complete(self) -> None:
        """Watches over an answer that did not go out at once."""
        cast("_Pieces", self.transport).flush()
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(ANSWER_SECONDS_MAX, self._abort_if_unread)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Answers a request itself that the door turns away, and has the application answer all others."""
        refusal = self._door(cast("Scope", cycle.scope))
        if refusal is None:
            super()._start_asgi_task(cycle, app)
            return
        headers = [*self.server_state.default_headers, *refusal.raw_headers]
        if not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [STATUS_LINE[refusal.status_code], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]
        self.transport.write(b"".join([*lines, refusal.body]))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        if self.pipeline:
            self.loop.call_soon(self.on_response_complete)  # thousands may be in line: none within another
        else:
            self.on_response_complete()

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort_if_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
