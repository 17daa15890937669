"""One client's HTTP connection, bounded: in time, in bytes around a body, in the process's descriptors.

Uvicorn's protocol has no bounds here. A client could keep a connection for ever by sending nothing, a header a minute,
a header without end, a body after its answer, or by never reading the answer; each kept memory or one of the
descriptors, and with the last of those nobody else was let in. The bounds of a body itself are the endpoint's.

A connection has one deadline at a time: for the head of a request, then for the rest of it. What happens between a
request and its answer is bounded elsewhere. When there are as many connections as may be, the one goes that has kept
the server waiting longest, and never the newcomer.

The headers of a request are what came in its head: trailers are dropped, since they come when everything has been
decided. An offer to go on with another protocol, such as ``Upgrade: h2c``, is ignored.
"""

import asyncio
import resource
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from rekognition_emulator.http.transport import BufferedTransport

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

_FRAMING_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})

_UNAVAILABLE: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
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


class _Http1Parser:
    """A parser that stays with HTTP/1.1 where a request offers another protocol, as RFC 9110 allows (7.8).

    The library ends such a request with its head, and leaves the rest to whoever speaks the other protocol. Here the
    rest is parsed as well: a body as that of a request that is framed alike.

    Args:
        protocol: whose methods are told what is parsed.
        framing: returns the head that is to be put in front of a body; nothing where there is none.
    """

    def __init__(self, protocol: object, framing: Callable[[], bytes]) -> None:
        self._protocol = protocol
        self._framing = framing
        self._parser = self._open()

    def _open(self) -> HttpRequestParser:
        parser = HttpRequestParser(self._protocol)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return parser

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a parser has
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> None:
        """Parses what has come."""
        while data:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as offer:
                (head_end,) = offer.args
                framing = self._framing()
                if framing:  # the one that has seen the offer is over, if the connection is to be closed
                    self._parser = self._open()
                data = framing + data[head_end:]
            else:
                break


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
    _framing = b""
    """Of a body that the parser is to read though its request offers another protocol, until its head was repeated."""

    def __init__(self, *uvicorns: Any, others: Connections, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*uvicorns, **named)
        self.parser = cast("Any", _Http1Parser(self, lambda: self._framing))
        self._others = others

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Starts the clock; for lack of room another client has to go, or this one if the server is busy with all."""
        buffered = BufferedTransport(transport, lambda: self._is_in_body and self._is_idle() and self._may_linger)
        super().connection_made(cast("asyncio.Transport", buffered))
        if len(self.connections) > _connections_max() and not self._others.close_longest_waiting():
            self.transport.write(_UNAVAILABLE)
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
        elif self._excess_bytes > HEAD_BYTES_MAX and cast("BufferedTransport", self.transport).is_lingering:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Says that something is no HTTP, unless it comes after an answer that was the last."""
        if cast("BufferedTransport", self.transport).is_lingering:
            self.transport.abort()
        else:
            self._may_linger = False
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Starts the clock for the headers."""
        if self._framing:
            return
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
        if self._framing:
            self._framing = b""
            return
        if len(self.pipeline) >= PIPELINED_MAX:
            raise HeadRefused
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES_MAX:
            raise HeadRefused
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            raise HeadRefused
        super().on_headers_complete()
        self._is_in_head, self._is_in_body = False, True
        if self.parser.should_upgrade():
            framing = b"".join(b"%b: %b\r\n" % each for each in self.headers if each[0] in _FRAMING_HEADERS)
            last = b"" if self.parser.should_keep_alive() else b"connection: close\r\n"
            self._framing = framing and b"POST / HTTP/1.1\r\n%b%b\r\n" % (framing, last)
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
        if self._framing:
            return
        super().on_message_complete()
        self._is_in_body = False
        self._excess_bytes = self._surplus_bytes = 0
        self._clear_deadline()
        if self.transport.is_closing():
            self.transport.close()
        self._note_move()

    def on_response_complete(self) -> None:
        """Watches over an answer that did not go out at once."""
        cast("BufferedTransport", self.transport).flush()
        super().on_response_complete()
        if cast("BufferedTransport", self.transport).is_lingering:
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
