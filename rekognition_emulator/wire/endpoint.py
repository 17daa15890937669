"""Changes when HTTP around the protocol changes: reading a body within bounds, handing it to a worker, the access log.

Handlers are synchronous and run in a bounded pool of threads; this file is the one place where asynchronous code meets
them. Each of the two lanes to it (``lanes``) has a bounded number of places, taken before a body is read, so memory is
bounded: that number of bodies, and for each worker one more copy as text and the pictures in it. Whoever comes when all
places of a lane are taken is told at once to slow down, after which every SDK tries again by itself.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Container, Sequence
from functools import partial
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.observation import Observation, Observer, current
from rekognition_emulator.wire.dispatch import Dispatcher, WireResponse, error_response, not_found
from rekognition_emulator.wire.gate import Caller, Claim, Gate
from rekognition_emulator.wire.lanes import Lane, Lanes
from rekognition_emulator.wire.rates import EVERY_OTHER, Rates
from rekognition_emulator.wire.sessions import SESSION_BODY_BYTES_MAX, IssueSession, answer_session_request
from rekognition_emulator.wire.sigv4 import Head

BODY_SECONDS_MAX: Final = 60.0
"""How long a body may take to arrive. Ours: enough for the largest at 2 Mbit/s, and a client that stalls does not hold
its place for ever."""

OTHER_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")

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


def create_router(  # noqa: PLR0913 # each is a part of one server and named at the call
    dispatcher: Dispatcher,
    context_for: Callable[[Caller], object],
    *,
    gate: Gate,
    rates: Rates,
    issue_session: IssueSession,
    workers: int,
    queue_max: int,
    bulk: Container[str],
    observers: Sequence[Observer] = (),
) -> APIRouter:
    """Returns the service's routes and, for what is sent elsewhere by mistake, AWS's answer to that.

    Args:
        dispatcher: answers a request whose body is complete.
        context_for: makes what handlers are given from who calls; called in the worker's thread.
        gate: lets callers in.
        rates: know how often each account may ask.
        issue_session: makes temporary credentials.
        workers: requests of bulk that are worked on at a time; there is a worker more for all others.
        queue_max: requests of bulk, and as many others, that may be read or wait for a worker meanwhile.
        bulk: operations that are asked for by the thousand, and for which no other has to wait.
        observers: are told of every request, all on the thread that calls the routes.
    """

    def operate(caller: Caller, head: Head, body: bytes) -> WireResponse:
        target, content_type = head.header("x-amz-target"), head.header("content-type")
        return dispatcher.dispatch(target, content_type, body, context_for(caller), partial(gate.permit, caller))

    def make_session(caller: Caller, _head: Head, body: bytes) -> WireResponse:
        return answer_session_request(caller, body, gate, issue_session)

    async def refuse(request: Request) -> Response:  # noqa: ARG001 # as the router calls it
        return _finish(not_found(), Observation(str(uuid.uuid4())), observers)

    reception = _Reception(
        operation=dispatcher.operation,
        gate=gate,
        rates=rates,
        workers=workers,
        queue_max=queue_max,
        bulk=bulk,
        observers=observers,
    )
    serve = reception.serving(dispatcher.body_bytes_max, operate)
    serve_sessions = reception.serving(SESSION_BODY_BYTES_MAX, make_session)
    router = APIRouter()
    router.add_route("/", serve, methods=["POST"], include_in_schema=False)
    router.add_route("/", refuse, methods=OTHER_METHODS, include_in_schema=False)
    router.add_route("/sessions", serve_sessions, methods=["POST"], include_in_schema=False)
    router.add_route("/{path:path}", refuse, methods=["POST"], include_in_schema=False)
    return router


class _Reception:
    """Takes in what the gate admits, as much at a time as there is room for, and gives each request a worker."""

    def __init__(  # noqa: PLR0913 # as create_router
        self,
        *,
        operation: Callable[[str | None], str | None],
        gate: Gate,
        rates: Rates,
        workers: int,
        queue_max: int,
        bulk: Container[str],
        observers: Sequence[Observer],
    ) -> None:
        self._operation = operation
        self._gate = gate
        self._rates = rates
        self._lanes = Lanes(workers, queue_max, self._tell)
        self._bulk = bulk
        self._observers = observers

    def serving(self, bytes_max: int, work: Work) -> Callable[[Request], Awaitable[Response]]:
        """Returns a route whose requests have at most that long bodies and are answered by ``work``."""

        async def serve(request: Request) -> Response:
            observation = Observation(str(uuid.uuid4()))
            with observation.current():
                answer = await self._answer(request, observation, bytes_max, work)
            return _finish(answer, observation, self._observers)

        return serve

    async def _answer(self, request: Request, observation: Observation, bytes_max: int, work: Work) -> WireResponse:
        head = _head(request)
        operation = self._operation(head.header("x-amz-target"))
        lane = self._lanes.broad if operation in self._bulk else self._lanes.express
        try:
            claim = self._gate.admit(head, observation.request_id)
            self._require_room(self._gate.account_of(claim), operation, lane)
        except ServiceError as error:
            # What the client still sends is read by the server and dropped, so that it gets round to the answer.
            return error_response(error)
        async with self._lanes.place(lane):
            try:
                with observation.stage("receive"):
                    async with asyncio.timeout(BODY_SECONDS_MAX):
                        body = await _read(request, bytes_max)
            except TimeoutError:
                return REQUEST_TIMEOUT
            except ClientDisconnect:
                return CLIENT_GONE
            if body is None:
                return PAYLOAD_TOO_LARGE
            return await self._hand_over(lane, partial(self._work, head, claim, operation, body, work), observation)

    async def _hand_over(self, lane: Lane, work: Callable[[], WireResponse], observation: Observation) -> WireResponse:
        """Has a worker do this."""
        handed_over = time.perf_counter()

        def begin() -> WireResponse:
            observation.passed("wait", handed_over)
            # The thread's context is not this task's.
            bound = structlog.contextvars.bound_contextvars(request_id=observation.request_id)
            with bound, observation.current():
                return work()

        return await self._lanes.work(lane, begin)

    def _require_room(self, account: str, operation: str | None, lane: Lane) -> None:
        """Returns if a request may come in: told before its body is there, by what it says that it is.

        Raises:
            ServiceError: it may not now, and may be sent again.
        """
        if self._rates.is_spent(account, operation):
            raise _beyond(account, operation)
        if lane.is_full:
            raise ThrottlingException("Slow down; sudden increase in rate of requests.")

    def _tell(self, inside: int, waiting: int) -> None:
        for observer in self._observers:
            observer.occupied(inside, waiting)

    def _work(self, head: Head, claim: Claim | None, operation: str | None, body: bytes, work: Work) -> WireResponse:
        observation = current()
        try:
            caller = self._gate.identify(claim, head, body, observation.request_id)
        except ServiceError as error:
            return error_response(error)
        observation.account, observation.region = caller.account, caller.region
        if caller.principal is not None:
            observation.key_id, observation.key_name = caller.principal.key, caller.principal.name
            observation.in_session = caller.principal.session_policy is not None
        if not self._rates.take(caller.account, operation):
            return error_response(_beyond(caller.account, operation))
        return work(caller, head, body)


def _beyond(account: str, operation: str | None) -> ServiceError:
    """Returns the error of a request for which its account has none left, after which SDKs try again, and notes it."""
    current().limit = (account, operation or EVERY_OTHER)
    return ProvisionedThroughputExceededException("Provisioned Rate exceeded.")


def _head(request: Request) -> Head:
    """Returns what of a request is signed besides its body."""
    scope = request.scope
    return Head(scope["method"], scope.get("raw_path", b"/"), scope["query_string"], scope["headers"])


async def _read(request: Request, bytes_max: int) -> bytes | None:
    """Returns the body, or None if it is too long: known from its header if it has one, else while it arrives."""
    if int(request.headers.get("content-length", 0)) > bytes_max:
        return None
    chunks, received = [], 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > bytes_max:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _finish(answer: WireResponse, observation: Observation, observers: Sequence[Observer]) -> Response:
    """Writes the access log's line and returns the answer with the headers that AWS sends, and no others."""
    observation.operation, observation.status, observation.error = answer.operation, answer.status, answer.error
    observation.seconds = time.perf_counter() - observation.started
    log.info(
        "request",
        request_id=observation.request_id,
        account=observation.account,
        operation=observation.operation,
        collection=observation.collection,
        status=observation.status,
        error=observation.error,
        ms=_ms(observation.seconds),
        bytes=len(answer.body),
        stages_ms={name: _ms(seconds) for name, seconds in observation.stage_seconds().items()},
        **({} if observation.limit is None else {"limit": observation.limit}),
        **observation.counts,
    )
    for observer in observers:
        observer.answered(observation)
    headers = {"x-amzn-RequestId": observation.request_id}
    if answer.content_type is not None:
        headers["Content-Type"] = answer.content_type
    return Response(answer.body, answer.status, headers)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
