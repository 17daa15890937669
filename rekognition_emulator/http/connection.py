"""One client's HTTP connection, bounded: in time, in bytes around a body, in the process's descriptors.

Uvicorn's protocol has no bounds here. A client could keep a connection for ever by sending nothing, a header a minute,
a header without end, a body after its answer, or by never reading the answer; each kept memory or one of the
descriptors, and with the last of those nobody else was let in. The bounds of a body itself are the endpoint's.

A connection has one deadline at a time: for the head of a request, then for the rest of it. What happens between a
request and its answer is bounded elsewhere. When there are as many connections as may be, the one goes that has kept
the server waiting longest, and never the newcomer.

The headers of a request are what came in its head: trailers are dropped, since they come when everything has been
decided. An answer leaves in one piece. Uvicorn writes its head and its body one after the other, and of a process that
is killed in between a client gets a 200 with nothing in it, which botocore takes for an answer if it has no attempt
left.
"""

import asyncio
import resource
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES_MAX: Final = 65_536
"""Of everything that is no body: request line, headers, trailers, lengths of chunks. Ours: AWS's own load balancers
stop there; a signed request has 2 kB. A body may bring as much again as it is long, as in chunks of few bytes."""

HEADERS_MAX: Final = 128
"""Of a request, since each takes a hundred times its shortest form in memory. Ours: SDKs send some fifteen, proxies add
as many."""

PIPELINED_MAX: Final = 8
"""Requests that may be sent behind one that is not answered yet. Ours: no SDK sends any."""

HEAD_SECONDS_MAX: Final = 20.0
"""From connecting, or from a request's first byte, until its headers are complete. Ours."""

REQUEST_SECONDS_MAX: Final = 75.0
"""From there until its last byte. Ours: the endpoint gives up a body after 60 s, and can still say so."""

ANSWER_SECONDS_MAX: Final = 60.0
"""For an answer to be fetched. Ours: the largest, 2 MB, at 0.3 Mbit/s."""

UNREAD_BYTES_MAX: Final = 2**27
"""Of all answers together that clients have not fetched. Ours: 64 of the largest, beside the 96 MB of bodies."""

SURPLUS_BYTES_MAX: Final = 2**26
"""What a client may still send of a body after its request was refused; it is dropped. SDKs that write everything
before they read (Go, Ruby) find the connection broken otherwise, and no answer. Ours: the largest pictures of cameras,
in base64, several times over."""

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
    """A transport that sends together what is written in one turn of the loop, and that may close lingeringly.

    Args:
        transport: underneath.
        lingers: whether the client is still sending a body, and would find the connection broken if it were closed.

    Attributes:
        is_lingering: whether it only waits for the end of the body.
    """

    def __init__(self, transport: asyncio.Transport, lingers: Callable[[], bool]) -> None:
        self._transport = transport
        self._lingers = lingers
        self.is_lingering = False
        self._pending: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends it soon."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending.append(data)

    def flush(self) -> None:
        """Sends it now, unless nobody is there any more."""
        pending, self._pending = self._pending, []
        if pending and not self._transport.is_closing():
            self._transport.writelines(pending)

    def is_closing(self) -> bool:
        """Returns whether nothing more will be sent."""
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Sends what is left and closes: what is sent at once, what is read once the body is over."""
        self.flush()
        if not self._lingers():
            self._transport.close()
        elif not self.is_closing():
            self.is_lingering = True
            self._transport.write_eof()


class HeadRefused(Exception):
    """A head of which no request is made; the parser ends with it, and uvicorn answers 400."""


Close = Callable[[], None]
"""Closes a connection; always the same for the same one, so that it stands for it."""


class Connections:
    """Those connections of a server whose client has the next move, in the order of their last ones.

    Also those whose client has not fetched an answer yet.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[Close, None] = OrderedDict()
        self._unread: set[asyncio.Transport] = set()

    def put_last(self, connection: Close) -> None:
        """Notes that the client has moved, or that it is the client's turn now."""
        self._waiting[connection] = None
        self._waiting.move_to_end(connection)

    def remove(self, connection: Close) -> None:
        """Notes that it is the server's turn, or that the connection is no more."""
        self._waiting.pop(connection, None)

    def close_longest_waiting(self) -> bool:
        """Closes the connection whose client has not moved for longest; returns whether there is one."""
        if not self._waiting:
            return False
        close, _ = self._waiting.popitem(last=False)
        close()
        return True

    def note_unread(self, transport: asyncio.Transport) -> None:
        """Notes that an answer did not go out at once, and drops the largest rests where all are too much for memory.

        The rest of whoever reads becomes smaller, be it slowly.
        """
        self._unread.add(transport)
        sizes = {each: each.get_write_buffer_size() for each in self._unread}
        unread_bytes = sum(sizes.values())
        for each in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if unread_bytes <= UNREAD_BYTES_MAX:
                break
            unread_bytes -= sizes.pop(each)
            each.abort()
        self._unread = {each for each, size in sizes.items() if size}


class Connection(HttpToolsProtocol):
    """One client's connection, bounded.

    Args:
        others: of the same server.
        uvicorns: what uvicorn makes its protocols of.
    """

    _deadline: asyncio.TimerHandle | None = None
    _excess_bytes = 0
    _surplus_bytes = 0
    _is_in_head = False
    _is_in_body = False
    _may_linger = True

    def __init__(self, *uvicorns: Any, others: Connections, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*uvicorns, **named)
        self._others = others

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Starts the clock; for lack of room another client has to go, or this one if the server is busy with all."""
        pieces = _Pieces(transport, lambda: self._is_in_body and self._is_idle() and self._may_linger)
        super().connection_made(cast("asyncio.Transport", pieces))
        if len(self.connections) > _connections_max() and not self._others.close_longest_waiting():
            self.transport.write(_TURNED_AWAY)
            self.transport.close()
        else:
            self._set_deadline(HEAD_SECONDS_MAX)
            self._note_move()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._clear_deadline()
        self._others.remove(self._close_at_once)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what is no body, after the parser has seen what of it is."""
        if self._deadline is None and self._is_idle():
            self._set_deadline(HEAD_SECONDS_MAX)  # also for what begins no request, such as an empty line
        self._excess_bytes += len(data)
        super().data_received(data)
        if self._excess_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("Too much around the body.")
        elif self._excess_bytes > HEAD_BYTES_MAX and cast("_Pieces", self.transport).is_lingering:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Says that something is no HTTP, unless it comes after an answer that was the last."""
        if cast("_Pieces", self.transport).is_lingering:
            self.transport.abort()
        else:
            self._may_linger = False
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Starts the clock for the headers."""
        super().on_message_begin()
        self._is_in_head = True
        self._set_deadline(HEAD_SECONDS_MAX)
        self._note_move()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header, and no trailer.

        Raises:
            HeadRefused: there are too many.
        """
        if self._is_in_head:
            if len(self.headers) >= HEADERS_MAX:
                raise HeadRefused
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Looks at the head before anything is made of it, and starts the clock for the rest.

        Raises:
            HeadRefused: it is too long, its body is coded in a way that nobody here decodes, or too many requests wait.
        """
        if len(self.pipeline) >= PIPELINED_MAX:
            raise HeadRefused
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES_MAX:
            raise HeadRefused
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            raise HeadRefused
        super().on_headers_complete()
        self._is_in_head, self._is_in_body = False, True
        self._set_deadline(REQUEST_SECONDS_MAX)
        self._note_move()

    def on_body(self, body: bytes) -> None:
        """Counts what belongs to the body, and what nobody waits for any more."""
        super().on_body(body)
        self._excess_bytes -= 2 * len(body)
        self._note_move()
        if self.cycle.response_complete:
            self._surplus_bytes += len(body)
            if self._surplus_bytes > SURPLUS_BYTES_MAX:
                self.transport.abort()

    def on_message_complete(self) -> None:
        """Stops the clock: from here it is the server that takes its time."""
        super().on_message_complete()
        self._is_in_body = False
        self._excess_bytes = self._surplus_bytes = 0
        self._clear_deadline()
        if self.transport.is_closing():
            self.transport.close()
        self._note_move()

    def on_response_complete(self) -> None:
        """Watches over an answer that did not go out at once."""
        cast("_Pieces", self.transport).flush()
        super().on_response_complete()
        if cast("_Pieces", self.transport).is_lingering:
            self.flow.resume_reading()  # which uvicorn leaves to connections that stay
        elif self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()  # uvicorn lets in more after each answer, whatever waits already
        self._note_move()
        if self.transport.get_write_buffer_size():
            self._others.note_unread(self.transport)
            self.loop.call_later(ANSWER_SECONDS_MAX, self._abort_if_unread)

    def shutdown(self) -> None:
        """Ends when what is asked has been answered, as the server stops; it lingers for nobody any more."""
        self._may_linger = False
        super().shutdown()

    def _close_at_once(self) -> None:
        """Closes, whatever the client is about to send."""
        self._may_linger = False
        self.transport.close()

    def _is_idle(self) -> bool:
        """Returns whether all requests of which the head has come are answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _note_move(self) -> None:
        """Puts the connection last if it is the client's move, and takes it out of the line if it is the server's."""
        is_waiting = self._is_idle() or (self._is_in_body and not self.pipeline)
        if is_waiting and not self.transport.is_closing():
            self._others.put_last(self._close_at_once)
        else:
            self._others.remove(self._close_at_once)

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
