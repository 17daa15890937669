"""The composition root: the only place that sees every layer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg
import structlog
from psycopg_pool import ConnectionPool
from starlette.types import ASGIApp

import botocore_models
from rekognition_emulator import __version__
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.auth.keyring import Keyring
from rekognition_emulator.domain.errors import ObjectUnavailable
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.http.access_log import AccessLog
from rekognition_emulator.http.admission import Admission
from rekognition_emulator.http.authentication import Authenticator, Caller
from rekognition_emulator.http.authorization import Authorizer
from rekognition_emulator.http.cors import allow_origins
from rekognition_emulator.http.dispatch import Dispatcher
from rekognition_emulator.http.endpoint import Endpoint, RequestHandler
from rekognition_emulator.http.enforcement import Enforcement
from rekognition_emulator.http.pages import create_pages
from rekognition_emulator.http.rate_limits import RateLimiter
from rekognition_emulator.http.readiness import Readiness
from rekognition_emulator.http.responses import WireResponse, internal_error
from rekognition_emulator.http.sessions import SESSION_BODY_BYTES_MAX, answer_session_request
from rekognition_emulator.http.sigv4 import Head
from rekognition_emulator.http.slots import INTERACTIVE_WORKERS
from rekognition_emulator.inference.details.face_details import load_face_details
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import choose_detector, load_engine
from rekognition_emulator.invocation import command
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.jobs.worker import Worker
from rekognition_emulator.operations.context import Context, FetchObject
from rekognition_emulator.operations.coverage import PAGE, coverage
from rekognition_emulator.operations.error_map import translate_error
from rekognition_emulator.operations.registry import BILLING_GROUPS, BULK, SERVED
from rekognition_emulator.retention.job import retention_jobs
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
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from rekognition_emulator.telemetry.observation import Observer

OPERATIONS_PATH: Final = "/"
SESSIONS_PATH: Final = "/sessions"

_CONNECTIONS_BESIDE: Final = 2
"""To the database, for what goes on beside the workers: keys are read, the audit log is written."""

JOB_CONNECTIONS: Final = 2
"""For the job that is done, and for its lease."""

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
                    connections_max=settings.workers
                    + INTERACTIVE_WORKERS
                    + _CONNECTIONS_BESIDE
                    + JOB_CONNECTIONS * settings.job_workers,
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
                    _observers(settings, engine, pools, JobStore(pool)) as observers,
                    _jobs_done(settings, pool),
                ):
                    yield _service(settings, engine, context_for_caller, store, keyring, audit, observers)


def open_worker(settings: Settings, pool: JoiningPool) -> Worker:
    """Returns what does every kind of job there is."""
    return Worker(JobStore(pool), [retention_jobs(pool)], settings.job_poll_seconds)


@contextmanager
def _jobs_done(settings: Settings, pool: JoiningPool) -> Iterator[None]:
    """Does jobs beside requests, where the settings want that."""
    if settings.job_workers:
        with open_worker(settings, pool).running():
            yield
    else:
        yield


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
        settings.index_url.name,
        IndexDependencies(
            PostgresStore(pool),
            pool,
            folder=settings.data_dir / "indexes",
            memory_bytes_max=settings.index_memory_mb * 1_000_000,
            read_pool=read_pool,
            token=settings.index_token or settings.milvus_token,
        ),
        settings.index_urls,
    )


def _service(  # noqa: PLR0913, PLR0917 # what has been opened
    settings: Settings,
    engine: FaceEngine,
    context_for_caller: Callable[..., Context],
    store: PostgresStore,
    keyring: Keyring,
    audit: AuditLog,
    observers: Sequence[Observer],
) -> Service:
    """Puts together what answers requests."""
    enforcement = Enforcement(settings.auth)
    authenticator, authorizer = _authenticator(settings, keyring, enforcement), Authorizer(enforcement)
    s3, access_log = open_s3(settings), AccessLog(observers)

    def context_for(caller: Caller, operation: str) -> Context:
        return context_for_caller(
            owner=Owner(caller.account, caller.region),
            actor=caller.actor(operation),
            fetch_object=_fetch_for(caller, authorizer, s3),
        )

    def issue_session(caller: Caller, _head: Head, body: bytes) -> WireResponse:
        return answer_session_request(caller, body, authorizer, keyring.issue_session)

    dispatcher = Dispatcher(
        botocore_models.load(),
        SERVED,
        _translate_error,
        PAGE,
        authorize=authorizer.authorize,
        context_for=context_for,
        strict=settings.strict,
    )
    app = RequestHandler(
        {
            OPERATIONS_PATH: Endpoint(dispatcher.body_bytes_max, dispatcher.dispatch),
            SESSIONS_PATH: Endpoint(SESSION_BODY_BYTES_MAX, issue_session),
        },
        _create_pages(settings, engine, store, access_log),
        operation_of=dispatcher.operation,
        authenticator=authenticator,
        admission=_admission(settings, observers),
        record=partial(_record, audit),
        access_log=access_log,
    )
    return Service(allow_origins(app, settings.cors_origins), engine, settings.detector, authenticator.is_open)


def _authenticator(settings: Settings, keyring: Keyring, enforcement: Enforcement) -> Authenticator:
    if not settings.is_local and not keyring.is_keyed:
        raise InsecureBindError(
            f"Others can reach {settings.host}, and there is no access key yet: create one with "
            f"`{command('keys create NAME --policy full')}`, or listen on a loopback address."
        )
    return Authenticator(
        keyring,
        enforcement,
        is_local=settings.is_local,
        account=settings.account_id,
        default_region=settings.region,
    )


def _admission(settings: Settings, observers: Sequence[Observer]) -> Admission:
    return Admission(
        RateLimiter(settings.account_requests_per_second),
        workers=settings.workers,
        queue_max=settings.queue_max,
        bulk=BULK,
        observers=observers,
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


def _fetch_for(caller: Caller, authorizer: Authorizer, s3: S3) -> FetchObject:
    """Returns what reads images in S3 for a caller: those that the caller's policies allow, and nothing of others."""

    def fetch(bucket: str, key: str, version: str | None) -> bytes:
        if not authorizer.may_read(caller, bucket, key, version):
            log.warning("s3_image_unavailable", bucket=bucket, key=key, version=version, cause="no policy allows it")
            raise ObjectUnavailable(bucket, key)
        return s3.fetch_object(bucket, key, version)

    return fetch


@contextmanager
def _observers(
    settings: Settings, engine: FaceEngine, pools: Mapping[str, ConnectionPool], jobs: JobStore
) -> Iterator[Sequence[Observer]]:
    """Opens what the settings want to be told of requests: nothing by default."""
    what = {
        "version": __version__,
        "face_model": engine.model.name,
        "face_model_version": engine.model.version,
        "detector": settings.detector,
        "device": settings.device.value,
        "index": settings.index_url.name,
        "absent_attributes": settings.absent_attributes,
    }
    with ExitStack() as opened:
        observers: list[Observer] = []
        if settings.metrics_port is not None:
            from rekognition_emulator.telemetry.metrics import Metrics  # noqa: PLC0415 - 40 ms that most starts can do without

            metrics = Metrics(BILLING_GROUPS)
            metrics.describe(**what)
            statistics = {name: pool.get_stats for name, pool in pools.items()}
            opened.enter_context(metrics.following(statistics, partial(_count_jobs, jobs)))
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


def _count_jobs(jobs: JobStore) -> Mapping[tuple[str, str], tuple[int, float]] | None:
    """Returns what the metrics say of jobs; None while the database does not serve."""
    try:
        return jobs.count()
    except psycopg.Error:
        return None


def _record(audit: AuditLog, caller: Caller, answer: WireResponse) -> None:
    """Tells the audit log how an operation has ended; what is none is in the other log alone."""
    if answer.operation is not None:
        audit.add(
            caller.actor(answer.operation), status=answer.status, error=answer.error, collection=answer.collection
        )


def _translate_error(error: Exception, operation: str) -> ServiceError | None:
    """Returns the answer for an error that a caller or the database's operator can cause; None for one that is ours."""
    if (why := outage(error)) is not None:
        log.error("database_unavailable", operation=operation, cause=why)
        return internal_error()
    return translate_error(error, operation)


def _create_pages(
    settings: Settings, engine: FaceEngine, store: PostgresStore, access_log: AccessLog
) -> Mapping[str, ASGIApp]:
    def database_answers() -> bool:
        try:
            store.ping()
        except psycopg.Error:
            return False
        return True

    return create_pages(
        Readiness(database_answers),
        describe=lambda: {
            "face_model": engine.model.name,
            "face_model_version": engine.model.version,
            "calibration": engine.model.evidence,
            "detector": settings.detector,
            "device": settings.device,
        },
        coverage_page=PAGE,
        coverage={operation: reason or "served" for operation, reason in coverage()},
        access_log=access_log,
    )
