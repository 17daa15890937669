"""The access log: one line for each answer, of which observers such as metrics are told as well."""

import time
from collections.abc import Sequence

import structlog
from starlette.responses import Response

from rekognition_emulator.http.responses import WireResponse
from rekognition_emulator.telemetry.observation import Observation, Observer

log = structlog.get_logger(__name__)


class AccessLog:
    """Ends every request.

    Args:
        observers: are told of every request, all on the thread of the event loop.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = observers

    def finish(self, answer: WireResponse, observation: Observation) -> Response:
        """Writes the line of a request, and returns its answer with the headers that AWS sends, and no others."""
        observation.operation, observation.collection = answer.operation, answer.collection
        observation.status, observation.error = answer.status, answer.error
        observation.seconds = time.perf_counter() - observation.started
        _log_line(observation, len(answer.body))
        for observer in self._observers:
            observer.answered(observation)
        headers = {"x-amzn-RequestId": observation.request_id}
        if answer.content_type is not None:
            headers["Content-Type"] = answer.content_type
        return Response(answer.body, answer.status, headers)


def _log_line(observation: Observation, length: int) -> None:
    log.info(
        "request",
        request_id=observation.request_id,
        account=observation.account,
        operation=observation.operation,
        collection=observation.collection,
        status=observation.status,
        error=observation.error,
        ms=_ms(observation.seconds),
        bytes=length,
        stages_ms={name: _ms(seconds) for name, seconds in observation.stage_seconds().items()},
        **({} if observation.limit is None else {"limit": observation.limit}),
        **observation.counts,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
