"""The job that removes the faces of a collection that are over its time, as DisassociateFaces and DeleteFaces would."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.jobs.model import NewJob
from rekognition_emulator.jobs.run import JobKind, JobRun
from rekognition_emulator.retention.store import RetentionStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from rekognition_emulator.telemetry.observation import new_id

BATCH: Final = 200
"""Faces that go in one transaction, for which whoever writes into the collection waits. Ours: 0.1 s at the most."""

KIND: Final = "retention"


@dataclass(frozen=True, slots=True)
class Expiry:
    """What one job removes: the faces of a collection that came before a moment.

    Attributes:
        key: of the collection. Another one that is made later by the same name is not meant.
        before: fixed when the job is made, so that it has an end however often it begins again.
    """

    account: str
    region: str
    name: str
    key: int
    before: datetime


def retention_jobs(pool: JoiningPool) -> JobKind[Expiry]:
    """Returns the kind of job that keeps collections to their time."""
    return JobKind(KIND, Expiry, partial(_expire, pool), due=partial(_due, pool))


def _due(pool: JoiningPool) -> Iterator[tuple[Actor, NewJob]]:
    """Yields a job for each collection in which a face is over its time."""
    store, kind = RetentionStore(pool), retention_jobs(pool)
    for owner, name, key, before in store.limited():
        if store.expired(key, before, 1):
            actor = Actor("retention", owner.account, new_id(), f"({KIND})", owner.region)
            expiry = Expiry(owner.account, owner.region, name, key, before)
            yield actor, kind.new(expiry, subject=name, single=str(key))


def _expire(pool: JoiningPool, expiry: Expiry, run: JobRun) -> None:
    """Removes what is over the time, batch by batch; each batch is one transaction with its rows of the audit log."""
    retention = RetentionStore(pool)
    total = run.done + retention.count_expired(expiry.key, expiry.before)
    more = True
    while more:
        with run.step():
            collection = _collection(pool, expiry)
            faces = retention.expired(expiry.key, expiry.before, BATCH) if collection else ()
            if collection and faces:
                _remove(pool, run.actor, collection, faces)
            done = run.done + len(faces)
            run.save({"removed": done}, done=done, total=max(total, done))
            more = len(faces) == BATCH


def _collection(pool: JoiningPool, expiry: Expiry) -> Collection | None:
    """Returns the collection as it is now; None where it is gone, and its faces with it."""
    try:
        collection = PostgresStore(pool).get_collection(Owner(expiry.account, expiry.region), expiry.name)
    except CollectionNotFound:
        return None
    return collection if collection.key == expiry.key else None


def _remove(pool: JoiningPool, actor: Actor, collection: Collection, faces: Sequence[tuple[UUID, str | None]]) -> None:
    of_users = defaultdict(list)
    for face_id, user_id in faces:
        if user_id is not None:
            of_users[user_id].append(face_id)
    users = PostgresUserStore(pool)
    for user_id, face_ids in of_users.items():
        users.disassociate_faces(actor, collection, user_id, face_ids)
    PostgresStore(pool).delete_faces(actor, collection, [face_id for face_id, _ in faces])
