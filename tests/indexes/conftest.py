import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.faces.index import FaceIndex
from rekognition_emulator.indexes import INDEXES
from rekognition_emulator.store.postgres import PostgresStore


@pytest.fixture(params=INDEXES)
def index(request: pytest.FixtureRequest, store: PostgresStore, pool: ConnectionPool) -> FaceIndex:
    """Each index that is offered, over the test's own store."""
    name: str = request.param
    return INDEXES[name](store, pool)
