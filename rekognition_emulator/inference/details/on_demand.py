"""A network that is opened when it is first wanted, and done without where it cannot be."""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

RETRY_S: Final = 60.0
"""After a failure: a full disk may have room again. Ours: a damaged file is read, and told of, once a minute."""

T = TypeVar("T")


class OnDemand(Generic[T]):
    """Opens something once; thread-safe. Who comes while it is opened waits for that, and for nothing else.

    Args:
        name: of the model, for the log.
        load: opens it; whatever it raises is logged, and there is nothing then for ``RETRY_S``.
    """

    def __init__(self, name: str, load: Callable[[], T]) -> None:
        self._name = name
        self._load = load
        self._loading = threading.Lock()
        self._retry_at = float("-inf")
        self._value: T | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether it was tried in vain of late."""
        return self._value is None and time.monotonic() < self._retry_at

    def get(self) -> T | None:
        """Returns what was opened, or None where that has failed."""
        if self._is_wanted():
            with self._loading:
                if self._is_wanted():  # still, after others have been waited for
                    self._value = self._opened()
                    self._retry_at = time.monotonic() + RETRY_S
        return self._value

    def _is_wanted(self) -> bool:
        return self._value is None and not self.is_hopeless

    def _opened(self) -> T | None:
        try:
            return self._load()
        except Exception as error:  # noqa: BLE001 - the runtime's exceptions have no class of their own in common
            log.error("model_unusable", model=self._name, cause=str(error))  # noqa: TRY400 - a sentence says it
            return None
