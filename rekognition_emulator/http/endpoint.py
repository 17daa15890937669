"""Admission of requests, as an ASGI application: decides, reads a body within bounds, hands it to a worker, logs.

Each thing is decided once, at the first moment at which it can be: from the head whether the caller may be who it says
and whether there is room at all; with the last byte of the body whether the signature proves it. Only then a request
takes a slot of its priority class (``lanes``), a token of its account's rate and a worker. Until then it holds nothing
but its bytes, which ``bodies`` bounds. Whoever finds no slot is told at once to slow down, after which every SDK tries
again by itself.

Most requests may have to be refused, and then a refusal has to be cheap. So this stands in front of the web framework,
which serves the pages about the server alone.

Handlers are synchronous and run in a bounded pool of threads; this file is the one place where asynchronous code meets
them.
"""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.fair_queue import QueueFull
from rekognition_emulator.http.bodies import BodyBudget, BodyDropped, BodyTooSlow
from rekognition_emulator.http.dispatch import Dispatcher, WireResponse, error_response, not_found
from rekognition_emulator.http.gate import Caller, Gate, UnverifiedSignature
from rekognition_emulator.http.rate_limits import EVERY_OTHER, RateLimiter
from rekognition_emulator.http.sessions import SESSION_BODY_BYTES_MAX, IssueSession, answer_session_request
from rekognition_emulator.http.sigv4 import Head
from rekognition_emulator.http.slots import PriorityClass, Slots
from rekognition_emulator.telemetry.observation import Observation, Observer, current

OPERATIONS_PATH: Final = "/"
SESSIONS_PATH: Final = "/sessions"

PAYLOAD_TOO_LARGE: Final = WireResponse(413, None, b"", error="413")
"""Not JSON; botocore then reports the code 413 without a message."""
REQUEST_TIMEOUT: Final = WireResponse(408, None, b"", error="408")
CLIENT_GONE: Final = WireResponse(499, None, b"", error="ClientDisconnect")
"""Nobody receives it; the status is what web servers write into their logs for this."""

Work = Callable[[Caller, Head, bytes], WireResponse]
"""(who calls, head, body) → the answer; runs in a worker's thread."""

log = structlog.get_logger(__name__)


class ThrottlingException(ServiceError):
    """Too many requests at once. The model declares it too; this floor does not import the model's classes."""


class ProvisionedThroughputExceededException(ServiceError):
    """Too many requests of one account in a second. The model declares it too."""


class _BodyTooLarge(Exception):
    pass


class _ClientGone(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests are sent.

    Attributes:
        bytes_max: of a body.
        work: answers a request of a caller who is proved.
    """

    bytes_max: int
    work: Work


@dataclass(frozen=True, slots=True)
class _Request:
    """A request, as far as its head tells.

    Attributes:
        operation: that it asks for; None if the model knows none of this name.
        claim: who the caller claims to be; None for one who need not say.
        peer: the address that it comes from.
    """

    head: Head
    operation: str | None
    priority: PriorityClass
    claim: UnverifiedSignature | None
    peer: str
    observation: Observation


class RequestHandler:
    """Takes in what the gate admits, as much at a time as there is room for, and gives each request a worker.

    Args:
        operation: returns the model's name of what a target header asks for, or None.
        gate: lets callers in.
        rates: know how often each account may ask.
        workers: requests of bulk that are worked on at a time; there is a worker more for all others.
        queue_max: requests of bulk, and as many others, that may wait for a worker meanwhile.
        bulk: operations that are asked for by the thousand, and for which no other has to wait.
        observers: are told of every request, all on the thread of the event loop.
    """

    def __init__(  # noqa: PLR0913 # each is a part of one server and named at the call
        self,
        operation: Callable[[str | None], str | None],
        *,
        gate: Gate,
        rates: RateLimiter,
        workers: int,
        queue_max: int,
        bulk: Container[str],
        observers: Sequence[Observer] = (),
    ) -> None:
        self._operation = operation
        self._gate = gate
        self._rates = rates
        self._lanes = Slots(workers, queue_max, self._tell)
        self._bodies = BodyBudget()
        self._bulk = bulk
        self._observers = observers

    async def serve(self, scope: Scope, receive: Receive, endpoint: Endpoint) -> Response:
        """Returns the answer to a request."""
        observation = Observation()
        with observation.current():
            try:
                answer = await self._answer(scope, receive, endpoint, observation)
            except ServiceError as error:
                # What the client still sends is read by the server and dropped, so that it gets round to the answer.
                answer = error_response(error)
            except BodyTooSlow:
                answer = REQUEST_TIMEOUT
            except BodyDropped:
                answer = error_response(_throttled())
            except _BodyTooLarge:
                answer = PAYLOAD_TOO_LARGE
            except _ClientGone:
                answer = CLIENT_GONE
        return self.finish(answer, observation)

    def finish(self, answer: WireResponse, observation: Observation) -> Response:
        """Writes the access log's line and returns the answer with the headers that AWS sends, and no others."""
        observation.operation, observation.status, observation.error = answer.operation, answer.status, answer.error
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
        """Takes a request through admission.

        Raises:
            ServiceError, BodyTooSlow, BodyDropped, _BodyTooLarge, _ClientGone: it does not get through.
        """
        request = self._admit(scope, observation)
        with observation.stage("receive"):
            body, content_hash = await self._read(request, receive, endpoint.bytes_max)
        caller = self._authenticate(request, content_hash)
        # From here to the slot nothing is awaited: what is free stays free.
        if not self._lanes.has_room(request.priority, caller.account):
            raise _throttled()
        if not self._rates.try_acquire(caller.account, request.operation):
            raise _beyond(caller.account, request.operation)
        try:
            return await self._hand_over(request, caller.account, partial(endpoint.work, caller, request.head, body))
        except QueueFull:
            raise _throttled() from None

    def _admit(self, scope: Scope, observation: Observation) -> _Request:
        """Looks at a request before its body is there.

        That an account has nothing left, or that there is no slot, is told to whoever claims to be of it; it is taken
        from nobody who is not proved.

        Raises:
            ServiceError: it may not come in.
        """
        raw_path = scope.get("raw_path", b"/")
        head = Head(scope["method"], raw_path, scope["query_string"], scope["headers"], scope["http_version"])
        operation = self._operation(head.header("x-amz-target"))
        priority = self._lanes.bulk if operation in self._bulk else self._lanes.interactive
        claim = self._gate.admit(head, observation.request_id)
        account = self._gate.account_of(claim)
        if self._rates.is_exhausted(account, operation):
            raise _beyond(account, operation)
        if not self._lanes.has_room(priority, account):
            raise _throttled()
        peer = scope.get("client") or ("",)
        return _Request(head, operation, priority, claim, peer[0], observation)

    async def _read(self, request: _Request, receive: Receive, bytes_max: int) -> tuple[bytes, str]:
        """Returns the body and its hash, in hexadecimal digits; that it is too long may be known from its head."""
        announced = request.head.header("content-length")
        length = bytes_max if announced is None else int(announced)
        if length > bytes_max:
            raise _BodyTooLarge
        share = request.claim.signature.access_key_id if request.claim else "", request.peer
        chunks, content_hash, more = list[bytes](), sha256(), True
        async with self._bodies.arriving(share, length) as arriving:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _ClientGone
                chunk, more = message.get("body", b""), message.get("more_body", False)
                if arriving.received + len(chunk) > bytes_max:
                    raise _BodyTooLarge
                chunks.append(chunk)
                content_hash.update(chunk)
                await self._bodies.received(arriving, len(chunk), is_last=not more)
        return b"".join(chunks), content_hash.hexdigest()

    def _authenticate(self, request: _Request, content_hash: str) -> Caller:
        """Returns who calls, now that it can be proved, and notes it.

        Raises:
            ServiceError: it is somebody else, or the request is not what was signed.
        """
        observation = request.observation
        caller = self._gate.identify(request.claim, request.head, content_hash, observation.request_id)
        observation.account, observation.region = caller.account, caller.region
        if caller.principal is not None:
            observation.key_id, observation.key_name = caller.principal.key, caller.principal.name
            observation.in_session = caller.principal.session_policy is not None
        return caller

    async def _hand_over(self, request: _Request, account: str, work: Callable[[], WireResponse]) -> WireResponse:
        """Has a worker do this."""
        observation, handed_over = request.observation, time.perf_counter()

        def begin() -> WireResponse:
            observation.passed("wait", handed_over)
            # The thread's context is not this task's.
            bound = structlog.contextvars.bound_contextvars(request_id=observation.request_id)
            with bound, observation.current():
                return work()

        return await self._lanes.work(request.priority, account, begin)

    def _tell(self, inside: int, waiting: int) -> None:
        for observer in self._observers:
            observer.occupied(inside, waiting)


def create_app(  # noqa: PLR0913 # each is a part of one server and named at the call
    handler: RequestHandler,
    dispatcher: Dispatcher,
    context_for: Callable[[Caller, str], object],
    *,
    gate: Gate,
    issue_session: IssueSession,
    pages: Mapping[str, ASGIApp],
) -> ASGIApp:
    """Returns the service as an ASGI application; what is sent elsewhere by mistake gets AWS's answer to that.

    Args:
        handler: takes in requests.
        dispatcher: answers a request whose body is complete.
        context_for: makes what operations are given from who calls, and for which operation; called in the worker's
            thread.
        gate: knows what callers may do.
        issue_session: makes temporary credentials.
        pages: path → what answers there, whoever asks.
    """

    def operate(caller: Caller, head: Head, body: bytes) -> WireResponse:
        target, content_type = head.header("x-amz-target"), head.header("content-type")
        context = context_for(caller, dispatcher.operation(target) or "")
        return dispatcher.dispatch(target, content_type, body, context, partial(gate.permit, caller))

    def make_session(caller: Caller, _head: Head, body: bytes) -> WireResponse:
        return answer_session_request(caller, body, gate, issue_session)

    endpoints = {
        OPERATIONS_PATH: Endpoint(dispatcher.body_bytes_max, operate),
        SESSIONS_PATH: Endpoint(SESSION_BODY_BYTES_MAX, make_session),
    }

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


def _throttled() -> ServiceError:
    return ThrottlingException("Slow down; sudden increase in rate of requests.")


def _beyond(account: str, operation: str | None) -> ServiceError:
    """Returns the error of a request for which its account has none left, after which SDKs try again, and notes it."""
    current().limit = (account, operation or EVERY_OTHER)
    return ProvisionedThroughputExceededException("Provisioned Rate exceeded.")


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
