"""The index ``milvus``: collections in Milvus, and what is asked of it.

Vectors lie in one Milvus collection for each dimension, partitioned by gallery: the faces or the users of one of our
collections, filled at one time. A mark tells which gallery a collection has at the moment and up to which revision it
was filled. To begin anew is to fill another gallery and then to move the mark, so that a search never meets a gallery
that is half filled or half emptied.

As long as somebody else fills a gallery, or Milvus does not answer, the database itself is searched. It finds the same.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import numpy as np
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Collection, Delta, Embedding, Match, UserMatch
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search.base import FaceIndex, IndexStatus, Progress
from rekognition_emulator.search.vectors import cosines, ranked

# gRPC, through which Milvus's client speaks, would otherwise go to work in every child of this process between fork and
# exec, where one in a hundred crashed. It reads this when it is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
from pymilvus import DataType, MilvusClient, MilvusException

K = TypeVar("K", UUID, str)

MARKS: Final = "rekognition_marks"

GRAPH: Final = {"M": 16, "efConstruction": 200}
"""Of HNSW. Source: pgvector's and FAISS's usual neighbours, at a build quality that Milvus's documentation suggests."""

BREADTH_MIN: Final = 256
"""Candidates that a search of the graph keeps; twice the limit where that is more. Source: ours."""

LIMIT_MAX: Final = 16_384
"""Of one answer. Source: Milvus's limits."""

ROUNDING: Final = 1e-4
"""Milvus adds in another order than we do: so much below the threshold is asked for, and then computed by us."""

BATCH: Final = 1_000
"""Vectors sent at once: 4 MB of 512 dimensions as Milvus's client packs them, far below gRPC's 64."""

PATIENCE_S: Final = 1.0
"""For somebody else who is filling a gallery; then a search goes to the database."""

LOCK_PAUSE_S: Final = 0.02

LOCK_CLASS: Final = 0x6D696C76
"""Our number among the database's advisory locks, with the collection's key; any would do."""

_LOG: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """What Milvus has of one of our collections.

    Attributes:
        faces: the gallery of its faces; of its users it is the same with a prefix.
        dimension: of its vectors; 0 as long as there are none.
        revision: up to which the gallery has all additions.
        removals_revision: up to which it has all removals.
        milestone: that the collection had passed when the last change was sent here.
    """

    faces: str
    dimension: int
    revision: int
    removals_revision: int
    milestone: str


class Busy(Exception):
    """Somebody else is filling the gallery."""


class MilvusIndex(FaceIndex):
    """Keeps vectors in Milvus, and follows the store by their revisions."""

    def __init__(self, store: FaceStore, pool: ConnectionPool, uri: str, token: str, otherwise: FaceIndex) -> None:
        """Makes one; Milvus is first asked by the first search.

        Args:
            store: what is followed.
            pool: to the database, whose locks keep two processes from filling one gallery.
            uri: ``http://host:19530``, or the path of a file for Milvus Lite.
            token: ``user:password`` or an API key; empty without.
            otherwise: searches while Milvus cannot.
        """
        self._store = store
        self._pool = pool
        self._uri = uri
        self._token = token
        self._otherwise = otherwise
        self._opened: MilvusClient | None = None
        self._lock = threading.Lock()
        self._filling = [threading.Lock() for _ in range(64)]

    def search(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: UUID | None = None
    ) -> list[Match]:
        try:
            found = self._nearest(collection, "", probe, cosine_min, limit + (without is not None))
        except (Busy, MilvusException) as reason:
            _note(collection, reason)
            return self._otherwise.search(collection, probe, cosine_min=cosine_min, limit=limit, without=without)
        return [Match(*near) for near in ranked([(UUID(name), cosine) for name, cosine in found], limit, without)]

    def search_users(
        self, collection: Collection, probe: Embedding, *, cosine_min: float, limit: int, without: str | None = None
    ) -> list[UserMatch]:
        try:
            found = self._nearest(collection, "users-", probe, cosine_min, limit + (without is not None))
        except (Busy, MilvusException) as reason:
            _note(collection, reason)
            return self._otherwise.search_users(collection, probe, cosine_min=cosine_min, limit=limit, without=without)
        return [UserMatch(*near) for near in ranked(found, limit, without)]

    def prepare(self, collection: Collection, progress: Progress) -> None:
        self._follow(collection, progress)

    def holding(self, collection: Collection) -> IndexStatus:
        mark = self._mark(collection)
        faces = self._count(mark.dimension, mark.faces) if mark else 0
        kind = "milvus, exact" if self._is_lite else "milvus, hnsw"
        return (
            IndexStatus(mark.revision, faces, faces * mark.dimension * 4, kind)
            if mark
            else IndexStatus(0, 0, 0, "nothing")
        )

    def forget(self, collection: Collection) -> None:
        with self._filled_by_us(collection):
            self._client.delete(MARKS, filter=f"id == {collection.key}")
            self._drop_others(collection, keep="")

    def close(self) -> None:
        if self._opened:
            self._opened.close()

    def _nearest(
        self, collection: Collection, prefix: str, probe: Embedding, cosine_min: float, limit: int
    ) -> list[tuple[str, float]]:
        """Returns ids and cosines of the nearest, ``limit`` of them and those that equal the last one, unordered."""
        while True:
            mark = self._follow(collection)
            found = self._ask(mark, prefix, probe, cosine_min, limit)
            after = self._mark(collection)
            if after and after.faces == mark.faces:  # else it was emptied while we searched it
                return found

    def _ask(self, mark: Mark, prefix: str, probe: Embedding, cosine_min: float, limit: int) -> list[tuple[str, float]]:
        if not mark.dimension:
            return []
        wanted = min(limit, LIMIT_MAX)
        while True:
            parameters: dict[str, Any] = {"ef": max(BREADTH_MIN, 2 * wanted)}
            if cosine_min - ROUNDING > -1:
                parameters |= {"radius": cosine_min - ROUNDING}
            (hits,) = self._client.search(
                _name(mark.dimension),
                data=[probe],
                filter=f'gallery == "{prefix}{mark.faces}"',
                limit=min(wanted + 1, LIMIT_MAX),
                search_params={"metric_type": "IP", "params": parameters},
                output_fields=["name", "embedding"],
                consistency_level="Strong",
            )
            if not hits:
                return []
            # Milvus adds in another order in different rows, and rounds differently with it.
            near = cosines(np.array([hit["entity"]["embedding"] for hit in hits], np.float32), probe)
            complete = len(hits) <= wanted or np.sort(near)[-wanted] > near.min() + ROUNDING or wanted == LIMIT_MAX
            if complete:
                names = [hit["entity"]["name"] for hit in hits]
                return [(name, float(c)) for name, c in zip(names, near, strict=True) if max(-1.0, c) >= cosine_min]
            wanted = min(2 * wanted, LIMIT_MAX)  # the last ones are equal: which come first, their ids decide

    def _follow(self, collection: Collection, progress: Progress | None = None) -> Mark:
        mark = self._mark(collection)
        if mark and mark.revision >= collection.revision and self._is_of_its_past(collection, mark):
            return mark
        with self._filled_by_us(collection, inf if progress else PATIENCE_S):
            mark = self._mark(collection)
            if mark and not self._is_of_its_past(collection, mark):
                mark = None  # the database was restored to an earlier moment
            return self._fill(collection, mark, progress)

    def _fill(self, collection: Collection, mark: Mark | None, progress: Progress | None) -> Mark:
        """Brings a gallery up to the collection's revision, or a new one in its place."""
        made = mark or Mark(uuid4().hex, 0, 0, 0, "")
        anew = mark is None
        while made.revision < collection.revision:
            changes = self._store.changes(collection, made.revision, removals_since=made.removals_revision)
            if changes.anew and not anew:
                made, anew = Mark(uuid4().hex, 0, 0, 0, ""), True
            dimension = max(made.dimension, changes.embeddings.shape[1], changes.users.embeddings.shape[1])
            made = replace(made, dimension=dimension, milestone=str(uuid4()))
            # Whatever was sent before a crash goes with a milestone: a database without it has another history.
            self._store.set_history_token(collection, UUID(made.milestone))
            if not anew:
                self._set_mark(collection, made)
            self._send(collection, made, changes, "")
            self._send(collection, made, changes.users, "users-")
            made = replace(made, revision=changes.revision, removals_revision=changes.removals_revision)
            if not anew:
                self._set_mark(collection, made)
            if progress:
                faces = self._count(made.dimension, made.faces)
                progress(faces, max(faces, collection.face_count))
        if anew:
            self._set_mark(collection, made)
            self._drop_others(collection, keep=made.faces)
        return made

    def _send(self, collection: Collection, mark: Mark, delta: Delta[K], prefix: str) -> None:
        gallery = f"{prefix}{mark.faces}"
        if mark.dimension:
            self._require(mark.dimension)
            gone = [_id(gallery, name) for name in delta.removed]
            for start in range(0, len(gone), BATCH):
                self._client.delete(_name(mark.dimension), ids=gone[start : start + BATCH])
        for start in range(0, len(delta.added), BATCH):
            rows = zip(delta.added[start : start + BATCH], delta.embeddings[start : start + BATCH], strict=True)
            self._client.upsert(
                _name(mark.dimension),
                [
                    {
                        "id": _id(gallery, name),
                        "name": str(name),
                        "gallery": gallery,
                        "collection": collection.key,
                        "embedding": embedding,
                    }
                    for name, embedding in rows
                ],
            )

    def _drop_others(self, collection: Collection, keep: str) -> None:
        """Empties all galleries of a collection but one, those that a crash has left half filled among them."""
        for name in self._client.list_collections():
            if name.startswith(_name("")):
                kept = f'gallery not in ["{keep}", "users-{keep}"]'
                self._client.delete(name, filter=f"collection == {collection.key} and {kept}")

    def _is_of_its_past(self, collection: Collection, mark: Mark) -> bool:
        known = self._store.milestones([collection.key])[collection.key]
        return not mark.milestone or UUID(mark.milestone) in known

    def _mark(self, collection: Collection) -> Mark | None:
        rows = self._client.query(MARKS, ids=[collection.key], output_fields=["mark"], consistency_level="Strong")
        return Mark(**json.loads(rows[0]["mark"])) if rows else None

    def _set_mark(self, collection: Collection, mark: Mark) -> None:
        fields = {name: getattr(mark, name) for name in Mark.__slots__}
        self._client.upsert(MARKS, [{"id": collection.key, "mark": json.dumps(fields), "unused": [0.0, 0.0]}])

    def _count(self, dimension: int, gallery: str) -> int:
        if not dimension:
            return 0
        (row,) = self._client.query(
            _name(dimension), filter=f'gallery == "{gallery}"', output_fields=["count(*)"], consistency_level="Strong"
        )
        return int(row["count(*)"])

    @contextmanager
    def _filled_by_us(self, collection: Collection, patience_s: float = inf) -> Iterator[None]:
        """Keeps everybody else from filling the collection's galleries, in this process and in others.

        Raises:
            Busy: somebody is doing it, and did not end in time.
        """
        deadline = time.monotonic() + patience_s
        locks = {"class": LOCK_CLASS, "key": collection.key % 2**31}
        mine = self._filling[collection.key % len(self._filling)]
        if not mine.acquire(timeout=-1 if patience_s == inf else patience_s):
            raise Busy
        try:
            with self._pool.connection() as connection:
                while not _taken(connection, locks):
                    if time.monotonic() > deadline:
                        raise Busy
                    time.sleep(LOCK_PAUSE_S)
                try:
                    yield
                finally:
                    connection.execute("SELECT pg_advisory_unlock(%(class)s, %(key)s)", locks)
        finally:
            mine.release()

    @property
    def _is_lite(self) -> bool:
        return "://" not in self._uri

    @property
    def _client(self) -> MilvusClient:
        with self._lock:
            if self._opened is None:
                if self._is_lite:
                    Path(self._uri).parent.mkdir(0o700, parents=True, exist_ok=True)
                self._opened = _connect(self._uri, self._token)
            return self._opened

    def _require(self, dimension: int) -> None:
        """Makes the Milvus collection for vectors of this dimension, unless it is there."""
        name = _name(dimension)
        if self._client.has_collection(name):
            return
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, max_length=256, is_primary=True)
        schema.add_field("gallery", DataType.VARCHAR, max_length=64, is_partition_key=True)
        schema.add_field("collection", DataType.INT64)
        schema.add_field("name", DataType.VARCHAR, max_length=512)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dimension)
        index = self._client.prepare_index_params()
        kind, parameters = ("FLAT", {}) if self._is_lite else ("HNSW", GRAPH)
        index.add_index("embedding", index_type=kind, metric_type="IP", params=parameters)
        self._client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")


def _connect(uri: str, token: str) -> MilvusClient:
    """Opens a client, and makes the collection of marks unless it is there."""
    client = MilvusClient(uri, token=token)
    if not client.has_collection(MARKS):
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("mark", DataType.VARCHAR, max_length=1024)
        schema.add_field("unused", DataType.FLOAT_VECTOR, dim=2)  # Milvus keeps nothing without a vector
        index = client.prepare_index_params()
        index.add_index("unused", index_type="FLAT", metric_type="IP")
        client.create_collection(MARKS, schema=schema, index_params=index, consistency_level="Strong")
    return client


def _name(dimension: int | str) -> str:
    """Returns the name of the Milvus collection for vectors of this dimension."""
    return f"rekognition_vectors_{dimension}"


def _id(gallery: str, name: UUID | str) -> str:
    return f"{gallery}/{name}"


def _taken(connection: Connection[TupleRow], locks: dict[str, int]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%(class)s, %(key)s)", locks).fetchone()
    return bool(row and row[0])


def _note(collection: Collection, reason: Exception) -> None:
    _LOG.warning("searched in the database", collection=collection.name, cause=str(reason) or type(reason).__name__)
