"""SearchFaces end to end, through a running server."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import UUID

import psutil

from benchmarks.report import Section
from benchmarks.server_load import REGION, post
from benchmarks.timing import Times, figure, repeated
from tests.support.server import Server

CLIENTS: Final = (1, 4, 16, 64)
SECONDS: Final = 1.5
"""For each number of clients, and for boto3."""

LIMIT: Final = 50


def measure(data_dir: Path, indexes: Sequence[str], name: str, face_ids: Sequence[UUID]) -> list[Section]:
    """Starts a server for each index and searches one album: by boto3 alone, then by more and more clients."""
    alone, loaded = [], []
    for index in indexes:
        log = data_dir / "server.log"
        log.unlink(missing_ok=True)
        server = Server.start(data_dir, REKOGNITION_STRICT="false", REKOGNITION_REGION=REGION, REKOGNITION_INDEX=index)
        try:
            seen, inside = _by_boto3(server, log, name, face_ids)
            parts = [value for p in (0, 50) for value in (seen.ms(p), inside.ms(p), seen.ms(p) - inside.ms(p))]
            percentiles = seen.ms(95), seen.ms(99), inside.ms(95), inside.ms(99)
            loads = [_load(server, name, face_ids, clients) for clients in CLIENTS]
            resident = psutil.Process(server.process.pid).memory_info().rss / 1e6
            alone.append([index, *map(figure, (*parts, *percentiles)), f"{resident:,.0f}"])
            rows = [[index, str(clients), *row] for clients, row in zip(CLIENTS, loads, strict=True)]
            loaded += rows
        finally:
            server.stop()
    return [
        Section(
            "SearchFaces through boto3",
            f"An album of {len(face_ids):,} faces × 512, `MaxFaces` {LIMIT} and no threshold, so that {LIMIT} matches "
            "come each time; one client, over a connection that stays open. Milliseconds that the client sees, those "
            "that the server's log has for the same requests, and what boto3 and the way there add.",
            [
                *("index", "client least", "server", "added", "client p50", "server", "added"),
                *("client p95", "p99", "server p95", "p99", "server MB"),
            ],
            alone,
            notes="The server's memory is what it has resident at the end, its networks included.",
        ),
        Section(
            "SearchFaces by many clients",
            f"The same requests by threads that send bodies made beforehand, {SECONDS} s each. The clients take their "
            "share of the cores.",
            ["index", "clients", *Times.HEAD, "refused"],
            loaded,
        ),
    ]


def _by_boto3(server: Server, log: Path, name: str, face_ids: Sequence[UUID]) -> tuple[Times, Times]:
    """Returns what the client saw, and what the server wrote down of the same requests."""
    client = server.client(region=REGION)

    def search(number: int) -> None:
        face_id = str(face_ids[number * 7_919 % len(face_ids)])
        found = client.search_faces(CollectionId=name, FaceId=face_id, MaxFaces=LIMIT, FaceMatchThreshold=0)
        assert len(found["FaceMatches"]) == LIMIT

    repeated(search, seconds=0, times_min=5)
    seen = repeated(search, seconds=SECONDS, times_min=10)
    lines = re.findall(r"^\{.*\"SearchFaces\".*\}$", log.read_text(), re.MULTILINE)[-len(seen.latencies) :]
    inside = [json.loads(line)["ms"] / 1000 for line in lines]
    return seen, Times(inside, sum(inside))


def _load(server: Server, name: str, face_ids: Sequence[UUID], clients: int) -> list[str]:
    bodies = [
        json.dumps({"CollectionId": name, "FaceId": str(face_id), "MaxFaces": LIMIT, "FaceMatchThreshold": 0}).encode()
        for face_id in face_ids[:: len(face_ids) // 97]
    ]
    start = perf_counter()
    more: Callable[[int], bool] = lambda _: perf_counter() - start < SECONDS  # noqa: E731 - one line says it
    latencies, refused = post(
        server.url.removeprefix("http://"), "SearchFaces", lambda number: bodies[number % len(bodies)], clients, more
    )
    return [*Times(latencies, perf_counter() - start).row(), str(refused)]
