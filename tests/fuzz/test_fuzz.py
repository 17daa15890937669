"""A bounded run of every target; ``make fuzz`` runs for minutes. What was found stands as a test where it belongs."""

import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.fuzz.__main__ import Run, running_server
from tests.fuzz.mutations import spoil_http, spoil_json, spoil_picture
from tests.fuzz.seeds import pictures, requests
from tests.fuzz.targets import Decoder, Finding, Pictures, Requests, Signatures, Target, Wire, _verdict
from tests.support.server import Server

SEED = 20_260_101


@pytest.fixture(scope="module")
def seeds() -> list[bytes]:
    """Pictures worth spoiling."""
    pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")
    return pictures()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server process with a collection."""
    with running_server() as server:
        yield server


def fuzzed(target: Target, seconds: float, number_max: int, clients: int = 1) -> Run:
    """Feeds inputs until either is reached."""
    run = Run(target, SEED)
    run.until(time.monotonic() + seconds, number_max, clients)
    assert not run.findings, run.findings
    return run


def test_no_spoilt_picture_escapes_the_decoder(seeds: list[bytes]) -> None:
    """Pictures with pieces missing, doubled or overwritten are decoded or refused by errors of ours."""
    verdicts = fuzzed(Decoder(seeds, None), 4, 300).verdicts
    assert verdicts["decoded"]
    assert verdicts["PictureUnreadable"]


def test_no_spoilt_json_escapes_the_wire() -> None:
    """JSON with odd values, encodings and depths is accepted or refused as the service does, with valid JSON."""
    verdicts = fuzzed(Wire(), 3, 1000).verdicts
    assert {"accepted", "SerializationException", "ValidationException"} <= set(verdicts)


def test_no_spoilt_signature_escapes_the_door() -> None:
    """Headers with parts missing, doubled or overwritten verify as they were signed, or are refused as AWS does."""
    verdicts = fuzzed(Signatures(), 3, 2000).verdicts
    assert {"InvalidSignatureException", "IncompleteSignatureException"} <= set(verdicts)


def test_a_server_answers_whatever_it_is_sent(server: Server, seeds: list[bytes]) -> None:
    """Spoilt messages and spoilt pictures get answers below 500, or a hang-up where they are no HTTP; none hangs."""
    fuzzed(Requests(server.url), 4, 200, clients=8)
    fuzzed(Pictures(server.url, seeds), 4, 40, clients=4)
    assert server.post("ListCollections", {}).status_code == 200


def test_an_input_can_be_made_again(seeds: list[bytes]) -> None:
    """A number and a seed make the same input; another of either makes another."""
    target = Decoder(seeds, None)
    assert [target.make(SEED, 7), Wire().make(SEED, 7)] == [target.make(SEED, 7), Wire().make(SEED, 7)]
    assert len({target.make(seed, number) for seed in range(3) for number in range(3)}) == 9


def test_findings_are_found() -> None:
    """A 5xx, silence, something that is no HTTP and any exception are findings, and each is counted and kept."""
    for received in (
        b"HTTP/1.1 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 \r\n",
        b"what",
    ):
        with pytest.raises(Finding):
            _verdict(received)
    assert _verdict(b'HTTP/1.1 400 Bad Request\r\n\r\n{"__type":"ValidationException"}') == "ValidationException"
    assert _verdict(b"") == "silence"


def test_what_is_spoilt_is_spoilt_in_every_way(seeds: list[bytes]) -> None:
    """No mutation gives up on an input: empty ones, short ones and those of any format come out changed or as bytes."""
    random = Random(SEED)
    for original in (b"", b"\xff", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", *seeds[:40]):
        for _ in range(5):
            assert isinstance(spoil_picture(random, original, seeds), bytes)
    for operation, request in requests():
        bodies = {spoil_json(random, request) for _ in range(50)}
        assert len(bodies) > 5
        assert len({spoil_http(random, operation, body) for body in bodies}) > 5
