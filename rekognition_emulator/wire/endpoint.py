"""Changes when HTTP around the protocol changes: reading a body within bounds, handing it to a worker, the access log.

Handlers are synchronous and run in a bounded pool of threads; this file is the one place where asynchronous code meets
them. Each of the two lanes to it (``lanes``) has a bounded number of places, taken before a body is read, so memory is
bounded: that number of bodies, and for each worker one more copy as text and the pictures in it. Whoever comes when all
places of a lane are taken is told at once to slow down, after which every SDK tries again by itself.

Most requests may have to be refused, and then a refusal has to be cheap. What a request's head is enough for is
therefore decided at the door, before the web framework and a task of its own.
"""

import asyncio
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

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

OPERATIONS_PATH: Final = "/"
SESSIONS_PATH: Final = "/sessions"
OTHER_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")

PAYLOAD_TOO_LARGE: Final = WireResponse(413, None, b"", error="413")
"""Not JSON; botocore then reports the code 413 without a message."""
REQUEST_TIMEOUT: Final = WireResponse(408, None, b"", error="408")
CLIENT_GONE: Final = WireResponse(499, None, b"", error="ClientDisconnect")
"""Nobody receives it; the status is what web servers write into their logs for this."""

Work = Callable[[Caller, Head, bytes], WireResponse]
"""(who calls, head, body) → the answer; runs in a worker's thread."""

_ADMISSION: Final = "rekognition_emulator.admission"
"""Under which the door leaves it in a request's ASGI scope, for its route."""

log = structlog.get_logger(__name__)


class ThrottlingException(ServiceError):
    """Too many requests at once. The model declares it too; this floor does not import the model's classes."""


class ProvisionedThroughputExceededException(ServiceError):
    """Too many requests of one account in a second. The model declares it too."""


@dataclass(frozen=True, slots=True)
class _Admission:
    """A request that may come in, as far as its head tells.

    Attributes:
        operation: that it asks for; None if the model knows none of this name.
        claim: who the caller claims to be; None for one who need not say.
    """

    head: Head
    operation: str | None
    lane: Lane
    claim: Claim | None
    observation: Observation


class Reception:
    """Takes in what the gate admits, as much at a time as there is room for, and gives each request a worker.

    Args:
        operation: returns the model's name of what a target header asks for, or None.
        gate: lets callers in.
        rates: know how often each account may ask.
        workers: requests of bulk that are worked on at a time; there is a worker more for all others.
        queue_max: requests of bulk, and as many others, that may be read or wait for a worker meanwhile.
        bulk: operations that are asked for by the thousand, and for which no other has to wait.
        observers: are told of every request, all on the thread that calls the routes.
    """

    def __init__(  # noqa: PLR0913 # each is a part of one server and named at the call
        self,
        operation: Callable[[str | None], str | None],
        *,
        gate: Gate,
        rates: Rates,
        workers: int,
        queue_max: int,
        bulk: Container[str],
        observers: Sequence[Observer] = (),
    ) -> None:
        self._operation = operation
        self._gate = gate
        self._rates = rates
        self._lanes = Lanes(workers, queue_max, self._tell)
        self._bulk = bulk
        self._observers = observers

    def turn_away(self, scope: Scope) -> Response | None:
        """Returns the answer to a request that is refused for its head; None if it may come in, or be refused there.

        The routes would decide the same. They have to where the request is a web page's, whose browser shows it no
        answer without the headers that are added on the way there.
        """
        head = _head(scope)
        if head.method != "POST" or scope["path"] not in (OPERATIONS_PATH, SESSIONS_PATH) or head.header("origin"):
            return None
        observation = Observation()
        with observation.current():
            try:
                admission = self._admit(head, observation)
                self._require_room(admission)
            except ServiceError as error:
                return self.finish(error_response(error), observation)
        scope[_ADMISSION] = admission
        return None

    async def serve(self, request: Request, bytes_max: int, work: Work) -> Response:
        """Returns the answer to a request whose body is at most that long."""
        admission: _Admission | None = request.scope.get(_ADMISSION)
        observation = admission.observation if admission else Observation()
        with observation.current():
            try:
                admission = admission or self._admit(_head(request.scope), observation)
                self._require_room(admission)  # others may have come in since it was at the door
            except ServiceError as error:
                # What the client still sends is read by the server and dropped, so that it gets round to the answer.
                answer = error_response(error)
            else:
                answer = await self._receive(request, admission, bytes_max, work)
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

    def _admit(self, head: Head, observation: Observation) -> _Admission:
        """Looks at a request before its body is there, whether or not there is room for it.

        Raises:
            ServiceError: it may not come in.
        """
        operation = self._operation(head.header("x-amz-target"))
        lane = self._lanes.broad if operation in self._bulk else self._lanes.express
        return _Admission(head, operation, lane, self._gate.admit(head, observation.request_id), observation)

    def _require_room(self, admission: _Admission) -> None:
        """Returns if there is room for a request of whoever it says that it is of.

        Raises:
            ServiceError: there is none now.
        """
        account = self._gate.account_of(admission.claim)
        if self._rates.is_spent(account, admission.operation):
            raise _beyond(account, admission.operation)
        if admission.lane.is_full:
            raise ThrottlingException("Slow down; sudden increase in rate of requests.")

    async def _receive(self, request: Request, admission: _Admission, bytes_max: int, work: Work) -> WireResponse:
        """Has the body read, in a place of its lane, and then a worker do the rest."""
        async with self._lanes.place(admission.lane):
            try:
                with admission.observation.stage("receive"):
                    async with asyncio.timeout(BODY_SECONDS_MAX):
                        body = await _read(request, bytes_max)
            except TimeoutError:
                return REQUEST_TIMEOUT
            except ClientDisconnect:
                return CLIENT_GONE
            if body is None:
                return PAYLOAD_TOO_LARGE
            return await self._hand_over(admission, partial(self._work, admission, body, work))

    async def _hand_over(self, admission: _Admission, work: Callable[[], WireResponse]) -> WireResponse:
        """Has a worker do this."""
        observation, handed_over = admission.observation, time.perf_counter()

        def begin() -> WireResponse:
            observation.passed("wait", handed_over)
            # The thread's context is not this task's.
            bound = structlog.contextvars.bound_contextvars(request_id=observation.request_id)
            with bound, observation.current():
                return work()

        return await self._lanes.work(admission.lane, begin)

    def _tell(self, inside: int, waiting: int) -> None:
        for observer in self._observers:
            observer.occupied(inside, waiting)

    def _work(self, admission: _Admission, body: bytes, work: Work) -> WireResponse:
        head, observation = admission.head, admission.observation
        try:
            caller = self._gate.identify(admission.claim, head, body, observation.request_id)
        except ServiceError as error:
            return error_response(error)
        observation.account, observation.region = caller.account, caller.region
        if caller.principal is not None:
            observation.key_id, observation.key_name = caller.principal.key, caller.principal.name
            observation.in_session = caller.principal.session_policy is not None
        if not self._rates.take(caller.account, admission.operation):
            return error_response(_beyond(caller.account, admission.operation))
        return work(caller, head, body)


def create_router(
    reception: Reception,
    dispatcher: Dispatcher,
    context_for: Callable[[Caller], object],
    *,
    gate: Gate,
    issue_session: IssueSession,
) -> APIRouter:
    """Returns the service's routes and, for what is sent elsewhere by mistake, AWS's answer to that.

    Args:
        reception: takes in requests.
        dispatcher: answers a request whose body is complete.
        context_for: makes what handlers are given from who calls; called in the worker's thread.
        gate: knows what callers may do.
        issue_session: makes temporary credentials.
    """

    def operate(caller: Caller, head: Head, body: bytes) -> WireResponse:
        target, content_type = head.header("x-amz-target"), head.header("content-type")
        return dispatcher.dispatch(target, content_type, body, context_for(caller), partial(gate.permit, caller))

    def make_session(caller: Caller, _head: Head, body: bytes) -> WireResponse:
        return answer_session_request(caller, body, gate, issue_session)

    async def serve(request: Request) -> Response:
        return await reception.serve(request, dispatcher.body_bytes_max, operate)

    async def serve_sessions(request: Request) -> Response:
        return await reception.serve(request, SESSION_BODY_BYTES_MAX, make_session)

    async def refuse(request: Request) -> Response:  # noqa: ARG001 # as the router calls it
        return reception.finish(not_found(), Observation())

    router = APIRouter()
    router.add_route(OPERATIONS_PATH, serve, methods=["POST"], include_in_schema=False)
    router.add_route(OPERATIONS_PATH, refuse, methods=OTHER_METHODS, include_in_schema=False)
    router.add_route(SESSIONS_PATH, serve_sessions, methods=["POST"], include_in_schema=False)
    router.add_route("/{path:path}", refuse, methods=["POST"], include_in_schema=False)
    return router


def _beyond(account: str, operation: str | None) -> ServiceError:
    """Returns the error of a request for which its account has none left, after which SDKs try again, and notes it."""
    current().limit = (account, operation or EVERY_OTHER)
    return ProvisionedThroughputExceededException("Provisioned Rate exceeded.")


def _head(scope: Scope) -> Head:
    """Returns what of a request is signed besides its body."""
    return Head(
        scope["method"], scope.get("raw_path", b"/"), scope["query_string"], scope["headers"], scope["http_version"]
    )


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
