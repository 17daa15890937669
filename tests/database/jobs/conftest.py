"""Jobs of a test: a store, and what counting jobs have counted."""

from collections.abc import Callable

import pytest

from rekognition_emulator.jobs.store import JobStore
from rekognition_emulator.storage.transactions import JoiningPool


@pytest.fixture
def jobs(pool: JoiningPool) -> JobStore:
    """An empty store of jobs."""
    return JobStore(pool)


@pytest.fixture
def counted(pool: JoiningPool) -> Callable[[], list[int]]:
    """Returns what counting jobs have written, in its order."""
    with pool.connection() as connection:
        connection.execute("CREATE TABLE counted (at bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, number int)")

    def read() -> list[int]:
        with pool.connection() as connection:
            return [number for (number,) in connection.execute("SELECT number FROM counted ORDER BY at").fetchall()]

    return read
