"""What is known of an operation that is served."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import Enum, auto
from typing import Generic, Literal, TypeVar

C = TypeVar("C")
Q = TypeVar("Q")
A = TypeVar("A")


class Priority(Enum):
    """Which requests wait for which others."""

    INTERACTIVE = auto()
    """Somebody waits for the answer, be it at a door."""
    BULK = auto()
    """Albums are sent through it by the thousand, and nobody waits for each answer: nothing else waits for it."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[C, Q, A]):
    """An operation that is served.

    Attributes:
        handler: (context, request) → response.
        read_only: whether it changes nothing: what the policy ``read`` allows.
        priority: which requests it waits for.
        billing_group: of AWS's price list, in which every call counts as one image, also of CompareFaces and of a
            search without an image; None for what is free. Source: AWS's pages on Rekognition's pricing and its
            questions and answers, 2026.
    """

    handler: Callable[[C, Q], A]
    _: KW_ONLY
    read_only: bool
    priority: Priority = Priority.INTERACTIVE
    billing_group: Literal["1", "2"] | None = None
