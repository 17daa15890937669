"""The service as an ASGI application: authenticates a request, has it admitted, gives it a worker, logs its answer.

Most requests may have to be refused, and then a refusal has to be cheap. So this stands in front of the web framework,
which serves the pages about the server alone.

Handlers are synchronous and run in a bounded pool of threads; this file is the one place where asynchronous code meets
them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rekognition_emulator.actor import AuditTrail
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.api.rekognition import ProvisionedThroughputExceededException, ThrottlingException
from rekognition_emulator.http.admission import Admission, BodyTooLarge, ClientGone, Overloaded, RateExceeded
from rekognition_emulator.http.authentication import Authenticator, Caller, UnverifiedRequest
from rekognition_emulator.http.bodies import BodyTooSlow
from rekognition_emulator.http.responses import WireResponse, error_response, not_found
from rekognition_emulator.http.sigv4 import Head
from rekognition_emulator.telemetry.observation import Observation, Observer

PAYLOAD_TOO_LARGE: Final = WireResponse(413, None, b"", error="413")
"""Not JSON; botocore then reports the code 413 without a message."""
REQUEST_TIMEOUT: Final = WireResponse(408, None, b"", error="408")
CLIENT_GONE: Final = WireResponse(499, None, b"", error="ClientDisconnect")
"""Nobody receives it; the status is what web servers write into their logs for this."""

Work = Callable[[Caller, Head, bytes], WireResponse]
"""(who calls, head, body) → the answer; runs in a worker's thread."""
Record = Callable[[Caller, WireResponse], None]
"""(who has called, the answer) → nothing; likewise."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests are sent.

    Attributes:
        bytes_max: of a body.
        work: answers a request of a caller who is proved.
    """

    bytes_max: int
    work: Work


class RequestHandler:
    """Answers requests to endpoints.

    Args:
        operation_of: returns the model's name of what a target header asks for, or None.
        authenticator: tells who calls.
        admission: lets requests in.
        record: is told of every answer that a worker has given, for the audit log.
        observers: are told of every request, all on the thread of the event loop.
    """

    def __init__(
        self,
        operation_of: Callable[[str | None], str | None],
        *,
        authenticator: Authenticator,
        admission: Admission,
        record: Record,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._operation_of = operation_of
        self._authenticator = authenticator
        self._admission = admission
        self._record = record
        self._observers = observers

    async def serve(self, scope: Scope, receive: Receive, endpoint: Endpoint) -> Response:
        """Returns the answer to a request."""
        observation = Observation()
        try:
            answer = await self._answer(scope, receive, endpoint, observation)
        except ServiceError as error:
            # What the client still sends is read by the server and dropped, so that it gets round to the answer.
            answer = error_response(error)
        except RateExceeded as refusal:
            observation.limit = refusal.limit
            answer = error_response(ProvisionedThroughputExceededException("Provisioned Rate exceeded."))
        except Overloaded:
            answer = error_response(ThrottlingException("Slow down; sudden increase in rate of requests."))
        except BodyTooSlow:
            answer = REQUEST_TIMEOUT
        except BodyTooLarge:
            answer = PAYLOAD_TOO_LARGE
        except ClientGone:
            answer = CLIENT_GONE
        return self.finish(answer, observation)

    def finish(self, answer: WireResponse, observation: Observation) -> Response:
        """Writes the access log's line and returns the answer with the headers that AWS sends, and no others."""
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

    async def _answer(
        self, scope: Scope, receive: Receive, endpoint: Endpoint, observation: Observation
    ) -> WireResponse:
        """Takes a request through authentication and admission to a worker.

        Raises:
            ServiceError, RateExceeded, Overloaded, BodyTooSlow, BodyTooLarge, ClientGone: it does not get through.
        """
        raw_path = scope.get("raw_path", b"/")
        head = Head(scope["method"], raw_path, scope["query_string"], scope["headers"], scope["http_version"])
        trail = AuditTrail(counts=observation.counts)
        request = UnverifiedRequest(head, observation.request_id, trail)
        operation = self._operation_of(head.header("x-amz-target"))
        try:
            unverified = self._authenticator.check_head(request)
            self._admission.check_head(self._authenticator.account_of(unverified), operation)
            with observation.stage("receive"):
                claimed = unverified.signature.access_key_id if unverified else ""
                peer, *_ = scope.get("client") or ("",)
                length = head.header("content-length")
                body, content_hash = await self._admission.receive_body(
                    receive, (claimed, peer), length, endpoint.bytes_max
                )
            caller = self._authenticator.authenticate(request, unverified, content_hash)
            observation.account = caller.account
            work = partial(endpoint.work, caller, head, body)
            handed_over = time.perf_counter()
            return await self._admission.work(
                caller.account, operation, lambda: self._work(work, caller, observation, handed_over)
            )
        finally:
            observation.would_be_denied = trail.would_be_denied

    def _work(
        self, work: Callable[[], WireResponse], caller: Caller, observation: Observation, handed_over: float
    ) -> WireResponse:
        """Answers a request in a worker's thread, whose context is not that of the request's task."""
        observation.passed("wait", handed_over)
        with structlog.contextvars.bound_contextvars(request_id=caller.request_id), observation.current():
            answer = work()
        self._record(caller, answer)
        return answer


def create_app(handler: RequestHandler, endpoints: Mapping[str, Endpoint], pages: Mapping[str, ASGIApp]) -> ASGIApp:
    """Returns the service as an ASGI application; what is sent elsewhere by mistake gets AWS's answer to that.

    Args:
        handler: answers what is sent to an endpoint.
        endpoints: path → what answers a POST there.
        pages: path → what answers there, whoever asks.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if page := pages.get(scope["path"]):
            await page(scope, receive, send)
            return
        endpoint = endpoints.get(scope["path"]) if scope["method"] == "POST" else None
        if endpoint is None:
            answer = handler.finish(not_found(), Observation())
        else:
            answer = await handler.serve(scope, receive, endpoint)
        await answer(scope, receive, send)

    return app


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
