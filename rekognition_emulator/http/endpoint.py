"""The service as an ASGI application: authenticates each request, has it admitted, and gives it a worker.

Most requests may have to be refused, and then a refusal has to be cheap. So this stands in front of the web framework,
which serves the pages about the server alone.

Handlers are synchronous and run in a bounded pool of threads; this file is the one place where asynchronous code meets
them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from rekognition_emulator.actor import AuditTrail
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.api.rekognition import ProvisionedThroughputExceededException, ThrottlingException
from rekognition_emulator.http.access_log import AccessLog
from rekognition_emulator.http.admission import Admission, BodyTooLarge, ClientGone, Overloaded, RateExceeded
from rekognition_emulator.http.authentication import Authenticator, Caller, UnverifiedRequest
from rekognition_emulator.http.bodies import BodyTooSlow
from rekognition_emulator.http.responses import WireResponse, error_response, not_found
from rekognition_emulator.http.sigv4 import Head
from rekognition_emulator.telemetry.observation import Observation

PAYLOAD_TOO_LARGE: Final = WireResponse(413, None, b"", error="413")
"""Not JSON; botocore then reports the code 413 without a message."""
REQUEST_TIMEOUT: Final = WireResponse(408, None, b"", error="408")
CLIENT_GONE: Final = WireResponse(499, None, b"", error="ClientDisconnect")
"""Nobody receives it; the status is what web servers write into their logs for this."""

Work = Callable[[Caller, Head, bytes], WireResponse]
"""(who calls, head, body) → the answer; runs in a worker's thread."""
Record = Callable[[Caller, WireResponse], None]
"""(who has called, the answer) → nothing; likewise."""


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
    """The service; what is sent elsewhere by mistake gets AWS's answer to that.

    Args:
        endpoints: path → what answers a POST there.
        pages: path → what answers there, whoever asks.
        operation_of: returns the model's name of what a target header asks for, or None.
        authenticator: tells who calls.
        admission: lets requests in.
        record: is told of every answer that a worker has given, for the audit log.
        access_log: ends every request.
    """

    def __init__(  # noqa: PLR0913 # each is a part of one server and named at the call
        self,
        endpoints: Mapping[str, Endpoint],
        pages: Mapping[str, ASGIApp],
        *,
        operation_of: Callable[[str | None], str | None],
        authenticator: Authenticator,
        admission: Admission,
        record: Record,
        access_log: AccessLog,
    ) -> None:
        self._endpoints = endpoints
        self._pages = pages
        self._operation_of = operation_of
        self._authenticator = authenticator
        self._admission = admission
        self._record = record
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        if page := self._pages.get(scope["path"]):
            await page(scope, receive, send)
            return
        observation = Observation()
        try:
            endpoint = self._endpoints.get(scope["path"]) if scope["method"] == "POST" else None
            answer = await self._answer(scope, receive, endpoint, observation) if endpoint else not_found()
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
        response = self._access_log.finish(answer, observation)
        await response(scope, receive, send)

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
            work = partial(self._work, endpoint.work, caller, head, body, observation, time.perf_counter())
            return await self._admission.work(caller.account, operation, work)
        finally:
            observation.would_be_denied = trail.would_be_denied

    def _work(  # noqa: PLR0913, PLR0917 # in another thread nothing else is at hand
        self, work: Work, caller: Caller, head: Head, body: bytes, observation: Observation, handed_over: float
    ) -> WireResponse:
        """Answers a request in a worker's thread, whose context is not that of the request's task."""
        observation.passed("wait", handed_over)
        with structlog.contextvars.bound_contextvars(request_id=caller.request_id), observation.current():
            answer = work(caller, head, body)
        self._record(caller, answer)
        return answer
