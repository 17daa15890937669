"""What the lines of an archive say: values into lines, and lines into values that were checked.

Types and ranges are those that the store and the wire can carry. What a name may look like is AWS's to say, and not
known here.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np

from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.faces import RETENTION_DAYS_MAX, Embedding, EnrolledFace, NewFace
from rekognition_emulator.domain.tags import TAGS_MAX
from rekognition_emulator.domain.users import User
from rekognition_emulator.storage.integrity import UNIT_TOLERANCE

DIMENSION_MAX: Final = 16_000
"""Source: pgvector's README, the most that a vector stores."""

MOMENT_MIN: Final = datetime(1, 1, 2, tzinfo=UTC)
MOMENT_MAX: Final = datetime(9998, 12, 31, tzinfo=UTC)
"""Of a creation. Beyond, a day's difference of time zones leads out of the years that Python, and so the wire, has."""

COUNT_MAX: Final = 2**53 - 1
"""Whole numbers up to here are the same in every program that reads JSON. Source: RFC 8259, section 6."""

BOX_MAX: Final = 1_000.0
"""Ratios of a picture to which a face may reach. Ours: far beyond what a detector says of faces that the edge cuts."""

_FACE_MODEL_VERSION: Final = re.compile(r"[0-9.]{1,64}")
"""Digits and dots, as our manifests have it and the service answers it."""

_FLOAT_BYTES: Final = 4
"""Of a number of an embedding."""


class Unfit(ValueError):
    """A line says what no export says; the text goes on from ``line 7 has``."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the first line says of a collection.

    Attributes:
        dimension: of its embeddings; None if it has no face.
        retention_days: for how many days it keeps faces; None: for ever, or not known of a file of the first version.
    """

    region: str
    name: str
    face_model_version: str
    dimension: int | None
    created_at: datetime
    tags: Mapping[str, str]
    face_count: int
    user_count: int
    retention_days: int | None = None


def collection_line(described: Described) -> Mapping[str, object]:
    """Returns what the first line says of a collection."""
    return {
        "region": described.region,
        "name": described.name,
        "face_model_version": described.face_model_version,
        "dimension": described.dimension,
        "created_at": described.created_at.isoformat(),
        "tags": dict(described.tags),
        "face_count": described.face_count,
        "user_count": described.user_count,
        "retention_days": described.retention_days,
    }


def user_line(entry: tuple[User, Embedding | None]) -> Mapping[str, object]:
    """Returns a user's line."""
    user, embedding = entry
    encoded = None if embedding is None else _encoded(embedding)
    return {"user": user.user_id, "face_count": user.face_count, "embedding": encoded}


def face_line(new: NewFace) -> Mapping[str, object]:
    """Returns a face's line."""
    face, box = new.face, new.face.box
    return {
        "face": str(face.face_id),
        "image": str(face.image_id),
        "external_image_id": face.external_image_id,
        "box": (box.left, box.top, box.width, box.height),
        "confidence": face.confidence,
        "user": face.user_id,
        "embedding": _encoded(new.embedding),
        "created_at": new.created_at and new.created_at.isoformat(),
    }


def read_collection(about: object) -> Described:
    """Reads what the first line says of a collection.

    Raises:
        Unfit: it says what no export says.
    """
    if not isinstance(about, dict):
        raise Unfit("no description of a collection")
    names = ("region", "name", "face_model_version", "dimension", "created_at", "tags", "face_count", "user_count")
    require_members(about, set(names), {"retention_days"})
    version = _text(about["face_model_version"], "a face model")
    if not _FACE_MODEL_VERSION.fullmatch(version):
        raise Unfit("a face model whose version is not digits and dots")
    tags = about["tags"]
    if not isinstance(tags, dict):
        raise Unfit("tags that are not names and values")
    if len(tags) > TAGS_MAX:
        raise Unfit(f"more than {TAGS_MAX} tags")
    faces = _whole(about["face_count"], "a face count", COUNT_MAX)
    dimension = None if about["dimension"] is None else _whole(about["dimension"], "a dimension", DIMENSION_MAX)
    if (dimension or 0) < 1 and (faces or dimension is not None):
        raise Unfit("a dimension that no embedding has")
    return Described(
        region=_text(about["region"], "a region"),
        name=_text(about["name"], "a name"),
        face_model_version=version,
        dimension=dimension,
        created_at=_moment(about["created_at"]),
        tags={_text(name, "a tag"): _text(value, "a tag", empty=True) for name, value in tags.items()},
        face_count=faces,
        user_count=_whole(about["user_count"], "a user count", COUNT_MAX),
        retention_days=_retention_days(about.get("retention_days")),
    )


def read_user(line: Mapping[str, Any], dimension: int | None) -> tuple[User, Embedding | None]:
    """Reads a user's line in a file whose embeddings have this dimension; errors as ``read_collection``'s."""
    require_members(line, {"user", "face_count", "embedding"})
    embedding = None if line["embedding"] is None else _embedding(line["embedding"], dimension)
    # Of faces that point in opposite directions, the mean is nowhere.
    if embedding is not None and embedding.any():
        _require_unit(embedding)
    return User(_text(line["user"], "a user"), _whole(line["face_count"], "a face count", COUNT_MAX)), embedding


def read_face(line: Mapping[str, Any], dimension: int | None) -> NewFace:
    """Reads a face's line, likewise."""
    names = {"face", "image", "external_image_id", "box", "confidence", "user", "embedding"}
    require_members(line, names, {"created_at"})
    box = line["box"]
    if not isinstance(box, list) or len(box) != 4:  # noqa: PLR2004 - left, top, width, height
        raise Unfit("a box that is not four numbers")
    left, top, width, height = (_number(side, "a box", BOX_MAX) for side in box)
    if width < 0 or height < 0:
        raise Unfit("a box of negative size")
    embedding = _embedding(line["embedding"], dimension)
    _require_unit(embedding)
    face_id = _uuid(line["face"])
    if not face_id.int:
        raise Unfit("a FaceId that is nothing but zeros")  # lists begin after it
    external, user = line["external_image_id"], line["user"]
    face = EnrolledFace(
        face_id=face_id,
        image_id=_uuid(line["image"]),
        external_image_id=None if external is None else _text(external, "an external image id", empty=True),
        box=BoundingBox(left, top, width, height),
        confidence=_number(line["confidence"], "a confidence", 100.0),
        user_id=None if user is None else _text(user, "a user"),
    )
    created_at = line.get("created_at")
    return NewFace(face, embedding, created_at=None if created_at is None else _moment(created_at))


def require_members(line: Mapping[str, Any], names: AbstractSet[str], optional: AbstractSet[str] = frozenset()) -> None:
    """Raises ``Unfit`` unless a line has these members, perhaps the optional ones, and no other."""
    if missing := sorted(names - line.keys()):
        raise Unfit(f"no {missing[0]}")
    if unknown := line.keys() - names - optional:
        raise Unfit(f"{len(unknown)} members more than an export has")


def _text(value: object, what: str, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{what} that is no text")
    if not value and not empty:
        raise Unfit(f"{what} that is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unfit(f"{what} with half a surrogate pair") from None
    if "\0" in value:
        raise Unfit(f"{what} with a NUL")
    return value


def _whole(value: object, what: str, greatest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= greatest:
        raise Unfit(f"{what} that is no whole number from 0 to {greatest:,}")
    return value


def _retention_days(value: object) -> int | None:
    if value is None:
        return None
    days = _whole(value, "a retention", RETENTION_DAYS_MAX)
    if not days:
        raise Unfit("a retention of no day")
    return days


def _number(value: object, what: str, greatest: float) -> float:
    # NaN compares to nothing, and what is too large for a float is infinite already.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -greatest <= value <= greatest:
        raise Unfit(f"{what} with what is no number from {-greatest:,.0f} to {greatest:,.0f}")
    return float(value)


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment and moment.tzinfo and MOMENT_MIN <= moment.astimezone(UTC) <= MOMENT_MAX:
            return moment
    except (ValueError, OverflowError):
        pass
    raise Unfit(f"a moment of creation that is none from the years {MOMENT_MIN.year} to {MOMENT_MAX.year}")


def _uuid(value: object) -> UUID:
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or str(found) != value:
        raise Unfit("an id that is no UUID in lower case")
    return found


def _embedding(value: object, dimension: int | None) -> Embedding:
    try:
        content = a2b_base64(value, strict_mode=True) if isinstance(value, str) else b""
    except ValueError:
        content = b""
    if dimension is None or len(content) != _FLOAT_BYTES * dimension:
        raise Unfit(f"an embedding that does not have {dimension or 0} dimensions, as the first line says")
    return np.frombuffer(content, "<f4")


def _require_unit(embedding: Embedding) -> None:
    length_squared = float(np.dot(embedding, embedding))  # NaN and infinite where a number in it is
    if not abs(length_squared - 1) < 2 * UNIT_TOLERANCE:
        raise Unfit("an embedding that is not of unit length")


def _encoded(embedding: Embedding) -> str:
    return b2a_base64(embedding.astype("<f4", copy=False).tobytes(), newline=False).decode()
