"""The job that removes the faces of a collection whose time is over, as DisassociateFaces and DeleteFaces would."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.errors import CollectionNotFound
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.jobs.model import NewJob
from rekognition_emulator.jobs.run import JobKind, JobRun
from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.retention.store import Expiry, RetentionStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from rekognition_emulator.telemetry.observation import new_id

KIND: Final = "retention"

BATCH: Final = 100
"""Faces that go in one transaction, for which who writes into the collection waits. Ours: a fraction of a second."""


def retention_jobs(pool: JoiningPool) -> JobKind[Expiry]:
    """Returns the kind of job that keeps collections to their time, hourly."""
    return JobKind(KIND, Expiry, partial(_expire, pool), due=partial(_due, pool))


def set_retention(pool: JoiningPool, actor: Actor, collection: Collection, days: int | None) -> int:
    """Keeps a collection's faces for so many days from when they came, and has go at once what is older.

    Args:
        pool: to the database.
        actor: who sets it.
        collection: whose faces.
        days: 1 to ``RETENTION_DAYS_MAX``; None: for ever.

    Returns:
        How many faces are over that time already. A job removes them.

    Raises:
        CollectionNotFound: it was deleted since it was read.
    """
    store = RetentionStore(pool)
    with pool.transaction():
        store.choose(actor, collection, days)
        expired = 0
        for expiry in store.expiries(collection.key):
            if expired := store.count(expiry):
                JobStore(pool).submit(actor, _job(pool, expiry))
    return expired


def _due(pool: JoiningPool) -> Iterator[tuple[Actor, NewJob]]:
    """Yields a job for each collection in which a face is over its time."""
    store = RetentionStore(pool)
    for expiry in store.expiries():
        if store.faces(expiry, 1):
            yield Actor(KIND, expiry.account, new_id(), f"({KIND})", expiry.region), _job(pool, expiry)


def _job(pool: JoiningPool, expiry: Expiry) -> NewJob:
    return retention_jobs(pool).new(expiry, subject=expiry.name, single=str(expiry.key))


def _expire(pool: JoiningPool, expiry: Expiry, run: JobRun) -> None:
    """Removes what is over the time, batch by batch; each batch is one transaction with its rows of the audit log."""
    store = RetentionStore(pool)
    total = run.done + store.count(expiry)
    more = True
    while more:
        with run.step():
            collection = _collection(pool, expiry)
            faces = store.faces(expiry, BATCH) if collection else ()
            if collection and faces:
                _remove(pool, run.actor, collection, faces)
            done = run.done + len(faces)
            run.save({"removed": done}, done=done, total=max(total, done))
            more = len(faces) == BATCH
            if collection and not more:  # fewer days may have been set since, and no second job was made then
                expiry = next(iter(store.expiries(expiry.key)), expiry)
                more = bool(store.faces(expiry, 1))


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
