"""A network that is opened when it is first wanted, and done without where it cannot be."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")


class OnDemand(Generic[T]):
    """Opens something once; thread-safe. Who comes while it is opened waits for that, and for nothing else.

    Args:
        name: of the model, for the log.
        load: opens it; whatever it raises is logged once, and there is nothing then.
    """

    def __init__(self, name: str, load: Callable[[], T]) -> None:
        self._name = name
        self._load = load
        self._loading = threading.Lock()
        self._is_loaded = False
        self._value: T | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether it was tried in vain."""
        return self._is_loaded and self._value is None

    def get(self) -> T | None:
        """Returns what was opened, or None where that has failed."""
        if not self._is_loaded:
            with self._loading:
                if not self._is_loaded:
                    self._value = self._opened()
                    self._is_loaded = True
        return self._value

    def _opened(self) -> T | None:
        try:
            return self._load()
        except Exception as error:  # noqa: BLE001 - the runtime's exceptions have no class of their own in common
            log.error("model_unusable", model=self._name, cause=str(error))  # noqa: TRY400 - a sentence says it
            return None
