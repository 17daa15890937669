"""Every index through an exchange of embeddings."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.errors import FaceModelChanged
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

FACES = 60
OLD, NEW = embeddings(FACES, 8), embeddings(FACES, 12, seed=1)


class Album:
    """Faces with an embedding by either model; a user has the first three."""

    def __init__(self, pool: JoiningPool, store: PostgresStore) -> None:
        self.store, self.staging = store, PostgresReembeddingStore(pool)
        album = store.create_collection(ACTOR, OWNER, "album", "1.1")
        faces = picture(OLD)
        self.ids = [face.face_id for face in store.add_faces(ACTOR, album, faces[0].face.image_id, faces)]
        users = PostgresUserStore(pool)
        users.create_user(ACTOR, album, "ann")
        users.associate_faces(ACTOR, album, "ann", self.ids[:3], near_enough=lambda _: True)
        self.staging.stage(self.read(), "2.1", dict(zip(self.ids, NEW, strict=True)))

    def read(self) -> Collection:
        """The collection as a request reads it."""
        return self.store.get_collection(OWNER, "album")

    def exchange(self) -> Collection:
        """Gives it the other model and returns it as it was before."""
        before = self.read()
        with self.staging.exclusive(before):
            self.staging.exchange(ACTOR, before, "2.1" if before.face_model_version == "1.1" else "1.1")
        return before


@pytest.fixture
def album(pool: JoiningPool, store: PostgresStore) -> Album:
    """An album of the old model."""
    return Album(pool, store)


def nearest(index: FaceIndex, collection: Collection, probe: NDArray[np.float32]) -> tuple[UUID, float, str, int]:
    """The nearest face, its cosine, the nearest user, and how many faces there are."""
    faces = index.search(collection, probe, cosine_min=-1, limit=1_000)
    (user,) = index.search_users(collection, probe, cosine_min=-1, limit=9)
    return faces[0].face_id, faces[0].cosine, user.user_id, len(faces)


def test_searches_follow_the_model(index: FaceIndex, album: Album) -> None:
    """After an exchange, and after the way back, all faces are found by the embeddings that count, and by no others."""
    for vectors in (OLD, NEW, OLD, NEW):
        collection = album.read()
        for row in (0, FACES - 1):
            face_id, cosine, user_id, faces = nearest(index, collection, vectors[row])
            assert (face_id, user_id, faces) == (album.ids[row], "ann", FACES)
            assert cosine == pytest.approx(1, abs=1e-5)
        album.exchange()


@pytest.mark.parametrize("known", [True, False])
def test_a_search_that_began_before_is_no_failure(index: FaceIndex, album: Album, *, known: bool) -> None:
    """With an old probe an index says that the model changed, or anything, but nothing that would be an error of ours.

    And it goes on serving who has read the collection since.
    """
    before = album.exchange()
    if known:
        nearest(index, album.read(), NEW[5])
    with suppress(FaceModelChanged):
        index.search(before, OLD[0], cosine_min=-1, limit=5)
    with suppress(FaceModelChanged):
        index.search_users(before, OLD[0], cosine_min=-1, limit=5)
    with pytest.raises(FaceModelChanged):
        album.store.get_faces(before, album.ids)
    assert nearest(index, album.read(), NEW[5])[0] == album.ids[5]


def test_searches_meet_one_model_at_a_time(index: FaceIndex, album: Album) -> None:
    """While embeddings are exchanged again and again, whatever is answered after the store was asked is right."""
    over = threading.Event()

    def search(row: int) -> None:
        while True:
            try:
                collection = album.read()
                probe = album.store.get_embedding(collection, album.ids[row])
                matches = index.search(collection, probe, cosine_min=-1, limit=1_000)
                album.store.get_faces(collection, [match.face_id for match in matches])
            except FaceModelChanged:
                continue
            assert (matches[0].face_id, len(matches)) == (album.ids[row], FACES)
            assert matches[0].cosine == pytest.approx(1, abs=1e-5)
            if over.is_set():
                return

    with ThreadPoolExecutor(4) as threads:
        searches = [threads.submit(search, row) for row in range(4)]
        try:
            for _ in range(15):
                album.exchange()
        finally:
            over.set()
        for each in searches:
            each.result()
