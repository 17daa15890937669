"""A collection in a file, written and read; nothing that the file says is believed before it was checked.

JSON lines in gzip: one line about the collection, then a line for each user and each face. After every part of some
thousand lines, and at the end, a line has the SHA-256 of all lines before it, so that a file that was cut or changed is
noticed, by us or by ``zcat FILE | head -n -1 | sha256sum``. Embeddings are base64 of little-endian 32-bit floats.
Parquet was refused: it takes a hundred megabytes of library to read what any language reads already.

Checksums tell damage, not intent: anybody can write a file whose checksums are right. So every line is held against the
types and ranges of ``archive_lines``, and against what the caller of ``open_archive`` knows besides.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from rekognition_emulator.domain.faces import Embedding, EnrolledFace, NewFace
from rekognition_emulator.domain.users import User
from rekognition_emulator.files import whole_file
from rekognition_emulator.storage.archive_lines import (
    Described,
    Unfit,
    collection_line,
    face_line,
    read_collection,
    read_face,
    read_user,
    require_members,
    user_line,
)

FORMAT: Final = "rekognition-emulator collection"
VERSION: Final = 2
VERSIONS_READ: Final = (1, 2)
"""The first one did not say when faces came, nor for how long the collection keeps them."""

PART: Final = 2_000
"""Users or faces between two checksums, which are in memory at once: 20 MB for faces of 512 dimensions."""

LINE_BYTES_MAX: Final = 2**17
"""Above the longest lines that are written: a face of 16,000 dimensions has 86 kB, fifty of the longest tags 80 kB."""
_READ_BYTES: Final = 2**16
_UNPACKED_BYTES: Final = 2**20
"""At once. A file can be made that unpacks to a thousand times its size, and it must not be in memory all at once."""

_GZIP: Final = 31
"""What zlib calls the format of gzip."""


class ArchiveUnusable(Exception):
    """A file is not what was exported, or cannot be imported here; the text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some users or some faces of a collection, by ascending id.

    Attributes:
        users: each with its embedding, the mean of its faces', which is None without faces.
        faces: each with its embedding.
    """

    users: Sequence[tuple[User, Embedding | None]] = ()
    faces: Sequence[NewFace] = ()


Told = TypeVar("Told", Described, User, EnrolledFace)
Check = Callable[[Described | User | EnrolledFace], str | None]
"""Says why what a line says cannot be taken, beginning with what it has, such as ``a name that …``; None if it can.
Asked after everything here was checked: so it need not fear types, numbers out of range, or text that is no Unicode."""


class ArchiveWriter:
    """Writes a collection; complete only after ``end``."""

    def __init__(self, file: IO[bytes], described: Described) -> None:
        self._file = file
        # Numbers in base64 repeat nothing: looking for repetitions takes 2.4 times as long as counting letters does,
        # and saves 5 % at 512 dimensions.
        self._packer = zlib.compressobj(method=zlib.DEFLATED, wbits=_GZIP, strategy=zlib.Z_HUFFMAN_ONLY)
        self._digest = hashlib.sha256()
        self._users = self._faces = 0
        self._write([{"format": FORMAT, "version": VERSION, "collection": collection_line(described)}])

    def write(self, part: Part) -> None:
        """Adds users or faces, and their checksum."""
        self._write([*map(user_line, part.users), *map(face_line, part.faces)])
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


@contextmanager
def create_archive(path: Path, described: Described) -> Iterator[ArchiveWriter]:
    """Writes a private file that appears under its name when it is complete and on the disk, and otherwise not at all.

    Raises:
        ArchiveUnusable: there is a file of this name.
        OSError: it cannot be written.
    """
    if path.exists():
        raise ArchiveUnusable(f"{path} exists already; nothing is overwritten.")
    with whole_file(path) as raw:
        writer = ArchiveWriter(raw, described)
        yield writer
        writer.end()


@contextmanager
def open_archive(path: Path, check: Check) -> Iterator[tuple[Described, Iterator[Part]]]:
    """Reads a file that ``create_archive`` has written, part by part.

    A part is returned after its checksum was compared and all of its lines were checked. Only when there is no other
    one is the whole file known to be there: until then, what is made of the parts must be possible to take back.

    Args:
        path: of the file.
        check: what is demanded of every line besides.

    Raises:
        ArchiveUnusable: also while parts are read: the file was cut or changed, or is none of ours.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        reader = _Reader(path, check)
        lines = reader.read(file)
        described = reader.describe(next(lines, None))
        yield described, reader.parts(described, lines)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line as it stands in the file.

    Attributes:
        number: from 1.
        before: the SHA-256 of all lines before it, where it has a checksum of its own to compare; else empty.
    """

    number: int
    content: bytes
    before: str


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one file, and says which it is when something is wrong with it."""

    path: Path
    check: Check

    def read(self, file: IO[bytes]) -> Iterator[_Line]:
        digest = hashlib.sha256()
        for number, content in enumerate(self._unpack(file), start=1):
            before = digest.hexdigest() if content.startswith((b'{"sha256"', b'{"end"')) else ""
            digest.update(content)
            digest.update(b"\n")
            yield _Line(number, content, before)

    def describe(self, line: _Line | None) -> Described:
        """Returns what the first line says."""
        content = self._parsed(line, or_else={}) if line else {}
        if content.get("format") != FORMAT:
            raise ArchiveUnusable(f"{self.path} is no export of a collection.")
        if str(content.get("version")) not in map(str, VERSIONS_READ):  # true is 1, and 2.0 is 2, only to Python
            readable = " and ".join(map(str, VERSIONS_READ))
            raise ArchiveUnusable(f"{self.path} is of another version of the format; this program reads {readable}.")
        assert line
        with self._naming(line):
            require_members(content, {"format", "version", "collection"})
            return self._checked(read_collection(content["collection"]))

    def parts(self, described: Described, lines: Iterator[_Line]) -> Iterator[Part]:
        """Yields what stands between checksums, each part after its own was compared."""
        collected: list[_Line] = []
        last: tuple[int, str] = (0, "")
        users = faces = 0
        for line in lines:
            if not line.before:
                collected.append(line)
                if len(collected) > PART:
                    raise self._changed()
                continue
            told = self._parsed(line)
            if told.get("sha256") != line.before:
                raise self._changed()
            if "end" in told:
                counted = {"users": users, "faces": faces}
                announced = {"users": described.user_count, "faces": described.face_count}
                if collected or told["end"] != counted or counted != announced or next(lines, None):
                    raise self._changed()
                return
            part, last = self._part(described, collected, last)
            users += len(part.users)
            faces += len(part.faces)
            collected = []
            yield part
        raise self._cut()

    def _part(
        self, described: Described, lines: Sequence[_Line], last: tuple[int, str]
    ) -> tuple[Part, tuple[int, str]]:
        """Reads lines that follow the entry ``last``: first users, then faces, by ascending id, none of them twice."""
        users: list[tuple[User, Embedding | None]] = []
        faces: list[NewFace] = []
        for line in lines:
            with self._naming(line):
                content = self._parsed(line)
                if "face" in content:
                    new = read_face(content, described.dimension)
                    self._checked(new.face)
                    faces.append(new)
                    entry = (2, content["face"])
                else:
                    user, embedding = read_user(content, described.dimension)
                    users.append((self._checked(user), embedding))
                    entry = (1, user.user_id)
                if entry <= last:
                    raise Unfit("an id that does not come after the one before it")
                last = entry
        return Part(users, faces), last

    def _checked(self, told: Told) -> Told:
        if why := self.check(told):
            raise Unfit(why)
        return told

    @contextmanager
    def _naming(self, line: _Line) -> Iterator[None]:
        try:
            yield
        except Unfit as unfit:
            raise ArchiveUnusable(f"{self.path} cannot be used: line {line.number:,} has {unfit}.") from None

    def _parsed(self, line: _Line, or_else: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            content = json.loads(line.content)
        except (ValueError, RecursionError):
            content = or_else
        if not isinstance(content, dict):
            raise self._changed()
        return content

    def _unpack(self, file: IO[bytes]) -> Iterator[bytes]:
        """Yields lines without their ends. Not by the module gzip, which takes three times as long for it."""
        unpacker = zlib.decompressobj(wbits=_GZIP)
        rest = b""
        while packed := file.read(_READ_BYTES):
            while packed:
                try:
                    unpacked = unpacker.decompress(packed, _UNPACKED_BYTES)
                except zlib.error as error:
                    raise ArchiveUnusable(f"{self.path} is damaged, or is no export of a collection.") from error
                *lines, rest = (rest + unpacked).split(b"\n")
                if len(rest) > LINE_BYTES_MAX or any(len(line) > LINE_BYTES_MAX for line in lines):
                    raise self._changed()
                yield from lines
                if unpacker.unused_data:
                    raise self._changed()
                packed = unpacker.unconsumed_tail
        if not unpacker.eof:
            raise self._cut()
        if rest:
            raise self._changed()

    def _cut(self) -> ArchiveUnusable:
        return ArchiveUnusable(f"{self.path} is cut: its end is missing.")

    def _changed(self) -> ArchiveUnusable:
        return ArchiveUnusable(f"{self.path} is damaged: its content does not match its checksums.")
