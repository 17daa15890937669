"""Repeated work, in a thread of its own."""

import threading
import time

from rekognition_emulator.background import Repeating


def test_work_is_repeated_until_the_owner_ends() -> None:
    """With the pause that each time asks for, and what belongs to the end once, in the same thread."""
    seen: list[str] = []
    thrice = threading.Event()

    def work() -> float | None:
        seen.append(threading.current_thread().name)
        if len(seen) == 3:
            thrice.set()
            return 60.0
        return None

    with Repeating("worker", work, 0.001, at_end=lambda: seen.append("end")):
        assert thrice.wait(10)
    assert seen == ["worker", "worker", "worker", "end"]
    assert "worker" not in {thread.name for thread in threading.enumerate()}


def test_an_owner_that_ends_soon_does_not_wait_for_the_pause() -> None:
    """Nor is there any work before the first pause."""
    started = time.monotonic()
    with Repeating("worker", lambda: 1 / 0, 60.0):
        pass
    assert time.monotonic() - started < 10


def test_work_that_hangs_keeps_nobody() -> None:
    """The end is waited for as long as the owner wants."""
    hanging, released = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        released.wait(60)

    started = time.monotonic()
    with Repeating("worker", hang, 0.001, stop_s=0.01):
        assert hanging.wait(10)
    assert time.monotonic() - started < 10
    released.set()
