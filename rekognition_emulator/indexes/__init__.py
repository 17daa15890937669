"""Changes when another index is offered: one file beside this one, and one line in the table.

Every index is made from the store, which the ones outside the database follow, and from the pool of connections, which
the ones inside it use.
"""

from collections.abc import Callable, Mapping
from typing import Final

from psycopg_pool import ConnectionPool

from rekognition_emulator.faces.index import FaceIndex
from rekognition_emulator.faces.store import FaceStore
from rekognition_emulator.indexes.memory import MemoryIndex
from rekognition_emulator.indexes.pgvector import PgvectorIndex

INDEXES: Final[Mapping[str, Callable[[FaceStore, ConnectionPool], FaceIndex]]] = {
    "pgvector": lambda _store, pool: PgvectorIndex(pool),
    "memory": lambda store, _pool: MemoryIndex(store),
}
"""Name in the settings → how it is made."""
