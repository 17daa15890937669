"""What Python runs at its start in a process that is watched: notes whom it connects to, or looks up, in a file.

It sees Python's own sockets only; ``strace``, where it is installed, sees those of native libraries, too.
"""

import os
import sys
from typing import Any

_NOTED = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
_NOTES = os.environ["WATCHED_NOTES"]


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _NOTED:
        return
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        where = arguments[0]
    else:
        where = arguments[-1][0] if isinstance(arguments[-1], tuple) else None  # a path is no place elsewhere
    if where is not None:
        with open(_NOTES, "a", encoding="utf-8") as notes:  # noqa: PTH123 - as little as possible is imported here
            notes.write(f"{where}\n")


sys.addaudithook(_note)
