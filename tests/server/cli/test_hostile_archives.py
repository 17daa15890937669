"""Archives whose checksums are right and whose content is anything: refused as a whole, or good for every answer."""

import gzip
import hashlib
import json
import re
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool

import botocore_models
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.cli.transfer import service_check
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.http.codec import renderer
from rekognition_emulator.http.validation import check_output
from rekognition_emulator.inference.details.face_details import FaceDetails
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.error_map import translate_error
from rekognition_emulator.operations.registry import OPERATIONS
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage.answers import PostgresAnswerStore
from rekognition_emulator.storage.archive import ArchiveUnusable, open_archive
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from rekognition_emulator.storage.transactions import JoiningPool
from rekognition_emulator.storage.transfer import export_collection, import_collection
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture
from tests.support.scripted import ScriptedEngine

MODEL = botocore_models.load()
ELSEWHERE = Owner("111111111111", OWNER.region)

Content = list[Any]
Numbers = st.floats() | st.integers() | st.sampled_from([1e39, 1e308, -1, 2**31, 2**63, 10**400, 0.5, 100])
Texts = st.text(max_size=8) | st.sampled_from(
    [
        *("", "\0", "\ud800", "../../x", "a" * 256, "a b", "Zoë", "aws:x", "\x1b[31m", "album", "ada", "100.1", "AAAA"),
        *("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z"),
        *("00000000-0000-0000-0000-000000000000", "{12345678-1234-5678-1234-567812345678}", "100.7", "ben", "event"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | Numbers | Texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(Texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def content(pool: ConnectionPool, tmp_path: Path) -> Content:
    """What a valid archive says: two users, three faces, a tag."""
    store, users = PostgresStore(pool), PostgresUserStore(pool)
    album = store.create_collection(ACTOR, OWNER, "album", ScriptedEngine([]).model.version, {"event": "Zoë 7"})
    faces = picture(embeddings(3, dimension=2))
    store.add_faces(ACTOR, album, uuid4(), faces)
    for user_id, new in zip(("ada", "ben"), faces, strict=False):
        users.create_user(ACTOR, album, user_id)
        users.associate_faces(ACTOR, album, user_id, [new.face.face_id], near_enough=lambda _: True)
    export_collection(pool, OWNER, "album", tmp_path / "album.gz", lambda _: lambda _: None)
    return [json.loads(line) for line in gzip.decompress((tmp_path / "album.gz").read_bytes()).splitlines()]


def write(path: Path, content: Content) -> Path:
    """Writes a file whose checksums are right, whatever is in it; bytes are a line as it is."""
    digest, packed = hashlib.sha256(), b""
    for line in content:
        told = {**line, "sha256": digest.hexdigest()} if isinstance(line, dict) and "sha256" in line else line
        encoded = told if isinstance(told, bytes) else json.dumps(told, separators=(",", ":")).encode()
        digest.update(encoded + b"\n")
        packed += encoded + b"\n"
    path.write_bytes(gzip.compress(packed))
    return path


def refusal(pool: ConnectionPool, path: Path) -> str | None:
    """Says why a file is not imported; None if it is."""
    try:
        bring_in(pool, path)
    except ArchiveUnusable as refused:
        return str(refused)
    return None


def bring_in(pool: ConnectionPool, path: Path) -> None:
    """Imports a file as the command does."""
    import_collection(
        pool, ACTOR, path, service_check(), lambda described: (ELSEWHERE, described.name), lambda _: lambda _: None
    )


def state(pool: ConnectionPool) -> object:
    """Everything that an import could change."""
    with pool.connection() as connection:
        tables = ("collections", "faces", "users")
        return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[Content], None]:
    """A change of one thing somewhere in a file."""
    line, where, value = draw(st.integers(0, 8)), draw(st.integers(0, 20)), draw(VALUES)
    kind = draw(
        st.sampled_from(["value", "value", "value", "value", "inner", "inner", "extra", "gone", "twice", "swap"])
    )

    def mutate(content: Content) -> None:
        chosen = content[line % len(content)]
        target = chosen["collection"] if "collection" in chosen and where % 4 else chosen
        member = sorted(target)[where % len(target)]
        if kind == "value":
            target[member] = value
        elif kind == "inner" and isinstance(target[member], list):
            target[member][where % len(target[member])] = value
        elif kind == "inner" and isinstance(target[member], dict):
            target[member][str(value)] = value
        elif kind == "extra":
            target[str(value)] = value
        elif kind == "gone":
            del target[member]
        elif kind == "twice":
            content.insert(line % len(content), dict(chosen))
        elif kind == "swap":
            content[line % len(content)], content[where % len(content)] = content[where % len(content)], chosen

    return mutate


@given(changes=st.lists(mutations(), min_size=1, max_size=2))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_is_refused_or_every_operation_answers(
    changes: list[Callable[[Content], None]], content: Content, pool: JoiningPool, tmp_path: Path
) -> None:
    """Refused with a sentence and nothing changed, or else what came is listed, described and searched."""
    changed = json.loads(json.dumps(content))
    with suppress(AttributeError, KeyError, TypeError, ZeroDivisionError):  # a change of what another has taken away
        for change in changes:
            change(changed)
    before = state(pool)
    path = write(tmp_path / "changed.gz", changed)
    if refused := refusal(pool, path):
        assert refused.startswith(str(path))
        assert "\n" not in refused
        assert state(pool) == before
        return
    context = Context(
        engine=ScriptedEngine([]),
        attributes=FaceDetails([]),
        store=PostgresStore(pool),
        users=PostgresUserStore(pool),
        tags=PostgresTagStore(pool),
        answers=PostgresAnswerStore(pool),
        index=PgvectorIndex(pool),
        fetch_object=lambda *_: b"",
        owner=ELSEWHERE,
        actor=ACTOR,
    )
    (name,) = answer(context, "ListCollections")["CollectionIds"]
    faces = answer(context, "ListFaces", CollectionId=name)["Faces"]
    described = answer(context, "DescribeCollection", CollectionId=name)
    assert len(faces) == described["FaceCount"]
    answer(context, "ListTagsForResource", ResourceArn=described["CollectionARN"])
    for user in answer(context, "ListUsers", CollectionId=name)["Users"]:
        answer(context, "ListFaces", CollectionId=name, UserId=user["UserId"])
        answer(context, "SearchUsers", CollectionId=name, UserId=user["UserId"])
    for face in faces:
        answer(context, "SearchFaces", CollectionId=name, FaceId=face["FaceId"])
    context.store.delete_collection(ACTOR, ELSEWHERE, name)


def answer(context: Context, operation: str, **request: Any) -> Any:
    """Returns what an operation answers, once it has proved to be what the service model allows; or AWS's error."""
    shape = MODEL.operation_model(operation).output_shape
    try:
        response = OPERATIONS[operation].handler(context, request)  # type: ignore[literal-required] # any of them
    except Exception as error:
        if not isinstance(translate_error(error, operation), ServiceError):
            raise
        return {}
    assert check_output(shape, response) == []
    assert renderer(shape)(response)
    return response


def face(**members: object) -> Callable[[Content], None]:
    """Changes the first face, which is in line 5."""
    return lambda content: content[4].update(members)


def collection(**members: object) -> Callable[[Content], None]:
    """Changes the description of the collection."""
    return lambda content: content[0]["collection"].update(members)


REFUSED: dict[str, tuple[Callable[[Content], object], str]] = {
    "a year without an end": (collection(created_at="9999-12-31T23:59:59+00:00"), "line 1 has a moment"),
    "a year before the first": (collection(created_at="0001-01-01T00:00:00+14:00"), "line 1 has a moment"),
    "a moment without a zone": (collection(created_at="2026-01-01T00:00:00"), "line 1 has a moment"),
    "a tag that is a number": (collection(tags={"event": 7}), "line 1 has a tag that is no text"),
    "a tag that the service has not": (collection(tags={"aws:x": "y"}), "line 1 has what the service does not take"),
    "half a surrogate pair": (collection(tags={"event": "\ud800"}), "line 1 has a tag with half a surrogate pair"),
    "too many tags": (collection(tags={str(n): "" for n in range(51)}), "line 1 has more than 50 tags"),
    "a name with a slash": (collection(name="../x"), "line 1 has what the service does not take.*collectionId"),
    "a name too long": (collection(name="a" * 256), "line 1 has what the service does not take"),
    "a count of 401 digits": (collection(face_count=10**400), "line 1 has a face count"),
    "a count that is true": (collection(user_count=True), "line 1 has a user count"),
    "a member more": (collection(path="/etc"), "line 1 has 1 members more"),
    "a dimension of nothing": (collection(dimension=0), "line 1 has a dimension"),
    "a face model of words": (collection(face_model_version="ours\n"), "line 1 has a face model"),
    "not a number": (face(box=[float("nan"), 0, 1, 1]), "line 5 has a box with what is no number"),
    "infinite": (face(box=[0, float("inf"), 1, 1]), "line 5 has a box with what is no number"),
    "far away": (face(box=[0, 1e300, 1, 1]), "line 5 has a box with what is no number"),
    "a size below zero": (face(box=[0, 0, -1, 1]), "line 5 has a box of negative size"),
    "surer than sure": (face(confidence=100.5), "line 5 has a confidence"),
    "less than unsure": (face(confidence=-1), "line 5 has what the service does not take: .*confidence"),
    "a number as a text": (face(confidence="99"), "line 5 has a confidence"),
    "an id in braces": (face(face="{12345678-1234-5678-1234-567812345678}"), "line 5 has an id that is no UUID"),
    "an id that no list shows": (face(face=str(UUID(int=0))), "line 5 has a FaceId that is nothing"),
    "no embedding": (face(embedding=None), "line 5 has an embedding that does not have 2 dimensions"),
    "zero": (face(embedding="AAAAAAAAAAA="), "line 5 has an embedding that is not of unit length"),
    "NaN within": (face(embedding="AADAfwAAgD8="), "line 5 has an embedding that is not of unit length"),
    "a path as an id": (face(external_image_id="a/b"), "line 5 has what the service does not take.*externalImageId"),
    "an escape sequence": (face(external_image_id="\x1b[31m"), r"line 5 has what the service does not take.*x1b\[31m"),
    "a user nobody is": (face(user="zed"), "has 1 faces of users that do not exist"),
    "the same face twice": (lambda content: content.insert(5, content[4]), "line 6 has an id that does not come after"),
    "the same user twice": (lambda content: content.insert(2, content[1]), "line 3 has an id that does not come after"),
    "a user after the faces": (lambda content: content.insert(6, content[1]), "line 7 has an id that does not come"),
    "a user with more faces": (lambda content: content[1].update(face_count=2), "users with another number of faces"),
    "a user who looks like nobody": (
        lambda content: content[1].update(embedding=content[2]["embedding"]),
        "users whose embedding is not the mean",
    ),
    "a nest": (lambda content: content.__setitem__(4, b'{"face":' + b"[" * 50_000 + b"]" * 50_000 + b"}"), "damaged"),
    "a line of 200 kB": (face(external_image_id="a" * 200_000), "damaged"),
}


@pytest.mark.parametrize(("change", "says"), REFUSED.values(), ids=REFUSED)
def test_what_an_export_never_says_is_refused_with_its_line(
    change: Callable[[Content], object], says: str, content: Content, pool: ConnectionPool, tmp_path: Path
) -> None:
    """The sentence names file, line and fault; nothing is stored, not even for a moment that another could see."""
    change(content)
    before = state(pool)
    path = write(tmp_path / "crafted.gz", content)
    refused = refusal(pool, path)
    assert refused
    assert re.search(says, refused)
    assert refused.startswith(str(path))
    assert "\n" not in refused
    assert state(pool) == before


def test_a_file_that_unpacks_to_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    """A bomb of empty lines, or of one that does not end, is given up at its beginning."""
    for name, block in (("lines", b"\n" * 2**20), ("line", b"[" * 2**20)):
        path = tmp_path / f"{name}.gz"
        with gzip.open(path, "wb") as file:
            for _ in range(64):
                file.write(block)
        tracemalloc.start()
        with pytest.raises(ArchiveUnusable), open_archive(path, service_check()) as (_, parts):
            list(parts)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 30 * 2**20


def test_embeddings_are_read_as_they_were_written(content: Content, pool: ConnectionPool, tmp_path: Path) -> None:
    """The unchanged file is taken: what is refused above is refused for what was changed."""
    bring_in(pool, write(tmp_path / "same.gz", content))
    store = PostgresStore(pool)
    ids = [face.face_id for face in store.list_faces(store.get_collection(OWNER, "album"), after=None, limit=9).items]
    vectors = [
        [store.get_embedding(store.get_collection(owner, "album"), face_id) for face_id in ids]
        for owner in (OWNER, ELSEWHERE)
    ]
    assert np.array_equal(vectors[0], vectors[1])
