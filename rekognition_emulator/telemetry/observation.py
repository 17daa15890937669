"""What is noticed of a request on its way: stages, counts, outcome.

Every floor may say what it does, and none has to know who listens: it speaks to the observation of the request that its
thread works on. Nothing of a picture, a vector, a secret or a signature is ever said here.
"""

import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

ANONYMOUS: Final = "(anonymous)"
"""Who has no key. No key is called so: their names have no parentheses."""


def new_id() -> str:
    """Returns a UUID of version 4 for something that is no secret.

    Whoever asks the system for randomness, as ``uuid4`` does, lets other threads go first: 0.04 ms under load.
    """
    return str(UUID(int=random.getrandbits(128), version=4))


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the work on a request; ``started`` is of the clock ``time.perf_counter``."""

    name: str
    started: float
    seconds: float


@dataclass(slots=True)
class Observation:
    """What is noticed of one request.

    Attributes:
        request_id: as its answer and every log line carry it.
        started: when its headers were there, by ``time.perf_counter``.
        operation: None until it is known, and for what is none.
        account: whose it is; None until that is known.
        region: in which it is; None until that is known, and for what is in none.
        key_id: of the access key that has signed it; None where nobody was asked for one.
        key_name: of that key; in parentheses what has none.
        in_session: whether it came with temporary credentials that were derived from the key.
        collection: that it names; None until it is known to be a name.
        status: of the answer, in HTTP; 0 until there is one.
        error: the code of an answer that is an error.
        would_be_denied: the error that the caller was spared while refusals are only counted.
        limit: account and operation, if it was refused because that account had no request of that operation left; the
            caller may only have claimed to be of it.
        absent_attributes: AWS's names of what was asked about faces and is not answered, since nothing estimates it.
        seconds: that it took; 0 until it is over.
        is_recorded: whether the audit log has it already, with the change that it has made.
        counts: what was found or made, such as faces, by name.
        stages: in the order of their ends; none overlaps another. Parts that count for themselves stand, each as one,
            at the end of the stage in which they were.
    """

    request_id: str = field(default_factory=new_id)
    started: float = field(default_factory=time.perf_counter)
    operation: str | None = None
    account: str | None = None
    region: str | None = None
    key_id: str | None = None
    key_name: str = ANONYMOUS
    in_session: bool = False
    collection: str | None = None
    status: int = 0
    error: str | None = None
    would_be_denied: str | None = None
    limit: tuple[str, str] | None = None
    absent_attributes: frozenset[str] = frozenset()
    seconds: float = 0.0
    is_recorded: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    _parts: dict[str, float] | None = None
    """Seconds of such parts of the stage that is open; None where none is."""

    def count(self, name: str, number: int) -> None:
        """Adds to what was found or made."""
        self.counts[name] = self.counts.get(name, 0) + number

    def passed(self, name: str, started: float) -> None:
        """Notes a stage that ends now."""
        self.stages.append(Stage(name, started, time.perf_counter() - started))

    def stage_seconds(self) -> dict[str, float]:
        """Returns how long each stage took, all its turns together."""
        sums: dict[str, float] = {}
        for stage in self.stages:
            sums[stage.name] = sums.get(stage.name, 0.0) + stage.seconds
        return sums

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage; within another one it is part of that."""
        if self._parts is not None:
            yield
            return
        self._parts, started = {}, time.perf_counter()
        try:
            yield
        finally:
            parts, self._parts = self._parts, None
            left = time.perf_counter() - started - sum(parts.values())
            for each, seconds in {name: left, **parts}.items():
                self.stages.append(Stage(each, started, seconds))
                started += seconds

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times what counts for itself, and not for the stage that it is in; no part has parts."""
        if self._parts is None:
            with self.stage(name):
                yield
            return
        started = time.perf_counter()
        try:
            yield
        finally:
            self._parts[name] = self._parts.get(name, 0.0) + time.perf_counter() - started

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes it the one that this thread, or this task, works on."""
        earlier = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(earlier)


class Observer:
    """Is told of every request; called between requests, so it must be quick and never raise."""

    def answered(self, observation: Observation) -> None:
        """Takes note of a request that is over."""

    def occupied(self, inside: int, waiting: int) -> None:
        """Takes note of how many requests are inside, and how many of them wait for a worker."""


def current() -> Observation:
    """Returns the observation of the request that is worked on; where there is none, one that nobody will read."""
    return _CURRENT.get() or Observation("")


def stage(name: str) -> AbstractContextManager[None]:
    """Times a stage of the request that is worked on."""
    return current().stage(name)


def part(name: str) -> AbstractContextManager[None]:
    """Times a part of a stage that counts for itself."""
    return current().part(name)


_CURRENT: Final[ContextVar[Observation | None]] = ContextVar("observation", default=None)
