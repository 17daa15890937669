"""Admission of requests: how large a body may be and how long it may take, how often an account may ask, and when.

A request passes here three times, each time at the first moment at which something can be decided, and only as far as
is fair to others:

- ``check_head``: whether its account has any request and any slot left. The account is only claimed yet, so nothing is
  taken from it, and a refusal costs neither a body's memory nor a worker.
- ``receive_body``: the body, within a budget of memory that all connections share, and at a rate (``bodies``).
- ``work``: the caller is proved now. A slot of its priority class (``slots``), a request of its account's rate
  (``rate_limits``), and a worker when it is the account's turn.

Whoever is refused is told at once, after which every SDK tries again by itself.
"""

from collections.abc import Callable, Container, Sequence
from hashlib import sha256
from typing import TypeVar

from starlette.types import Receive

from rekognition_emulator.fair_queue import QueueFull
from rekognition_emulator.http.bodies import BodyBudget, BodyDropped, Share
from rekognition_emulator.http.rate_limits import EVERY_OTHER, RateLimiter
from rekognition_emulator.http.slots import PriorityClass, Slots
from rekognition_emulator.telemetry.observation import Observer

T = TypeVar("T")


class Overloaded(Exception):
    """There is no room for a request now."""


class RateExceeded(Exception):
    """An account has no request of an operation left now.

    Attributes:
        limit: account, which may only be claimed, and operation, ``EVERY_OTHER`` for what is none.
    """

    def __init__(self, account: str, operation: str | None) -> None:
        super().__init__()
        self.limit = account, operation or EVERY_OTHER


class BodyTooLarge(Exception):
    """A body is longer than any request needs."""


class ClientGone(Exception):
    """The client has hung up before its body was complete."""


class Admission:
    """Lets requests in, as many at a time as there is room for; to be used on one event loop.

    Args:
        rates: know how often each account may ask.
        workers: requests of bulk that are worked on at a time; there is a worker more for all others.
        queue_max: requests of bulk, and as many others, that may wait for a worker meanwhile.
        bulk: operations that are asked for by the thousand, and for which no other has to wait.
        observers: are told how many requests have a slot, and how many of them wait.
    """

    def __init__(
        self,
        rates: RateLimiter,
        *,
        workers: int,
        queue_max: int,
        bulk: Container[str],
        observers: Sequence[Observer] = (),
    ) -> None:
        self._rates = rates
        self._slots = Slots(workers, queue_max, self._tell)
        self._bodies = BodyBudget()
        self._bulk = bulk
        self._observers = observers

    def check_head(self, account: str, operation: str | None) -> None:
        """Returns if a request might be let in; takes nothing.

        Args:
            account: that is claimed.
            operation: that the model knows; None for anything else.

        Raises:
            RateExceeded, Overloaded: not now.
        """
        if self._rates.is_exhausted(account, operation):
            raise RateExceeded(account, operation)
        if not self._slots.has_room(self._priority(operation), account):
            raise Overloaded

    async def receive_body(
        self, receive: Receive, share: Share, announced: str | None, bytes_max: int
    ) -> tuple[bytes, str]:
        """Returns a body and its SHA-256, in hexadecimal digits.

        Args:
            receive: gives the next piece, as ASGI has it.
            share: who sends it.
            announced: its length, as the head has it; None if it does not say.
            bytes_max: that it may be long.

        Raises:
            BodyTooLarge, BodyTooSlow, Overloaded, ClientGone: it does not come, or is not worth waiting for.
        """
        length = bytes_max if announced is None else int(announced)
        if length > bytes_max:
            raise BodyTooLarge
        chunks, content_hash, more = list[bytes](), sha256(), True
        try:
            async with self._bodies.arriving(share, length) as arriving:
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    if arriving.received + len(chunk) > bytes_max:
                        raise BodyTooLarge
                    chunks.append(chunk)
                    content_hash.update(chunk)
                    await self._bodies.received(arriving, len(chunk), is_last=not more)
        except BodyDropped:
            raise Overloaded from None
        return b"".join(chunks), content_hash.hexdigest()

    async def work(self, account: str, operation: str | None, work: Callable[[], T]) -> T:
        """Has a worker do what a request asks for, as soon as it is the account's turn.

        Args:
            account: that is proved.
            operation: as for ``check_head``.
            work: called in the worker's thread.

        Raises:
            RateExceeded, Overloaded: not now; who finds no slot keeps the request of its rate.
        """
        priority = self._priority(operation)
        # From here to the slot nothing is awaited: what is free stays free.
        if not self._slots.has_room(priority, account):
            raise Overloaded
        if not self._rates.try_acquire(account, operation):
            raise RateExceeded(account, operation)
        try:
            return await self._slots.work(priority, account, work)
        except QueueFull:
            raise Overloaded from None

    def _priority(self, operation: str | None) -> PriorityClass:
        return self._slots.bulk if operation in self._bulk else self._slots.interactive

    def _tell(self, inside: int, waiting: int) -> None:
        for observer in self._observers:
            observer.occupied(inside, waiting)
