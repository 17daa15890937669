"""The indexes that are offered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.search.replica import Replica


@dataclass(frozen=True, slots=True)
class IndexDependencies:
    """What an index may be made of.

    Attributes:
        store: which the indexes outside the database follow.
        pool: connections to the database, for the indexes inside it.
        folder: an index keeps its files in the folder of its own name in here; it may not exist yet.
        memory_bytes_max: what an index may hold in this process's memory.
        read_pool: connections to a copy of the database, which may be behind or away; None where there is none.
        milvus_uri: of a Milvus; None for one in a file.
        milvus_token: that it asks for, if any.
    """

    store: FaceStore
    pool: ConnectionPool
    folder: Path
    memory_bytes_max: int
    read_pool: ConnectionPool | None = None
    milvus_uri: str | None = None
    milvus_token: str = ""


class IndexUnusable(Exception):
    """An index cannot be had here; the text says what the operator has to do."""


def _pgvector(around: IndexDependencies) -> FaceIndex:
    return PgvectorIndex(around.pool, Replica(around.read_pool) if around.read_pool else None)


def _faiss(around: IndexDependencies) -> FaceIndex:
    from rekognition_emulator.search.faiss import FaissIndex  # noqa: PLC0415 - a large library, which the other indexes do without

    return FaissIndex(around.store, around.folder / "faiss", around.memory_bytes_max)


def _milvus(around: IndexDependencies) -> FaceIndex:
    try:
        from rekognition_emulator.search.milvus import MilvusIndex  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise IndexUnusable("The index milvus needs pymilvus: install requirements-extras.lock.") from error
    uri = around.milvus_uri or str(around.folder / "milvus" / "milvus.db")
    return MilvusIndex(around.store, around.pool, uri, around.milvus_token, otherwise=_pgvector(around))


INDEXES: Final[Mapping[str, Callable[[IndexDependencies], FaceIndex]]] = {
    "pgvector": _pgvector,
    "faiss": _faiss,
    "milvus": _milvus,
    "memory": lambda around: MemoryIndex(around.store, around.memory_bytes_max),
}
"""Name in the settings, and in a collection, → how it is made."""
