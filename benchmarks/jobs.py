"""Searches beside a job: ``python -m benchmarks.jobs``.

One client searches by FaceId; for some seconds alone, then while retention removes faces of another collection or of
the same one, then alone again, and so on in turn: a busy minute of the machine meets all of them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from benchmarks import report
from benchmarks.report import Section
from benchmarks.server_load import REGION, post
from benchmarks.timing import Times, figure
from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.models.catalogue import DLIB
from rekognition_emulator.retention.job import set_retention
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import embeddings, picture
from tests.support.server import Server

OWNER: Final = Owner("000000000000", REGION)
ACTOR: Final = Actor("bench", OWNER.account, "", "(a bench)", OWNER.region)
KEPT: Final = 5_000
OLD: Final = 3_000
USERS: Final = 10
DIMENSION: Final = 128
ROUNDS: Final = 4
SECONDS: Final = 2.0


@dataclass
class Measured:
    """Seconds of each search, and how many faces the job removed meanwhile."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    removed: int = 0


def fill(pool: JoiningPool, name: str) -> list[UUID]:
    """Makes a collection of faces to keep, whose ids are returned, and of old ones, each fifth of a user."""
    store, users = PostgresStore(pool), PostgresUserStore(pool)
    collection = store.create_collection(ACTOR, OWNER, name, DLIB.version)
    kept, old = picture(embeddings(KEPT, DIMENSION, seed=1)), picture(embeddings(OLD, DIMENSION, seed=2))
    for faces in (old, kept):
        store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    ids = [new.face.face_id for new in old]
    with pool.connection() as connection:
        connection.execute(
            "UPDATE faces SET created_at = now() - interval '9 days' WHERE collection_id = %s AND face_id = ANY(%s)",
            [collection.key, ids],
        )
    for number in range(USERS):
        users.create_user(ACTOR, collection, str(number))
        users.associate_faces(ACTOR, collection, str(number), ids[number::50], near_enough=lambda _: True)
    return [new.face.face_id for new in kept]


def search(server: Server, name: str, ids: Sequence[UUID], into: Measured) -> None:
    """Searches a collection for some seconds."""
    begun = time.perf_counter()
    bodies = [json.dumps({"CollectionId": name, "FaceId": str(each), "MaxFaces": 50}).encode() for each in ids[:500]]
    latencies, refused = post(
        server.url.removeprefix("http://"),
        "SearchFaces",
        lambda number: bodies[number % len(bodies)],
        1,
        lambda _: time.perf_counter() - begun < SECONDS,
    )
    assert not refused
    into.latencies += latencies
    into.seconds += time.perf_counter() - begun


def main() -> None:
    """Measures and prints a table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    measured: dict[str, Measured] = {each: Measured() for each in ("alone", "other", "same")}
    with (
        tempfile.TemporaryDirectory(prefix="rekognition-bench-") as folder,
        embedded_database(Path(folder)) as url,
        open_pool(url, connections_max=2) as pool,
    ):
        names = [f"{number}-{where}" for number in range(ROUNDS) for where in ("other", "same")]
        ids = {name: fill(pool, name) for name in ("searched", *names)}
        server = Server.start(
            Path(folder), REKOGNITION_DATABASE_URL=url, REKOGNITION_STRICT="false", REKOGNITION_JOB_POLL_SECONDS="0.1"
        )
        store, jobs = PostgresStore(pool), JobStore(pool)
        search(server, "searched", ids["searched"], Measured())
        for name in names:
            search(server, "searched", ids["searched"], measured["alone"])
            set_retention(pool, ACTOR, store.get_collection(OWNER, name), 7)
            while not jobs.list(OWNER.account, limit=1)[0].done:
                time.sleep(0.01)
            where, before = name.partition("-")[2], jobs.list(OWNER.account, limit=1)[0].done
            target = name if where == "same" else "searched"
            search(server, target, ids[target], measured[where])
            measured[where].removed += jobs.list(OWNER.account, limit=1)[0].done - before
            while jobs.list(OWNER.account, limit=1)[0].finished_at is None:
                time.sleep(0.01)
        server.stop()
    base = Times(measured["alone"].latencies, measured["alone"].seconds).ms(95)
    rows = []
    for name, each in measured.items():
        times = Times(each.latencies, each.seconds)
        rows.append([name, *times.row(), f"{times.ms(95) / base:.2f}", figure(each.removed / each.seconds)])
    section = Section(
        "Searches beside a job",
        f"SearchFaces in {KEPT:,} faces and more × {DIMENSION} with `pgvector`, one client: alone, while retention "
        "removes faces of another collection, and of the same one.",
        ["job", *Times.HEAD, "p95 to alone's", "faces removed a second"],
        rows,
    )
    print(report.machine(report.INDEX_PACKAGES), section.markdown(), sep="\n\n")


if __name__ == "__main__":
    main()
