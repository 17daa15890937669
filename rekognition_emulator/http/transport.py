"""The transport of a client's connection: an answer leaves in one piece, and closing waits for a body on its way.

Uvicorn writes head and body of an answer one after the other, and of a process that is killed in between a client gets
a 200 with nothing in it, which botocore takes for an answer if it has no attempt left.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class BufferedTransport:
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
