"""A reader of FlatBuffers: tables of numbered fields, as Google's tools lay them in a file, little-endian.

A table is a place whose first four bytes say how far before it its *vtable* lies; that is a list of 16-bit numbers: its
own length, the table's, then for each field how far behind the table's place it lies, 0 where it has its default.
Strings, vectors and other tables lie elsewhere, and the field holds how far behind itself. Source: FlatBuffers,
"FlatBuffer internals".
"""

import struct

import numpy as np


class Table:
    """A table of a file. Fields are numbered from 0, in the order of the schema.

    Each method raises struct.error or ValueError where the file ends before what it points to.
    """

    def __init__(self, file: bytes, place: int) -> None:
        self._file = file
        self._place = place
        self._fields = place - self._number("i", place)
        self._fields_end = self._number("H", self._fields)

    @classmethod
    def root(cls, file: bytes) -> "Table":
        """Returns the table that a file begins with."""
        return cls(file, *struct.unpack_from("<I", file, 0))

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """Returns a number.

        Args:
            field: which.
            kind: ``struct``'s name of its type.
            default: as the schema has it; what stands for it is left out of files.
        """
        place = self._find(field)
        return self._number(kind, place) if place else default

    def numbers(self, field: int) -> list[int]:
        """Returns a vector of 32-bit integers; none where it is left out."""
        return [int(number) for number in np.frombuffer(self._vector(field, 4), "<i4")]

    def octets(self, field: int) -> bytes:
        """Returns a vector of bytes; none where it is left out."""
        return self._vector(field, 1)

    def table(self, field: int) -> "Table | None":
        """Returns a table, or the one that a union holds; None where it is left out."""
        place = self._find(field)
        return Table(self._file, self._target(place)) if place else None

    def tables(self, field: int) -> list["Table"]:
        """Returns a vector of tables; none where it is left out."""
        place = self._find(field)
        if not place:
            return []
        start = self._target(place) + 4
        return [Table(self._file, self._target(start + 4 * number)) for number in range(self._number("I", start - 4))]

    def _find(self, field: int) -> int:
        """Returns where a field lies; 0 if it is left out."""
        entry = 4 + 2 * field
        behind = self._number("H", self._fields + entry) if entry < self._fields_end else 0
        return self._place + behind if behind else 0

    def _target(self, place: int) -> int:
        return place + self._number("I", place)

    def _vector(self, field: int, size: int) -> bytes:
        place = self._find(field)
        if not place:
            return b""
        start = self._target(place) + 4
        end = start + size * self._number("I", start - 4)
        if end > len(self._file):
            raise ValueError(f"a vector of field {field} ends at {end}, and the file at {len(self._file)}")
        return self._file[start:end]

    def _number(self, kind: str, place: int) -> int:
        if place < 0:
            raise ValueError(f"an offset leads {-place} bytes before the file")
        return int(struct.unpack_from(f"<{kind}", self._file, place)[0])
