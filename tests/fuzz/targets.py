"""Changes when something else is to be fuzzed, or when another behaviour counts as a finding.

A target makes its n-th input from the seed and n alone, so that a finding can be made again by its number.
"""

import json
import re
import socket
import time
import warnings
from base64 import b64encode
from collections.abc import Sequence
from random import Random
from typing import Any, Protocol
from urllib.parse import urlsplit

import botocore_models
from rekognition_emulator.faces.engine import FaceEngine
from rekognition_emulator.faces.errors import FaceError
from rekognition_emulator.faces.image import DETECTION_SIDE_PX, decode
from rekognition_emulator.faces.pipeline import analyse
from rekognition_emulator.wire.dispatch import Dispatcher
from rekognition_emulator.wire.sigv4 import scope_region
from tests.fuzz.mutations import SPOILT_HEADERS, spoil, spoil_http, spoil_json, spoil_picture
from tests.fuzz.seeds import COLLECTION, requests

SECONDS_MAX = 30.0
"""For one input, on a busy machine. What takes longer hangs."""

PATIENCE_S = 1.0
"""For an answer to what may be half a request; then we say that we are done."""

PICTURE_BYTES_MAX = 5_300_000
"""A little more than is allowed. Of a body that is too long by megabytes the server hears the beginning only, and a
client that asks it to hang up afterwards may not hear the answer."""

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
    """Bodies and headers into JSON, validation, rendering and the signature's parser, in this process."""

    name = "wire"

    def __init__(self) -> None:
        model = botocore_models.load()
        handlers = dict.fromkeys(model.operation_names, _accept)
        self._dispatcher = Dispatcher(model, handlers, lambda _error, _operation: None, "README")
        self._requests = requests()

    def make(self, seed: int, number: int) -> bytes:
        """Returns an operation, a header and a spoilt body, one per line but for the body."""
        random = Random(f"{self.name} {seed} {number}")
        operation, request = random.choice(self._requests)
        line = spoil(random, random.choice(SPOILT_HEADERS), SPOILT_HEADERS).replace(b"\n", b" ")
        return operation.encode() + b"\n" + line + b"\n" + spoil_json(random, request)

    def feed(self, made: bytes) -> str:
        """Dispatches, and reads the answer."""
        operation, line, body = made.split(b"\n", 2)
        scope_region(line.decode("latin-1"))
        target = f"RekognitionService.{operation.decode()}"
        answer = self._dispatcher.dispatch(target, "application/x-amz-json-1.1", body, None)
        json.loads(answer.body.decode("utf-8"))
        if answer.status not in {200, 400}:
            raise Finding(f"{answer.status} {answer.error}")
        return answer.error or "accepted"


def _accept(_context: object, _request: object) -> dict[str, Any]:
    return {}


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
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n"
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
