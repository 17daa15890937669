"""How a case talks to the service: clients, and requests signed by hand.

``call`` goes through an unmodified boto3 whose own checks and retries are off, so that the service's errors are seen;
``raw`` signs and sends what no SDK would.
"""

import base64
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from conformance.answer import JSON_1_1, Answer, assert_is_aws_json

Request = Mapping[str, Any]

THROTTLED: Final = {"ThrottlingException", "ProvisionedThroughputExceededException"}
THROTTLED_TRIES: Final = 20
TIMEOUT_S: Final = 60

CHANGING: Final = re.compile("CreateUser|Delete|IndexFaces|Associate|Disassociate")
"""Operations that change a collection that exists."""
VALID_NAME: Final = re.compile(r"[a-zA-Z0-9_.\-]{1,255}")


class NotOffered(Exception):
    """The endpoint says, or shows, that it does not do this."""


class NotRun(Exception):
    """The case needs something that this run does not have."""


@dataclass(frozen=True)
class Target:
    """What to test and with what.

    Attributes:
        endpoint_url: None for AWS itself, with the caller's own credentials.
        region: of the clients.
        s3_bucket: where pictures may be put for the service to read; None if there is none.
        s3_endpoint_url: where that bucket is; None for AWS.
        pictures: a folder of real photographs; None if there is none.
        access_key: of the endpoint; not used for AWS.
        secret_key: likewise.
    """

    endpoint_url: str | None
    region: str
    s3_bucket: str | None = None
    s3_endpoint_url: str | None = None
    pictures: Path | None = None
    access_key: str = "test"
    secret_key: str = "test"  # noqa: S105 # of nothing

    @property
    def is_aws(self) -> bool:
        """Whether it is the real service, in somebody's account."""
        return self.endpoint_url is None


@dataclass(frozen=True, eq=False)
class Given:
    """A value that exists only while the suite runs, such as a collection with faces; made once, when first wanted.

    In a request it stands for its value.
    """

    name: str
    make: Callable[["Service"], Any]


def given(make: Callable[["Service"], Any]) -> Given:
    """Makes a function the maker of a shared value."""
    return Given(make.__name__, make)


class Session:
    """What the cases of one run share.

    Attributes:
        target: what is tested.
        prefix: begins every name that the run gives.
        boto: the credentials.
        http: for what no SDK would send.
        undo: removes at the end what cases create.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.prefix = f"conformance-{secrets.token_hex(4)}-"
        keys = (None, None) if target.is_aws else (target.access_key, target.secret_key)
        self.boto = boto3.Session(*keys)
        self.http = httpx.Client(timeout=TIMEOUT_S)
        self.undo = ExitStack()
        self._lock = threading.RLock()
        self._clients: dict[str, Any] = {}
        self._values: dict[Given, Any] = {}
        self._locks: dict[Given, threading.RLock] = {}

    def client(self, region: str) -> Any:  # noqa: ANN401 # boto3 builds its classes at run time
        """Returns the SDK's client for a region."""
        with self._lock:
            if region not in self._clients:
                client = self.boto.client(
                    "rekognition",
                    region_name=region,
                    endpoint_url=self.target.endpoint_url,
                    config=Config(
                        parameter_validation=False,
                        retries={"total_max_attempts": 1},
                        read_timeout=TIMEOUT_S,
                        max_pool_connections=32,
                    ),
                )
                client.meta.events.register("after-call.rekognition.*", _keep_body)
                self._clients[region] = client
            return self._clients[region]

    def value(self, wanted: Given) -> Any:  # noqa: ANN401 # whatever is given
        """Returns a given's value, made by the first who asks; a failure to make it is everybody's."""
        with self._lock:
            lock = self._locks.setdefault(wanted, threading.RLock())
        with lock:
            if wanted not in self._values:
                try:
                    self._values[wanted] = wanted.make(Service(self, self.target.region))
                except Exception as error:  # noqa: BLE001 # kept, and raised below for each who asks
                    self._values[wanted] = error
            value = self._values[wanted]
        if isinstance(value, Exception):
            raise value
        return value

    def delete_collection(self, region: str, name: str) -> None:
        """Removes a collection, or leaves it if the service refuses: a case may have deleted it."""
        with suppress(ClientError):
            self.client(region).delete_collection(CollectionId=name)

    def close(self) -> None:
        """Removes what the run created."""
        self.undo.close()
        self.http.close()


def _keep_body(http_response: Any, parsed: dict[str, Any], **_: object) -> None:  # noqa: ANN401 # botocore has no types
    parsed["Content"] = http_response.content


@dataclass
class Service:
    """The service as one case sees it: keeps what was said, and names after the run's own prefix."""

    session: Session
    region: str
    exchanges: list[Answer] = field(default_factory=list)

    def __getitem__(self, wanted: Given) -> Any:  # noqa: ANN401 # whatever is given
        return self.session.value(wanted)

    @property
    def target(self) -> Target:
        """What is tested."""
        return self.session.target

    def new_name(self) -> str:
        """Returns a name that nothing has yet."""
        return self.session.prefix + secrets.token_hex(6)

    def new_collection(self) -> str:
        """Creates an empty collection and returns its name."""
        name = self.new_name()
        assert self.call("CreateCollection", {"CollectionId": name}).status == 200
        return name

    def within(self, region: str) -> "Service":
        """Returns the service in another region."""
        return Service(self.session, region, self.exchanges)

    def ok(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 # any member
        """Calls an operation that has to succeed."""
        answer = self.call(operation, request)
        assert answer.status == 200, f"{operation} answers {answer.status} {answer.content[:300]!r}"
        return answer

    def call(self, operation: str, request: Request) -> Answer:
        """Calls an operation through the SDK; every answer is checked for what holds for all."""
        client = self.session.client(self.region)
        resolved = {name: self._resolve(value) for name, value in request.items()}
        self._guard(operation, resolved)
        for _ in range(THROTTLED_TRIES):
            try:
                # boto3 names the method; the API's own name does not need to be translated.
                parsed = client._make_api_call(operation, resolved)  # noqa: SLF001
            except ClientError as error:
                parsed = error.response
            code = parsed.get("Error", {}).get("Code")
            if code not in THROTTLED:
                break
            time.sleep(1)
        metadata = parsed["ResponseMetadata"]
        answer = Answer(
            operation,
            _named(request),
            resolved,
            metadata["HTTPStatusCode"],
            metadata["HTTPHeaders"],
            parsed["Content"],
            {name: value for name, value in parsed.items() if name not in {"ResponseMetadata", "Content"}},
        )
        self._keep(answer)
        assert_is_aws_json(answer)
        assert code == answer.error, f"the SDK reads the error {code}"
        return answer

    def raw(  # noqa: PLR0913 # each is a way in which a request can be odd
        self,
        operation: str | None,
        body: bytes | Request,
        *,
        headers: Mapping[str, str | None] | None = None,
        method: str = "POST",
        path: str = "/",
        sign: Callable[[AWSRequest], None] | None = None,
        is_json: bool = True,
    ) -> Answer:
        """Sends a body as it is.

        Args:
            operation: named in the target header; None leaves that out.
            body: bytes, or what is written as JSON.
            headers: replace the usual ones; None takes one away. Those not named are as an SDK sends them.
            method: of HTTP.
            path: of HTTP.
            sign: signs in another way, or not at all.
            is_json: whether the answer is held to what holds for all.
        """
        given_headers = {
            "Content-Type": JSON_1_1,
            "X-Amz-Target": None if operation is None else f"RekognitionService.{operation}",
            **(headers or {}),
        }
        sent = body if isinstance(body, bytes) else self._resolve(body)
        content = sent if isinstance(sent, bytes) else json.dumps(sent, default=_base64).encode()
        url = self.session.client(self.region).meta.endpoint_url
        sent_headers = {name: text for name, text in given_headers.items() if text is not None}
        signed = AWSRequest(method, url.rstrip("/") + path, sent_headers, content)
        (sign or self.signer())(signed)
        all_headers = dict(signed.headers.items())
        response = self.session.http.request(method, signed.url, content=content, headers=all_headers)
        answer = Answer(
            operation,
            body[:1000].decode("latin-1") if isinstance(body, bytes) else _named(body),
            sent,
            response.status_code,
            {name.lower(): value for name, value in response.headers.items()},
            response.content,
        )
        self._keep(answer)
        if is_json:
            assert_is_aws_json(answer)
        return answer

    def signer(self) -> Callable[[AWSRequest], None]:
        """Returns what signs a request as SDKs do."""
        credentials = self.session.boto.get_credentials()
        signer: Callable[[AWSRequest], None] = SigV4Auth(credentials, "rekognition", self.region).add_auth
        return signer

    def _keep(self, answer: Answer) -> None:
        self.exchanges.append(answer)
        if answer.operation == "CreateCollection" and answer.status == 200:
            _, _, region, _, resource = answer["CollectionArn"].split(":")
            self.session.undo.callback(self.session.delete_collection, region, resource.removeprefix("collection/"))
        if b'"UnsupportedOperationException"' in answer.content:
            raise NotOffered(answer.operation)

    def _resolve(self, value: Any) -> Any:  # noqa: ANN401 # any request value
        match value:
            case Given():
                return self._resolve(self[value])
            case Mapping():
                return {name: self._resolve(member) for name, member in value.items()}
            case list():
                return [self._resolve(element) for element in value]
            case _:
                return value

    def _guard(self, operation: str, request: Request) -> None:
        """Refuses to touch, in somebody's account, a collection that this run did not create."""
        name = request.get("CollectionId")
        if not self.target.is_aws or not CHANGING.match(operation) or not isinstance(name, str):
            return
        if VALID_NAME.fullmatch(name) and not name.startswith(self.session.prefix):
            raise NotRun("names a collection that may be yours")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _named(value: Any) -> Any:  # noqa: ANN401 # any request value
    """Returns the request as people and recordings read it: names in place of givens and bytes."""
    match value:
        case Given():
            return f"<{value.name}>"
        case bytes():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {name: _named(member) for name, member in value.items()}
        case list():
            return [_named(element) for element in value]
        case _:
            return value
