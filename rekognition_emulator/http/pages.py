"""Pages about the server, which are no part of AWS's API: alive, ready, which operations it serves."""

from collections.abc import Callable, Mapping
from typing import Final

from fastapi import FastAPI, HTTPException, Request, Response

from rekognition_emulator import __version__
from rekognition_emulator.http.access_log import AccessLog
from rekognition_emulator.http.readiness import Readiness
from rekognition_emulator.http.responses import WireResponse
from rekognition_emulator.telemetry.observation import Observation

LIVENESS_PATH: Final = "/healthz"
READINESS_PATH: Final = "/readyz"


def create_pages(
    readiness: Readiness,
    *,
    describe: Callable[[], Mapping[str, str]],
    coverage_page: str,
    coverage: Mapping[str, str],
    access_log: AccessLog,
) -> Mapping[str, FastAPI]:
    """Returns path → application.

    Args:
        readiness: knows whether the database answers.
        describe: says what a server that is ready runs.
        coverage_page: path of the next.
        coverage: operation → ``served``, or why it is not.
        access_log: for what is refused.
    """
    pages = FastAPI(title="rekognition-emulator", version=__version__, openapi_url=None)

    @pages.api_route(LIVENESS_PATH, methods=["GET", "HEAD"])
    async def healthz() -> dict[str, str]:
        """Says that the process is alive."""
        return {"status": "alive"}

    @pages.api_route(READINESS_PATH, methods=["GET", "HEAD"])
    async def readyz(response: Response) -> dict[str, str]:
        """Says whether requests can be served: the database answers and the model is loaded."""
        if not await readiness.is_ready():
            response.status_code = 503
            return {"status": "the database does not answer"}
        return {"status": "ready", **describe()}

    @pages.api_route(coverage_page, methods=["GET", "HEAD"])
    async def operations() -> dict[str, str]:
        """Says of every operation of the service whether it is served here, or why not."""
        return dict(coverage)

    async def refuse(_request: Request, error: HTTPException) -> Response:
        refusal = WireResponse(error.status_code, None, b"", error=str(error.status_code))
        response = access_log.finish(refusal, Observation())
        response.headers.update(error.headers or {})
        return response

    pages.exception_handler(405)(refuse)
    return dict.fromkeys((LIVENESS_PATH, READINESS_PATH, coverage_page), pages)
