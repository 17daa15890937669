"""What faces were made from, in PostgreSQL: their crops, and where their images were read.

All of it goes with the face, in the same transaction. What an operator may not keep of a person any more must not stay
behind because it is only useful later.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from rekognition_emulator.domain.faces import FaceChip, PictureSource

_DROP_CHIPS: Final = "DELETE FROM face_chips WHERE collection_id = %(key)s AND face_id = ANY(%(gone)s)"
_DROP_STAGED: Final = "DELETE FROM staged_embeddings WHERE collection_id = %(key)s AND face_id = ANY(%(gone)s)"
_DROP_SOURCES: Final = """
DELETE FROM picture_sources WHERE collection_id = %(key)s AND image_id = ANY(%(images)s) AND NOT EXISTS (
    SELECT FROM faces WHERE collection_id = %(key)s AND image_id = picture_sources.image_id
)
"""


def remember(
    connection: Connection[TupleRow],
    key: int,
    image_id: UUID,
    source: PictureSource | None,
    chips: Mapping[UUID, FaceChip],
) -> None:
    """Stores where a picture was read from this time, and chips of its faces, by id, that have none yet."""
    if source is not None:
        connection.execute(
            """
            INSERT INTO picture_sources (collection_id, image_id, bucket, key, version) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (collection_id, image_id)
            DO UPDATE SET bucket = excluded.bucket, key = excluded.key, version = excluded.version
            """,
            [key, image_id, source.bucket, source.key, source.version],
        )
    if chips:
        connection.cursor().executemany(
            """
            INSERT INTO face_chips (collection_id, face_id, jpeg, landmarks) VALUES (%s, %s, %b, %s)
            ON CONFLICT DO NOTHING
            """,
            [(key, face_id, chip.jpeg, chip.landmarks.ravel().tolist()) for face_id, chip in chips.items()],
        )


def forget(connection: Connection[TupleRow], key: int, faces: Sequence[UUID], images: Sequence[UUID]) -> None:
    """Removes what is left of faces that the same transaction has deleted, and of pictures that have no other face."""
    gone = {"key": key, "gone": list(faces), "images": list(images)}
    for statement in (_DROP_CHIPS, _DROP_STAGED, _DROP_SOURCES):
        connection.execute(statement, gone)
