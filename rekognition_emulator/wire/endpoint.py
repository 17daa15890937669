"""Changes when HTTP around the protocol changes: reading a body within bounds, handing it to a worker, the access log.

Handlers are synchronous and run in a bounded pool of threads; this file is the one place where asynchronous code meets
them. At most ``workers + queue_max`` requests are inside at any moment, counted from before their bodies are read, so
memory is bounded: that number of bodies, and for each worker one more copy as text and the pictures in it. Whoever
comes when all places are taken is told at once to slow down, after which every SDK tries again by itself.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.wire.dispatch import Dispatcher, WireResponse, error_response, not_found
from rekognition_emulator.wire.sigv4 import scope_region

BODY_SECONDS_MAX: Final = 60.0
"""How long a body may take to arrive. Ours: enough for the largest at 2 Mbit/s, and a client that stalls does not hold
its place for ever."""

OTHER_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")

PAYLOAD_TOO_LARGE: Final = WireResponse(413, None, b"", error="413")
"""Not JSON; botocore then reports the code 413 without a message."""
REQUEST_TIMEOUT: Final = WireResponse(408, None, b"", error="408")
CLIENT_GONE: Final = WireResponse(499, None, b"", error="ClientDisconnect")
"""Nobody receives it; the status is what web servers write into their logs for this."""

log = structlog.get_logger(__name__)


class ThrottlingException(ServiceError):
    """Too many requests at once. The model declares it too; this floor does not import the model's classes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from which region. The answer and every log line carry ``request_id``."""

    account: str
    region: str
    request_id: str


def create_router(  # noqa: PLR0913 # each is a setting of one server and named at the call
    dispatcher: Dispatcher,
    context_for: Callable[[Caller], object],
    *,
    account: str,
    default_region: str,
    workers: int,
    queue_max: int,
) -> APIRouter:
    """Returns the service's route and, for what is sent elsewhere by mistake, AWS's answer to that.

    Args:
        dispatcher: answers a request whose body is complete.
        context_for: makes what handlers are given from who calls; called in the worker's thread.
        account: the account that every caller belongs to.
        default_region: of callers whose request names none.
        workers: requests that are worked on at a time.
        queue_max: requests that may be read or wait for a worker meanwhile.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    places = asyncio.Semaphore(workers + queue_max)

    def work(request: Request, body: bytes, caller: Caller) -> WireResponse:
        target, content_type = request.headers.get("x-amz-target"), request.headers.get("content-type")
        with structlog.contextvars.bound_contextvars(request_id=caller.request_id):
            return dispatcher.dispatch(target, content_type, body, context_for(caller))

    async def answer(request: Request, caller: Caller) -> WireResponse:
        if places.locked():
            return error_response(ThrottlingException("Slow down; sudden increase in rate of requests."))
        async with places:
            try:
                async with asyncio.timeout(BODY_SECONDS_MAX):
                    body = await _read(request, dispatcher.body_bytes_max)
            except TimeoutError:
                return REQUEST_TIMEOUT
            except ClientDisconnect:
                return CLIENT_GONE
            if body is None:
                return PAYLOAD_TOO_LARGE
            return await asyncio.get_running_loop().run_in_executor(pool, work, request, body, caller)

    async def serve(request: Request) -> Response:
        started = time.perf_counter()
        region = scope_region(request.headers.get("authorization", "")) or default_region
        caller = Caller(account, region, str(uuid.uuid4()))
        return _finish(await answer(request, caller), caller.request_id, started)

    async def refuse(request: Request) -> Response:  # noqa: ARG001 # as the router calls it
        return _finish(not_found(), str(uuid.uuid4()), time.perf_counter())

    router = APIRouter()
    router.add_route("/", serve, methods=["POST"], include_in_schema=False)
    router.add_route("/", refuse, methods=OTHER_METHODS, include_in_schema=False)
    router.add_route("/{path:path}", refuse, methods=["POST"], include_in_schema=False)
    return router


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


def _finish(answer: WireResponse, request_id: str, started: float) -> Response:
    """Writes the access log's line and returns the answer with the headers that AWS sends, and no others."""
    log.info(
        "request",
        request_id=request_id,
        operation=answer.operation,
        status=answer.status,
        error=answer.error,
        ms=round((time.perf_counter() - started) * 1000, 1),
        bytes=len(answer.body),
    )
    headers = {"x-amzn-RequestId": request_id}
    if answer.content_type is not None:
        headers["Content-Type"] = answer.content_type
    return Response(answer.body, answer.status, headers)
