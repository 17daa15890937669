"""The indexes that are offered: those that come along, and those that other packages bring."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from psycopg_pool import ConnectionPool

from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.search.replica import Replica
from rekognition_emulator.search.url import IndexUrl
from rekognition_emulator.storage.changes import ChangeFeed

ENTRY_POINTS: Final = "rekognition_emulator.indexes"
"""The group in which another package names an index: ``name = "module:RECORD"``, an ``IndexRecord``."""


@dataclass(frozen=True, slots=True)
class IndexDependencies:
    """What an index may be made of.

    Attributes:
        store: which the indexes outside the database follow.
        pool: connections to the database, for the indexes inside it.
        folder: an index keeps its files in the folder of its own name in here; it may not exist yet.
        memory_bytes_max: what an index may hold in this process's memory.
        read_pool: connections to a copy of the database, which may be behind or away; None where there is none.
        address: of the index's server, as its URL has it; None where it has none.
        options: the URL's, checked against the index's record.
        token: that its server asks for; empty without.
    """

    store: ChangeFeed
    pool: ConnectionPool
    folder: Path
    memory_bytes_max: int
    read_pool: ConnectionPool | None = None
    address: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)


class IndexUnusable(Exception):
    """An index cannot be had here; the text says what the operator has to do."""


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """An index that can be chosen.

    Attributes:
        open: makes it; raises IndexUnusable where it cannot be had.
        takes_address: whether its URL may name a server.
        options: name → the pattern of values that it may have in the URL.
    """

    open: Callable[[IndexDependencies], FaceIndex]
    takes_address: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def check(self, url: IndexUrl) -> None:
        """Returns if the index understands its URL.

        Raises:
            ValueError: it does not; the text says what it understands.
        """
        if url.address and not self.takes_address:
            raise ValueError(f"must not have an address: {url.name} has no server")
        for name, value in url.options.items():
            if name not in self.options:
                known = f"they are {', '.join(self.options)}" if self.options else "it has none"
                raise ValueError(f"has an option that {url.name} does not know: {known}")
            if not re.fullmatch(self.options[name], value):
                raise ValueError(f"must have {name} like the pattern {self.options[name]}")


def find_index(name: str) -> IndexRecord:
    """Returns the record of an index that comes along or that an installed package brings.

    Raises:
        ValueError: there is none of this name, or its package is broken; the text goes on where the name ends.
    """
    if name in INDEXES:
        return INDEXES[name]
    brought = entry_points(group=ENTRY_POINTS)
    if name not in brought.names:
        raise ValueError(f"is none of {', '.join([*INDEXES, *sorted(brought.names)])}")
    try:
        record = brought[name].load()
    except Exception as error:  # another's code is run
        raise ValueError(f"cannot be loaded from {brought[name].value}: {error}") from error
    if not isinstance(record, IndexRecord):
        raise ValueError(f"is {brought[name].value}, which is no IndexRecord")  # noqa: TRY004 - the package is at fault
    return record


def _pgvector(around: IndexDependencies) -> FaceIndex:
    return PgvectorIndex(around.pool, Replica(around.read_pool) if around.read_pool else None)


def _faiss(around: IndexDependencies) -> FaceIndex:
    from rekognition_emulator.search.faiss import FaissIndex  # noqa: PLC0415 - a large library, which the other indexes do without

    return FaissIndex(around.store, around.folder / "faiss", _memory_bytes(around))


def _milvus(around: IndexDependencies) -> FaceIndex:
    try:
        from rekognition_emulator.search.milvus import MilvusIndex  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise IndexUnusable("The index milvus needs pymilvus: install requirements-extras.lock.") from error
    scheme = "https" if around.options.get("tls") == "true" else "http"
    uri = f"{scheme}://{around.address}" if around.address else str(around.folder / "milvus" / "milvus.db")
    return MilvusIndex(around.store, around.pool, uri, around.token, otherwise=_pgvector(around))


def _memory(around: IndexDependencies) -> FaceIndex:
    return MemoryIndex(around.store, _memory_bytes(around))


def _memory_bytes(around: IndexDependencies) -> int:
    wanted = around.options.get(MEMORY_MB)
    return int(wanted) * 1_000_000 if wanted else around.memory_bytes_max


MILVUS: Final = "milvus"
MEMORY_MB: Final = "memory_mb"
_MEMORY: Final = {MEMORY_MB: "[1-9][0-9]{0,8}"}

INDEXES: Final[dict[str, IndexRecord]] = {
    "pgvector": IndexRecord(_pgvector),
    "faiss": IndexRecord(_faiss, options=_MEMORY),
    MILVUS: IndexRecord(_milvus, takes_address=True, options={"tls": "true|false"}),
    "memory": IndexRecord(_memory, options=_MEMORY),
}
"""Name in the settings, and in a collection, → the index that comes along."""
