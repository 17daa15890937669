import gzip
import hashlib
import json
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool

from rekognition_emulator.domain.errors import CollectionExists, CollectionNotFound
from rekognition_emulator.domain.faces import Collection, NewFace, Owner
from rekognition_emulator.search.memory import MemoryIndex
from rekognition_emulator.storage import archive, transfer
from rekognition_emulator.storage.archive import ArchiveUnusable
from rekognition_emulator.storage.archive_lines import Described
from rekognition_emulator.storage.database import open_pool
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from rekognition_emulator.storage.transfer import export_collection, import_collection, list_names
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture

ELSEWHERE = replace(OWNER, account="111111111111")
NUMBERS = count()
EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@dataclass(frozen=True)
class Contents:
    """What may be in a collection."""

    names: list[str | None]
    user_ids: list[str]
    tags: dict[str, str]
    dimension: int
    seed: int


CONTENTS = st.builds(
    Contents,
    names=st.lists(st.none() | TEXT, max_size=8),
    user_ids=st.lists(TEXT, max_size=4, unique=True),
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
    dimension=st.sampled_from([1, 8, 129]),
    seed=st.integers(0, 1000),
)


def silent(_: Described) -> Callable[[int], None]:
    """Nobody watches."""
    return lambda _: None


def anything(_: object) -> None:
    """Nothing more is demanded of a line."""


def export(pool: ConnectionPool, name: str, path: Path, owner: Owner = OWNER) -> bytes:
    """Writes a collection into a file and returns what is in it."""
    export_collection(pool, owner, name, path, silent)
    return path.read_bytes()


def bring_in(pool: ConnectionPool, path: Path, owner: Owner = ELSEWHERE, name: str | None = None) -> None:
    """Makes a collection of a file, by default with its name in another account."""
    import_collection(pool, ACTOR, path, anything, lambda described: (owner, name or described.name), silent)


def rows(pool: ConnectionPool) -> list[Any]:
    """How many rows of any collection there are, seen or not."""
    with pool.connection() as connection:
        query = "SELECT (SELECT count(*) FROM collections), (SELECT count(*) FROM faces), (SELECT count(*) FROM users)"
        return connection.execute(query).fetchall()


def make(
    pool: ConnectionPool,
    faces: Sequence[NewFace],
    users: Mapping[str, Sequence[UUID]] | None = None,
    tags: Mapping[str, str] | None = None,
    model: str = "100.1",
) -> Collection:
    """A collection with these faces and users."""
    store, user_store = PostgresStore(pool), PostgresUserStore(pool)
    collection = store.create_collection(ACTOR, OWNER, f"album-{next(NUMBERS)}", model, tags)
    for new in faces:
        store.add_faces(ACTOR, collection, new.face.image_id, [new])
    for user_id, face_ids in (users or {}).items():
        user_store.create_user(ACTOR, collection, user_id)
        user_store.associate_faces(ACTOR, collection, user_id, face_ids, near_enough=lambda _: True)
    return store.get_collection(OWNER, collection.name)


@pytest.fixture
def album(pool: ConnectionPool) -> Collection:
    """Five faces, three of them of two users; a third user has none."""
    faces = picture(embeddings(5))
    ids = [new.face.face_id for new in faces]
    return make(pool, faces, {"ada": ids[:2], "ben": ids[2:3], "cyd": []}, {"event": "Zoë & Ünal"})


@pytest.fixture
def exported(pool: ConnectionPool, album: Collection, tmp_path: Path) -> Path:
    """That collection in a file."""
    export(pool, album.name, tmp_path / "album.jsonl.gz")
    return tmp_path / "album.jsonl.gz"


def lines(path: Path) -> list[Any]:
    """What is in a file."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def write(path: Path, content: Sequence[Any]) -> Path:
    """Writes a file whose checksums are right, whatever is in it."""
    digest = hashlib.sha256()
    packed = []
    for line in content:
        told = {**line, "sha256": digest.hexdigest()} if "sha256" in line else line
        packed.append(json.dumps(told, separators=(",", ":")).encode() + b"\n")
        digest.update(packed[-1])
    path.write_bytes(gzip.compress(b"".join(packed)))
    return path


@given(contents=CONTENTS)
@settings(EXAMPLES, max_examples=30)
def test_any_collection_comes_back_as_it_was(contents: Contents, pool: ConnectionPool, tmp_path: Path) -> None:
    """Exported, imported and exported again, a collection gives the same file, to the last byte."""
    count_of_faces, users = len(contents.names), contents.user_ids
    vectors = embeddings(count_of_faces, contents.dimension, contents.seed)
    faces = [
        replace(new, face=replace(new.face, external_image_id=name))
        for name, new in zip(contents.names, picture(vectors), strict=True)
    ]
    ids = [new.face.face_id for new in faces]
    held = {user_id: ids[number :: len(users)] for number, user_id in enumerate(users)}
    album = make(pool, faces, held, contents.tags, f"{1000 + contents.dimension}.1")
    first = export(pool, album.name, tmp_path / f"{album.name}.gz")
    bring_in(pool, tmp_path / f"{album.name}.gz")
    assert export(pool, album.name, tmp_path / f"{album.name}-again.gz", ELSEWHERE) == first
    store = PostgresStore(pool)
    came = store.get_collection(ELSEWHERE, album.name)
    assert came.key != album.key
    assert (came.created_at, came.face_count, came.user_count) == (album.created_at, count_of_faces, len(users))
    assert store.list_faces(came, after=None, limit=10) == store.list_faces(album, after=None, limit=10)


@given(where=st.floats(0, 1, exclude_max=True), bit=st.none() | st.integers(0, 7))
@settings(EXAMPLES, max_examples=40)
def test_damage_anywhere_is_noticed_and_leaves_nothing(
    where: float, bit: int | None, exported: Path, pool: ConnectionPool
) -> None:
    """A file that was cut, or of which one bit changed, is refused, unless the bit means nothing."""
    content = bytearray(exported.read_bytes())
    at = int(where * len(content))
    if bit is None:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    damaged = exported.with_name("damaged.jsonl.gz")
    damaged.write_bytes(content)
    before = rows(pool)
    with suppress(zlib.error, EOFError, gzip.BadGzipFile):
        if gzip.decompress(content) == gzip.decompress(exported.read_bytes()):
            return
    with pytest.raises(ArchiveUnusable, match=rf"^{re.escape(str(damaged))} [^\n]*$"):
        bring_in(pool, damaged)
    assert rows(pool) == before


def test_a_file_can_be_checked_without_this_program(exported: Path) -> None:
    """The last line has the SHA-256 of all lines before it; vectors are base64 of 32-bit floats of unit length."""
    content, last = gzip.decompress(exported.read_bytes())[:-1].rsplit(b"\n", 1)
    assert json.loads(last)["sha256"] == hashlib.sha256(content + b"\n").hexdigest()
    assert json.loads(last)["end"] == {"users": 3, "faces": 5}
    described, *_ = lines(exported)
    assert (described["version"], described["collection"]["dimension"]) == (1, 8)


def test_an_export_is_of_one_moment(pool: ConnectionPool, album: Collection, tmp_path: Path) -> None:
    """What others write while a collection is exported is not in the file, nor does it disturb."""
    store = PostgresStore(pool)

    def begin(_: Described) -> Callable[[int], None]:
        store.add_faces(ACTOR, album, UUID(int=7), picture(embeddings(1, seed=7)))
        store.delete_collection(ACTOR, OWNER, album.name)
        return lambda _: None

    export_collection(pool, OWNER, album.name, tmp_path / "album.gz", begin)
    bring_in(pool, tmp_path / "album.gz")
    assert store.get_collection(ELSEWHERE, album.name).face_count == 5


def test_an_interrupted_export_leaves_no_file(pool: ConnectionPool, album: Collection, tmp_path: Path) -> None:
    """A file appears when it is complete; one that is there is never touched."""

    def begin(_: Described) -> Callable[[int], None]:
        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        return interrupt

    with pytest.raises(KeyboardInterrupt):
        export_collection(pool, OWNER, album.name, tmp_path / "album.gz", begin)
    assert list(tmp_path.iterdir()) == []
    written = export(pool, album.name, tmp_path / "album.gz")
    with pytest.raises(ArchiveUnusable, match="exists already"):
        export(pool, album.name, tmp_path / "album.gz")
    assert (tmp_path / "album.gz").read_bytes() == written
    with pytest.raises(CollectionNotFound):
        export(pool, "nothing", tmp_path / "nothing.gz")


def test_an_interrupted_import_leaves_nothing_and_can_be_repeated(
    pool: ConnectionPool, exported: Path, album: Collection
) -> None:
    """Whatever ends an import, it leaves neither a collection nor rows of one."""
    before = rows(pool)

    def begin(_: Described) -> Callable[[int], None]:
        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        return interrupt

    with pytest.raises(KeyboardInterrupt):
        import_collection(pool, ACTOR, exported, anything, lambda described: (ELSEWHERE, described.name), begin)
    assert rows(pool) == before
    bring_in(pool, exported)
    assert list_names(pool, ELSEWHERE.account) == [(ELSEWHERE.region, album.name)]


def test_a_collection_that_is_there_is_not_touched(pool: ConnectionPool, exported: Path, album: Collection) -> None:
    """Neither is one that somebody creates while the import goes on."""
    before = rows(pool)
    with pytest.raises(CollectionExists):
        bring_in(pool, exported, OWNER)
    assert rows(pool) == before

    def begin(_: Described) -> Callable[[int], None]:
        PostgresStore(pool).create_collection(ACTOR, ELSEWHERE, album.name, "100.1")
        return lambda _: None

    with pytest.raises(CollectionExists):
        import_collection(pool, ACTOR, exported, anything, lambda described: (ELSEWHERE, described.name), begin)
    assert PostgresStore(pool).get_collection(ELSEWHERE, album.name).face_count == 0


def test_an_index_outside_follows_an_import_in_parts(
    pool: ConnectionPool, album: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faces of an import come in revisions, none later than the collection's own, and are found as before."""
    monkeypatch.setattr(transfer, "PART", 2)
    export(pool, album.name, tmp_path / "album.gz")
    bring_in(pool, tmp_path / "album.gz")
    store = PostgresStore(pool)
    came = store.get_collection(ELSEWHERE, album.name)
    with pool.connection() as connection:
        revisions = connection.execute(
            "SELECT revision, count(*) FROM faces WHERE collection_id = %s GROUP BY 1 ORDER BY 1", [came.key]
        ).fetchall()
    assert revisions == [(3, 2), (4, 2), (5, 1)]
    assert came.revision == 5
    index = MemoryIndex(store, 2**20)
    for probe in embeddings(5):
        for search in (index.search, index.search_users):
            assert search(came, probe, cosine_min=-1, limit=9) == search(album, probe, cosine_min=-1, limit=9)


def test_an_export_of_another_version_is_refused(pool: ConnectionPool, exported: Path, tmp_path: Path) -> None:
    """A file of a later program says so, and one of another program, or nothing, is none of ours."""
    described, *rest = lines(exported)
    with pytest.raises(ArchiveUnusable, match="another version of the format; this program reads 1"):
        bring_in(pool, write(tmp_path / "later.gz", [{**described, "version": 2}, *rest]))
    with pytest.raises(ArchiveUnusable, match="no export of a collection"):
        bring_in(pool, write(tmp_path / "other.gz", [{"version": 1}]))
    for name, content in {"empty": b"", "text": b"{}\n", "nothing": gzip.compress(b"")}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArchiveUnusable, match=r"no export of a collection|is cut"):
            bring_in(pool, tmp_path / name)


def test_embeddings_of_another_dimension_are_refused(
    pool: ConnectionPool, exported: Path, album: Collection, tmp_path: Path
) -> None:
    """Neither what a file itself does not announce, nor what the same face model has never made here."""
    described, *rest = lines(exported)
    announced = {**described, "collection": {**described["collection"], "dimension": 9}}
    PostgresStore(pool).delete_collection(ACTOR, OWNER, album.name)
    with pytest.raises(ArchiveUnusable, match="does not have 9 dimensions"):
        bring_in(pool, write(tmp_path / "nine.gz", [announced, *rest]))
    wide = make(pool, picture(embeddings(1, dimension=9)))
    with pytest.raises(ArchiveUnusable, match=rf"8 dimensions; those of the collection {wide.name}.* have 9"):
        bring_in(pool, exported)


ALL_ONES = b64encode(np.ones(8, "<f4").tobytes()).decode()

CRAFTED: dict[str, Callable[[list[Any]], object]] = {
    "an embedding too long": lambda content: content[5].update(embedding=content[5]["embedding"][:8] * 4),
    "an embedding not of unit length": lambda content: content[5].update(
        embedding="AACAPwAAgD8AAIA/AACAPwAAgD8AAIA/AACAPwAAgD8="
    ),
    "no base64": lambda content: content[5].update(embedding="?"),
    "no embedding": lambda content: content[5].pop("embedding"),
    "a face without one": lambda content: content[5].update(embedding=None),
    "no face id": lambda content: content[5].update(face="7"),
    "a face twice": lambda content: content[6].update(face=content[5]["face"]),
    "a box of three sides": lambda content: content[5].update(box=[1, 2, 3]),
    "a name that is none": lambda content: content[5].update(external_image_id={}),
    "a name that cannot be stored": lambda content: content[5].update(external_image_id="\0"),
    "fewer faces than announced": lambda content: content.pop(5),
    "no face model": lambda content: content[0]["collection"].pop("face_model_version"),
    "no moment": lambda content: content[0]["collection"].update(created_at="yesterday"),
    "no count": lambda content: content[0]["collection"].update(face_count="five"),
    "no object": lambda content: content.__setitem__(5, 7),
    "something after the end": lambda content: content.append({}),
}


@pytest.mark.parametrize("craft", CRAFTED.values(), ids=CRAFTED)
def test_nonsense_with_right_checksums_is_refused_in_a_sentence(
    craft: Callable[[list[Any]], object], pool: ConnectionPool, exported: Path, tmp_path: Path
) -> None:
    """A file that somebody made by hand is refused as a whole, and leaves nothing."""
    content = lines(exported)
    craft(content)
    before = rows(pool)
    crafted = tmp_path / "crafted.gz"
    if 7 in content:
        crafted.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in content)))
    else:
        write(crafted, content)
    with pytest.raises(ArchiveUnusable):
        bring_in(pool, crafted)
    assert rows(pool) == before


def test_memory_is_bounded_by_a_part(
    pool: ConnectionPool, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that does not end, and a part that does not, are refused before they are all in memory."""
    endless = tmp_path / "endless.gz"
    endless.write_bytes(gzip.compress(b"{" * 4 * archive.LINE_BYTES_MAX))
    with pytest.raises(ArchiveUnusable, match="damaged"):
        bring_in(pool, endless)
    monkeypatch.setattr(archive, "PART", 4)
    with pytest.raises(ArchiveUnusable, match="damaged"):
        bring_in(pool, exported)


def test_vectors_are_read_back_bit_by_bit(pool: ConnectionPool, tmp_path: Path) -> None:
    """What an index compares after an import is what it compared before."""
    vectors = embeddings(3, dimension=512)
    album = make(pool, picture(vectors))
    export(pool, album.name, tmp_path / "album.gz")
    bring_in(pool, tmp_path / "album.gz")
    store = PostgresStore(pool)
    came = store.get_collection(ELSEWHERE, album.name)
    faces = store.list_faces(album, after=None, limit=3).items
    stored = [store.get_embedding(came, face.face_id) for face in faces]
    assert np.array_equal(np.sort(stored, axis=0), np.sort(vectors, axis=0))


def test_what_earlier_programs_imported_is_mended(database_url: str) -> None:
    """A moment or a tag that no answer can carry does not keep a whole account's lists from being answered."""
    with open_pool(database_url, connections_max=1) as pool:
        PostgresStore(pool).create_collection(ACTOR, OWNER, "sound", "100.1", {"event": "fair"})
        before = PostgresStore(pool).get_collection(OWNER, "sound")
        with pool.connection() as connection:
            connection.execute("ALTER TABLE collections DROP CONSTRAINT collections_created_at_check")
            connection.execute("DELETE FROM applied_migrations WHERE name = '0010.imported.sql'")
            for name, moment in {
                "late": "9999-12-31 23:59:59-12",
                "never": "infinity",
                "early": "4000-01-01 BC",
            }.items():
                query = """
                    INSERT INTO collections (account, region, name, face_model_version, created_at, tags)
                    VALUES (%s, %s, %s, '100.1', %s, '{"a": 1, "b": null, "c": "kept", "d": {}}')
                """
                connection.execute(query, [OWNER.account, OWNER.region, name, moment])
    with open_pool(database_url, connections_max=1) as pool:
        store = PostgresStore(pool)
        listed = {each.name: each for each in store.list_collections(OWNER, after=None, limit=9).items}
        assert listed["sound"] == before
        assert {name: each.created_at.astimezone(UTC).year for name, each in listed.items() if name != "sound"} == {
            "late": 9998,
            "never": 9998,
            "early": 1,
        }
        assert PostgresTagStore(pool).get_tags(listed["late"]) == {"c": "kept"}
        assert PostgresTagStore(pool).get_tags(before) == {"event": "fair"}
