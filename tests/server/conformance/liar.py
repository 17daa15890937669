"""A server that answers as another one does, but for one lie."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

ANSWERED = ("x-amzn-RequestId", "Content-Type")
FORWARDED = ("Content-Type", "X-Amz-Target", "Authorization", "X-Amz-Date")


@dataclass
class Told:
    """An answer on its way to the client; a lie changes it in place."""

    operation: str
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Lie = Callable[[Told], None]


@contextmanager
def liar(truthful_url: str, lie: Lie) -> Iterator[str]:
    """Starts a server that passes requests on and tells the lie; yields its URL."""
    with httpx.Client(timeout=60) as client:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # as the base class calls it
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name: self.headers[name] for name in FORWARDED if name in self.headers}
                answer = client.post(truthful_url, content=body, headers=headers)
                told = Told(
                    self.headers.get("X-Amz-Target", "").rpartition(".")[2],
                    answer.status_code,
                    answer.content,
                    {
                        name: answer.headers[name]
                        for name in ("x-amzn-RequestId", "Content-Type")
                        if name in answer.headers
                    },
                )
                lie(told)
                self.send_response_only(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(told.body)))
                self.send_header("Date", self.date_time_string())
                self.end_headers()
                self.wfile.write(told.body)

            def log_message(self, *_: Any) -> None:
                """Keeps quiet."""

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()
            listening.server_close()
