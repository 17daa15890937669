"""A publisher of weights on this machine, honest until a test tells it otherwise."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Publisher:
    """What is published, what was asked for, and how the next requests are answered.

    Attributes:
        url: without a slash at its end.
        shelf: name → contents.
        asked: the ``Range`` of every request so far, None where there was none.
        faults: each answers one request in place of an honest answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.shelf: dict[str, bytes] = {}
        self.asked: list[str | None] = []
        self.faults: deque[Fault] = deque()

    def address(self, name: str) -> str:
        """Where a file lies."""
        return f"{self.url}/{name}"


class Visit(BaseHTTPRequestHandler):
    """One request."""

    publisher: Publisher
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers as the next fault says, else honestly."""
        contents = self.publisher.shelf.get(self.path.lstrip("/"))
        self.publisher.asked.append(self.headers.get("Range"))
        try:
            if self.publisher.faults:
                self.publisher.faults.popleft()(self, contents or b"")
            elif contents is None:
                self.send_error(404)
            else:
                honest(self, contents)
        except OSError:  # whoever asked has hung up
            self.close_connection = True

    def answer(self, status: int, contents: bytes, **headers: object) -> None:
        """Sends an answer, of the contents' length unless said otherwise, and hangs up."""
        self.send_response(status)
        for name, value in {"Content_Length": len(contents), "Connection": "close", **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(contents)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


Fault = Callable[[Visit, bytes], None]


def honest(visit: Visit, contents: bytes) -> None:
    """Serves the file, or the range that was asked for."""
    begun = int(visit.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    if begun >= len(contents):
        visit.answer(416, b"", Content_Range=f"bytes */{len(contents)}")
    elif begun:
        visit.answer(206, contents[begun:], Content_Range=f"bytes {begun}-{len(contents) - 1}/{len(contents)}")
    else:
        visit.answer(200, contents)


def cut_off(after_bytes: int) -> Fault:
    """Hangs up in the middle of the file."""
    return lambda visit, contents: visit.answer(200, contents[:after_bytes], Content_Length=len(contents))


def whole(visit: Visit, contents: bytes) -> None:
    """Knows no ranges."""
    visit.answer(200, contents)


def instead(other: bytes) -> Fault:
    """Sends another file."""
    return lambda visit, _: visit.answer(200, other)


def refusal(status: int) -> Fault:
    """Answers with an error's number and a page for people."""
    return lambda visit, _: visit.answer(status, b"<html>no</html>")


def redirect(target: str) -> Fault:
    """Sends elsewhere."""
    return lambda visit, _: visit.answer(302, b"", Location=target)


@contextmanager
def publishing() -> Iterator[Publisher]:
    """Opens a publisher and closes it."""

    class Here(Visit):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        server.daemon_threads = True
        Here.publisher = Publisher(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Here.publisher
        finally:
            server.shutdown()
            thread.join()
