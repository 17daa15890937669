"""``serve``: starts the server, and stops it when it is told to."""

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NoReturn

import structlog
import uvicorn

from rekognition_emulator import __version__
from rekognition_emulator.app import InsecureBindError, Service, TracingUnusable, open_database, open_service
from rekognition_emulator.auth.keys import MasterKeyWrong
from rekognition_emulator.auth.vault import MasterKeyUnusable
from rekognition_emulator.cli.log import configure_logging
from rekognition_emulator.cli.processes import CannotServe, Ended, Say, keep_running
from rekognition_emulator.cli.start import read_settings
from rekognition_emulator.cli.wording import in_words
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.environment import similar_settings, unknown_variables
from rekognition_emulator.http.connection import Connection, Connections, open_more_descriptors
from rekognition_emulator.http.overrides import OverriddenIsGone, check_overrides
from rekognition_emulator.inference.selection import AUTO, ModelFiles
from rekognition_emulator.invocation import command
from rekognition_emulator.models.catalogue import DLIB
from rekognition_emulator.models.licences import read_acceptances
from rekognition_emulator.models.weights import ModelUnusable
from rekognition_emulator.search.registry import IndexUnusable
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.database import DatabaseUnsuitable

if TYPE_CHECKING:
    from rekognition_emulator.telemetry.metrics import Page

log = structlog.get_logger(__name__)

_MALLOC: Final = {
    -8: 2,  # M_ARENA_MAX: each of them keeps what its threads once needed, and by default there are eight a core
    -3: 16 << 20,  # M_MMAP_THRESHOLD: larger blocks, which are the largest pictures, go back when they are freed
    -1: 64 << 20,  # M_TRIM_THRESHOLD: what is free at the end of the heap stays up to this, for the next picture
}
"""Parameters of glibc's heap, by their numbers in its malloc.h. Left alone it grows to 1.4 times as much; were blocks
of 1 MB given back, every run of a network would pay for fresh pages. Source: ours, benchmarks/results/tried.md."""

_UNUSABLE: Final = (
    DatabaseUnsuitable,
    IndexUnusable,
    MasterKeyUnusable,
    MasterKeyWrong,
    ModelUnusable,
    OSError,
    OverriddenIsGone,
    TracingUnusable,
    InsecureBindError,
)
"""What an operator can mend; the texts say how."""

_CLOSE_TIMEOUT_S: Final = 5
"""For what one of several processes does after its last request."""

_BACKLOG: Final = 2048
"""Connections that wait to be taken; Linux cuts it to ``net.core.somaxconn``."""

_READY: Final = "rekognition-emulator {version} is ready on {url} after {seconds:.1f} s {said}\n"

_SAID: Final = """\
({models}, index {index}){curve}{fallback}{neutral}

  boto3    boto3.client("rekognition", endpoint_url="{url}", region_name="{region}",
                        aws_access_key_id="{key}", aws_secret_access_key="{secret}")
  AWS CLI  aws rekognition list-collections --endpoint-url {url} --region {region}

{access}
"""

_OPEN: Final = """\
There is no access key yet, so nobody is asked for one: whoever can reach this loopback address may do everything.
`{create}` ends that. Do so before you put a proxy in front: not every proxy
can be told from a program on this machine."""
_GUARDED: Final = "Requests have to be signed with an access key; `{list}` shows which there are."
_WARNING: Final = (
    "Requests that are not signed with an access key are logged as `would be denied`, and served all the same."
)


_PROVISIONAL: Final = """
What {model} means by a similarity is provisional: it follows from the threshold that its publisher recommends, so that
at 80 more or fewer strangers may pass than one in 10,000. `rekognition-emulator calibrate` measures it on labelled
pictures."""


_FALLBACK: Final = """
The recommended models are not at hand, so dlib tells people apart: at a similarity of 80 four pairs of one person in
five pass, with retail-0095 ninety-eight in a hundred. `{pull}` fetches it. A collection keeps the
model that it was made with; to change it later, the images have to lie in S3, or REKOGNITION_KEEP_CHIPS=true to be set
before they are indexed."""

_NEUTRAL: Final = """
REKOGNITION_ABSENT_ATTRIBUTES=neutral: attributes that nothing here can tell of a face are answered with values that say
nothing, at the confidence 50. No program should decide by them."""


def serve(host: str | None = None, port: int | None = None) -> None:
    """Reads the settings, opens the service and serves. What an operator can mend is said in one sentence.

    Args:
        host: to listen on, in place of the settings'.
        port: likewise.
    """
    started = time.monotonic()
    _stop_on_signals()
    settings = read_settings(host=host, port=port)
    configure_logging(settings.log_level)
    for name in unknown_variables(os.environ):
        # No end: a file of settings may be that of another version.
        log.warning("unknown setting", name=name, similar=similar_settings(name))
    try:
        check_overrides(Connection, "uvicorn")
        _log_licences(settings.model_files)
        _bound_heap()
        with _take_port(settings) as listener, _metrics_page(settings) as page:
            url = _url(settings.host, listener.getsockname()[1])

            def announce(said: str) -> None:
                seconds = time.monotonic() - started
                sys.stdout.write(_READY.format(version=__version__, url=url, seconds=seconds, said=said))
                if page:
                    sys.stdout.write(f"Prometheus finds metrics on {_url(settings.metrics_host, page.port)}/metrics\n")
                sys.stdout.flush()

            if settings.processes == 1:
                _serve(settings, listener, announce)
            else:
                _serve_in_processes(settings, listener, announce, page.ended if page else lambda _: None)
    except (CannotServe, *_UNUSABLE) as error:
        sys.exit(in_words(error))
    except SystemExit as end:
        _leave(end)


def _leave(end: SystemExit) -> NoReturn:
    """Ends, if it was told to stop, without waiting for workers: those of requests that were cut off answer nobody."""
    if end.code:
        raise end
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _said(service: Service, settings: Settings, url: str) -> str:
    model = service.engine.model
    return _SAID.format(
        models=f"face model {model.name} {model.version}, detector {service.detector}, device {settings.device}",
        index=settings.index,
        curve=_PROVISIONAL.format(model=model.name) if model.evidence is Evidence.PROVISIONAL else "",
        neutral=_NEUTRAL if settings.absent_attributes == "neutral" else "",
        url=url,
        fallback=_fallback(service, settings),
        region=settings.region,
        key="any" if service.is_open else "AKIA…",
        secret="any" if service.is_open else "…",
        access=_access(service, settings),
    )


def _fallback(service: Service, settings: Settings) -> str:
    """Returns what there is to say where the embedded face model serves because no better one is at hand."""
    has_fallen_back = settings.face_model == AUTO and service.engine.model.name == DLIB.name
    return _FALLBACK.format(pull=command("models pull recommended")) if has_fallen_back else ""


def _access(service: Service, settings: Settings) -> str:
    if service.is_open:
        return _OPEN.format(create=command("keys create NAME --policy full"))
    return _WARNING if settings.auth == "warn" else _GUARDED.format(list=command("keys list"))


def _url(host: str, port: int) -> str:
    """Returns the URL of a host's port; an IPv6 address has brackets in it. Source: RFC 3986, RFC 6874."""
    return f"http://[{host.replace('%', '%25')}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _metrics_page(settings: Settings) -> Iterator["Page | None"]:
    """Serves metrics, of all processes, until the end, where the settings want that."""
    if settings.metrics_port is None:
        yield None
        return
    from rekognition_emulator.telemetry.metrics import FOLDER_VARIABLE, open_page  # noqa: PLC0415 - 40 ms of most starts

    with ExitStack() as opened:
        shared = None
        if settings.processes > 1:
            shared = Path(opened.enter_context(TemporaryDirectory(prefix="rekognition-metrics-")))
            os.environ[FOLDER_VARIABLE] = str(shared)  # for the processes that are started from here
        yield opened.enter_context(open_page(settings.metrics_host, settings.metrics_port, shared))


def _serve_in_processes(settings: Settings, listener: socket.socket, announce: Say, ended: Ended) -> None:
    with open_database(settings):  # theirs, too, and thus still there when all of them have ended
        arguments = {"settings": settings.of_one_process(), "listener": listener}
        timeout_s = settings.stop_seconds + _CLOSE_TIMEOUT_S
        keep_running(
            settings.processes, _serve_as_one_of_many, arguments, announce, ended=ended, stop_timeout_s=timeout_s
        )


def _serve_as_one_of_many(settings: Settings, listener: socket.socket, say: Say) -> None:
    _stop_on_signals()
    configure_logging(settings.log_level)
    _bound_heap()
    try:
        _serve(settings, listener, say)
    except SystemExit as end:
        _leave(end)
    except CannotServe:
        raise
    except Exception:  # what starts processes would print it, in lines of its own
        log.critical("uncaught exception", exc_info=True)
        sys.exit(1)


def _serve(settings: Settings, listener: socket.socket, say: Say) -> None:
    """Serves until it is told to stop.

    Raises:
        CannotServe: database, face model or port cannot be used.
    """
    open_more_descriptors()
    try:
        with open_service(settings) as service:
            listener.listen(_BACKLOG)  # before it says that it serves: whoever connects from now on is answered
            say(_said(service, settings, _url(settings.host, listener.getsockname()[1])))
            config = uvicorn.Config(
                service.app,
                http=partial(Connection, others=Connections()),  # type: ignore[arg-type] # makes what the class would
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody here asks where a request came from
                backlog=_BACKLOG,
                timeout_keep_alive=settings.keep_alive_seconds,
                timeout_graceful_shutdown=settings.stop_seconds,
            )
            uvicorn.Server(config).run(sockets=[listener])
    except _UNUSABLE as error:
        raise CannotServe(in_words(error)) from error


def _bound_heap() -> None:
    """Keeps the C library from holding on to memory; before any thread starts, and only where it is glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in _MALLOC.items():
            mallopt(parameter, value)


def _stop_on_signals() -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        # Uvicorn drains on either and then raises it again: from here it unwinds what was opened, and is no failure.
        signal.signal(stop, lambda *_: sys.exit())


def _take_port(settings: Settings) -> socket.socket:
    """Takes the port, so that a second server ends at once, but does not listen yet: nobody should wait for a start."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    # Connections of the last server that still linger do not keep the next one out.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        where = f"{settings.host} port {settings.port}"
        raise OSError(error.errno, f"{error.strerror}: {where}; --port or REKOGNITION_PORT chooses another") from error
    return listener


def _log_licences(files: ModelFiles) -> None:
    """Says once at every start which licences the operator has accepted, and how."""
    for name in sorted(files.accepted):
        log.info("licence accepted", model=name, accepted_by="REKOGNITION_ACCEPT_LICENCES")
    for each in read_acceptances(files.models_dir):
        log.info("licence accepted", model=each.model, licence=each.licence, on=each.date, accepted_by=each.user)
