import ast
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool

import rekognition_emulator
from rekognition_emulator.domain.errors import CollectionNotFound, UserExists, UserFull, UserNotFound
from rekognition_emulator.domain.faces import Collection, Deletion
from rekognition_emulator.domain.users import FaceOfAnother, SurplusFace, UnknownFace, UnlikeFace, User
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

NAMES = count()


@pytest.fixture
def users(pool: ConnectionPool) -> PostgresUserStore:
    """The users of the same database."""
    return PostgresUserStore(pool)


@pytest.fixture
def album(store: PostgresStore) -> Collection:
    """An empty collection."""
    return store.create_collection(ACTOR, OWNER, "album", "128.1")


def add(store: PostgresStore, collection: Collection, vectors: np.ndarray) -> list[UUID]:
    """Adds faces with these embeddings and returns their ids."""
    return [face.face_id for face in store.add_faces(ACTOR, collection, uuid4(), picture(vectors))]


def now(store: PostgresStore, collection: Collection) -> Collection:
    """Reads the collection again."""
    return store.get_collection(collection.owner, collection.name)


def anything(_: float) -> bool:
    """Takes any face for the user's."""
    return True


def mean(vectors: np.ndarray) -> np.ndarray:
    """The mean of embeddings, of unit length, in double precision."""
    total = vectors.astype(np.float64).mean(axis=0)
    unit: np.ndarray = total / np.linalg.norm(total)
    return unit


def test_users_are_listed_in_byte_order_page_by_page(
    store: PostgresStore, users: PostgresUserStore, album: Collection
) -> None:
    """Paging shows every user of this collection once, capitals before small letters, and none of another."""
    names = ["B", "a", "A", "b", "_", "a:1", "a-1", "a1", "0"]
    for name in names:
        users.create_user(ACTOR, album, name)
    users.create_user(ACTOR, store.create_collection(ACTOR, OWNER, "other", "128.1"), "elsewhere")
    seen: list[User] = []
    more = True
    while more:
        page = users.list_users(album, after=seen[-1].user_id if seen else None, limit=2)
        seen += page.items
        more = page.more
    assert seen == [User(name, 0) for name in sorted(names)]
    assert now(store, album).user_count == len(names)


def test_user_id_is_taken_once_per_collection(
    store: PostgresStore, users: PostgresUserStore, album: Collection
) -> None:
    """A second user of the same id is refused and changes nothing; another collection has ids of its own."""
    users.create_user(ACTOR, album, "ann")
    before = now(store, album)
    with pytest.raises(UserExists):
        users.create_user(ACTOR, album, "ann")
    assert now(store, album) == before
    users.create_user(ACTOR, store.create_collection(ACTOR, OWNER, "other", "128.1"), "ann")


USES: dict[str, Callable[[PostgresUserStore, Collection], object]] = {
    "create": lambda users, album: users.create_user(ACTOR, album, "ann"),
    "delete": lambda users, album: users.delete_user(ACTOR, album, "ann"),
    "list": lambda users, album: users.list_users(album, after=None, limit=9),
    "embedding": lambda users, album: users.get_user_embedding(album, "ann"),
    "associate": lambda users, album: users.associate_faces(ACTOR, album, "ann", [uuid4()], near_enough=anything),
    "disassociate": lambda users, album: users.disassociate_faces(ACTOR, album, "ann", [uuid4()]),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_deleted_collection_is_noticed_even_if_its_name_lives_on(
    store: PostgresStore,
    users: PostgresUserStore,
    album: Collection,
    use: Callable[[PostgresUserStore, Collection], object],
) -> None:
    """Who holds a collection that was deleted never touches the users of the new one of the same name."""
    store.delete_collection(ACTOR, OWNER, "album")
    other = store.create_collection(ACTOR, OWNER, "album", "128.1")
    users.create_user(ACTOR, other, "ann")
    with pytest.raises(CollectionNotFound):
        use(users, album)
    assert users.list_users(other, after=None, limit=9).items == [User("ann", 0)]


@pytest.mark.parametrize("use", ["delete", "embedding", "associate", "disassociate"])
def test_unknown_user_is_refused(store: PostgresStore, users: PostgresUserStore, album: Collection, use: str) -> None:
    """A user of another collection is as unknown as one that never was, and nothing changes."""
    users.create_user(ACTOR, store.create_collection(ACTOR, OWNER, "other", "128.1"), "ann")
    before = now(store, album)
    with pytest.raises(UserNotFound):
        USES[use](users, album)
    assert now(store, album) == before


def test_faces_show_whose_they_are(store: PostgresStore, users: PostgresUserStore, album: Collection) -> None:
    """Every way to read a face says whose it is, also when its picture is indexed again; lists narrow to a user."""
    new = picture(embeddings(4))
    image_id = new[0].face.image_id
    ids = [face.face_id for face in store.add_faces(ACTOR, album, image_id, new)]
    users.create_user(ACTOR, album, "ann")
    users.create_user(ACTOR, album, "bob")
    users.associate_faces(ACTOR, album, "ann", ids[:2], near_enough=anything)
    users.associate_faces(ACTOR, album, "bob", ids[2:3], near_enough=anything)
    whose = dict(zip(ids, ["ann", "ann", "bob", None], strict=True))
    assert {face.face_id: face.user_id for face in store.get_faces(album, ids).values()} == whose
    assert {face.face_id: face.user_id for face in store.list_faces(album, after=None, limit=9).items} == whose
    assert {face.face_id: face.user_id for face in store.add_faces(ACTOR, album, image_id, new)} == whose

    first, second = sorted(ids[:2])
    page = store.list_faces(album, after=None, limit=1, user_id="ann")
    assert ([face.face_id for face in page.items], page.more) == ([first], True)
    page = store.list_faces(album, after=first, limit=1, user_id="ann")
    assert ([face.face_id for face in page.items], page.more) == ([second], False)
    both = store.list_faces(album, after=None, limit=9, user_id="ann", face_ids=[ids[0], ids[2], uuid4()])
    assert [face.face_id for face in both.items] == [ids[0]]
    with pytest.raises(UserNotFound):
        store.list_faces(album, after=None, limit=9, user_id="cay")


def test_refused_faces_are_told_apart(store: PostgresStore, users: PostgresUserStore, album: Collection) -> None:
    """Unknown, another's, unlike: each in the order asked for; what is the user's already is in neither list."""
    east, north = np.array([[1, 0], [0, 1]], np.float32)
    mine, theirs, like, unlike = add(store, album, np.stack([east, north, east, north]))
    unknown = uuid4()
    users.create_user(ACTOR, album, "ann")
    users.create_user(ACTOR, album, "bob")
    users.associate_faces(ACTOR, album, "ann", [mine], near_enough=anything)
    users.associate_faces(ACTOR, album, "bob", [theirs], near_enough=anything)
    asked = [unlike, unknown, mine, theirs, like, like]
    association = users.associate_faces(ACTOR, album, "ann", asked, near_enough=lambda cosine: cosine > 0.5)
    assert association.associated == [like]
    assert association.refused == [UnlikeFace(unlike, 0.0), UnknownFace(unknown), FaceOfAnother(theirs, "bob")]
    assert association.user == User("ann", 2)

    disassociation = users.disassociate_faces(ACTOR, album, "ann", asked)
    assert disassociation.disassociated == [mine, like]
    assert disassociation.refused == [UnknownFace(unknown), FaceOfAnother(theirs, "bob")]
    assert disassociation.user == User("ann", 0)


def test_first_faces_are_not_compared(store: PostgresStore, users: PostgresUserStore, album: Collection) -> None:
    """A user without faces takes any, also several unlike ones at once, and again after the last one went."""
    ids = add(store, album, embeddings(2))
    users.create_user(ACTOR, album, "ann")
    for _ in range(2):
        assert users.associate_faces(ACTOR, album, "ann", ids, near_enough=lambda _: False).associated == ids
        assert users.disassociate_faces(ACTOR, album, "ann", ids).disassociated == ids


def test_user_has_a_hundred_faces_at_most(store: PostgresStore, users: PostgresUserStore, album: Collection) -> None:
    """What goes beyond is surplus; who is full already gets an error; one face less makes room for one."""
    ids = [face_id for seed in range(2) for face_id in add(store, album, embeddings(60, seed=seed))]
    users.create_user(ACTOR, album, "ann")
    users.associate_faces(ACTOR, album, "ann", ids[:60], near_enough=anything)
    association = users.associate_faces(ACTOR, album, "ann", ids[60:], near_enough=anything)
    assert association.associated == ids[60:100]
    assert association.refused == [SurplusFace(face_id) for face_id in ids[100:]]
    with pytest.raises(UserFull):
        users.associate_faces(ACTOR, album, "ann", ids[100:], near_enough=anything)
    users.disassociate_faces(ACTOR, album, "ann", ids[:1])
    assert users.associate_faces(ACTOR, album, "ann", ids[100:101], near_enough=anything).user.face_count == 100


def test_faces_of_users_are_not_deleted(store: PostgresStore, users: PostgresUserStore, album: Collection) -> None:
    """Deleting leaves a user's faces where they are and says whose they are."""
    held, free = add(store, album, embeddings(2))
    users.create_user(ACTOR, album, "ann")
    users.associate_faces(ACTOR, album, "ann", [held], near_enough=anything)
    assert store.delete_faces(ACTOR, album, [held, free, uuid4()]) == Deletion(frozenset([free]), {held: "ann"})
    assert now(store, album).face_count == 1
    users.delete_user(ACTOR, album, "ann")
    assert store.delete_faces(ACTOR, album, [held]) == Deletion(frozenset([held]), {})


def test_deleted_user_leaves_its_faces(store: PostgresStore, users: PostgresUserStore, album: Collection) -> None:
    """The faces stay as nobody's, and a new user of the same id starts without any."""
    ids = add(store, album, embeddings(2))
    users.create_user(ACTOR, album, "ann")
    users.associate_faces(ACTOR, album, "ann", ids, near_enough=anything)
    users.delete_user(ACTOR, album, "ann")
    after = now(store, album)
    assert (after.face_count, after.user_count) == (2, 0)
    assert {face.user_id for face in store.get_faces(album, ids).values()} == {None}
    users.create_user(ACTOR, album, "ann")
    assert users.get_user_embedding(album, "ann") is None
    assert users.list_users(album, after=None, limit=9).items == [User("ann", 0)]


STEP = st.tuples(st.sampled_from(["give", "take"]), st.sampled_from("ab"), st.lists(st.integers(0, 9), min_size=1))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=12))
def test_user_embedding_is_the_mean_of_its_faces_after_any_history(
    store: PostgresStore, users: PostgresUserStore, steps: Sequence[tuple[str, str, list[int]]]
) -> None:
    """After every change, what a user is matched by is the mean of the faces it has then, of unit length, to 1e-6."""
    album = store.create_collection(ACTOR, OWNER, f"album-{next(NAMES)}", "128.1")
    vectors = embeddings(10, dimension=64)
    ids = add(store, album, vectors)
    for name in "ab":
        users.create_user(ACTOR, album, name)
    for what, name, chosen in steps:
        faces = [ids[number] for number in chosen]
        if what == "give":
            users.associate_faces(ACTOR, album, name, faces, near_enough=anything)
        else:
            users.disassociate_faces(ACTOR, album, name, faces)
        for user in users.list_users(album, after=None, limit=9).items:
            held = [face.face_id for face in store.list_faces(album, after=None, limit=99, user_id=user.user_id).items]
            assert user.face_count == len(held)
            embedding = users.get_user_embedding(album, user.user_id)
            if not held:
                assert embedding is None
                continue
            assert embedding is not None
            assert embedding.dtype == np.float32
            assert embedding == pytest.approx(mean(vectors[[ids.index(face_id) for face_id in held]]), abs=1e-6)


def test_changes_tell_what_became_of_users(store: PostgresStore, users: PostgresUserStore, album: Collection) -> None:
    """An index that holds revision n is told which users it finds otherwise now, and which not at all any more."""
    vectors = embeddings(4)
    ids = add(store, album, vectors)
    for name in ("ann", "bob", "cay", "dan"):
        users.create_user(ACTOR, album, name)
    for name, face_id in zip(("ann", "bob", "cay"), ids, strict=False):
        users.associate_faces(ACTOR, album, name, [face_id], near_enough=anything)
    middle = now(store, album).revision
    users.associate_faces(ACTOR, album, "ann", [ids[3]], near_enough=anything)
    users.disassociate_faces(ACTOR, album, "bob", [ids[1]])
    users.delete_user(ACTOR, album, "cay")

    since_middle = store.changes(album, middle).users
    assert since_middle.added == ["ann"]
    assert since_middle.embeddings == pytest.approx(mean(vectors[[0, 3]])[None], abs=1e-6)
    assert set(since_middle.removed) == {"bob", "cay"}
    assert store.changes(album, 0).users.added == ["ann"]
    nothing = store.changes(album, now(store, album).revision)
    assert not nothing.users.added
    assert not nothing.users.removed
    assert not store.changes(album, middle).added


def test_a_face_that_many_want_becomes_one_users(
    store: PostgresStore, users: PostgresUserStore, album: Collection
) -> None:
    """Clients that give the same faces to different users at once: each face has one user in the end."""
    vectors = embeddings(20)
    ids = add(store, album, vectors)
    names = [f"user-{number}" for number in range(6)]
    for name in names:
        users.create_user(ACTOR, album, name)

    def grab(name: str) -> list[UUID]:
        return [
            face_id
            for wanted in ids
            for face_id in users.associate_faces(ACTOR, album, name, [wanted], near_enough=anything).associated
        ]

    with ThreadPoolExecutor(6) as threads:
        grabbed = dict(zip(names, threads.map(grab, names), strict=True))
    assert sorted(face_id for faces in grabbed.values() for face_id in faces) == sorted(ids)
    for user in users.list_users(album, after=None, limit=9).items:
        assert user.face_count == len(grabbed[user.user_id])
        held = [ids.index(face_id) for face_id in grabbed[user.user_id]]
        if held:
            embedding = users.get_user_embedding(album, user.user_id)
            assert embedding == pytest.approx(mean(vectors[held]), abs=1e-6)


def test_collection_takes_its_users_along(
    store: PostgresStore, users: PostgresUserStore, album: Collection, pool: ConnectionPool
) -> None:
    """Of a deleted collection no user stays behind, present or former."""
    ids = add(store, album, embeddings(2))
    for name in ("ann", "bob"):
        users.create_user(ACTOR, album, name)
    users.associate_faces(ACTOR, album, "ann", ids, near_enough=anything)
    users.delete_user(ACTOR, album, "bob")
    store.delete_collection(ACTOR, OWNER, "album")
    with pool.connection() as connection:
        rows = connection.execute("SELECT FROM users UNION ALL SELECT FROM removed_users").fetchall()
    assert rows == []


def test_every_statement_names_its_collection() -> None:
    """The tables can be distributed by collection, because no statement ever asks across collections."""
    package = Path(rekognition_emulator.__file__).parent
    statements = [
        node.value
        for path in sorted([*(package / "store").glob("*.py"), *(package / "indexes").glob("*.py")])
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    mine = "faces|users|removed_faces|removed_users|face_chips|picture_sources|staged_embeddings"
    tables = rf"\b(?:FROM|UPDATE|INTO)\s+(?:{mine})\b"
    on_them = [text for text in statements if re.search(tables, text)]
    assert len(on_them) > 20
    for text in on_them:
        named = re.findall(r"WHERE\s+collection_id = %|INTO \w+ \(collection_id,", text)
        assert len(named) == len(re.findall(tables, text)), text


def test_no_statement_reads_all_collections(database_url: str) -> None:
    """PostgreSQL finds one collection's users by index, even where one collection has nearly all there are."""
    with open_pool(database_url, connections_max=1) as pool:
        store, users = PostgresStore(pool), PostgresUserStore(pool)
        giant = store.create_collection(ACTOR, OWNER, "giant", "128.1")
        ids = [face_id for seed in range(5) for face_id in add(store, giant, embeddings(100, seed=seed))]
        for number in range(250):
            users.create_user(ACTOR, giant, f"user-{number}")
            users.associate_faces(ACTOR, giant, f"user-{number}", ids[2 * number :][:2], near_enough=anything)
        with pool.connection() as connection:
            connection.execute("ANALYZE")
        for number in range(8):
            album = store.create_collection(ACTOR, OWNER, f"album-{number}", "128.1")
            faces = add(store, album, embeddings(3))
            for name in ("ann", "bob"):
                users.create_user(ACTOR, album, name)
            users.associate_faces(ACTOR, album, "ann", faces, near_enough=anything)
            users.disassociate_faces(ACTOR, album, "ann", faces[:1])
            users.list_users(album, after="ann", limit=9)
            users.get_user_embedding(album, "ann")
            store.list_faces(album, after=None, limit=9, user_id="ann")
            store.delete_faces(ACTOR, album, faces)
            PgvectorIndex(pool).search_users(album, embeddings(1)[0], cosine_min=0.0, limit=5)
            users.delete_user(ACTOR, album, "bob")
            store.changes(album, 0)
            store.delete_collection(ACTOR, OWNER, f"album-{number}")
        with pool.connection() as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")
            scans = connection.execute(
                "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname ~ 'faces|users'"
            ).fetchall()
    assert dict(scans) == {"faces": 0, "removed_faces": 0, "users": 0, "removed_users": 0}
