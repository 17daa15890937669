"""A budget of memory for request bodies that are still arriving, over all connections of a process.

Nothing of such a request is proved: whoever sends it may be anybody, and key ids are no secret. So a body holds no slot
of the queue, only the memory of what has really arrived, and has to arrive at a rate. Once the memory is full

- those go that do not keep up with ``FULL_RATE``: of the share that holds most first, in it whoever is furthest behind;
- the others wait, which is flow control: nothing is read of them, so their clients do not send on. Those whose rest the
  reserve has room for go on and make room, first of the share that holds least.

A share is who the sender claims to be and where it sends from. An attacker may be in the victim's, so within a share
only the rate counts: who sends at a normal speed always gets through, who holds memory and sends nothing never does.

Contrast: Apache's ``mod_reqtimeout`` and Kestrel's ``MinRequestBodyDataRate`` bound the rate of each body and not the
memory of all. Not safe for threads: everything happens on the event loop's.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

Share = tuple[str, str]
"""(access key id that is claimed, or nothing; the peer's address)"""

HELD_BYTES_MAX: Final = 96 * 2**20
"""Of all bodies, from where they are held to a rate or wait. Ours: 190 photographs of 1 MB, half arrived on average."""

RESERVE_BYTES: Final = 32 * 2**20
"""Beyond that, for those that make room by ending. Ours: two of the largest bodies, or dozens of photographs."""

GRACE_SECONDS: Final = 20.0
"""For a body however slow it is. Source: Apache's default."""

LEAST_RATE: Final = 5_000_000 / 60
"""Bytes that give a body a second more. Ours: the largest picture in the minute below, 0.7 Mbit/s."""

SECONDS_MAX: Final = 60.0
"""For a body however fast it is. Ours: the largest needs 2 Mbit/s."""

FULL_RATE: Final = 500_000
"""Bytes a second that are a normal speed where memory is full. Ours: 4 Mbit/s, a telephone's upload on a bad day."""

BEHIND_SECONDS_MAX: Final = 1.0
"""By which a body may be later than at that rate. Ours: several round trips and a lost packet."""

REVIEW_SECONDS: Final = 0.02
"""Between two looks at those that wait. Ours: nobody notices, and a look at 4,096 bodies takes a tenth of it."""


class BodyTooSlow(Exception):
    """A body did not arrive in time."""


class BodyDropped(Exception):
    """Memory was full, and this body was the furthest behind."""


class ArrivingBody:
    """What has arrived of one body.

    Attributes:
        share: who sends it.
        ends_at: its expected length, in bytes.
        received: bytes so far.
    """

    def __init__(self, share: Share, ends_at: int, started: float, timer: asyncio.Timeout) -> None:
        self.share = share
        self.ends_at = ends_at
        self.received = 0
        self.started = started
        self.timer = timer
        self.on_schedule_at = started  # the moment at which a body of FULL_RATE would have been where this one is
        self.turn: asyncio.Future[None] | None = None  # that it waits for, since memory is full
        self.is_let_on = False  # its rest is reserved
        self.is_dropped = False

    def seconds_behind(self, now: float) -> float:
        """Returns how much later than at ``FULL_RATE`` it is; none while it is we who make it wait."""
        return 0.0 if self.turn else now - self.on_schedule_at


class BodyBudget:
    """Counts what arrives, and says who waits and who goes.

    Attributes:
        held: bytes of all bodies that are arriving now.
    """

    def __init__(self) -> None:
        self.held = 0
        self._bodies: set[ArrivingBody] = set()
        self._held_by: Counter[Share] = Counter()
        self._next_review: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def arriving(self, share: Share, length: int) -> AsyncIterator[ArrivingBody]:
        """Has a body in the budget while it arrives.

        Args:
            share: who sends it.
            length: bytes that are announced, or the most that are allowed. They reserve nothing.

        Raises:
            BodyTooSlow, BodyDropped: it is not worth waiting for; raised wherever the block awaits something.
        """
        now = asyncio.get_running_loop().time()
        timer = asyncio.timeout_at(now + GRACE_SECONDS)
        body = ArrivingBody(share, length, now, timer)
        self._bodies.add(body)
        try:
            async with timer:
                yield body
        except TimeoutError as error:
            if timer.expired():
                raise BodyDropped if body.is_dropped else BodyTooSlow from error
            raise
        finally:
            self._forget(body)

    async def received(self, body: ArrivingBody, length: int, *, is_last: bool) -> None:
        """Counts bytes of a body, and returns when it may bring more; at once if there are no more."""
        if body.is_dropped:
            return
        now = asyncio.get_running_loop().time()
        body.received += length
        self.held += length
        self._held_by[body.share] += length
        body.on_schedule_at = min(now, body.on_schedule_at + length / FULL_RATE)
        body.timer.reschedule(body.started + min(GRACE_SECONDS + body.received / LEAST_RATE, SECONDS_MAX))
        if self.held > HELD_BYTES_MAX and not (is_last or body.is_let_on):
            await self._wait(body, now)

    async def _wait(self, body: ArrivingBody, now: float) -> None:
        loop = asyncio.get_running_loop()
        body.turn = loop.create_future()
        self._review_soon()
        try:
            await body.turn
        finally:
            body.turn = None
            body.on_schedule_at += loop.time() - now

    def _review_soon(self) -> None:
        if self._next_review is None:
            self._next_review = asyncio.get_running_loop().call_later(REVIEW_SECONDS, self._review)

    def _review(self) -> None:
        """Drops who does not keep up, as long as memory is full, and lets on who waits and has room."""
        self._next_review = None
        now = asyncio.get_running_loop().time()
        self._drop_slow(now)
        waiting = [body for body in self._bodies if body.turn and not body.is_dropped]
        waiting.sort(key=lambda body: (self._held_by[body.share], body.started))
        let_on = [body for body in self._bodies if body.is_let_on]
        room = HELD_BYTES_MAX + RESERVE_BYTES - self.held - sum(body.ends_at - body.received for body in let_on)
        for body in waiting:
            room -= body.ends_at - body.received
            if room < 0 and let_on:
                self._review_soon()
                break
            let_on.append(body)
            body.is_let_on = True
            if body.turn and not body.turn.done():
                body.turn.set_result(None)

    def _drop_slow(self, now: float) -> None:
        if self.held <= HELD_BYTES_MAX:
            return
        slow = [body for body in self._bodies if body.seconds_behind(now) > BEHIND_SECONDS_MAX]
        slow.sort(key=lambda body: (self._held_by[body.share], body.seconds_behind(now)))
        while slow and self.held > HELD_BYTES_MAX:
            body = slow.pop()
            body.is_dropped = True
            body.timer.reschedule(now)
            self._forget(body)

    def _forget(self, body: ArrivingBody) -> None:
        if body in self._bodies:
            self._bodies.remove(body)
            self.held -= body.received
            self._held_by[body.share] -= body.received
            if not self._held_by[body.share]:
                del self._held_by[body.share]
