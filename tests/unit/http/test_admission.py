import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from rekognition_emulator.http import bodies
from rekognition_emulator.http.admission import Admission, BodyTooLarge, ClientGone, Overloaded, RateExceeded
from rekognition_emulator.http.rate_limits import EVERY_OTHER, RateLimiter

ALBUM, SEARCH = "IndexFaces", "SearchFaces"
SHARE = ("AKIA1", "10.0.0.1")
BYTES_MAX = 100


def admission(**rates: float) -> Admission:
    """One worker and one more place for albums."""
    return Admission(RateLimiter(rates), workers=1, queue_max=1, bulk={ALBUM})


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """What work waits for; whoever is left is let go in the end."""
    event = threading.Event()
    yield event
    event.set()


def pieces(*chunks: bytes, ends: bool = True) -> Callable[[], Awaitable[dict[str, Any]]]:
    """A body that comes in pieces, after which the client hangs up unless it ends."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = not ends

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


@pytest.mark.parametrize("announced", [None, "5"])
def test_a_body_is_put_together_and_hashed(announced: str | None) -> None:
    """Whether or not it says how long it is."""
    receive = pieces(b"he", b"", b"llo")
    found = asyncio.run(admission().receive_body(receive, SHARE, announced, BYTES_MAX))
    assert found == (b"hello", sha256(b"hello").hexdigest())


@pytest.mark.parametrize(
    ("receive", "announced", "refusal"),
    [
        (pieces(b"x"), "101", BodyTooLarge),
        (pieces(b"x" * 60, b"x" * 41), None, BodyTooLarge),
        (pieces(b"x", ends=False), "2", ClientGone),
    ],
)
def test_bodies_that_do_not_come(
    receive: Callable[[], Awaitable[dict[str, Any]]], announced: str | None, refusal: type[Exception]
) -> None:
    """Too long by what they say or by what they are, or given up by their client; none keeps any memory."""
    at = admission()
    with pytest.raises(refusal):
        asyncio.run(at.receive_body(receive, SHARE, announced, BYTES_MAX))
    assert at._bodies.held == 0


def test_a_body_that_memory_is_needed_for_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no slot."""
    monkeypatch.setattr(bodies, "HELD_BYTES_MAX", 10)
    monkeypatch.setattr(bodies, "RESERVE_BYTES", 5)
    monkeypatch.setattr(bodies, "BEHIND_SECONDS_MAX", 0.01)

    async def stalled() -> dict[str, Any]:
        if not sent:
            sent.append(True)
            return {"type": "http.request", "body": b"x" * 9, "more_body": True}
        await asyncio.sleep(60)
        raise AssertionError

    sent: list[bool] = []

    async def scenario() -> None:
        at = admission()
        slow = asyncio.create_task(at.receive_body(stalled, SHARE, "50", BYTES_MAX))
        await asyncio.sleep(0.1)
        quick = [at.receive_body(pieces(b"x" * 4, b"x" * 4), ("AKIA2", ""), "8", BYTES_MAX) for _ in range(3)]
        assert [len(body) for body, _ in await asyncio.gather(*quick)] == [8] * 3
        with pytest.raises(Overloaded):
            await slow

    asyncio.run(scenario())


def test_a_head_takes_nothing() -> None:
    """However often it is asked; the limit that is exceeded is named, and unknown operations share one."""

    async def scenario() -> None:
        at = admission(**{SEARCH: 1, EVERY_OTHER: 1})
        for _ in range(10):
            at.check_head("a", SEARCH)
        assert await at.work("a", SEARCH, lambda: "found") == "found"
        with pytest.raises(RateExceeded) as refusal:
            at.check_head("a", SEARCH)
        assert refusal.value.limit == ("a", SEARCH)
        with pytest.raises(RateExceeded):
            await at.work("a", SEARCH, lambda: "never")
        at.check_head("b", SEARCH)
        await at.work("a", None, lambda: None)
        with pytest.raises(RateExceeded) as refusal:
            at.check_head("a", None)
        assert refusal.value.limit == ("a", EVERY_OTHER)

    asyncio.run(scenario())


def test_who_finds_no_slot_is_told_so_and_keeps_its_request(let_go: threading.Event) -> None:
    """By the head and with the body; the other class goes on, and there is room again afterwards."""

    async def scenario() -> None:
        at = admission(**{ALBUM: 3})
        inside = [asyncio.create_task(at.work("a", ALBUM, lambda: let_go.wait(10))) for _ in range(2)]
        await asyncio.sleep(0.05)
        for _ in range(5):
            with pytest.raises(Overloaded):
                at.check_head("a", ALBUM)
            with pytest.raises(Overloaded):
                await at.work("a", ALBUM, lambda: None)
        at.check_head("a", SEARCH)
        assert await at.work("a", SEARCH, lambda: "found") == "found"
        let_go.set()
        assert await asyncio.gather(*inside) == [True, True]
        assert await at.work("a", ALBUM, lambda: "indexed") == "indexed"

    asyncio.run(scenario())
