"""Images in object storage: fetches them for requests that name one. The only home of boto3.

One GET per picture, to one endpoint that the operator chose: AWS, or any server that speaks its protocol. A caller
chooses bucket, key and version, never the host: redirects are refused. One client serves all threads; it is made when
the first picture is asked for, because that takes a third of a second that a server without S3 need not spend.

The client's region is the server's, not the request's, which a caller could make up: as at AWS, the buckets must be
where the endpoint is. Little is asked of the endpoint itself: what it says, and how long it takes to say it, is bounded
as a whole. Each fetch has a thread of its own, because nothing else ends a header that comes a byte at a time: the
request stops waiting for it, and no more than ``connections_max`` of them are ever left behind.
"""

import re
import threading
import time
from collections.abc import Collection
from concurrent.futures import Future, wait
from io import BytesIO
from typing import Any, Final, Literal
from urllib.parse import unquote

import structlog
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse, HTTPResponse

from rekognition_emulator.domain.errors import ObjectTooLarge, ObjectUnavailable

OBJECT_BYTES_MAX: Final = 15 * 2**20
"""Source: AWS developer guide, "Guidelines and quotas": 15 MB, counted as its 5 MB of bytes are in the model."""

_PIECE_BYTES: Final = 2**18
"""Read at once, if so much has arrived. Ours: a quarter of it is slower, four times as much gains nothing."""

_CONNECT_TIMEOUT_S: Final = 2.0
_READ_TIMEOUT_S: Final = 5.0
"""Without a byte. Ours."""

_TOTAL_S: Final = 20.0
"""From request to last byte. Ours: with one more read it ends well before the 60 s that SDKs wait for an answer."""

_ERROR_BYTES_MAX: Final = 2**16
"""Read of an answer that is an error. Ours: S3's have less than 1 kB."""

_ERRORS_FROM: Final = 300

_ATTEMPTS: Final = 2
"""SDKs do not repeat a request that failed for its S3 object, so one retry is ours; none once a body has begun."""

_OTHER_HOSTS: Final = re.compile(r".*--xa?-s3")
"""Names that S3 reserves for directory buckets: botocore looks for these at a host of their own, whatever the endpoint
is, and asks it for credentials first. Source: S3 user guide, "Directory bucket naming rules"; botocore's rules."""

_SEPARATORS: Final = re.compile(r"[/\\]")

log = structlog.get_logger(__name__)


class S3:
    """Objects in S3, or in a server that speaks its protocol; safe to use from many threads.

    Credentials come from boto3's own chain: environment, profile, role of the machine. So does the region.

    Args:
        endpoint_url: where to ask; AWS by default.
        addressing_style: whether the bucket stands in the path or in the host name; ``auto`` is the path for any
            endpoint but AWS's.
        buckets: what may be read at all; by default everything that the credentials may read.
        region: for a chain that names none.
        connections_max: kept open.
    """

    def __init__(
        self,
        endpoint_url: str | None,
        addressing_style: Literal["auto", "path", "virtual"],
        buckets: Collection[str] | None,
        *,
        region: str,
        connections_max: int,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._buckets = buckets
        self._config = Config(
            s3={"addressing_style": addressing_style},
            max_pool_connections=connections_max,
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            # Not every S3-compatible server knows the newer checksums.
            response_checksum_validation="when_required",
            # AWS_ENDPOINT_URL is there for clients of Rekognition: it would name this very server.
            ignore_configured_endpoint_urls=True,
        )
        self._client: Any = None
        self._creation = threading.Lock()
        self._places = threading.BoundedSemaphore(connections_max)

    def fetch_object(self, bucket: str, key: str, version: str | None = None) -> bytes:
        """Returns an object's content; without a version that of its newest.

        Raises:
            ObjectUnavailable: it is not there, may not be read, does not arrive in time, or has a name that might mean
                something else on its way. Why, is only logged.
            ObjectTooLarge: it has more than 15 MB.
        """
        try:
            _require_plain(bucket, key)
            return self._fetch_in_time(bucket, key, version)
        except (BotoCoreError, ClientError, HTTPError, OSError, ValueError) as error:  # botocore: nonsense in a header
            log.warning("no picture from S3", bucket=bucket, key=key, version=version, cause=str(error))
            raise ObjectUnavailable(bucket, key) from error

    def _fetch_in_time(self, bucket: str, key: str, version: str | None) -> bytes:
        deadline_s = time.monotonic() + _TOTAL_S
        if not self._places.acquire(timeout=_TOTAL_S):
            raise TimeoutError("no earlier object arrived, nor gave up")
        fetched: Future[bytes] = Future()

        def fetch() -> None:
            try:
                fetched.set_result(self._fetch(bucket, key, version))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the outcome raises it
                fetched.set_exception(error)
            finally:
                self._places.release()

        threading.Thread(target=fetch, daemon=True, name="S3").start()
        if not wait([fetched], deadline_s + _READ_TIMEOUT_S - time.monotonic()).done:
            raise TimeoutError("the endpoint's answer does not come to an end")
        return fetched.result()

    def _fetch(self, bucket: str, key: str, version: str | None) -> bytes:
        if self._buckets is not None and bucket not in self._buckets:
            raise PermissionError("the bucket is not among those that the settings allow")
        deadline_s = time.monotonic() + _TOTAL_S
        which = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
        response = self._connected().get_object(**which)
        length_bytes = response.get("ContentLength")
        # Leaving before the end closes the connection: what is left of the object is never read.
        with response["Body"] as stream:
            if length_bytes is not None and length_bytes > OBJECT_BYTES_MAX:
                raise ObjectTooLarge(bucket, key)
            pieces = []
            got_bytes = 0
            while piece := _read_some(stream, deadline_s):
                pieces.append(piece)
                got_bytes += len(piece)
                if got_bytes > OBJECT_BYTES_MAX:
                    raise ObjectTooLarge(bucket, key)
        # Reading in pieces, nothing below us compares the two when the connection breaks.
        if length_bytes not in {None, got_bytes}:
            raise ConnectionError(f"{got_bytes} of {length_bytes} bytes arrived")
        return b"".join(pieces)

    def _connected(self) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
        with self._creation:
            if self._client is None:
                import boto3  # noqa: PLC0415 - takes a tenth of a second, for nothing where S3 is not used

                session = boto3.session.Session()
                self._client = session.client(
                    "s3",
                    region_name=session.region_name or self._region,
                    endpoint_url=self._endpoint_url,
                    config=self._config,
                )
                self._client.meta.events.register("before-call.s3", _stay)
                self._client.meta.events.register("before-send.s3.GetObject", self._send)
            return self._client

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Sends as botocore would, but reads no more of an error than one can have: botocore reads it to its end."""
        response = self._client._endpoint.http_session.send(request)  # noqa: SLF001 - with its proxies and certificates
        if response.status_code < _ERRORS_FROM:
            return response
        body, deadline_s = b"", time.monotonic() + _READ_TIMEOUT_S
        with response.raw as stream:
            while len(body) < _ERROR_BYTES_MAX and (piece := _read_some(stream, deadline_s)):
                body += piece
        bounded = HTTPResponse(BytesIO(body[:_ERROR_BYTES_MAX]), preload_content=False)
        return AWSResponse(response.url, response.status_code, response.headers, bounded)


def _require_plain(bucket: str, key: str) -> None:
    """Returns if bucket and key go out as they are, and mean the same to whatever passes them on.

    botocore does not touch ``.`` and ``..`` in a path, and percent-encodes the rest once. A server or proxy that
    resolves them, undoes the encoding twice, or takes a backslash for a slash would read another object, or bucket,
    than the one that policies were asked about; one written in C, only what stands before a zero byte.

    Raises:
        ValueError: they do not.
    """
    if _OTHER_HOSTS.fullmatch(bucket):
        raise ValueError("the name is one of a directory bucket, which is at a host of its own")
    decoded = unquote(key)
    if "\0" in decoded or not {".", ".."}.isdisjoint(_SEPARATORS.split(decoded)):
        raise ValueError("the name has a segment that is . or .., or a zero byte")


def _stay(context: dict[str, Any], **_: object) -> None:
    """Keeps botocore from following a bucket to another region's host: it takes this for the second redirect."""
    context["s3_redirect"]["redirected"] = True


def _read_some(stream: BaseHTTPResponse, deadline_s: float) -> bytes:
    """Returns what has arrived, without waiting for more; nothing at the end."""
    if time.monotonic() > deadline_s:
        raise TimeoutError(f"the object did not arrive within {_TOTAL_S:.0f} s")
    return stream.read1(_PIECE_BYTES)
