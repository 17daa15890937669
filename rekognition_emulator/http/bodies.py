"""A budget of memory for request bodies that are still arriving, over all connections of a process.

Nothing of such a request is proved: whoever sends it may be anybody, and key ids are no secret. So a body holds no slot
of the queue, only the memory of what has really arrived, and has to arrive at a rate. Once the memory is full

- everybody waits with the next read, which is flow control: their clients do not send on. Those go on whose rest fits
  into a reserve, the shortest first, and make room when they are complete;
- where nobody fits, those are dropped that do not keep up with ``FULL_RATE``: of the share that holds most first, in it
  whoever is furthest behind. A share that holds no more than its part is left alone, but for those that were let on.

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
        length: bytes that are expected, of those that are announced or the most that are allowed.
        received: bytes so far.
    """

    def __init__(self, share: Share, length: int, started: float, timer: asyncio.Timeout) -> None:
        self.share = share
        self.length = length
        self.received = 0
        self.started = started
        self.timer = timer
        self.on_schedule_at = started  # the moment at which a body of FULL_RATE would have been where this one is
        self.turn: asyncio.Future[None] | None = None  # that it waits for, since memory is full
        self.is_let_on = False  # its rest is reserved
        self.is_dropped = False

    @property
    def left(self) -> int:
        """Bytes that are still expected."""
        return self.length - self.received

    def let_on(self) -> None:
        """Ends its waiting, for good."""
        self.is_let_on = True
        if self.turn and not self.turn.done():
            self.turn.set_result(None)

    def drop(self) -> None:
        """Ends it."""
        self.is_dropped = True
        self.timer.reschedule(0)

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
        """Lets on who waits and has room; as long as somebody has none, drops who does not keep up."""
        self._next_review = None
        waiting = sorted((body for body in self._bodies if body.turn), key=self._by_turn, reverse=True)
        slow = self._slow(asyncio.get_running_loop().time())
        let_on = {body for body in self._bodies if body.is_let_on}
        room = HELD_BYTES_MAX + RESERVE_BYTES - self.held - sum(body.left for body in let_on)
        while waiting:
            if waiting[-1].left <= room or not let_on:
                body = waiting.pop()
                room -= body.left
                let_on.add(body)
                body.let_on()
            elif slow:
                body = slow.pop()
                room += body.received + (body.left if body in let_on else 0)
                let_on.discard(body)
                body.drop()
                self._forget(body)
            else:
                self._review_soon()
                break

    def _by_turn(self, body: ArrivingBody) -> tuple[bool, int]:
        """Orders those that wait: first those of shares that hold no more than their part, shortest rest first."""
        return self._held_by[body.share] > self._part, body.left

    def _slow(self, now: float) -> list[ArrivingBody]:
        """Returns who may be dropped, last who can be spared best."""
        slow = [
            body
            for body in self._bodies
            if body.seconds_behind(now) > BEHIND_SECONDS_MAX
            and (body.is_let_on or self._held_by[body.share] > self._part)
        ]
        slow.sort(key=lambda body: (self._held_by[body.share], body.seconds_behind(now)))
        return slow

    @property
    def _part(self) -> float:
        """Bytes that each share may hold while memory is full."""
        return HELD_BYTES_MAX / max(len(self._held_by), 1)

    def _forget(self, body: ArrivingBody) -> None:
        if body in self._bodies:
            self._bodies.remove(body)
            self.held -= body.received
            self._held_by[body.share] -= body.received
            if not self._held_by[body.share]:
                del self._held_by[body.share]
