"""Cross-origin calls: which pages' scripts may call the service from a browser."""

from collections.abc import Collection
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

PREFLIGHT_SECONDS: Final = 7200
"""For which a browser remembers that it may call. Source: Chromium's own limit."""


def allow_origins(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Returns the application as pages of these sites may call it; refusals, too, are told to them."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["POST"],
        allow_headers=["*"],  # what browsers ask for is granted: SDKs add headers with every version
        expose_headers=["x-amzn-RequestId", "Date"],  # SDKs correct their clocks by the latter
        max_age=PREFLIGHT_SECONDS,
    )
