import pytest
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.storage.integrity import check_collections, check_tables
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


@pytest.fixture
def album(pool: ConnectionPool) -> Collection:
    """Five faces, three of them of two users, of whom one was told of in vain; and two collections more."""
    store, users = PostgresStore(pool), PostgresUserStore(pool)
    faces = picture(embeddings(5))
    ids = [new.face.face_id for new in faces]
    album = store.create_collection(ACTOR, OWNER, "album", "100.1")
    store.add_faces(ACTOR, album, faces[0].face.image_id, faces)
    for user_id, held in {"ada": ids[:3], "ben": ids[3:4], "cyd": []}.items():
        users.create_user(ACTOR, album, user_id)
        users.associate_faces(ACTOR, album, user_id, held, near_enough=lambda _: True)
    users.disassociate_faces(ACTOR, album, "ada", ids[2:3])
    store.delete_faces(ACTOR, album, ids[2:3])
    store.create_collection(ACTOR, OWNER, "empty", "100.1")
    store.create_collection(ACTOR, OWNER, "gone", "100.1")
    store.delete_collection(ACTOR, OWNER, "gone")
    return store.get_collection(OWNER, "album")


def faults(pool: ConnectionPool) -> list[str]:
    """All that is found to be wrong."""
    return [fault for checked in check_collections(pool) for fault in checked.faults] + check_tables(pool)


def test_what_the_stores_write_is_sound(pool: ConnectionPool, album: Collection) -> None:
    """After additions, removals and changes of users nothing is wrong."""
    assert [(checked.name, checked.face_count) for checked in check_collections(pool)] == [("album", 4), ("empty", 0)]
    assert faults(pool) == []


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE collections SET face_count = 7 WHERE name = 'album'", ["says that it has 7 faces, and has 4"]),
        ("UPDATE collections SET user_count = 1 WHERE name = 'empty'", ["says that it has 1 users, and has 0"]),
        ("UPDATE collections SET revision = 0 WHERE name = 'album'", ["has 6 faces or users of a later revision"]),
        ("UPDATE users SET face_count = 9 WHERE user_id = 'ada'", ["has 1 users with another number of faces"]),
        (
            "UPDATE users SET embedding = (SELECT embedding FROM users WHERE user_id = 'ben') WHERE user_id = 'ada'",
            ["has 1 users whose embedding is not the mean"],
        ),
        ("UPDATE users SET embedding = NULL WHERE user_id = 'ben'", ["has 1 users whose embedding is not the mean"]),
        (
            "UPDATE faces SET embedding = '[2,0,0,0,0,0,0,0]' WHERE user_id IS NULL",
            ["has 1 embeddings that are not of unit length"],
        ),
        ("UPDATE faces SET embedding = '[1,0]' WHERE user_id IS NULL", ["has embeddings of 2 and of 8 dimensions"]),
        (
            "DELETE FROM users WHERE user_id = 'ben'",
            ["says that it has 3 users, and has 2", "has 1 faces of users that do not exist"],
        ),
        ("INSERT INTO removed_users VALUES (77, 1, 'eve')", ["removed_users has rows of a collection 77"]),
        (
            "DELETE FROM collections WHERE name = 'album'",
            [
                "faces has rows of a collection 1 that",
                "users has rows of a collection 1 that",
                "removed_faces has rows of a collection 1 that",
            ],
        ),
        (
            """CREATE FUNCTION bt_index_check(regclass, boolean) RETURNS void LANGUAGE plpgsql AS
            $$ BEGIN IF $1 = 'faces_pkey'::regclass THEN RAISE 'out of order'; END IF; END $$""",
            ["The index faces_pkey is damaged: out of order"],
        ),
    ],
)
def test_whatever_is_wrong_is_said(damage: str, told: list[str], pool: ConnectionPool, album: Collection) -> None:
    """Each rule that must hold of the tables is missed where it is broken, and nothing else is complained of."""
    with pool.connection() as connection:
        connection.execute(damage.encode())
    found = faults(pool)
    assert len(found) == len(told), found
    for fault, words in zip(found, told, strict=True):
        assert words in fault


def test_rows_that_cannot_be_read_are_a_finding(pool: ConnectionPool, album: Collection) -> None:
    """A check that PostgreSQL itself breaks off is told of in its words, and the next collection is still checked."""
    with pool.connection() as connection:
        connection.execute(
            """UPDATE faces SET embedding = '[1,0]'
            WHERE face_id = (SELECT face_id FROM faces WHERE user_id = 'ada' LIMIT 1)"""
        )
    checked = list(check_collections(pool))
    assert [one.name for one in checked] == ["album", "empty"]
    assert "cannot be read" in checked[0].faults[0]
