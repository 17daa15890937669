"""Enforcement of access control: refusals are carried out, or in mode ``warn`` only counted and logged."""

from itertools import count
from typing import Literal

import structlog

from rekognition_emulator.actor import AuditTrail
from rekognition_emulator.api.core import ServiceError

Mode = Literal["enforce", "warn"]

log = structlog.get_logger(__name__)


class Enforcement:
    """Decides what becomes of a refusal.

    Args:
        mode: ``warn`` lets everybody pass, and says who would have been refused.

    Attributes:
        mode: as given; None asks for signatures from the first access key on, ``enforce`` in any case.
    """

    def __init__(self, mode: Mode | None) -> None:
        self.mode = mode
        self._refusals = count(1)

    def refuse(self, error: ServiceError, request_id: str, trail: AuditTrail, *, cause: str | None = None) -> None:
        """Raises the error, or in mode ``warn`` lets the request pass.

        Args:
            error: what the caller is to be told.
            request_id: for the log.
            trail: of the request.
            cause: for the log; never a text that repeats a signature.
        """
        if self.mode != "warn":
            raise error
        self.let_pass(error.code, request_id, trail, cause=cause)

    def let_pass(self, code: str, request_id: str, trail: AuditTrail, *, cause: str | None = None) -> None:
        """Notes and logs an error that the caller of a request is spared."""
        trail.would_be_denied = code
        log.warning("would_be_denied", request_id=request_id, error=code, cause=cause, refusals=next(self._refusals))
