"""What is fuzzed, and which behaviour counts as a finding.

A target makes its n-th input from the seed and n alone, so that a finding can be made again by its number.
"""

import json
import re
import socket
import time
import warnings
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import botocore_models
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.domain.errors import FaceError
from rekognition_emulator.http.dispatch import Dispatcher
from rekognition_emulator.http.sigv4 import Head, read_signature, verify
from rekognition_emulator.imaging.image import DETECTION_SIDE_PX, decode
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.pipeline import analyse
from tests.fuzz.mutations import SPOILT_HEADERS, spoil, spoil_http, spoil_json, spoil_picture
from tests.fuzz.seeds import COLLECTION, requests

SECONDS_MAX = 30.0
"""For one input, on a busy machine. What takes longer hangs."""

PATIENCE_S = 1.0
"""For an answer to what may be half a request; then we say that we are done."""

PICTURE_BYTES_MAX = 5_300_000
"""A little more than is allowed. Of a body that is too long by megabytes the server hears the beginning only, and a
client that asks it to hang up afterwards may not hear the answer."""

KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SIGNED_BODY = b'{"CollectionId":"a"}'

WITH_PICTURES = ("DetectFaces", "DetectFaces", "IndexFaces", "SearchFacesByImage", "CompareFaces")


class Finding(Exception):
    """An input had an effect that no input may have."""


class Target(Protocol):
    """Something that takes inputs."""

    name: str

    def make(self, seed: int, number: int) -> bytes:
        """Returns the input of this number."""
        ...

    def feed(self, made: bytes) -> str:
        """Feeds an input and returns, in a word, how it ended.

        Raises:
            Exception: any is a finding.
        """
        ...


class Decoder:
    """Pictures into decoder, detector and embedder, in this process."""

    name = "decoder"

    def __init__(self, seeds: Sequence[bytes], engine: FaceEngine | None) -> None:
        self._seeds = seeds
        self._engine = engine

    def make(self, seed: int, number: int) -> bytes:
        """Returns a spoilt picture."""
        random = Random(f"{self.name} {seed} {number}")
        return spoil_picture(random, random.choice(self._seeds), self._seeds)

    def feed(self, made: bytes) -> str:
        """Decodes, and looks for faces in what is left."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about the damage
            try:
                image = decode(made)
            except FaceError as error:
                return type(error).__name__
        if max(image.pixels.shape) > 2 * DETECTION_SIDE_PX or image.pixels.shape[2:] != (3,):
            raise Finding(f"pixels of the shape {image.pixels.shape}")
        if self._engine is None:
            return "decoded"
        portraits = analyse(self._engine, image)
        self._engine.embed(image, [portrait.detection for portrait in portraits[:1]])
        return "face" if portraits else "no face"


class Wire:
    """Bodies into JSON, validation and rendering, in this process."""

    name = "wire"

    def __init__(self) -> None:
        model = botocore_models.load()
        handlers = dict.fromkeys(model.operation_names, _accept)
        self._dispatcher = Dispatcher(model, handlers, lambda _error, _operation: None, "README")
        self._requests = requests()

    def make(self, seed: int, number: int) -> bytes:
        """Returns an operation and a spoilt body, on a line of its own."""
        random = Random(f"{self.name} {seed} {number}")
        operation, request = random.choice(self._requests)
        return operation.encode() + b"\n" + spoil_json(random, request)

    def feed(self, made: bytes) -> str:
        """Dispatches, and reads the answer."""
        operation, _, body = made.partition(b"\n")
        target = f"RekognitionService.{operation.decode()}"
        answer = self._dispatcher.dispatch(target, "application/x-amz-json-1.1", body, None)
        json.loads(answer.body.decode("utf-8"))
        if answer.status not in {200, 400}:
            raise Finding(f"{answer.status} {answer.error}")
        return answer.error or "accepted"


def _accept(_context: object, _request: object) -> dict[str, Any]:
    return {}


class Signatures:
    """Signed heads of requests into what reads and verifies them, in this process.

    They are signed when it starts: the same number does the same damage to another signature.
    """

    name = "signatures"

    def __init__(self) -> None:
        request = AWSRequest(
            "POST", "http://a/", data=SIGNED_BODY, headers={"X-Amz-Target": "RekognitionService.ListFaces"}
        )
        SigV4Auth(Credentials(*KEYS, "token"), "rekognition", "us-east-1").add_auth(request)
        self._now = datetime.now(UTC)
        signed = {"host": "a", **{name.lower(): str(value) for name, value in request.headers.items()}}
        self._head = [f"{name}: {value}".encode("latin-1") for name, value in signed.items()]
        if self.feed(b"\n".join(self._head)) != "verified":
            raise RuntimeError("the head that is to be spoilt is not valid")

    def make(self, seed: int, number: int) -> bytes:
        """Returns headers, one per line, of which some are spoilt, missing, doubled or others."""
        random = Random(f"{self.name} {seed} {number}")
        lines = list(self._head)
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(lines))
            lines[at : at + random.randint(0, 1)] = random.choice(
                ([], [spoil(random, lines[at], SPOILT_HEADERS)], [lines[at]] * 2, [random.choice(SPOILT_HEADERS)])
            ) or [b"x: y"]
        return b"\n".join(lines)

    def feed(self, made: bytes) -> str:
        """Reads the signature and verifies it with the right secret."""
        pairs = [line.partition(b":") for line in made.split(b"\n")]
        head = Head("POST", b"/", b"", [(name.strip().lower(), value.strip()) for name, _, value in pairs])
        try:
            signature = read_signature(head, self._now)
            verify(signature, KEYS[1], head, sha256(SIGNED_BODY).hexdigest())
        except ServiceError as error:
            return error.code
        return "verified"


class Requests:
    """Messages into a running server, through a socket."""

    name = "requests"

    def __init__(self, url: str) -> None:
        self._address = (urlsplit(url).hostname, urlsplit(url).port)
        self._requests = requests()

    def make(self, seed: int, number: int) -> bytes:
        """Returns a spoilt message."""
        random = Random(f"{self.name} {seed} {number}")
        operation, request = random.choice(self._requests)
        return spoil_http(random, operation, spoil_json(random, request))

    def feed(self, made: bytes) -> str:
        """Sends it, and listens until the server hangs up."""
        return self._exchange(made, PATIENCE_S)

    def _exchange(self, message: bytes, patience_s: float) -> str:
        began, received, done = time.monotonic(), b"", False
        with socket.create_connection(self._address, timeout=SECONDS_MAX) as client:
            try:
                client.sendall(message)
                client.settimeout(patience_s)
                while True:
                    try:
                        piece = client.recv(2**16)
                    except TimeoutError:
                        if done or received:
                            raise
                        done = True
                        client.shutdown(socket.SHUT_WR)
                        client.settimeout(SECONDS_MAX)
                        continue
                    if not piece:
                        break
                    received += piece
            except (ConnectionError, BrokenPipeError):
                pass  # it hung up while we were still talking
            except TimeoutError:
                if not received:
                    raise Finding("no answer, and no end") from None
        if time.monotonic() - began > SECONDS_MAX:
            raise Finding(f"{time.monotonic() - began:.0f} s")
        return _verdict(received)


class Pictures(Requests):
    """Pictures into a running server, in valid requests."""

    name = "pictures"

    def __init__(self, url: str, seeds: Sequence[bytes]) -> None:
        super().__init__(url)
        self._seeds = seeds

    def make(self, seed: int, number: int) -> bytes:
        """Returns a message with a spoilt picture."""
        random = Random(f"{self.name} {seed} {number}")
        operation = random.choice(WITH_PICTURES)
        picture = spoil_picture(random, random.choice(self._seeds), self._seeds)
        image = {"Bytes": b64encode(picture[:PICTURE_BYTES_MAX]).decode()}
        request: dict[str, Any] = {"CollectionId": COLLECTION, "Image": image}
        if operation == "CompareFaces":
            request = {"SourceImage": image, "TargetImage": image}
        body = json.dumps(request).encode()
        head = (
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n"
            f"X-Amz-Target: RekognitionService.{operation}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def feed(self, made: bytes) -> str:
        """Sends it, and waits for its answer."""
        verdict = self._exchange(made, SECONDS_MAX)
        if verdict in {"silence", "404", "400"}:
            raise Finding(f"{verdict} to a valid request")
        return verdict


def _verdict(received: bytes) -> str:
    """Returns the last answer's error code, or its status."""
    statuses = re.findall(rb"^HTTP/1\.1 (\d{3}) ", received, re.MULTILINE)
    if any(status.startswith(b"5") for status in statuses):
        raise Finding(received[:2000].decode("latin-1"))
    if not statuses:
        if received:
            raise Finding(f"an answer that is no HTTP: {received[:200]!r}")
        return "silence"
    code = re.search(rb'"__type":"(\w+)"', received)
    return code[1].decode() if code else bytes(statuses[-1]).decode()
