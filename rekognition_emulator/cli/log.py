"""The log: lines of JSON for machines, something readable where a person is at the terminal.

Whoever logs, the line looks the same: our own modules, libraries that use Python's ``logging`` or ``warnings``, and
exceptions that nobody has caught.
"""

import logging
import sys
import threading
from collections.abc import MutableMapping
from traceback import TracebackException
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import Processor

log = structlog.get_logger(__name__)


def configure_logging(level: str) -> None:
    """Writes what is logged from now on to the standard error stream, from this level on."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    last: list[Processor] = [
        structlog.processors.ExceptionRenderer(in_outline),
        # Plain: where rich is installed, the default would be its tracebacks, with the values of variables.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        # Each line in one piece: several processes write to this stream, and each piece lets other threads go first.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.add_logger_name, _first_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    # Of the libraries only what an operator has to know.
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # That a client sent no HTTP is nothing to warn of: it is told so, and could fill the log with it.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def in_outline(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """Returns a traceback with the first line of what each exception says.

    In the lines after it PostgreSQL quotes the row that it refused, and with it numbers of a face's embedding.
    """
    parts = TracebackException(*exc_info).format()
    # Each part is a line of code, which is indented, a sentence between two exceptions, or an exception.
    return "".join(part if part[0].isspace() else part.partition("\n")[0] + "\n" for part in parts).rstrip()


def _first_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keeps what a library says to its first line: in the others it may repeat an exception, which has an outline."""
    event["event"] = str(event["event"]).strip().partition("\n")[0]
    return event


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("uncaught_exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(raised: threading.ExceptHookArgs) -> None:
    name = raised.thread.name if raised.thread else None
    if raised.exc_value is not None and not isinstance(raised.exc_value, SystemExit):
        exc_info = (raised.exc_type, raised.exc_value, raised.exc_traceback)
        log.critical("uncaught_exception", thread=name, exc_info=exc_info)


def _log_unraisable(raised: "sys.UnraisableHookArgs") -> None:
    if raised.exc_value is not None:
        exc_info = (raised.exc_type, raised.exc_value, raised.exc_traceback)
        log.error("ignored_exception", where=raised.err_msg, exc_info=exc_info)
