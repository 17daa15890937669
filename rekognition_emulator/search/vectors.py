"""Vectors in memory, searched exactly.

Rows are only ever appended, to memory that all moments of a collection share; each moment knows how many of them are
its own and which of those went. So a change costs what it brings, and not the collection.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Generic, Self, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.faces import Delta, Embedding

K = TypeVar("K", UUID, str)

_CAPACITY_MIN: Final = 64
"""Rows. An album's first picture should not be followed by ten doublings."""


def cosines(embeddings: NDArray[np.float32], probe: Embedding) -> NDArray[np.float32]:
    """Returns (n,) float32, the same for the same embedding in whichever row it stands.

    A matrix product would round it differently in different rows, and so break ties at random. It is no faster either:
    one thread reads the memory as fast as BLAS does, whose two threads wait for each other as soon as other work keeps
    the cores busy. Measured on two such cores, 15,000 × 512: at best 1.3 ms, 1.5 with BLAS, 1.6 with FAISS's flat
    index; in the median 2, 60 and 19.
    """
    result: NDArray[np.float32] = np.einsum("ij,j->i", embeddings, probe)
    return result


def floor(cosine_min: float) -> float:
    """Returns what no cosine may be below: where all are asked for, rounding may carry one below −1."""
    return cosine_min if cosine_min > -1 else -1.5


def nearest_rows(found: NDArray[np.float32], cosine_min: float, limit: int) -> NDArray[np.intp]:
    """Returns the rows with the largest of these cosines, ``limit`` of them and those that equal the last one."""
    near = np.flatnonzero(found >= floor(cosine_min))
    if len(near) > limit:
        last = np.partition(found[near], len(near) - limit)[len(near) - limit]
        near = near[found[near] >= last]
    return near


def ranked(found: Iterable[tuple[K, float]], limit: int, without: K | None) -> list[tuple[K, float]]:
    """Returns ids and cosines, −1…1, by descending cosine, equal ones by ascending id."""
    clipped = sorted((-max(-1.0, min(1.0, cosine)), name) for name, cosine in found if name != without)
    return [(name, -negated) for negated, name in clipped[:limit]]


class Vectors(Generic[K]):
    """Embeddings of faces or users at one moment. Never changes."""

    def __init__(self, ids: Sequence[K] = (), embeddings: NDArray[np.float32] | None = None) -> None:
        """Makes one of ids and (len(ids), d) float32."""
        self._shelf: _Shelf[K] = _Shelf()
        self._gone = np.zeros(0, bool)
        if embeddings is not None and len(ids):
            self._shelf.append(ids, embeddings)
            self._gone = np.zeros(len(ids), bool)
        self._count = len(ids)

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Memory that is taken, shared or not."""
        return self._shelf.embeddings.nbytes + len(self._shelf.ids) * _ROW_BYTES

    def after(self, delta: Delta[K]) -> Self:
        """Returns the same with what came and without what went."""
        if len(self._gone) != len(self._shelf.ids):  # others have appended to this moment
            return type(self)(*self.present()).after(delta)
        gone = self._gone.copy()
        for names in (delta.removed, delta.added):
            rows = [self._shelf.rows[name] for name in names if name in self._shelf.rows]
            gone[rows] = True
        made = type(self)()
        if 2 * np.count_nonzero(gone) <= len(gone):
            made._shelf, made._gone = self._shelf, gone  # noqa: SLF001 - its own kind
        else:
            made = type(self)(*self._kept(gone))
        made._append(delta.added, delta.embeddings)  # noqa: SLF001 - likewise
        return made

    def nearest(self, probe: Embedding, cosine_min: float, limit: int) -> list[tuple[K, float]]:
        """Returns ids and cosines of the nearest, ``limit`` of them and those that equal the last one, unordered."""
        if not self._count:
            return []
        found = cosines(self._shelf.embeddings[: len(self._gone)], probe)
        found[self._gone] = -2
        rows = nearest_rows(found, cosine_min, limit)
        return list(zip([self._shelf.ids[row] for row in rows], found[rows].tolist(), strict=True))

    def present(self) -> tuple[list[K], NDArray[np.float32]]:
        """Returns ids and (len(self), d) float32, row by row."""
        return self._kept(self._gone)

    def _kept(self, gone: NDArray[np.bool_]) -> tuple[list[K], NDArray[np.float32]]:
        rows = np.flatnonzero(~gone)
        return [self._shelf.ids[row] for row in rows], self._shelf.embeddings[rows]

    def _append(self, ids: Sequence[K], embeddings: NDArray[np.float32]) -> None:
        if len(ids):
            self._shelf.append(ids, embeddings)
        self._gone = np.concatenate([self._gone, np.zeros(len(ids), bool)])
        self._count = len(self._gone) - int(np.count_nonzero(self._gone))


_ROW_BYTES: Final = 200
"""Of an id and its places in list and dictionary."""


class _Shelf(Generic[K]):
    """Rows that several moments share. Only appended to, by whoever knows all rows that there are."""

    def __init__(self) -> None:
        self.ids: list[K] = []
        self.rows: dict[K, int] = {}
        self.embeddings: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def append(self, ids: Sequence[K], embeddings: NDArray[np.float32]) -> None:
        """Adds rows; an id that is there already is found at its new row from now on."""
        start, end = len(self.ids), len(self.ids) + len(ids)
        if end > len(self.embeddings):
            larger = np.empty((max(_CAPACITY_MIN, end, 3 * start // 2), embeddings.shape[1]), np.float32)
            if start:
                larger[:start] = self.embeddings[:start]
            self.embeddings = larger  # earlier moments that are being searched have the smaller one, with their rows
        self.embeddings[start:end] = embeddings
        self.rows.update(zip(ids, range(start, end), strict=True))
        self.ids.extend(ids)
