"""The clients of AWS's services that ``index-album`` asks: boto3's, with less work for an image that is sent.

boto3 turns an image into base64 text, searches that text for characters that JSON escapes, and encodes it again; of a
large image that takes as long as all the rest of a request. Base64 has no such characters. The request is therefore
made with a placeholder and gets the image before it is signed: what is sent is the same, byte for byte.
"""

from base64 import b64encode
from collections.abc import Mapping
from secrets import token_bytes
from typing import Any, Final

import boto3
from botocore.config import Config

ATTEMPTS: Final = 10
"""Of a request that is throttled or lost. By then, with the SDK's pauses, some minutes have passed."""

_PLACEHOLDER: Final = token_bytes(24)
"""In place of an image while a request is made; nothing else in a request is the same by chance."""


def open_client(service: str, endpoint_url: str | None, region: str | None, workers: int) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
    """Opens a client for so many threads, which sends a throttled request again."""
    # Adaptive: once a request is throttled, it sends no faster than the service takes them.
    retries = {"mode": "adaptive", "total_max_attempts": ATTEMPTS}
    client = boto3.session.Session(region_name=region).client(
        service, endpoint_url=endpoint_url, config=Config(retries=retries, max_pool_connections=workers)
    )
    if service == "rekognition":
        client.meta.events.register("provide-client-params.rekognition.IndexFaces", _set_aside)
        client.meta.events.register("before-call.rekognition.IndexFaces", _put_in)
    return client


def _set_aside(params: Mapping[str, Any], context: dict[str, Any], **_: object) -> Mapping[str, Any] | None:
    """Replaces the bytes of an image by the placeholder, before boto3 validates and writes the request."""
    image = params["Image"].get("Bytes")
    if not isinstance(image, bytes):
        return None
    context["image"] = image
    return {**params, "Image": {**params["Image"], "Bytes": _PLACEHOLDER}}


def _put_in(params: dict[str, Any], context: Mapping[str, Any], **_: object) -> None:
    """Puts the image where the placeholder is in the body of a request."""
    if "image" in context:
        params["body"] = params["body"].replace(b64encode(_PLACEHOLDER), b64encode(context["image"]))
