"""Changes when another index is offered: one file beside this one, and one line in the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg_pool import ConnectionPool

from rekognition_emulator.faces.index import FaceIndex
from rekognition_emulator.faces.store import FaceStore
from rekognition_emulator.indexes.memory import MemoryIndex
from rekognition_emulator.indexes.pgvector import PgvectorIndex
from rekognition_emulator.indexes.replica import Replica


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an index may be made of.

    Attributes:
        store: which the indexes outside the database follow.
        pool: connections to the database, for the indexes inside it.
        folder: an index keeps its files in the folder of its own name in here; it may not exist yet.
        memory_bytes_max: what an index may hold in this process's memory.
        read_pool: connections to a copy of the database, which may be behind or away; None where there is none.
    """

    store: FaceStore
    pool: ConnectionPool
    folder: Path
    memory_bytes_max: int
    read_pool: ConnectionPool | None = None


def _faiss(around: Surroundings) -> FaceIndex:
    from rekognition_emulator.indexes.faiss import FaissIndex  # noqa: PLC0415 - a large library, which the other indexes do without

    return FaissIndex(around.store, around.folder / "faiss", around.memory_bytes_max)


INDEXES: Final[Mapping[str, Callable[[Surroundings], FaceIndex]]] = {
    "pgvector": lambda around: PgvectorIndex(around.pool, Replica(around.read_pool) if around.read_pool else None),
    "faiss": _faiss,
    "memory": lambda around: MemoryIndex(around.store, around.memory_bytes_max),
}
"""Name in the settings, and in a collection, → how it is made."""
