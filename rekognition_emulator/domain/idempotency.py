"""Requests that are sent twice, recognised by their token."""

from dataclasses import dataclass

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
