"""Black box: a server that tests share, and unmodified clients of it."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import PIL.Image
import pytest

from rekognition_emulator.demo import people
from rekognition_emulator.demo.people import PEOPLE, View, selfie
from tests.support import clients
from tests.support.server import Server


@pytest.fixture(scope="session")
def new_data_dir() -> Iterator[Callable[[], Path]]:
    """Makes data directories that go with the tests."""
    # Not below pytest's own folder: as root, the database's user must be able to enter every parent.
    with TemporaryDirectory(prefix="rekognition-test-") as parent:
        Path(parent).chmod(0o755)
        yield lambda: Path(mkdtemp(dir=parent))


@pytest.fixture(scope="session")
def start_server(new_data_dir: Callable[[], Path]) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the tests; without a data directory each gets an own one."""
    with ExitStack() as stack:

        def start(data_dir: Path | None = None, **environment: str) -> Server:
            server = Server.start(data_dir or new_data_dir(), **environment)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def server(start_server: Callable[..., Server], engine_settings: dict[str, str]) -> Server:
    """The server that tests share; they keep apart by the names of their collections."""
    return start_server(**engine_settings)


@pytest.fixture(scope="session")
def rekognition(server: Server) -> Any:
    """An SDK client that checks nothing before it sends, so that the server's own answers are seen."""
    return server.client(parameter_validation=False)


@pytest.fixture
def collection(rekognition: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new collection, named after the test."""
    name = re.sub(r"[^a-zA-Z0-9_.-]", "-", request.node.name)[:200]
    rekognition.create_collection(CollectionId=name)
    yield name
    rekognition.delete_collection(CollectionId=name)


@pytest.fixture(scope="session")
def javascript() -> clients.Client:
    """AWS's SDK for JavaScript."""
    return clients.javascript()


@pytest.fixture(scope="session")
def aiobotocore() -> clients.Client:
    """The SDK for asyncio."""
    return clients.aiobotocore()


@pytest.fixture(scope="session")
def party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an album of two made-up people, a selfie of one of them, and a wall without anybody."""
    pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")
    folder = tmp_path_factory.mktemp("party")
    ada, ben = PEOPLE[:2]
    together = next(picture for picture in people.album(1, 20, (ada, ben)) if len(picture.appearances) == 2)
    pictures = {
        "album/ada-plain.jpg": selfie(ada),
        "album/ada-tilted.jpg": selfie(ada, View(roll=12, light=0.7)),
        "album/ben.jpg": selfie(ben),
        "album/ada-and-ben.jpg": together.jpeg,
        "selfie.jpg": selfie(ada, View(side_px=220, roll=-12, blur=0.004)),
    }
    (folder / "album").mkdir()
    for name, jpeg in pictures.items():
        (folder / name).write_bytes(jpeg)
    PIL.Image.new("RGB", (320, 240), (190, 180, 170)).save(folder / "wall.jpg")
    return folder
