from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.search.registry import INDEXES, IndexDependencies
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.users import PostgresUserStore

OPENED: dict[str, Callable[[IndexDependencies], FaceIndex]] = {
    **INDEXES,
    "pgvector with graphs": lambda around: PgvectorIndex(around.pool, exact_max=0),
}
"""Each index that is offered, also where it is otherwise another for large collections only."""


@pytest.fixture
def surroundings(store: PostgresStore, pool: ConnectionPool, tmp_path: Path) -> IndexDependencies:
    """The test's own store and folder, and room for all that a test makes."""
    return IndexDependencies(store, pool, folder=tmp_path / "indexes", memory_bytes_max=100_000_000)


@pytest.fixture
def open_index(surroundings: IndexDependencies) -> Iterator[Callable[[str], FaceIndex]]:
    """Opens indexes by name, over the test's own store; they are closed with the test."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(closing(OPENED[name](surroundings)))


@pytest.fixture(params=OPENED)
def index(request: pytest.FixtureRequest, open_index: Callable[[str], FaceIndex]) -> FaceIndex:
    """Each index that is offered."""
    return open_index(request.param)


@pytest.fixture
def users(pool: ConnectionPool) -> PostgresUserStore:
    """The users of the same database."""
    return PostgresUserStore(pool)
