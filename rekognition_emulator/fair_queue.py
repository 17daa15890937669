"""A fair queue: a number of slots, given first to the account that has held slots for the shortest time.

Requests cost between a millisecond and many seconds, and nobody knows how much before they are done. So time is counted
as it is spent: an account that has used less than the others comes first, whatever it and they have waiting. One that
comes back does not get what it did not use meanwhile, and one that has used more stays behind until the others have
caught up. This is start-time fair queueing (Goyal, Vin, Cheng 1996) with the cost charged afterwards. A semaphore and
the queue of an executor know one line only, which whoever sends most has to himself.

Some work waits for a second thing that is scarcer than a slot, such as the memory of a large picture. Its thread then
sets its slot aside: others use it meanwhile, and the thread comes first when it wants it back.
"""

import asyncio
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Container, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from operator import itemgetter
from typing import Final

ASIDE_MAX: Final = 3
"""Slots of a kind that an account may have set aside: then it gets no new ones, or where the kind is impatient, may set
no more aside. Ours: it bounds what waits half-done in memory, and three of the costliest pictures wait for less than
the 20 s after which one is refused."""

NOBODY: Final = ""
"""The account of work that is done for none, such as a command's."""


class QueueFull(Exception):
    """So many are in the queue that this may not wait, or no longer, as its account has most of them."""


@dataclass(eq=False)
class _Account:
    """What an account has used, in seconds on the queue's own scale, and what it has in the queue.

    Attributes:
        waiting: kind → slots that it waits for and has never held, in the order of arrival.
        held: slots that it holds.
        aside: kind → how many it has set aside.
        inside: kind → how many of all these.
    """

    name: str
    used: float = 0.0
    last_kind: str = ""
    waiting: "dict[str, list[Slot]]" = field(default_factory=lambda: defaultdict(list))
    held: "list[Slot]" = field(default_factory=list)
    aside: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)

    @property
    def is_idle(self) -> bool:
        return not self.inside.total()

    def used_until(self, now: float) -> float:
        """Returns what it has used, with what it is using."""
        return self.used + sum(now - slot.since for slot in self.held)


@dataclass(eq=False)
class Slot:
    """A slot, wanted or held.

    Attributes:
        queue: that it is of.
        account: for which it is.
        kind: of work, for the queue's limits.
        number: in the order of arrival.
        granted: done when it may be used.
        since: when it was granted, by the queue's clock.
        is_aside: whether it was set aside, until it is held again.
        is_over: whether nobody wants it any more, or it was refused.
    """

    queue: "FairQueue"
    account: _Account
    kind: str
    number: int
    granted: "Future[None]" = field(default_factory=Future)
    since: float = 0.0
    is_aside: bool = False
    is_over: bool = False

    @contextmanager
    def in_thread(self) -> Iterator[None]:
        """Makes it the one that this thread works in, and may set aside."""
        earlier = _HELD.set(self)
        try:
            yield
        finally:
            _HELD.reset(earlier)


_HELD: ContextVar[Slot | None] = ContextVar("held", default=None)


class FairQueue:
    """Slots, and who waits for them; for coroutines and threads alike.

    Args:
        slots: that may be held at a time.
        limits: kind of work → how many slots it may hold; a kind without a limit may hold all.
        waiting_max: of each kind, how many more may be in the queue than may hold slots; None for any number.
        impatient: kinds of which one is rather refused than others of its account wait for it.
        clock: tells seconds.
    """

    def __init__(
        self,
        slots: int,
        limits: Mapping[str, int] | None = None,
        waiting_max: int | None = None,
        impatient: Container[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = slots
        self._limits = limits or {}
        self._waiting_max = waiting_max
        self._impatient = impatient
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}
        self._returning: list[Slot] = []
        self._held: Counter[str] = Counter()
        self._inside: Counter[str] = Counter()
        self._reached = 0.0
        """What the account had used that was last given a slot: where those begin that come now."""
        self._numbers = count()

    @asynccontextmanager
    async def slot(self, account: str, kind: str = "") -> AsyncIterator[Slot]:
        """Waits for a slot and holds it.

        Raises:
            QueueFull: too many are in the queue, and most of them are this account's.
        """
        slot = self._enter(account, kind)
        try:
            if slot.granted.done():
                slot.granted.result()
            else:
                await asyncio.wrap_future(slot.granted)
            yield slot
        finally:
            self._leave(slot)

    @contextmanager
    def slot_in_thread(self, timeout_s: float) -> Iterator[None]:
        """Waits for a slot and holds it, for the account that this thread works for.

        While it waits, the slot that the thread works in is set aside.

        Raises:
            TimeoutError: there was none in this time.
            QueueFull: too many are in the queue, and most of them are this account's; or the slot that the thread works
                in cannot be set aside.
        """
        working_in = _HELD.get()
        slot = self._enter(working_in.account.name if working_in else NOBODY, "")
        try:
            with nullcontext() if slot.granted.done() or not working_in else working_in.queue.aside(working_in):
                slot.granted.result(timeout_s)
            yield
        finally:
            self._leave(slot)

    @contextmanager
    def aside(self, slot: Slot) -> Iterator[None]:
        """Lets others have a held slot until its thread wants it back.

        The thread may still be at work when nobody wants that any more, and the slot is over.

        Raises:
            QueueFull: it is of an impatient kind, and its account has set as many aside as it may.
        """
        with self._lock:
            if not slot.is_over:
                if slot.kind in self._impatient and slot.account.aside[slot.kind] >= ASIDE_MAX:
                    raise QueueFull
                self._let_go(slot)
                slot.account.aside[slot.kind] += 1
                slot.is_aside = True
                self._grant()
        try:
            yield
        finally:
            with self._lock:
                if not slot.is_over:
                    slot.granted = Future()
                    self._returning.append(slot)
                    self._grant()
            slot.granted.result()

    def has_room(self, account: str, kind: str = "") -> bool:
        """Returns whether a request of this account would get in now: if need be, in place of a greedier one's."""
        with self._lock:
            if not self._is_full(kind, with_one_more=True):
                return True
            known = self._accounts.get(account)
            own = known.inside[kind] + 1 if known else 1
            return any(each.inside[kind] > own and each.waiting[kind] for each in self._accounts.values())

    def _enter(self, name: str, kind: str) -> Slot:
        with self._lock:
            account = self._accounts.setdefault(name, _Account(name))
            if account.is_idle:
                account.used = max(account.used, self._reached)
            slot = Slot(self, account, kind, next(self._numbers))
            account.waiting[kind].append(slot)
            self._count(slot, 1)
            if self._is_full(kind):
                self._make_room(account, kind)
            self._grant()
        return slot

    def _leave(self, slot: Slot) -> None:
        """Gives a slot back for good, or no longer waits for it."""
        with self._lock:
            if slot.is_over:
                return
            slot.is_over, account = True, slot.account
            if slot in account.held:
                self._let_go(slot)
            elif slot.is_aside:
                account.aside[slot.kind] -= 1
                if slot in self._returning:
                    self._returning.remove(slot)
            else:
                account.waiting[slot.kind].remove(slot)
            slot.granted.cancel()
            self._count(slot, -1)
            self._grant()
            everybody_is_idle = not self._inside.total()
            for each in list(self._accounts.values()):
                if each.is_idle and (everybody_is_idle or each.used <= self._reached):
                    del self._accounts[each.name]

    def _count(self, slot: Slot, change: int) -> None:
        slot.account.inside[slot.kind] += change
        self._inside[slot.kind] += change

    def _let_go(self, slot: Slot) -> None:
        slot.account.held.remove(slot)
        slot.account.used += self._clock() - slot.since
        self._held[slot.kind] -= 1

    def _is_full(self, kind: str, *, with_one_more: bool = False) -> bool:
        """Returns whether more of this kind are in the queue than may be."""
        may_be = self._limits.get(kind, self._slots) + (self._waiting_max or 0)
        return self._waiting_max is not None and self._inside[kind] + with_one_more > may_be

    def _make_room(self, newcomer: _Account, kind: str) -> None:
        """Sends the newest away of the account that has most in the queue."""
        accounts = [account for account in self._accounts.values() if account.waiting[kind]]
        greediest = max(accounts, key=lambda account: (account.inside[kind], account is newcomer))
        newest = greediest.waiting[kind].pop()
        newest.is_over = True
        self._count(newest, -1)
        if newest.granted.set_running_or_notify_cancel():
            newest.granted.set_exception(QueueFull())

    def _grant(self) -> None:
        """Gives free slots to those whose turn it is."""
        while self._held.total() < self._slots and (slot := self._next()):
            account, now = slot.account, self._clock()
            if slot.is_aside:
                self._returning.remove(slot)
                account.aside[slot.kind] -= 1
                slot.is_aside = False
            else:
                account.waiting[slot.kind].remove(slot)
            self._reached = max(self._reached, account.used_until(now))
            slot.since, account.last_kind = now, slot.kind
            account.held.append(slot)
            self._held[slot.kind] += 1
            # If its coroutine was cancelled just now, it gives the slot back when it gets to know.
            if slot.granted.set_running_or_notify_cancel():
                slot.granted.set_result(None)

    def _next(self) -> Slot | None:
        """Returns whose turn it is, or None if nobody's: of an account that waits, its kinds of work take turns."""
        full = {kind for kind, limit in self._limits.items() if self._held[kind] >= limit}
        if returning := next((slot for slot in self._returning if slot.kind not in full), None):
            return returning
        now = self._clock()
        turns = [
            ((account.used_until(now), kind == account.last_kind, waiting[0].number), waiting[0])
            for account in self._accounts.values()
            for kind, waiting in account.waiting.items()
            if waiting and kind not in full and (kind in self._impatient or account.aside[kind] < ASIDE_MAX)
        ]
        return min(turns, key=itemgetter(0))[1] if turns else None
