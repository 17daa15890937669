"""Several server processes behind one port: started, watched and stopped together.

Each is a whole server, and whichever is free takes the next connection from the one socket that they share. A socket
for each on the same port (``SO_REUSEPORT``) was refused: the kernel deals connections out before anybody takes them, so
a process that is killed would take those along that still wait for it. They are started anew rather than forked: no
library that we use has to survive being copied in the middle of its work.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

import structlog

Say = Callable[[str], None]
"""What a process calls once it serves, with a sentence for whoever has started it."""

Ended = Callable[[int], None]
"""What is called with the number of a process that has ended."""

START_PAUSE_S: Final = 1.0
"""Between two starts of a process that ends at once, as while its database is away."""

_CONTEXT: Final = multiprocessing.get_context("spawn")

log = structlog.get_logger(__name__)


class CannotServe(Exception):
    """A process cannot serve at all; the text says what the operator has to do."""


def keep_running(  # noqa: PLR0913 # three functions, and what each needs
    count: int,
    serve: Callable[..., None],
    arguments: Mapping[str, Any],
    say: Say,
    *,
    ended: Ended,
    stop_timeout_s: float,
) -> None:
    """Runs a function in several processes, and again in a new one wherever one ends, until this thread is told to end.

    Args:
        count: how many processes.
        serve: an importable function; called with the arguments and, as ``say``, what it calls once it serves.
        arguments: by name; pickled, except for sockets, which are shared.
        say: called once, when all of them serve, with what the last one said.
        ended: called when a process has ended by itself.
        stop_timeout_s: at the end every process is told to stop; those that have not after so long are killed.

    Raises:
        CannotServe: one of them did, before it served for the first time.
    """
    children: list[_Child] = []
    try:
        children += (_Child(serve, arguments) for _ in range(count))
        said = ""
        for child in children:
            said = child.wait_until_it_serves()
        say(said)
        while True:
            wait([child.process.sentinel for child in children])
            for number, child in enumerate(children):
                if not child.process.is_alive():
                    log.warning("process_restarted", pid=child.process.pid, cause=child.why_it_ended())
                    ended(child.process.pid or 0)
                    time.sleep(max(0, child.started + START_PAUSE_S - time.monotonic()))
                    children[number] = _Child(serve, arguments)
    finally:
        _stop(children, stop_timeout_s)


class _Child:
    """A process, and the pipe through which it says that it serves, or why it cannot."""

    def __init__(self, serve: Callable[..., None], arguments: Mapping[str, Any]) -> None:
        self.started = time.monotonic()
        self._said, says = _CONTEXT.Pipe(duplex=False)
        self.process: SpawnProcess = _CONTEXT.Process(target=_run, args=(serve, arguments, says))
        self.process.start()
        says.close()  # so that the pipe ends with the process

    def wait_until_it_serves(self) -> str:
        try:
            serves, text = self._said.recv()
        except EOFError:
            self.process.join()
            serves, text = False, f"A server process ended with {self.process.exitcode} before it served."
        if not serves:
            raise CannotServe(text)
        return str(text)

    def why_it_ended(self) -> str:
        with suppress(EOFError):
            while self._said.poll():
                serves, text = self._said.recv()
                if not serves:
                    return str(text)
        return f"exit code {self.process.exitcode}"


def _run(serve: Callable[..., None], arguments: Mapping[str, Any], says: Connection) -> None:
    """What a process does."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        serve(**arguments, say=lambda text: says.send((True, text)))
    except CannotServe as error:
        says.send((False, str(error)))


def _end_with_parent() -> None:
    """Stops this process when the one that started it was killed: a port held by nobody in charge is hard to find."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(children: list[_Child], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    for child in children:
        child.process.terminate()
    for child in children:
        child.process.join(max(0, deadline - time.monotonic()))
        if child.process.is_alive():
            child.process.kill()
            child.process.join()
