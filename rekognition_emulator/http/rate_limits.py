"""Rate limits of accounts: how many requests of each operation one may send a second.

As at AWS, an account has so many requests a second of each operation; a second's worth may come at once.
Differs from AWS (#requests-a-second): regions share one limit, because here a caller is in whichever it names.
Source: AWS General Reference, Amazon Rekognition endpoints and quotas, 2026.

Only a caller who is proved to be of an account takes from its bucket, so nobody can use up what is another's. That a
bucket is empty may be said to whoever claims the account, before a body is read: it costs the account nothing.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

EVERY_OTHER: Final = "*"
"""Stands for every operation that has no limit of its own, each; and names the bucket of what is no operation."""

RATE_MIN: Final = 0.001
RATE_MAX: Final = 10_000.0
"""Requests a second. Ours: a request in a quarter of an hour, and far beyond what a process answers."""

_SECOND_NS: Final = 1_000_000_000


class RateLimiter:
    """Buckets of tokens, one for each account and operation; safe to use from many threads.

    Of a bucket only the moment is kept at which it will be full, and nothing of a bucket that is.

    Args:
        per_second: operation or ``EVERY_OTHER`` → requests a second, more than 0; what is not named has no limit.
        clock_ns: nanoseconds that never go backwards.
    """

    def __init__(self, per_second: Mapping[str, float], clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._intervals_ns = {operation: int(_SECOND_NS / rate) for operation, rate in per_second.items()}
        self._clock_ns = clock_ns
        self._full_at_ns: dict[tuple[str, str], int] = {}  # those that were taken from last are last
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Returns how many buckets are kept."""
        return len(self._full_at_ns)

    def is_exhausted(self, account: str, operation: str | None) -> bool:
        """Returns whether the account has no request left now; takes none.

        Args:
            account: that is claimed or proved.
            operation: that the model knows; None for anything else, which shares a bucket.
        """
        interval_ns = self._interval_ns(operation)
        if interval_ns is None:
            return False
        now_ns = self._clock_ns()
        full_at_ns = self._full_at_ns.get((account, operation or EVERY_OTHER), now_ns)
        return _is_beyond(full_at_ns, now_ns, interval_ns)

    def try_acquire(self, account: str, operation: str | None) -> bool:
        """Takes a request from an account that is proved; returns whether it had one left."""
        interval_ns = self._interval_ns(operation)
        if interval_ns is None:
            return True
        bucket = (account, operation or EVERY_OTHER)
        with self._lock:
            now_ns = self._clock_ns()
            full_at_ns = max(self._full_at_ns.get(bucket, now_ns), now_ns)
            if _is_beyond(full_at_ns, now_ns, interval_ns):
                return False
            self._full_at_ns.pop(bucket, None)
            self._full_at_ns[bucket] = full_at_ns + interval_ns
            self._forget(now_ns)
            return True

    def _interval_ns(self, operation: str | None) -> int | None:
        """Returns the time in which one request comes to a bucket; None if there is no limit."""
        every_other = self._intervals_ns.get(EVERY_OTHER)
        return every_other if operation is None else self._intervals_ns.get(operation, every_other)

    def _forget(self, now_ns: int) -> None:
        while self._full_at_ns:
            oldest = next(iter(self._full_at_ns))
            if self._full_at_ns[oldest] > now_ns:
                break
            del self._full_at_ns[oldest]


def _is_beyond(full_at_ns: int, now_ns: int, interval_ns: int) -> bool:
    """Returns whether a bucket that holds a second's worth, and one request at least, has none."""
    return full_at_ns + interval_ns - now_ns > max(_SECOND_NS, interval_ns)
