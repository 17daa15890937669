"""A collection in a file: changes when it is written down in another way, and then ``VERSION`` does, too.

JSON lines in gzip: one line about the collection, then a line for each user and each face. After every part of some
thousand lines, and at the end, a line has the SHA-256 of all lines before it, so that a file that was cut or changed is
noticed, by us or by ``zcat FILE | head -n -1 | sha256sum``. Embeddings are base64 of little-endian 32-bit floats.
Parquet was refused: it takes a hundred megabytes of library to read what any language reads already.
"""

import hashlib
import json
import os
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import numpy as np

from rekognition_emulator.faces.detection import BoundingBox
from rekognition_emulator.faces.gallery import Embedding, EnrolledFace, NewFace
from rekognition_emulator.faces.users import User
from rekognition_emulator.store.files import move

FORMAT: Final = "rekognition-emulator collection"
VERSION: Final = 1

PART: Final = 2_000
"""Users or faces between two checksums, which are in memory at once: 20 MB for faces of 512 dimensions."""

LINE_BYTES_MAX: Final = 2**20
"""Far above the longest line that is written: a face of 16,000 dimensions, the most that pgvector stores, has 85 kB."""

UNIT_TOLERANCE: Final = 1e-3
"""By how much the length of an embedding may differ from 1; 32-bit floats differ by less than 1e-6."""

_READ_BYTES: Final = 2**16
"""At once; unpacked they are some 90 kB, and never more than a thousand times as much."""

_GZIP: Final = 31
"""What zlib calls the format of gzip."""


class ArchiveUnusable(Exception):
    """A file is not what was exported, or cannot be imported here; the text says why."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the first line says of a collection.

    Attributes:
        dimension: of its embeddings; None if it has no face.
    """

    region: str
    name: str
    face_model_version: str
    dimension: int | None
    created_at: datetime
    tags: Mapping[str, str]
    face_count: int
    user_count: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some users or some faces of a collection, by ascending id.

    Attributes:
        users: each with its embedding, the mean of its faces', which is None without faces.
        faces: each with its embedding.
    """

    users: Sequence[tuple[User, Embedding | None]] = ()
    faces: Sequence[NewFace] = ()


class ArchiveWriter:
    """Writes a collection; complete only after ``end``."""

    def __init__(self, file: IO[bytes], described: Described) -> None:
        self._file = file
        # Numbers in base64 repeat nothing: looking for repetitions takes 2.4 times as long as counting letters does,
        # and saves 5 % at 512 dimensions.
        self._packer = zlib.compressobj(method=zlib.DEFLATED, wbits=_GZIP, strategy=zlib.Z_HUFFMAN_ONLY)
        self._digest = hashlib.sha256()
        self._users = self._faces = 0
        about = {
            "region": described.region,
            "name": described.name,
            "face_model_version": described.face_model_version,
            "dimension": described.dimension,
            "created_at": described.created_at.isoformat(),
            "tags": dict(described.tags),
            "face_count": described.face_count,
            "user_count": described.user_count,
        }
        self._write([{"format": FORMAT, "version": VERSION, "collection": about}])

    def write(self, part: Part) -> None:
        """Adds users or faces, and their checksum."""
        self._write([*map(_user_line, part.users), *map(_face_line, part.faces)])
        self._write([{"sha256": self._digest.hexdigest()}])
        self._users += len(part.users)
        self._faces += len(part.faces)

    def end(self) -> None:
        """Writes the last line."""
        counted = {"users": self._users, "faces": self._faces}
        self._write([{"end": counted, "sha256": self._digest.hexdigest()}])
        self._file.write(self._packer.flush())

    def _write(self, lines: Iterable[Mapping[str, object]]) -> None:
        encoded = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines).encode()
        self._digest.update(encoded)
        self._file.write(self._packer.compress(encoded))


def _user_line(entry: tuple[User, Embedding | None]) -> Mapping[str, object]:
    user, embedding = entry
    encoded = None if embedding is None else _encoded(embedding)
    return {"user": user.user_id, "face_count": user.face_count, "embedding": encoded}


def _face_line(new: NewFace) -> Mapping[str, object]:
    face, box = new.face, new.face.box
    return {
        "face": str(face.face_id),
        "image": str(face.image_id),
        "external_image_id": face.external_image_id,
        "box": (box.left, box.top, box.width, box.height),
        "confidence": face.confidence,
        "user": face.user_id,
        "embedding": _encoded(new.embedding),
    }


@contextmanager
def create_archive(path: Path, described: Described) -> Iterator[ArchiveWriter]:
    """Writes a file that appears under its name when it is complete and on the disk, and otherwise not at all.

    Raises:
        ArchiveUnusable: there is a file of this name.
        OSError: it cannot be written.
    """
    if path.exists():
        raise ArchiveUnusable(f"{path} exists already; nothing is overwritten.")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as raw:
            writer = ArchiveWriter(raw, described)
            yield writer
            writer.end()
            raw.flush()
            os.fsync(raw.fileno())
        move(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[Described, Iterator[Part]]]:
    """Reads a file that ``create_archive`` has written, part by part.

    A part is returned after its checksum was compared. Only when there is no other one is the whole file known to be
    there: until then, what is made of the parts must be possible to take back.

    Raises:
        ArchiveUnusable: also while parts are read: the file was cut or changed, or is none of ours.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        lines = _read(path, file)
        _, first = next(lines, ("", {}))
        described = _described(path, first)
        yield described, _parts(path, described, lines)


def _read(path: Path, file: IO[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each line's content, where it has a checksum after the SHA-256 of all lines before it."""
    digest = hashlib.sha256()
    for line in _unpack(path, file):
        before = digest.hexdigest() if line.startswith((b'{"sha256"', b'{"end"')) else ""
        digest.update(line)
        digest.update(b"\n")
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _changed(path) from error
        if not isinstance(content, dict):
            raise _changed(path)
        yield before, content


def _unpack(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Yields lines without their ends. Not by the module gzip, which takes three times as long for it."""
    unpacker = zlib.decompressobj(wbits=_GZIP)
    rest = b""
    while packed := file.read(_READ_BYTES):
        try:
            *lines, rest = (rest + unpacker.decompress(packed)).split(b"\n")
        except zlib.error as error:
            raise ArchiveUnusable(f"{path} is damaged, or is no export of a collection.") from error
        if len(rest) > LINE_BYTES_MAX or unpacker.unused_data:
            raise _changed(path)
        yield from lines
    if not unpacker.eof:
        raise _cut(path)
    if rest:
        raise _changed(path)


def _described(path: Path, line: dict[str, Any]) -> Described:
    if line.get("format") != FORMAT:
        raise ArchiveUnusable(f"{path} is no export of a collection.")
    if line.get("version") != VERSION:
        raise ArchiveUnusable(f"{path} has version {line.get('version')} of the format; this program reads {VERSION}.")
    try:
        about = line["collection"]
        return Described(
            region=str(about["region"]),
            name=str(about["name"]),
            face_model_version=str(about["face_model_version"]),
            dimension=None if about["dimension"] is None else int(about["dimension"]),
            created_at=datetime.fromisoformat(about["created_at"]),
            tags=dict(about["tags"]),
            face_count=int(about["face_count"]),
            user_count=int(about["user_count"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _changed(path) from error


def _parts(path: Path, described: Described, lines: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[Part]:
    """Yields what stands between checksums, each part after its own."""
    collected: list[dict[str, Any]] = []
    users = faces = 0
    for before, line in lines:
        if "sha256" not in line:
            collected.append(line)
            if len(collected) > PART:
                raise _changed(path)
            continue
        if line["sha256"] != before:
            raise _changed(path)
        if "end" in line:
            counted = {"users": users, "faces": faces}
            described_as = {"users": described.user_count, "faces": described.face_count}
            if collected or line["end"] != counted or counted != described_as or next(lines, None):
                raise _changed(path)
            return
        part = _part(path, described, collected)
        users += len(part.users)
        faces += len(part.faces)
        collected = []
        yield part
    raise _cut(path)


def _part(path: Path, described: Described, lines: Sequence[dict[str, Any]]) -> Part:
    try:
        embeddings = [_decoded(line["embedding"]) for line in lines]
        users = [
            (User(str(line["user"]), int(line["face_count"])), embedding)
            for line, embedding in zip(lines, embeddings, strict=True)
            if "face" not in line
        ]
        faces = [
            NewFace(_face(line), embedding)
            for line, embedding in zip(lines, embeddings, strict=True)
            if "face" in line and embedding is not None
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise _changed(path) from error
    if len(users) + len(faces) != len(lines):
        raise _changed(path)
    present = [embedding for embedding in embeddings if embedding is not None]
    if any(len(embedding) != described.dimension for embedding in present):
        raise ArchiveUnusable(f"{path} has embeddings that do not have {described.dimension} dimensions, as it says.")
    # Not a user's: of faces that point in opposite directions, the mean is nowhere.
    lengths = np.linalg.norm([new.embedding for new in faces], axis=1) if faces else np.ones(1)
    if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):
        raise ArchiveUnusable(f"{path} has embeddings that are not of unit length.")
    return Part(users, faces)


def _face(line: dict[str, Any]) -> EnrolledFace:
    return EnrolledFace(
        face_id=UUID(line["face"]),
        image_id=UUID(line["image"]),
        external_image_id=_text(line["external_image_id"]),
        box=BoundingBox(*map(float, line["box"])),
        confidence=float(line["confidence"]),
        user_id=_text(line["user"]),
    )


def _text(text: object) -> str | None:
    if text is None or isinstance(text, str):
        return text
    raise TypeError(f"{text!r} is no text")


def _decoded(embedding: str | None) -> Embedding | None:
    return None if embedding is None else np.frombuffer(a2b_base64(embedding, strict_mode=True), "<f4")


def _encoded(embedding: Embedding) -> str:
    return b2a_base64(embedding.astype("<f4", copy=False).tobytes(), newline=False).decode()


def _cut(path: Path) -> ArchiveUnusable:
    return ArchiveUnusable(f"{path} is cut: its end is missing.")


def _changed(path: Path) -> ArchiveUnusable:
    return ArchiveUnusable(f"{path} is damaged: its content does not match its checksums.")
