"""The composition root: the only place that sees every layer."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg
import structlog
from fastapi import FastAPI, HTTPException, Request, Response
from psycopg_pool import ConnectionPool
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

import botocore_models
from rekognition_emulator import __version__
from rekognition_emulator.actor import Actor
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.auth.keyring import Keyring
from rekognition_emulator.domain.errors import ObjectUnavailable
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.http.dispatch import Dispatcher, InternalServerError, WireResponse
from rekognition_emulator.http.endpoint import RequestHandler, create_app
from rekognition_emulator.http.gate import Caller, Gate
from rekognition_emulator.http.rate_limits import RateLimiter
from rekognition_emulator.http.slots import INTERACTIVE_WORKERS
from rekognition_emulator.inference.details.face_details import load_face_details
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import choose_detector, load_engine
from rekognition_emulator.invocation import command
from rekognition_emulator.operations.context import Context, FetchObject
from rekognition_emulator.operations.coverage import PAGE, coverage
from rekognition_emulator.operations.error_map import translate_error
from rekognition_emulator.operations.registry import BILLING_GROUPS, BULK, SERVED
from rekognition_emulator.s3 import S3
from rekognition_emulator.search.registry import IndexDependencies
from rekognition_emulator.search.router import IndexRouter
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.answers import PostgresAnswerStore
from rekognition_emulator.storage.auditing import AuditLog
from rekognition_emulator.storage.database import open_pool, open_read_pool, outage
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.keys import PostgresKeyStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from rekognition_emulator.storage.users import PostgresUserStore
from rekognition_emulator.telemetry.observation import ANONYMOUS, Observation, Observer

LIVENESS_PATH: Final = "/healthz"
READINESS_PATH: Final = "/readyz"

PREFLIGHT_SECONDS: Final = 7200
"""For which a browser remembers that it may call. Source: Chromium's own limit."""

_CONNECTIONS_BESIDE: Final = 2
"""To the database, for what goes on beside the workers: keys are read, the audit log is written."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """The application, and what the start-up lines tell.

    Attributes:
        detector: the name of what finds its faces.
        is_open: whether nobody is asked for a key.
    """

    app: ASGIApp
    engine: FaceEngine
    detector: str
    is_open: bool


class InsecureBindError(Exception):
    """Others could reach the server, and nobody would be asked for a key; the text says what to do."""


class TracingUnusable(Exception):
    """Traces cannot be sent; the text says what to do."""


@contextmanager
def open_service(settings: Settings) -> Iterator[Service]:
    """Opens database, engine and index, and closes them at the end.

    Raises:
        DatabaseUnsuitable, IndexUnusable, InsecureBindError, MasterKeyUnusable, MasterKeyWrong, ModelUnusable,
        TracingUnusable: the database, the index, the access keys, a face model or tracing cannot serve; the text says
            what to do.
    """
    # What auto means is decided once: the name is told to clients, logs and metrics.
    detector = choose_detector(settings.detector, settings.model_files)
    settings = settings.model_copy(update={"detector": detector})
    with ThreadPoolExecutor(max_workers=1) as beside:
        # Loading the networks and starting PostgreSQL take about as long, and neither needs the other.
        loading = beside.submit(load_engine, settings.face_model, settings.detector, settings.model_files)
        with open_database(settings) as url:
            engine = loading.result()  # where it fails, nothing has connected to a database that is about to stop
            with (
                open_pool(
                    url,
                    connections_max=settings.workers + INTERACTIVE_WORKERS + _CONNECTIONS_BESIDE,
                    audit_days=settings.audit_days,
                ) as pool,
                _read_pool(settings) as read_pool,
                closing(open_index(settings, pool, read_pool)) as index,
            ):
                store = PostgresStore(pool)
                beside.submit(store.sweep)
                context_for_caller = partial(
                    Context,
                    engine=engine,
                    attributes=load_face_details(settings.model_files, engine),
                    store=store,
                    users=PostgresUserStore(pool),
                    tags=PostgresTagStore(pool),
                    answers=PostgresAnswerStore(pool),
                    index=index,
                    keep_chips=settings.keep_chips,
                    neutral_when_absent=settings.absent_attributes == "neutral",
                )
                keyring = Keyring(PostgresKeyStore(pool), settings.vault)
                pools = {"main": pool, "read": read_pool} if read_pool else {"main": pool}
                with (
                    keyring.followed(),
                    AuditLog(pool).followed() as audit,
                    _observers(settings, engine, pools) as observers,
                ):
                    gate, s3 = _gate(settings, keyring), open_s3(settings)
                    dispatcher = Dispatcher(botocore_models.load(), SERVED, _fault, PAGE, strict=settings.strict)
                    handler = _request_handler(settings, dispatcher, gate, [audit, *observers])
                    pages = _create_pages(settings, engine, store, handler)
                    app = create_app(
                        handler,
                        dispatcher,
                        lambda caller, operation: context_for_caller(
                            owner=Owner(caller.account, caller.region),
                            actor=_actor(caller, operation),
                            fetch_object=_fetch_for(caller, gate, s3),
                        ),
                        gate=gate,
                        issue_session=keyring.issue_session,
                        pages=dict.fromkeys((LIVENESS_PATH, READINESS_PATH, PAGE), pages),
                    )
                    yield Service(_for_browsers(settings, app), engine, settings.detector, gate.is_open)


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """Yields the URL of the database of the settings, or of the embedded one, which runs meanwhile.

    Raises:
        DatabaseUnsuitable: the embedded one cannot be started.
    """
    if settings.database_url:
        yield settings.database_url
    else:
        with embedded_database(settings.data_dir) as url:
            yield url


@contextmanager
def _read_pool(settings: Settings) -> Iterator[ConnectionPool | None]:
    if settings.database_read_url:
        with open_read_pool(settings.database_read_url, connections_max=settings.workers + INTERACTIVE_WORKERS) as pool:
            yield pool
    else:
        yield None


def open_index(settings: Settings, pool: ConnectionPool, read_pool: ConnectionPool | None = None) -> IndexRouter:
    """Opens the index of the settings, and whichever collections have chosen; it wants to be closed.

    Raises:
        IndexUnusable: the one of the settings cannot be had here.
    """
    return IndexRouter(
        settings.index,
        IndexDependencies(
            PostgresStore(pool),
            pool,
            folder=settings.data_dir / "indexes",
            memory_bytes_max=settings.index_memory_mb * 1_000_000,
            read_pool=read_pool,
            milvus_uri=settings.milvus_uri,
            milvus_token=settings.milvus_token,
        ),
    )


def _gate(settings: Settings, keyring: Keyring) -> Gate:
    if not settings.is_local and not keyring.is_keyed:
        raise InsecureBindError(
            f"Others can reach {settings.host}, and there is no access key yet: create one with "
            f"`{command('keys create NAME --policy full')}`, or listen on a loopback address."
        )
    return Gate(
        keyring,
        settings.auth,
        is_local=settings.is_local,
        account=settings.account_id,
        default_region=settings.region,
    )


def open_s3(settings: Settings) -> S3:
    """Returns what reads pictures in S3, as the settings say; it connects when it is first asked."""
    return S3(
        settings.s3_endpoint_url,
        settings.s3_addressing_style,
        settings.s3_buckets,
        region=settings.region,
        connections_max=settings.workers + INTERACTIVE_WORKERS,
    )


def _fetch_for(caller: Caller, gate: Gate, s3: S3) -> FetchObject:
    """Returns what reads images in S3 for a caller: those that the caller's policies allow, and nothing of others."""

    def fetch(bucket: str, key: str, version: str | None) -> bytes:
        if not gate.may_read(caller, bucket, key, version):
            log.warning("no picture from S3", bucket=bucket, key=key, version=version, cause="no policy allows it")
            raise ObjectUnavailable(bucket, key)
        return s3.fetch_object(bucket, key, version)

    return fetch


@contextmanager
def _observers(
    settings: Settings, engine: FaceEngine, pools: Mapping[str, ConnectionPool]
) -> Iterator[Sequence[Observer]]:
    """Opens what the settings want to be told of requests: nothing by default."""
    what = {
        "version": __version__,
        "face_model": engine.model.name,
        "face_model_version": engine.model.version,
        "detector": settings.detector,
        "device": settings.device.value,
        "index": settings.index,
        "absent_attributes": settings.absent_attributes,
    }
    with ExitStack() as opened:
        observers: list[Observer] = []
        if settings.metrics_port is not None:
            from rekognition_emulator.telemetry.metrics import Metrics  # noqa: PLC0415 - 40 ms that most starts can do without

            metrics = Metrics(BILLING_GROUPS)
            metrics.describe(**what)
            opened.enter_context(metrics.following({name: pool.get_stats for name, pool in pools.items()}))
            observers.append(metrics)
        if settings.otlp_endpoint:
            try:
                from rekognition_emulator.telemetry.tracing import open_traces  # noqa: PLC0415 - an extra
            except ImportError as error:
                raise TracingUnusable(
                    "REKOGNITION_OTLP_ENDPOINT needs OpenTelemetry: install requirements-extras.lock."
                ) from error
            observers.append(opened.enter_context(open_traces(settings.otlp_endpoint, what)))
        yield observers


def _request_handler(
    settings: Settings, dispatcher: Dispatcher, gate: Gate, observers: Sequence[Observer]
) -> RequestHandler:
    return RequestHandler(
        dispatcher.operation,
        gate=gate,
        rates=RateLimiter(settings.account_requests_per_second),
        workers=settings.workers,
        queue_max=settings.queue_max,
        bulk=BULK,
        observers=observers,
    )


def _actor(caller: Caller, operation: str) -> Actor:
    if (principal := caller.principal) is None:
        return Actor(operation, caller.account, caller.request_id, ANONYMOUS, caller.region)
    in_session = principal.session_policy is not None
    return Actor(operation, caller.account, caller.request_id, principal.name, caller.region, principal.key, in_session)


def _fault(error: Exception, operation: str) -> ServiceError | None:
    """Returns the answer for an error that a caller or the database's operator can cause; None for one that is ours."""
    if (why := outage(error)) is not None:
        log.error("the database does not serve", operation=operation, why=why)
        return InternalServerError()
    return translate_error(error, operation)


def _create_pages(settings: Settings, engine: FaceEngine, store: PostgresStore, handler: RequestHandler) -> FastAPI:
    """Returns the pages that are no part of AWS's API."""
    pages = FastAPI(title="rekognition-emulator", version=__version__, openapi_url=None)

    @pages.api_route(LIVENESS_PATH, methods=["GET", "HEAD"])
    def healthz() -> dict[str, str]:
        """Says that the process is alive."""
        return {"status": "alive"}

    @pages.api_route(READINESS_PATH, methods=["GET", "HEAD"])
    def readyz(response: Response) -> dict[str, str]:
        """Says whether requests can be served: the database answers and the model is loaded."""
        try:
            store.ping()
        except psycopg.Error:
            response.status_code = 503
            return {"status": "the database does not answer"}
        model = engine.model
        return {
            "status": "ready",
            "face_model": model.name,
            "face_model_version": model.version,
            "calibration": model.evidence,
            "detector": settings.detector,
            "device": settings.device,
        }

    @pages.api_route(PAGE, methods=["GET", "HEAD"])
    def operations() -> dict[str, str]:
        """Says of every operation of the service whether it is served here, or why not."""
        return {operation: reason or "served" for operation, reason in coverage()}

    async def refuse(_request: Request, error: HTTPException) -> Response:
        answer = handler.finish(WireResponse(error.status_code, None, b"", error=str(error.status_code)), Observation())
        answer.headers.update(error.headers or {})
        return answer

    pages.exception_handler(405)(refuse)
    return pages


def _for_browsers(settings: Settings, app: ASGIApp) -> ASGIApp:
    """Returns the application as pages of the sites in the settings may call it; refusals, too, are told to them."""
    if not settings.cors_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.cors_origins,
        allow_methods=["POST"],
        allow_headers=["*"],  # what browsers ask for is granted: SDKs add headers with every version
        expose_headers=["x-amzn-RequestId", "Date"],  # SDKs correct their clocks by the latter
        max_age=PREFLIGHT_SECONDS,
    )
