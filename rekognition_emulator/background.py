"""Work that a thread of its own repeats, with a pause in between, until its owner ends."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Repeating:
    """Repeats work as long as it is entered: for the first time after a pause, then with a pause after each.

    The thread ends with the process. What the work raises ends it, too: what may fail for a while, such as to reach a
    database, the work itself catches and tells.

    Args:
        name: the thread's.
        work: called over and over; returns the seconds until the next time, or None for ``pause_s``.
        pause_s: seconds between two times.
        at_end: called once in the same thread, when the owner ends.
        stop_s: for how many seconds the end is waited for, so that work which hangs keeps nobody; None for all.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], float | None],
        pause_s: float,
        *,
        at_end: Callable[[], None] | None = None,
        stop_s: float | None = None,
    ) -> None:
        self._work = work
        self._pause_s = pause_s
        self._at_end = at_end
        self._stop_s = stop_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(self._stop_s)

    def _run(self) -> None:
        pause = self._pause_s
        while not self._over.wait(pause):
            pause = self._work() or self._pause_s
        if self._at_end:
            self._at_end()
