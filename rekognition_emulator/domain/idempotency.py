"""Requests that are sent twice, recognised by their token, and the interface of what remembers answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rekognition_emulator.domain.faces import Owner


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A request that may have been sent before.

    Attributes:
        owner: tokens of different owners have nothing to do with each other,
        operation: nor have those of different operations.
        token: the client's name for the request.
        request: everything else that it asks for, in any form that differs when it does.
    """

    owner: Owner
    operation: str
    token: str
    request: str


class AnswerStore(ABC):
    """Remembers answers, so that a client that never received one may ask again without doing everything twice."""

    @abstractmethod
    def once(self, attempt: IdempotencyKey, lifetime: timedelta, answer: Callable[[], str]) -> str:
        """Answers a request unless it has been answered before.

        Everything that ``answer`` does in the store and the memory of it are committed together or not at all; what it
        raises is not remembered. Who comes with the same token meanwhile waits for the outcome.

        Args:
            attempt: the request.
            lifetime: for how long its answer is remembered.
            answer: makes the answer, in this thread; nothing else than the store is worked on meanwhile.

        Returns:
            The answer, made now or the first time.

        Raises:
            TokenInUse: the token belongs to another request.
        """
