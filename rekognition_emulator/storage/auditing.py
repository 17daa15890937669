"""The writer of those rows of the audit log that belong to no change, who removes old ones as well.

Reads and refusals are many and change nothing. So their rows wait for each other, and a thread writes them each second:
a server that is killed loses those of its last second at most, which are in its other log all the same.

Nobody can delete rows before their time, so a key that is refused without end must not write without end: beyond some
a minute its refusals are counted, and the minute's counts are rows. Changes are not written here, and never merged.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.storage.audit import NewAuditRecord, append, expire
from rekognition_emulator.telemetry.observation import Observation, Observer

WRITE_S: Final = 1.0
"""Between two writes."""

ROWS_MAX: Final = 10_000
"""That wait while the database is away; 10 MB. Nearly every operation fails then, and soon there is nothing to add."""

REFUSALS_A_MINUTE: Final = 60
"""Of one key, in a server process, have each a row of their own. Ours: a program that meets an error now and then stays
below it; a key that is refused a hundred times a second writes a hundredth of what it did."""

MINUTE_S: Final = 60.0

COUNTS_MAX: Final = 10_000
"""Different refusals that are counted in a minute; 10 MB. Each key has some for each operation, but no end of them."""

BATCH: Final = 1_000
"""Rows that are written in one transaction."""

EXPIRE_S: Final = 3_600.0
"""Between two looks for rows whose time is over, once there are no more."""

STOP_S: Final = 5.0
"""For the last rows, when the server stops: a database that does not answer holds it up no longer."""

log = structlog.get_logger(__name__)


class AuditLog(Observer):
    """Collects what is to be said of requests that have not said it with their change."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._rows: deque[NewAuditRecord] = deque()
        self._refusals = _Refusals()
        self._lock = threading.Lock()
        """For what is kept, which the thread that writes it down looks at as well."""
        self._lost = 0
        self._expire_at = time.monotonic()

    def answered(self, observation: Observation) -> None:
        """Keeps a row for the next write; of those whose caller or operation is not known there is none."""
        if observation.account is None or observation.operation is None:
            return
        if observation.is_recorded and observation.error is None:
            return
        is_refusal = observation.error is not None and not observation.is_recorded
        with self._lock:
            if not (is_refusal and self._refusals.count(observation)):
                self._keep(_row(observation))

    @contextmanager
    def followed(self) -> Iterator[Self]:
        """Writes down what is kept, and removes what is too old, until the end."""
        over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(over,), name="audit log", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join(STOP_S)

    def _follow(self, over: threading.Event) -> None:
        ending = False
        while not ending:
            ending = over.wait(WRITE_S)
            try:
                self._keep_counts(ending=ending)
                self._write()
                if not ending and time.monotonic() >= self._expire_at and not expire(self._pool):
                    self._expire_at = time.monotonic() + EXPIRE_S
            except Exception as error:  # noqa: BLE001 - whatever the database raises, this thread goes on
                log.warning("the audit log waits", rows=len(self._rows), why=type(error).__name__)

    def _keep(self, row: NewAuditRecord) -> None:
        """Keeps a row if there is room; to be called with the lock."""
        if len(self._rows) < ROWS_MAX:
            self._rows.append(row)
        else:
            self._lost += row.times

    def _keep_counts(self, *, ending: bool) -> None:
        with self._lock:
            counted, lost = self._refusals.take(ending=ending)
            for row in counted:
                self._keep(row)
            self._lost += lost

    def _write(self) -> None:
        while self._rows:
            batch = [self._rows[place] for place in range(min(BATCH, len(self._rows)))]
            append(self._pool, batch)
            for _ in batch:
                self._rows.popleft()
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            log.error("rows are missing in the audit log; the lines of their requests are here", rows=lost)


def _row(observation: Observation) -> NewAuditRecord:
    """Returns the row of a request whose caller and operation are known."""
    assert observation.operation
    assert observation.account
    actor = Actor(
        observation.operation,
        observation.account,
        observation.request_id,
        observation.key_name,
        observation.region,
        observation.key_id,
        observation.in_session,
    )
    return NewAuditRecord.of(actor, observation, status=observation.status, collection=observation.collection)


@dataclass(slots=True)
class _Count:
    """How often somebody was refused the same within a minute; the columns are those of the latest request."""

    columns: Mapping[str, object]
    first_over_at: float
    over_at: float
    times: int = 1


class _Refusals:
    """Refusals of the current minute by key: the first ones are only numbered, the others counted by what they were.

    What a caller makes up, such as names and regions, is no part of a count: there would be no end of them.
    """

    def __init__(self) -> None:
        self._ends_at = 0.0
        self._seen: Counter[tuple[object, ...]] = Counter()
        self._counts: dict[tuple[object, ...], _Count] = {}
        self._over: list[NewAuditRecord] = []
        """Of minutes that are over, until they are taken."""
        self._lost = 0

    def count(self, observation: Observation) -> bool:
        """Counts a refusal and returns true, unless it is one of the first of its key, which have rows of their own."""
        now = time.monotonic()
        self._turn(now)
        key = (observation.account, observation.key_id, observation.key_name)
        self._seen[key] += 1
        if self._seen[key] <= REFUSALS_A_MINUTE:
            return False
        what = (observation.in_session, observation.operation, observation.status, observation.error)
        group = (*key, *what, observation.would_be_denied)
        count = self._counts.get(group)
        if count is not None:
            count.columns = {**count.columns, "request_id": observation.request_id}
            count.over_at, count.times = now, count.times + 1
        elif len(self._counts) < COUNTS_MAX:
            columns = _row(observation).columns
            unbounded = {"collection": None, "region": None, "subject": None, "counts": Jsonb({})}
            self._counts[group] = _Count({**columns, **unbounded}, now, now)
        else:
            self._lost += 1
        return True

    def take(self, *, ending: bool) -> tuple[list[NewAuditRecord], int]:
        """Returns rows, and how many refusals are in none, of minutes that are over; of this one as well if ending."""
        self._turn(float("inf") if ending else time.monotonic())
        rows, self._over = self._over, []
        lost, self._lost = self._lost, 0
        return rows, lost

    def _turn(self, now: float) -> None:
        """Begins a new minute if the last one is over."""
        if now < self._ends_at:
            return
        self._over += [
            NewAuditRecord(count.columns, count.over_at, count.times, count.first_over_at if count.times > 1 else None)
            for count in self._counts.values()
        ]
        self._seen.clear()
        self._counts.clear()
        self._ends_at = now + MINUTE_S
