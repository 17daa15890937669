"""A file of named sections, each with a checksum: whole, or refused.

One file, so that it is there at once or not at all; checksums, so that one that was damaged is known for it; sections
that begin where memory pages do, so that a large one can be mapped instead of read.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = b"RKGNIDX1"
_HEAD: Final = struct.Struct("<8sII")
"""The magic word, length and CRC-32 of the heading that follows as JSON."""

_PAGE: Final = 4_096

Bytes = NDArray[np.uint8]


class SegmentFileUnreadable(Exception):
    """The file is not there, not one of ours or not whole."""


def write(path: Path, heading: Mapping[str, object], sections: Mapping[str, Iterable[NDArray[Any]]]) -> None:
    """Writes a file, so that it is on the disk when this returns.

    Args:
        path: of a file that nobody looks at yet.
        heading: what JSON can say, in less than 3 kB.
        sections: name → arrays, written one behind the other.

    Raises:
        OSError: it cannot be written.
    """
    table: dict[str, tuple[int, int, int]] = {}
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:  # embeddings are private
        for name, arrays in sections.items():
            start = (max(file.tell(), 1) + _PAGE - 1) // _PAGE * _PAGE
            file.seek(start)
            checksum = 0
            for array in arrays:
                part = np.ascontiguousarray(array).data.cast("B") if array.size else b""
                file.write(part)
                checksum = zlib.crc32(part, checksum)
            table[name] = (start, file.tell() - start, checksum)
        file.truncate()
        head = json.dumps({**heading, "sections": table}).encode()
        assert _HEAD.size + len(head) <= _PAGE
        file.seek(0)
        file.write(_HEAD.pack(_MAGIC, len(head), zlib.crc32(head)) + head)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> tuple[dict[str, Any], dict[str, Bytes]]:
    """Returns the heading, and name → (n,) uint8, mapped from the file, all of which has been checked.

    Raises:
        SegmentFileUnreadable: something is missing or damaged.
    """
    try:
        whole = np.memmap(path, np.uint8, mode="r")  # opened once: another may take its place at any time
        heading = _heading(path, whole[:_PAGE].tobytes())
        table: dict[str, tuple[int, int, int]] = heading["sections"]
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise SegmentFileUnreadable(path) from error
    sections: dict[str, Bytes] = {}
    for name, (start, length, checksum) in table.items():
        section = whole[start : start + length]
        if len(section) != length or zlib.crc32(section.data) != checksum:
            raise SegmentFileUnreadable(path)
        sections[name] = section.view(np.ndarray)
    return heading, sections


def _heading(path: Path, page: bytes) -> dict[str, Any]:
    magic, length, checksum = _HEAD.unpack_from(page)
    head = page[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or len(head) != length or zlib.crc32(head) != checksum:
        raise SegmentFileUnreadable(path)
    heading: dict[str, Any] = json.loads(head)
    return heading
