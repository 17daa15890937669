"""``python -m tests.faults.attacks``: attacks by somebody who knows a key's id and has no secret, on a running server.

- bomb: heads that name one long header as signed thousands of times
- bodies: connections that announce bodies, from the address of a caller and with its key's id, and never send them
- patterns: headers and a policy for matching that takes quadratic or exponential time
- trailers: headers that come after the body, unsigned
- pictures: small files that take seconds to decode, from the holder of a key of another account

Meanwhile a caller works who is proved. It has to be served each time, the server must not grow, and nothing unproved
may change anything. Steps and bytes are counted, not times: an attack that works takes hours or gigabytes. Of the event
loop's stalls the longest is printed: how long a request took at most that is refused for its head.
"""

import argparse
import io
import json
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import PIL.Image
import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from typer.testing import CliRunner

from rekognition_emulator.cli.keys import app as commands
from tests.support.bombs import interlaced
from tests.support.server import Keys, Server, printed_keys

GROWTH_MB_MAX: Final = 60
BOMB_BYTES: Final = 60_000
CONNECTIONS: Final = 70
"""That announce bodies, for each of two operations."""

ANNOUNCED_BYTES: Final = 5_000_000
PATIENCE_S: Final = 60.0
"""For the answers to an attack; one that works takes minutes for each request."""

PICTURES: Final = 16
PICTURE_SIDES_PX: Final = (10_000, 4_200)
"""Just large enough to be decoded alone, for a second or two, in a file of 80 kB."""

TURNS_MAX: Final = 4
"""Pictures of the other account that may be done while a caller waits for an answer: those that are at work already,
and some that go on beside its own. In a queue in the order of arrival they are nearly all."""

COLLECTION: Final = "kept"
LONG_NAME: Final = "a-" * 127 + "a"
STARS: Final = "*-" * 12 + "wedding"


@dataclass
class Attacked:
    """What came of the attacks.

    Attributes:
        problems: what should not have happened; empty if the server held.
        sent: attack → requests and bytes.
        served: answers that the caller who is proved got.
        turns: of the account that sends large pictures, that a caller of another waited for at most.
        growth_mb: of the server's resident memory, at most.
        stall_s: the longest of the event loop.
    """

    problems: list[str] = field(default_factory=list)
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    growth_mb: float = 0.0
    stall_s: float = 0.0


def attack(data_dir: Path, seconds: float) -> Attacked:
    """Starts a server on an empty data directory, attacks it, and tells what came of it.

    Args:
        data_dir: of the server.
        seconds: for which bodies stay away.
    """
    attacked = Attacked()
    server = Server.start(data_dir, REKOGNITION_STOP_SECONDS="1")  # not until the last picture is decoded
    try:
        client, image = server.client(), {"Bytes": _picture()}
        client.create_collection(CollectionId=COLLECTION)
        client.detect_faces(Image=image)
        with _watched(server, attacked):
            attacked.sent["patterns"] = _patterns(
                server, attacked
            )  # some are only read where nobody is asked for a key
        keys, starry, neighbours = _create_keys(data_dir, client)
        with _watched(server, attacked), _working(server, keys, image, attacked):
            attacked.sent["bomb"] = _bombs(server, keys, attacked)
            attacked.sent["trailers"] = _trailers(server, keys, attacked)
            attacked.sent["bodies"] = _bodies(server, keys, seconds)
            _match_stars(server, starry, attacked)
        # Not watched: decoding takes memory, by design.
        attacked.sent["pictures"] = _pictures(server, keys, neighbours, image, attacked)
        client = server.client(keys=keys)
        if (names := client.list_collections()["CollectionIds"]) != [COLLECTION]:
            attacked.problems.append(f"there was one collection, and now there are {names}")
    finally:
        server.stop()
    if attacked.growth_mb >= GROWTH_MB_MAX:
        attacked.problems.append(f"the server grew by {attacked.growth_mb:.0f} MB")
    return attacked


def _create_keys(data_dir: Path, anybody: Any) -> Sequence[Keys]:
    """Creates a key of everything, one whose policy has many wildcards, and one of another account.

    Returns when the server asks for keys.
    """
    policy = data_dir / "starry.json"
    resource = f"arn:aws:rekognition:*:*:collection/{STARS}"
    statement = {"Effect": "Allow", "Action": "rekognition:ListFaces", "Resource": resource}
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    keys = [
        _create_key(data_dir, "everything", "--policy", "full"),
        _create_key(data_dir, "starry", "--policy", str(policy)),
        _create_key(data_dir, "neighbour", "--policy", "full", "--account", "2" * 12),
    ]
    deadline = time.monotonic() + PATIENCE_S
    with suppress(ClientError):
        while time.monotonic() < deadline:
            anybody.list_collections()
            time.sleep(0.1)
    return keys


def _create_key(data_dir: Path, *arguments: str) -> Keys:
    """Runs ``keys create`` in this process: starting others for it would take half of the time of all attacks."""
    inherited = dict.fromkeys(name for name in os.environ if name.startswith("REKOGNITION_"))  # without values: unset
    environment = inherited | {"REKOGNITION_DATA_DIR": str(data_dir)}
    done = CliRunner().invoke(commands, ["create", *arguments], env=environment)
    assert done.exit_code == 0, done.output
    return printed_keys(done.stdout)


def _bombs(server: Server, keys: Keys, attacked: Attacked) -> tuple[int, int]:
    """Sends heads just below the bound, and some beyond it in one piece."""
    sent = Counter[str]()
    for number in range(24):
        names = ";a" * ((BOMB_BYTES if number % 2 else 2 * BOMB_BYTES) // 4)
        head = _claiming(keys, f"host;x-amz-date{names}", f"a: {'x' * (BOMB_BYTES // 2)}", "Content-Length: 2")
        sent["bytes"] += len(head) + 2
        answer = _ask(server, head + b"{}")
        if not answer.startswith(b"HTTP/1.1 400 "):
            attacked.problems.append(f"a bomb was answered with {answer[:60]!r}")
    return 24, sent["bytes"]


def _patterns(server: Server, attacked: Attacked) -> tuple[int, int]:
    """Sends headers that a careless pattern goes over again from each of their characters."""
    scope = "Credential=a/20260101/a-a"
    hostile = [
        "Authorization: " + "Credential=" * 5400,
        "Authorization: AWS4-HMAC-SHA256 " + scope * 2300,
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/" + "a-" * 29_000,
        "X-Amz-Date: " + "2" * 60_000,
        "X-Amz-Target: " + "RekognitionService." * 3000,
        "Host: " + "a." * 29_000,
        "Origin: " + "https://" * 7000,
    ]
    requests = [_head(line, "Content-Length: 2") + b"{}" for line in hostile for _ in range(20)]
    deadline = time.monotonic() + PATIENCE_S
    for number, request in enumerate(requests):
        answer = _ask(server, request)
        if not answer.startswith(b"HTTP/1.1 400 "):
            attacked.problems.append(f"{hostile[number // 20][:40]}… was answered with {answer[:60]!r}")
        if time.monotonic() > deadline:
            attacked.problems.append(f"{hostile[number // 20][:40]}… takes too long")
            break
    return len(requests), sum(map(len, requests))


def _trailers(server: Server, keys: Keys, attacked: Attacked) -> tuple[int, int]:
    """Sends an unsigned operation behind the body, to a request that is signed without one and to one with another."""
    trailer = b"0\r\nx-amz-target: RekognitionService.CreateCollection\r\n\r\n"
    body = b'{"CollectionId":"evil"}'
    length = 0
    for target in (None, "RekognitionService.ListCollections"):
        headers = {"Content-Type": "application/x-amz-json-1.1"} | ({"X-Amz-Target": target} if target else {})
        signed = AWSRequest("POST", server.url + "/", headers, body)
        SigV4Auth(Credentials(*keys), "rekognition", "eu-central-1").add_auth(signed)
        lines = [f"{name}: {value}" for name, value in signed.headers.items()]
        host = urlsplit(server.url).netloc
        head = "\r\n".join(["POST / HTTP/1.1", f"Host: {host}", "Transfer-Encoding: chunked", *lines, "", ""]).encode()
        request = head + b"%x\r\n%b\r\n" % (len(body), body) + trailer
        length += len(request)
        answer = _ask(server, request)
        expected = b"CollectionIds" if target else b"UnknownOperationException"
        if expected not in answer:
            attacked.problems.append(f"a trailer was answered with {answer[-100:]!r}")
    return 2, length


def _bodies(server: Server, keys: Keys, seconds: float) -> tuple[int, int]:
    """Opens connections that announce bodies; a third sends nothing, one a little, one trickles."""
    operations = ("IndexFaces", "ListCollections")
    heads = [_claiming(keys, "host;x-amz-date;x-amz-target", f"X-Amz-Target: RekognitionService.{name}",
                       f"Content-Length: {ANNOUNCED_BYTES}") for name in operations]  # fmt: skip
    sent = 0
    with ExitStack() as stack:
        opened = [stack.enter_context(_connected(server)) for _ in range(2 * CONNECTIONS)]
        for number, each in enumerate(opened):
            first = heads[number % 2] + b"x" * (0, 100_000, 1)[number % 3]
            each.sendall(first)
            sent += len(first)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for each in opened[2::3]:
                with suppress(OSError):
                    each.sendall(b"x")
                    sent += 1
            time.sleep(0.2)
    return len(opened), sent


def _match_stars(server: Server, starry: Keys, attacked: Attacked) -> None:
    """Asks for a collection whose name a policy's wildcards could be tried on in more ways than there is time for."""
    try:
        server.client(keys=starry).list_faces(CollectionId=LONG_NAME)
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDeniedException":
            return
    attacked.problems.append("a policy of wildcards allows what it does not name")


def _pictures(server: Server, keys: Keys, neighbours: Keys, image: Any, attacked: Attacked) -> tuple[int, int]:
    """Sends pictures of another account that are decoded one at a time, and counts how many of them a caller waits for.

    The caller is done before they are; the rest is left to the end of the server.
    """
    large, first, over = interlaced(*PICTURE_SIDES_PX), threading.Event(), threading.Event()
    answered = Counter[str]()
    neighbour, client = server.client(keys=neighbours), server.client(keys=keys)

    def send() -> None:
        try:
            neighbour.detect_faces(Image={"Bytes": large})
        except (ClientError, BotoCoreError) as error:
            # It may be told to come again, and in the end it is cut off.
            if not (over.is_set() or "ProvisionedThroughputExceeded" in str(error)):
                attacked.problems.append(f"a large picture: {error}")
        answered["large"] += 1
        first.set()

    for _ in range(PICTURES):
        threading.Thread(target=send, daemon=True).start()
    if not first.wait(PATIENCE_S):
        attacked.problems.append("no large picture was decoded")
    for ask in (client.detect_faces, partial(client.index_faces, CollectionId=COLLECTION)):
        before = answered["large"]
        try:
            ask(Image=image)
        except (ClientError, BotoCoreError) as error:
            attacked.problems.append(f"beside large pictures: {error}")
        attacked.turns = max(attacked.turns, answered["large"] - before)
    over.set()
    if attacked.turns > TURNS_MAX:
        attacked.problems.append(f"a caller waited for {attacked.turns} large pictures of another account")
    if answered["large"] == PICTURES:
        attacked.problems.append("the large pictures were done before the caller was: nothing is proved")
    return PICTURES, PICTURES * len(large)


@contextmanager
def _working(server: Server, keys: Keys, image: Any, attacked: Attacked) -> Iterator[None]:
    """Has a caller work who is proved, one thread for each kind of request."""
    over = threading.Event()

    def work(name: str, ask: Callable[[], object]) -> None:
        while not over.is_set():
            try:
                ask()
            except (ClientError, BotoCoreError) as error:
                attacked.problems.append(f"{name} of the caller who is proved: {error}")
            attacked.served[name] += 1

    client = server.client(keys=keys)
    kinds: dict[str, Callable[[], object]] = {
        "ListCollections": client.list_collections,
        "DetectFaces": lambda: client.detect_faces(Image=image),
        "IndexFaces": lambda: client.index_faces(CollectionId=COLLECTION, Image=image),
    }
    threads = [threading.Thread(target=work, args=kind) for kind in kinds.items()]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()


@contextmanager
def _watched(server: Server, attacked: Attacked) -> Iterator[None]:
    """Reads the server's memory, and how long it takes to refuse what nobody has signed."""
    over, process = threading.Event(), psutil.Process(server.process.pid)
    before = process.memory_info().rss
    nobody = _head("Content-Length: 0")

    def watch() -> None:
        with _connected(server) as probe:
            while not over.wait(0.01):
                started = time.perf_counter()
                probe.sendall(nobody)
                if not probe.recv(4096):
                    attacked.problems.append("a connection that was in use was closed")
                    return
                attacked.stall_s = max(attacked.stall_s, time.perf_counter() - started)
                attacked.growth_mb = max(attacked.growth_mb, (process.memory_info().rss - before) / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _claiming(keys: Keys, signed_headers: str, *lines: str) -> bytes:
    """Returns a head that claims to be signed with a key, by somebody who has not its secret."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{keys[0]}/{now[:8]}/eu-central-1/rekognition/aws4_request"
    signature = f"SignedHeaders={signed_headers}, Signature={'0' * 64}"
    return _head(f"X-Amz-Date: {now}", f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, {signature}", *lines)


def _head(*lines: str) -> bytes:
    usual = () if any(line.startswith("Host: ") for line in lines) else ("Host: localhost",)
    return "\r\n".join(["POST / HTTP/1.1", *usual, "Content-Type: application/x-amz-json-1.1", *lines, "", ""]).encode()


@contextmanager
def _connected(server: Server) -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S) as client:
        yield client


def _ask(server: Server, request: bytes) -> bytes:
    """Sends a request on a connection of its own and returns the beginning of the answer."""
    with _connected(server) as client:
        with suppress(ConnectionError):  # it may be refused before it is there as a whole
            client.sendall(request)
        try:
            return client.recv(65_536)
        except ConnectionResetError:
            return b"HTTP/1.1 400 (reset)"


def _picture() -> bytes:
    """Returns a JPEG with nobody in it."""
    written = io.BytesIO()
    PIL.Image.new("RGB", (160, 120), (190, 180, 170)).save(written, "JPEG")
    return written.getvalue()


def report(attacked: Attacked) -> Sequence[str]:
    """Returns lines that tell what came of the attacks."""
    sent = [f"{name}: {count} requests, {length:,} bytes" for name, (count, length) in attacked.sent.items()]
    served = ", ".join(f"{count} × {name}" for name, count in attacked.served.items())
    return [
        *sent,
        f"served meanwhile: {served}; a caller waited for {attacked.turns} large pictures of another account",
        f"the server grew by {attacked.growth_mb:.0f} MB; the event loop stood for {attacked.stall_s * 1000:.0f} ms",
        *(f"PROBLEM {problem}" for problem in attacked.problems),
    ]


def main() -> None:
    """Attacks a server of its own; ends with 1 if it did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="for which bodies stay away")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="rekognition-attacks-") as folder:
        Path(folder).chmod(0o755)  # as root, the database's user must be able to enter
        attacked = attack(Path(folder), given.seconds)
    print("\n".join(report(attacked)))
    sys.exit(bool(attacked.problems))


if __name__ == "__main__":
    main()
