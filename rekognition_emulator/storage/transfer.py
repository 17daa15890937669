"""Collections into files and back.

Reading sees one moment of the collection, while others go on writing. Writing is one transaction, at the end of which
the collection appears: an import that is interrupted leaves nothing that anybody sees, and is simply repeated. Faces
come in revisions of some thousand, so that an index that follows the collection can take it in parts.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
from pgvector import Vector
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.errors import CollectionExists, CollectionNotFound
from rekognition_emulator.domain.faces import Embedding, EnrolledFace, NewFace, Owner
from rekognition_emulator.domain.users import User
from rekognition_emulator.storage.archive import PART, ArchiveUnusable, Check, Part, create_archive, open_archive
from rekognition_emulator.storage.archive_lines import Described
from rekognition_emulator.storage.audit import record
from rekognition_emulator.storage.integrity import collection_faults

Progress = Callable[[int], None]
"""(users or faces that were just carried over) → None."""

PATIENT: Final = """
-- A slow disk, of which this transaction waits for every part, is no client that has vanished; and nobody waits for it.
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL statement_timeout = 0
"""


def list_names(pool: ConnectionPool, account: str) -> list[tuple[str, str]]:
    """Returns region and name of all collections of an account."""
    with pool.connection() as connection:
        query = "SELECT region, name FROM collections WHERE account = %s ORDER BY region, name"
        return connection.execute(query, [account]).fetchall()


def export_collection(
    pool: ConnectionPool, owner: Owner, name: str, path: Path, begin: Callable[[Described], Progress]
) -> Described:
    """Writes a collection, as it is at one moment, into a file that must not exist.

    Args:
        pool: to the database.
        owner: whose collection.
        name: the collection's.
        path: of the file; it appears when it is complete.
        begin: called once it is known how much there is.

    Returns:
        What the file holds.

    Raises:
        CollectionNotFound: the owner has none of this name.
        ArchiveUnusable: the file exists.
        OSError: it cannot be written.
    """
    with pool.connection() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(PATIENT)
        key, described = _describe(connection, owner, name)
        progress = begin(described)
        with create_archive(path, described) as archive:
            for part in _ahead(_parts(connection, key)):
                archive.write(part)
                progress(len(part.users) + len(part.faces))
    return described


def import_collection(  # noqa: PLR0913, PLR0917 - what an import takes
    pool: ConnectionPool,
    actor: Actor,
    path: Path,
    check: Check,
    target: Callable[[Described], tuple[Owner, str]],
    begin: Callable[[Described], Progress],
) -> Described:
    """Makes a collection of a file that ``export_collection`` has written: all of it, or nothing.

    The file is not believed: each line is checked as it is read, and before anybody sees the collection, the rules of
    ``integrity`` are, such as that faces belong to users who are there.

    Args:
        pool: to the database.
        actor: who imports; the region is that of the collection.
        path: of the file.
        check: what is demanded of every line besides.
        target: told what the file holds, says whose it becomes and under which name.
        begin: called once it is known how much there is.

    Returns:
        What the file holds.

    Raises:
        CollectionExists: the owner has one of this name.
        ArchiveUnusable: the file was cut or changed, is of another version, or holds what cannot be stored.
        OSError: it cannot be read.
    """
    with open_archive(path, check) as (described, parts), pool.connection() as connection, connection.transaction():
        owner, name = target(described)
        connection.execute(PATIENT)
        if _exists(connection, owner, name):
            raise CollectionExists(name)
        _require_dimension(connection, path, described)
        progress = begin(described)
        row = connection.execute("SELECT nextval(pg_get_serial_sequence('collections', 'id'))").fetchone()
        assert row is not None
        key, revision = row[0], 0
        try:
            for revision, part in enumerate(_ahead(parts), start=1):
                _store_users(connection, key, revision, part.users)
                _store_faces(connection, key, revision, part.faces)
                progress(len(part.users) + len(part.faces))
            created = connection.execute(
                """
                INSERT INTO collections (id, account, region, name, face_model_version, created_at, tags,
                                         revision, face_count, user_count)
                OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (account, region, name) DO NOTHING
                """,
                [
                    *(key, owner.account, owner.region, name, described.face_model_version, described.created_at),
                    *(Jsonb(dict(described.tags)), revision, described.face_count, described.user_count),
                ],
            )
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise ArchiveUnusable(f"{path} cannot be stored: {error.diag.message_primary or error}.") from error
        if not created.rowcount:
            raise CollectionExists(name)
        if faults := collection_faults(connection, key):
            raise ArchiveUnusable(f"{path} cannot be used: its collection {'; '.join(faults)}.")
        record(
            connection,
            replace(actor, region=owner.region),
            collection=name,
            faces_imported=described.face_count,
            users_imported=described.user_count,
        )
    return described


def _describe(connection: Connection[TupleRow], owner: Owner, name: str) -> tuple[int, Described]:
    row = connection.execute(
        """
        SELECT id, face_model_version, created_at, tags, face_count, user_count FROM collections
        WHERE account = %s AND region = %s AND name = %s
        """,
        [owner.account, owner.region, name],
    ).fetchone()
    if row is None:
        raise CollectionNotFound(name)
    key, version, created_at, tags, face_count, user_count = row
    query = "SELECT vector_dims(embedding) FROM faces WHERE collection_id = %s LIMIT 1"
    (dimension,) = connection.execute(query, [key]).fetchone() or (None,)
    return key, Described(owner.region, name, version, dimension, created_at, tags, face_count, user_count)


def _parts(connection: Connection[TupleRow], key: int) -> Iterator[Part]:
    with connection.cursor("exported_users", binary=True) as cursor:
        cursor.execute(
            "SELECT user_id, face_count, embedding FROM users WHERE collection_id = %s ORDER BY user_id", [key]
        )
        while rows := cursor.fetchmany(PART):
            yield Part(users=[(User(user_id, count), _array(embedding)) for user_id, count, embedding in rows])
    with connection.cursor("exported_faces", binary=True) as cursor:
        cursor.execute(
            """
            SELECT face_id, image_id, external_image_id, box_left, box_top, box_width, box_height, confidence, user_id,
                   embedding
            FROM faces WHERE collection_id = %s ORDER BY face_id
            """,
            [key],
        )
        while rows := cursor.fetchmany(PART):
            yield Part(faces=[_new_face(row) for row in rows])


def _new_face(row: TupleRow) -> NewFace:
    face_id, image_id, external_image_id, left, top, width, height, confidence, user_id, embedding = row
    box = BoundingBox(left, top, width, height)
    return NewFace(EnrolledFace(face_id, image_id, external_image_id, box, confidence, user_id), embedding.to_numpy())


def _ahead(parts: Iterator[Part]) -> Iterator[Part]:
    """Yields parts, and fetches the next one meanwhile: disks, sockets and zlib do not need Python."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        coming = beside.submit(next, parts, None)
        while part := coming.result():
            coming = beside.submit(next, parts, None)
            yield part


def _exists(connection: Connection[TupleRow], owner: Owner, name: str) -> bool:
    query = "SELECT FROM collections WHERE account = %s AND region = %s AND name = %s"
    return connection.execute(query, [owner.account, owner.region, name]).fetchone() is not None


def _require_dimension(connection: Connection[TupleRow], path: Path, described: Described) -> None:
    """Compares with what is stored here of the same face model: embeddings of two dimensions are never of one model."""
    other = connection.execute(
        "SELECT id, name FROM collections WHERE face_model_version = %s AND face_count > 0 LIMIT 1",
        [described.face_model_version],
    ).fetchone()
    if other is None:
        return
    key, name = other
    query = "SELECT vector_dims(embedding) FROM faces WHERE collection_id = %s LIMIT 1"
    row = connection.execute(query, [key]).fetchone()
    if row is not None and described.dimension not in {None, row[0]}:
        raise ArchiveUnusable(
            f"{path} has embeddings of {described.dimension} dimensions; those of the collection {name}, of the same "
            f"face model {described.face_model_version}, have {row[0]}."
        )


def _store_users(
    connection: Connection[TupleRow], key: int, revision: int, users: Sequence[tuple[User, Embedding | None]]
) -> None:
    if users:
        query = "COPY users (collection_id, user_id, face_count, embedding, revision) FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(query) as copy:
            copy.set_types(["int8", "text", "int8", "vector", "int8"])
            for user, embedding in users:
                copy.write_row((key, user.user_id, user.face_count, embedding, revision))


def _store_faces(connection: Connection[TupleRow], key: int, revision: int, faces: Sequence[NewFace]) -> None:
    if faces:
        query = """
            COPY faces (collection_id, face_id, image_id, external_image_id, box_left, box_top, box_width, box_height,
                        confidence, user_id, embedding, revision) FROM STDIN (FORMAT BINARY)
        """
        with connection.cursor() as cursor, cursor.copy(query) as copy:
            copy.set_types(["int8", "uuid", "uuid", "text", *["float8"] * 5, "text", "vector", "int8"])
            for new in faces:
                face, box = new.face, new.face.box
                copy.write_row(
                    (
                        *(key, face.face_id, face.image_id, face.external_image_id),
                        *(box.left, box.top, box.width, box.height, face.confidence),
                        *(face.user_id, new.embedding, revision),
                    )
                )


def _array(embedding: Vector | None) -> Embedding | None:
    return None if embedding is None else embedding.to_numpy()
