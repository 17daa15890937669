import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from uuid import UUID

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.domain.errors import ObjectUnavailable
from rekognition_emulator.domain.faces import Collection, EnrolledFace, NewFace, PictureSource, name_picture
from rekognition_emulator.imaging.crops import cut_chip
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.reembedding.service import LATE_MAX, Failure, Reembedding
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from tests.support.gallery import ACTOR, OWNER
from tests.support.scripted import FRONTAL

PLACES = (BoundingBox(0.1, 0.1, 0.3, 0.3), BoundingBox(0.6, 0.5, 0.3, 0.3))
MODEL = FaceModel("new", "2.1", 3, "ours", ((-1.0, 0.0), (1.0, 100.0)))


class ColourEngine(FaceEngine):
    """Sees a face in each of two places, and embeds it by its colour."""

    def __init__(self, places: Sequence[BoundingBox] = PLACES) -> None:
        self.places = places
        self.seen = 0

    @property
    def model(self) -> FaceModel:
        """The new one."""
        return MODEL

    def detect(self, image: Image) -> list[Detection]:  # noqa: ARG002 - they are always there
        """The places."""
        self.seen += 1
        return [detection(place) for place in self.places]

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        """The colour at the nose."""
        height, width = image.pixels.shape[:2]
        rows = []
        for each in detections:
            x, y = each.landmarks[2] * (width, height)
            colour = image.pixels[round(y), round(x)].astype(np.float32)
            rows.append(colour / np.linalg.norm(colour))
        return np.stack(rows)


def detection(place: BoundingBox) -> Detection:
    """A frontal face in a place."""
    points = FRONTAL * (place.width, place.height) + (place.left, place.top)
    return Detection(place, points.astype(np.float32), 99.0)


def picture(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    """A picture with a colour on each side."""
    image = PIL.Image.new("RGB", (400, 400), left)
    image.paste(right, (200, 0, 400, 400))
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


RED_AND_BLUE = picture((250, 10, 10), (10, 10, 250))
GREEN_AND_RED = picture((10, 250, 10), (250, 10, 10))


class World:
    """An album, and the objects that its pictures were read from."""

    def __init__(self, store: PostgresStore, pool: JoiningPool) -> None:
        self.store = store
        self.pool = pool
        self.staging = PostgresReembeddingStore(pool)
        self.album = store.create_collection(ACTOR, OWNER, "album", "1.1")
        self.objects = {"a": RED_AND_BLUE, "b": GREEN_AND_RED}
        self.engine = ColourEngine()

    def fetch(self, bucket: str, key: str, version: str | None) -> bytes:
        """Reads an object."""
        assert version is None
        if key not in self.objects:
            raise ObjectUnavailable(bucket, key)
        return self.objects[key]

    def add(
        self, contents: bytes, *, key: str | None = None, chips: bool = False, name: str | None = None
    ) -> list[UUID]:
        """Stores both faces of a picture, embedded by some old model."""
        image, image_id = decode(contents), name_picture(contents, name)
        faces = [
            NewFace(
                EnrolledFace(UUID(int=image_id.int + number), image_id, name, place, 99.0),
                np.array([1, 0], np.float32),
                cut_chip(image, detection(place)) if chips else None,
            )
            for number, place in enumerate(PLACES)
        ]
        source = PictureSource("bucket", key, None) if key else None
        return [face.face_id for face in self.store.add_faces(ACTOR, self.album, image_id, faces, source)]

    def run(self) -> tuple[list[Failure], int]:
        """Re-embeds; returns the failures, and how many faces were reported as done."""
        self.album = self.store.get_collection(OWNER, "album")
        done: list[int] = []
        with closing(PgvectorIndex(self.pool, exact_max=1)) as index:
            reembedding = Reembedding(
                self.staging, ACTOR, self.album, self.engine, self.engine, self.fetch, index, workers=2
            )
            failures = reembedding.run(done.append)
        self.album = self.store.get_collection(OWNER, "album")
        return failures, sum(done)

    def colour(self, face_id: UUID) -> str:
        """Which colour a face was embedded as."""
        return ["red", "green", "blue"][int(np.argmax(self.store.get_embedding(self.album, face_id)))]


@pytest.fixture
def world(store: PostgresStore, pool: JoiningPool) -> World:
    """Nothing is in the album yet."""
    return World(store, pool)


def test_faces_come_from_chips_and_from_pictures(world: World) -> None:
    """Each face gets the embedding of what is seen in its own place, whichever way it is found again."""
    ids = [*world.add(RED_AND_BLUE, key="a"), *world.add(GREEN_AND_RED, chips=True, name="b.png")]
    assert world.run() == ([], 4)
    assert [world.colour(face_id) for face_id in ids] == ["red", "blue", "green", "red"]
    assert world.engine.seen == 1  # chips need no detector, and a picture only one look
    assert world.album.face_model_version == "2.1"


def unnamed(world: World) -> None:
    """Neither chip nor source."""
    world.add(RED_AND_BLUE)


def gone(world: World) -> None:
    """The object was deleted."""
    world.add(RED_AND_BLUE, key="a")
    del world.objects["a"]


def replaced(world: World) -> None:
    """Somebody put another picture there."""
    world.add(RED_AND_BLUE, key="a")
    world.objects["a"] = GREEN_AND_RED


def moved(world: World) -> None:
    """The detector does not see the faces there any more."""
    world.add(RED_AND_BLUE, key="a")
    world.engine.places = [BoundingBox(0.3, 0.3, 0.3, 0.3)]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(unnamed, "neither"), (gone, "cannot be read"), (replaced, "another picture"), (moved, "not found")],
)
def test_nothing_changes_unless_all_faces_can_be_embedded(
    world: World, spoil: Callable[[World], None], reason: str
) -> None:
    """Every face that cannot be is named with the reason; the others are staged, and the old model stays."""
    fine = world.add(GREEN_AND_RED, chips=True)
    spoil(world)
    failures, done = world.run()
    assert done == 2
    assert len(failures) == 2
    assert not {failure.face_id for failure in failures} & set(fine)
    assert all(reason in failure.reason for failure in failures)
    assert world.album.face_model_version == "1.1"
    assert world.staging.standing(world.album).staged == {"2.1": 2}
    # Without those faces it goes on where it was.
    world.store.delete_faces(ACTOR, world.album, [failure.face_id for failure in failures])
    assert world.run() == ([], 0)
    assert world.album.face_model_version == "2.1"


@pytest.mark.parametrize("late", [1, LATE_MAX, LATE_MAX + 2])
def test_faces_that_come_at_the_last_moment_are_embedded_too(
    world: World, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    """Few are embedded while others wait; for many everybody is let in again first."""
    world.add(RED_AND_BLUE, chips=True)
    exclusive, waits = world.staging.exclusive, 0

    @contextmanager
    def delayed(collection: Collection) -> Iterator[None]:
        nonlocal waits
        waits += 1
        if waits == 1:
            for number in range(-(-late // 2)):
                world.add(GREEN_AND_RED, chips=True, name=f"late-{number}")
        with exclusive(collection):
            yield

    monkeypatch.setattr(world.staging, "exclusive", delayed)
    failures, done = world.run()
    assert (failures, done) == ([], world.album.face_count)
    assert waits == (2 if late > LATE_MAX else 1)
    assert world.album.face_model_version == "2.1"
    faces = world.store.list_faces(world.album, after=None, limit=99).items
    assert {len(world.store.get_embedding(world.album, face.face_id)) for face in faces} == {3}


def test_no_graph_is_brought_up_to_date_under_the_lock(world: World) -> None:
    """A collection's graph is dropped before the exchange, and made anew by who searches next."""
    world.add(RED_AND_BLUE, chips=True)
    with closing(PgvectorIndex(world.pool, exact_max=1)) as index:
        index.prepare(world.store.get_collection(OWNER, "album"), lambda *_: None)
        assert index.holding(world.store.get_collection(OWNER, "album")).kind == "hnsw"
        world.run()
        assert index.holding(world.album).size_bytes == 0
        index.prepare(world.album, lambda *_: None)
        assert index.holding(world.album).kind == "hnsw"
