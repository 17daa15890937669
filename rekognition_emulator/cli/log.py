"""Changes when log lines look different: JSON for machines, something readable where a person is at the terminal."""

import logging
import sys
from traceback import TracebackException
from types import TracebackType

import structlog


def configure_logging(level: str) -> None:
    """Writes what is logged from now on to the standard error stream, from this level on."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.ExceptionRenderer(in_outline),
            # Plain: where rich is installed, the default would be its tracebacks, with the values of variables.
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        # Each line in one piece: several processes write to this stream, and each piece lets other threads go first.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Of the libraries only what an operator has to know.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # That a client sent no HTTP is nothing to warn of: it is told so, and could fill the log with it.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def in_outline(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """Returns a traceback with the first line of what each exception says.

    In the lines after it PostgreSQL quotes the row that it refused, and with it numbers of a face's embedding.
    """
    parts = TracebackException(*exc_info).format()
    # Each part is a line of code, which is indented, a sentence between two exceptions, or an exception.
    return "".join(part if part[0].isspace() else part.partition("\n")[0] + "\n" for part in parts).rstrip()
