"""What every index owes to searches for users, and the indexes against each other."""

import threading
from collections.abc import Callable
from itertools import count
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.search.registry import INDEXES
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.concurrency import search_while_written
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

NAMES = count()
EAST = np.array([1, 0, 0], np.float32)


def anything(_: float) -> bool:
    """Takes any face for the user's."""
    return True


def add(store: PostgresStore, collection: Collection, vectors: np.ndarray) -> list[UUID]:
    """Adds faces with these embeddings and returns their ids."""
    return [face.face_id for face in store.add_faces(ACTOR, collection, uuid4(), picture(vectors))]


def at(*cosines: float) -> np.ndarray:
    """Unit vectors with these cosines to the east."""
    return np.array([[cosine, np.sqrt(1 - cosine**2), 0] for cosine in cosines], np.float32)


def fill(store: PostgresStore, users: PostgresUserStore, **cosines: float) -> Collection:
    """Makes a collection of users with one face each, and reads it as a search does."""
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")
    for name, face_id in zip(cosines, add(store, album, at(*cosines.values())), strict=True):
        users.create_user(ACTOR, album, name)
        users.associate_faces(ACTOR, album, name, [face_id], near_enough=anything)
    return now(store)


def now(store: PostgresStore) -> Collection:
    """Reads the collection as a search does."""
    return store.get_collection(OWNER, "album")


def found(index: FaceIndex, album: Collection, *, cosine_min: float = -1, limit: int = 9) -> list[str]:
    """Searches from the east."""
    return [match.user_id for match in index.search_users(album, EAST, cosine_min=cosine_min, limit=limit)]


def test_nearest_users_come_first(store: PostgresStore, users: PostgresUserStore, index: FaceIndex) -> None:
    """By descending cosine, equal ones by id in byte order, at or above the threshold, at most so many."""
    album = fill(store, users, far=-0.5, b=0.7, near=1.0, Z=0.7, a=0.7)
    matches = index.search_users(album, EAST, cosine_min=-1, limit=9)
    assert [match.user_id for match in matches] == ["near", "Z", "a", "b", "far"]
    assert [match.cosine for match in matches] == pytest.approx([1, 0.7, 0.7, 0.7, -0.5], abs=1e-6)
    assert all(type(match.cosine) is float for match in matches)
    assert found(index, album, limit=3) == ["near", "Z", "a"]
    assert found(index, album, cosine_min=float(at(0.7)[0, 0])) == ["near", "Z", "a", "b"]
    assert found(index, album, cosine_min=0.71) == ["near"]


def test_one_user_can_be_left_out(store: PostgresStore, users: PostgresUserStore, index: FaceIndex) -> None:
    """The user that is searched with does not appear, and does not count against the limit."""
    album = fill(store, users, a=1.0, b=0.9, c=0.8)
    for without, expected in (("a", ["b", "c"]), ("c", ["a", "b"]), ("x", ["a", "b"]), (None, ["a", "b"])):
        matches = index.search_users(album, EAST, cosine_min=-1, limit=2, without=without)
        assert [match.user_id for match in matches] == expected


def test_user_is_found_by_the_mean_of_its_faces(
    store: PostgresStore, users: PostgresUserStore, index: FaceIndex
) -> None:
    """Two faces at right angles make a user at half of one from each; faces themselves are found as before."""
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")
    faces = add(store, album, at(1, 0))
    users.create_user(ACTOR, album, "ann")
    users.associate_faces(ACTOR, album, "ann", faces, near_enough=anything)
    [match] = index.search_users(now(store), EAST, cosine_min=-1, limit=9)
    assert match.user_id == "ann"
    assert match.cosine == pytest.approx(np.sqrt(0.5), abs=1e-6)
    assert [match.face_id for match in index.search(now(store), EAST, cosine_min=-1, limit=9)] == faces


def test_changes_are_seen_by_the_next_search(store: PostgresStore, users: PostgresUserStore, index: FaceIndex) -> None:
    """Created, given a face, given another, taken it away, deleted, made anew: every search knows the latest."""
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")
    near, far = add(store, album, at(1, 0))
    steps: list[tuple[Callable[[], object], list[float]]] = [
        (lambda: users.create_user(ACTOR, album, "ann"), []),
        (lambda: users.associate_faces(ACTOR, album, "ann", [far], near_enough=anything), [0.0]),
        (lambda: users.associate_faces(ACTOR, album, "ann", [near], near_enough=anything), [np.sqrt(0.5)]),
        (lambda: users.disassociate_faces(ACTOR, album, "ann", [far]), [1.0]),
        (lambda: users.disassociate_faces(ACTOR, album, "ann", [near]), []),
        (lambda: users.associate_faces(ACTOR, album, "ann", [far], near_enough=anything), [0.0]),
        (lambda: users.delete_user(ACTOR, album, "ann"), []),
        (lambda: users.create_user(ACTOR, album, "ann"), []),
        (lambda: users.associate_faces(ACTOR, album, "ann", [near], near_enough=anything), [1.0]),
    ]
    for change, expected in steps:
        change()
        matches = index.search_users(now(store), EAST, cosine_min=-1, limit=9)
        assert [match.cosine for match in matches] == pytest.approx(expected, abs=1e-6)
    store.delete_collection(ACTOR, OWNER, "album")
    assert found(index, store.create_collection(ACTOR, OWNER, "album", "128.1")) == []


def test_user_that_changes_all_the_time_is_always_found(
    store: PostgresStore, users: PostgresUserStore, index: FaceIndex
) -> None:
    """While faces come to and go from a user who always has some, no search misses the user or sees an old state."""
    album = store.create_collection(ACTOR, OWNER, "album", "128.1")
    base, *others = add(store, album, at(1, *[0.9] * 99))
    users.create_user(ACTOR, album, "ann")
    users.associate_faces(ACTOR, album, "ann", [base], near_enough=anything)

    def write() -> None:
        for other in others:
            users.associate_faces(ACTOR, album, "ann", [other], near_enough=anything)

    def search(written: threading.Event) -> None:
        seen = 1.0
        while not written.is_set():
            [match] = index.search_users(now(store), EAST, cosine_min=-1, limit=9)
            assert match.cosine <= seen + 1e-6  # each face that comes draws the user further away
            seen = match.cosine

    search_while_written(write, search)


VECTORS = embeddings(12, dimension=16)
STEPS = (
    st.tuples(st.just("add"), st.integers(0, 11))
    | st.tuples(st.just("drop"), st.integers(0, 11))
    | st.tuples(st.sampled_from(["give", "take"]), st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 11))))
    | st.tuples(st.sampled_from(["create", "delete"]), st.sampled_from("abc"))
    | st.tuples(st.just("search"), st.integers(0, 11))
)


def step(store: PostgresStore, users: PostgresUserStore, album: Collection, ids: list[UUID], what: object) -> None:
    """Does one step of a history, unless there is no such user."""
    present = [user.user_id for user in users.list_users(album, after=None, limit=9).items]
    match what:
        case ("add", int() as number):
            ids += add(store, album, VECTORS[[number]])
        case ("drop", int() as number) if ids:
            store.delete_faces(ACTOR, album, [ids[number % len(ids)]])
        case ("give", (str() as name, list() as chosen)) if ids and name in present:
            faces = [ids[number % len(ids)] for number in chosen]
            users.associate_faces(ACTOR, album, name, faces, near_enough=anything)
        case ("take", (str() as name, list() as chosen)) if ids and name in present:
            users.disassociate_faces(ACTOR, album, name, [ids[number % len(ids)] for number in chosen])
        case ("create", str() as name) if name not in present:
            users.create_user(ACTOR, album, name)
        case ("delete", str() as name) if name in present:
            users.delete_user(ACTOR, album, name)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(STEPS, min_size=5, max_size=30))
def test_indexes_agree_on_users_after_any_history(
    store: PostgresStore,
    users: PostgresUserStore,
    open_index: Callable[[str], FaceIndex],
    history: list[tuple[str, object]],
) -> None:
    """Whatever became of faces and users: every index finds exactly the users with faces, at the same cosines."""
    indexes = [open_index(name) for name in INDEXES]
    name = f"album-{next(NAMES)}"
    album = store.create_collection(ACTOR, OWNER, name, "128.1")
    ids: list[UUID] = []
    for what in [("create", "a"), ("create", "b"), *history, ("search", 0)]:
        step(store, users, album, ids, what)
        match what:
            case ("search", int() as probe):
                answers = [
                    index.search_users(store.get_collection(OWNER, name), VECTORS[probe], cosine_min=-1, limit=9)
                    for index in indexes
                ]
                cosines = [{match.user_id: match.cosine for match in answer} for answer in answers]
                assert all(other == pytest.approx(cosines[0], abs=1e-5) for other in cosines[1:])
    listed = users.list_users(album, after=None, limit=9).items
    assert cosines[0].keys() == {user.user_id for user in listed if user.face_count}
