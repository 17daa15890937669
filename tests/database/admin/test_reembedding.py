from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.admin.reembedding import Reembedded, StillKept, discard_kept, reembed, roll_back
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.domain.errors import ObjectUnavailable
from rekognition_emulator.domain.faces import Collection, NewFace
from rekognition_emulator.imaging.crops import cut_chip
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.progress import no_progress
from rekognition_emulator.reembedding.model import AlreadyReembedding
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.storage.audit import AuditFilter, entries
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from tests.support.gallery import ACTOR, OWNER, embeddings, picture
from tests.support.scripted import FRONTAL

OLD = "1.1"


class NumberedEngine(FaceEngine):
    """Embeds every face as the same vector, of a model with this version."""

    def __init__(self, version: str) -> None:
        self.version = version

    @property
    def model(self) -> FaceModel:
        """Of two dimensions."""
        return FaceModel("numbered", self.version, 2, "ours", ((-1.0, 0.0), (1.0, 100.0)))

    def detect(self, image: Image) -> list[Detection]:
        """Chips need no detector."""
        raise AssertionError(image)

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:  # noqa: ARG002 - it is the same
        """The same for all."""
        return np.tile(np.array([[1, 0]], np.float32), (len(detections), 1))


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """Three faces with chips, embedded by an old model."""
    album = store.create_collection(ACTOR, OWNER, "album", OLD)
    pixels = np.zeros((200, 200, 3), np.uint8)
    seen = Detection(BoundingBox(0, 0, 1, 1), FRONTAL.astype(np.float32), 99.0)
    chip = cut_chip(Image(pixels, 200, 200), seen)
    new = [NewFace(each.face, each.embedding, chip) for each in picture(embeddings(3, 2))]
    store.add_faces(ACTOR, album, new[0].face.image_id, new)
    return store.get_collection(OWNER, "album")


def nowhere(bucket: str, key: str, _version: str | None) -> bytes:
    """No image is in S3."""
    raise ObjectUnavailable(bucket, key)


class Desk:
    """Works on the album as it is by then."""

    def __init__(self, pool: JoiningPool, store: PostgresStore) -> None:
        self.pool = pool
        self.store = store

    @property
    def album(self) -> Collection:
        """As it is now."""
        return self.store.get_collection(OWNER, "album")

    def to(self, version: str) -> Reembedded:
        """Re-embeds with another model."""
        engine = NumberedEngine(version)
        return reembed(self.pool, ACTOR, self.album, lambda: engine, nowhere, workers=1, progress=no_progress)

    def back(self, version: str) -> Reembedded:
        """Goes back, where this model is at hand."""
        engine = NumberedEngine(version)
        return roll_back(self.pool, ACTOR, self.album, lambda: engine, nowhere, workers=1, progress=no_progress)


@pytest.fixture
def desk(pool: JoiningPool, store: PostgresStore, album: Collection) -> Desk:
    """Works on the album."""
    assert album.face_count == 3
    return Desk(pool, store)


def test_there_and_back_and_on(desk: Desk) -> None:
    """Each step says what it has done, and none is done twice or out of turn."""
    for refused in (lambda: desk.back(OLD), lambda: discard_kept(desk.pool, ACTOR, desk.album)):
        with pytest.raises(Refused, match="keeps no embeddings"):
            refused()
    with pytest.raises(Refused, match="already"):
        desk.to(OLD)
    assert desk.to("2.1") == Reembedded("2.1", 3, [])
    assert desk.album.face_model_version == "2.1"
    with pytest.raises(StillKept, match=OLD):
        desk.to("3.1")
    with pytest.raises(Refused, match="is not at hand here"):
        desk.back("3.1")
    assert desk.back(OLD) == Reembedded(OLD, 3, [])
    assert desk.album.face_model_version == OLD
    dropped = discard_kept(desk.pool, ACTOR, desk.album)
    assert (dropped.version, dropped.count) == ("2.1", 3)
    assert desk.to("3.1").version == "3.1"
    logged = {row.operation for row in entries(desk.pool, AuditFilter(collection="album"))}
    assert logged == {ACTOR.operation}


def test_faces_that_cannot_be_embedded_are_returned(desk: Desk) -> None:
    """Nothing is exchanged; the others are done and wait, until another model is begun with."""
    bare = picture(embeddings(2, 2))
    lost = {face.face_id for face in desk.store.add_faces(ACTOR, desk.album, bare[0].face.image_id, bare)}
    done = desk.to("2.1")
    assert (done.faces, {failure.face_id for failure in done.failures}) == (5, lost)
    assert desk.album.face_model_version == OLD
    assert PostgresReembeddingStore(desk.pool).standing(desk.album).staged == {"2.1": 3}
    desk.store.delete_faces(ACTOR, desk.album, list(lost))
    assert desk.to("3.1") == Reembedded("3.1", 3, [])
    assert set(PostgresReembeddingStore(desk.pool).standing(desk.album).staged) == {OLD}


def test_one_process_at_a_time(desk: Desk) -> None:
    """Another one is told so before it loads a model."""

    def never() -> FaceEngine:
        raise AssertionError

    with PostgresReembeddingStore(desk.pool).alone(desk.album), pytest.raises(AlreadyReembedding):
        reembed(desk.pool, ACTOR, desk.album, never, nowhere, workers=1, progress=no_progress)
