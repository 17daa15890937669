"""The indexes against each other: what one finds after any history, all find."""

from collections.abc import Callable
from itertools import count
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rekognition_emulator.domain.faces import Match
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.registry import INDEXES
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

NAMES = count()
VECTORS = embeddings(12, dimension=16)  # few, so that equal cosines are common

ADD = st.tuples(st.just("add"), st.lists(st.integers(0, 11), min_size=1, max_size=6))
DELETE = st.tuples(st.just("delete"), st.lists(st.integers(0, 30), min_size=1, max_size=4))
SEARCH = st.tuples(
    st.just("search"),
    st.tuples(st.integers(0, 11), st.floats(-1, 1), st.integers(1, 20), st.none() | st.integers(0, 30)),
)


def agree(ours: list[Match], others: list[Match], cosine_min: float, limit: int) -> None:
    """Compares two answers, allowing for the last bits of a cosine at the threshold and at the limit."""
    tolerance = 1e-5
    edge = max(cosine_min, min((match.cosine for match in ours), default=1) if len(ours) == limit else -1)
    for one, other in ((ours, others), (others, ours)):
        cosines = {match.face_id: match.cosine for match in other}
        for match in one:
            if match.face_id in cosines:
                assert abs(match.cosine - cosines[match.face_id]) <= tolerance
            else:
                assert match.cosine <= edge + tolerance


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(ADD | DELETE | SEARCH, min_size=2, max_size=25))
def test_indexes_agree_after_any_history(
    store: PostgresStore, open_index: Callable[[str], FaceIndex], history: list[tuple[str, object]]
) -> None:
    """Additions, deletions and searches in any order: every index gives the same faces with the same cosines."""
    indexes = [open_index(name) for name in INDEXES]
    name = f"album-{next(NAMES)}"
    collection = store.create_collection(ACTOR, OWNER, name, "128.1")
    ids: list[UUID] = []
    for step in [*history, ("search", (0, -1.0, 1_000, None))]:
        match step:
            case ("add", list() as rows):
                faces = picture(VECTORS[rows])
                ids += [face.face_id for face in store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)]
            case ("delete", list() as chosen):
                store.delete_faces(ACTOR, collection, [ids[number % len(ids)] for number in chosen if ids])
            case ("search", (int() as probe, float() as cosine_min, int() as limit, left_out)):
                without = ids[left_out % len(ids)] if isinstance(left_out, int) and ids else None
                present = store.get_collection(OWNER, name)
                first, *rest = (
                    index.search(present, VECTORS[probe], cosine_min=cosine_min, limit=limit, without=without)
                    for index in indexes
                )
                assert len(first) <= limit
                assert without not in {match.face_id for match in first}
                for other in rest:
                    agree(first, other, cosine_min, limit)
            case _:
                raise AssertionError(step)
    stored = {face.face_id for face in store.list_faces(collection, after=None, limit=1_000).items}
    assert {match.face_id for match in first} == stored


def test_cosines_agree_at_full_length(store: PostgresStore, open_index: Callable[[str], FaceIndex]) -> None:
    """At 512 dimensions the indexes differ by rounding only, and rank a whole album alike."""
    collection = store.create_collection(ACTOR, OWNER, "album", "512.1")
    vectors = embeddings(600, dimension=512)
    for start in range(0, 600, 100):
        faces = picture(vectors[start : start + 100])
        store.add_faces(ACTOR, collection, faces[0].face.image_id, faces)
    collection = store.get_collection(OWNER, "album")
    indexes = [open_index(name) for name in INDEXES]
    for probe in embeddings(5, dimension=512, seed=1):
        answers = [index.search(collection, probe, cosine_min=0.05, limit=50) for index in indexes]
        exact = np.sort(vectors.astype(np.float64) @ probe)[::-1]
        expected = exact[exact >= 0.05][:50]
        for answer in answers:
            assert [match.cosine for match in answer] == pytest.approx(list(expected), abs=1e-5)
