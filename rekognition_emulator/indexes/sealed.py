"""Changes when the bulk of a collection, which no longer changes, is searched in another way.

Small ones are compared one by one. In large ones short codes of all faces are compared first, four bits for each two
dimensions, and then the embeddings of those whose codes look near. Codes are an eighth of half precision; those of a
million faces are made in half a minute and compared in 7 ms. Their error is measured when they are made, so it is known
how far down they have to be believed.

An inverted file or a graph (IVF, HNSW) was refused. Of the 50 nearest of a large collection a few are the person's, and
the others are those strangers who happen to lie nearest, anywhere in the space: reading half of an inverted file over
50,000 faces found 83 of 100 of them. And a graph cannot forget a face.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, Self
from uuid import UUID

import faiss
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.faces.gallery import Embedding
from rekognition_emulator.indexes.vectors import cosines, nearest_rows

CODED_MIN: Final = 50_000
"""Faces from which on codes are compared first: one by one, so many of 512 dimensions take 5 ms; by code below 1 ms."""

_TRAINING_FACES: Final = 20_000
_PROBES: Final = 32
_BLOCK: Final = 50_000
"""Faces that are coded at once; 100 MB of 512 dimensions."""

_DIMENSIONS_WIDE: Final = 256
"""From here on a code of four bits stands for two dimensions, below for one: dlib's 128 carry more each."""

_CANDIDATES_MIN: Final = 4_096
_ERRORS_BELOW_LAST: Final = 2.5
"""By how many standard errors a code may understate a face among the nearest before it is missed: one in 160."""

_ERRORS_BELOW_THRESHOLD: Final = 6.0
"""The same for a face above the threshold where there are fewer than asked for: one in a billion."""


class Rows(Protocol):
    """Embeddings that are read a part at a time."""

    def __len__(self) -> int:
        """Returns how many there are."""

    def __getitem__(self, rows: "slice | NDArray[np.int64]", /) -> NDArray[np.float32]:
        """Returns (len(rows), d) float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Short codes of embeddings.

    Attributes:
        index: the codes of the embeddings less their mean, row by row.
        mean: (d,) float32.
        error: standard error of a cosine that is estimated by code.
    """

    index: faiss.IndexPQFastScan
    mean: NDArray[np.float32]
    error: float

    @classmethod
    def of(cls, embeddings: "Rows") -> Self:
        """Makes the codes of embeddings, ``CODED_MIN`` of them or more, in no order that says anything of them."""
        # Of this thread alone: two that share the cores with requests mostly wait for each other, for minutes.
        faiss.omp_set_num_threads(1)
        count = len(embeddings)
        sample = embeddings[:_TRAINING_FACES]
        dimension = sample.shape[1]
        mean = sample.mean(axis=0)
        pieces = dimension // 2 if dimension >= _DIMENSIONS_WIDE and dimension % 2 == 0 else dimension
        index = faiss.IndexPQFastScan(dimension, pieces, 4, faiss.METRIC_INNER_PRODUCT)
        index.train(sample - mean)
        for start in range(0, count, _BLOCK):
            index.add(embeddings[start : start + _BLOCK] - mean)
        made = cls(index, mean, 0.0)
        errors = []
        for probe in sample[:_PROBES]:
            rows, estimates = made.estimate(probe, 500)
            errors.append(estimates - cosines(embeddings[rows], probe))
        return cls(index, mean, float(np.sqrt(np.mean(np.square(errors)))))

    def estimate(self, probe: Embedding, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the rows that look nearest, and their cosines as they look, by descending cosine."""
        estimates, rows = self.index.search(probe[None], count)
        known = rows[0] >= 0
        return rows[0][known], estimates[0][known] + np.float32(probe @ self.mean)


class Sealed:
    """Faces by ascending id. Never changes; who holds it knows which of them went."""

    def __init__(
        self, ids: NDArray[np.uint8], embeddings: NDArray[np.float32], codes: Codes | None, *, mapped: bool
    ) -> None:
        """Makes one.

        Args:
            ids: (n, 16) uint8, ascending.
            embeddings: (n, d) float32.
            codes: of the embeddings; None where they are compared one by one.
            mapped: whether the embeddings lie in a file and not in memory.
        """
        self.ids = ids
        self.embeddings = embeddings
        self.codes = codes
        self._mapped = mapped
        # Halves of ids as numbers: NumPy compares those a hundred times faster than strings of 16 bytes.
        self._upper = np.ascontiguousarray(ids).view(">u8")[:, 0].astype(np.uint64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size_bytes(self) -> int:
        """Memory that is taken; what is mapped belongs to the system, which takes it back when it needs it."""
        codes = len(self) * self.codes.index.M // 2 if self.codes else 0
        return self.ids.nbytes + self._upper.nbytes + codes + (0 if self._mapped else self.embeddings.nbytes)

    def rows(self, face_ids: list[UUID]) -> Iterator[int]:
        """Returns the rows of those faces that are here."""
        if not face_ids:
            return
        wanted = np.frombuffer(b"".join(face_id.bytes for face_id in face_ids), np.uint8).reshape(-1, 16)
        upper = wanted.view(">u8")[:, 0].astype(np.uint64)
        starts, ends = np.searchsorted(self._upper, upper), np.searchsorted(self._upper, upper, side="right")
        for face_id, start, end in zip(wanted, starts, ends, strict=True):
            yield from (row for row in range(start, end) if np.array_equal(self.ids[row], face_id))

    def nearest(
        self, probe: Embedding, cosine_min: float, limit: int, gone: NDArray[np.bool_]
    ) -> list[tuple[UUID, float]]:
        """Returns ids and cosines of the nearest, ``limit`` of them and those that equal the last one, unordered.

        Args:
            probe: (d,) float32 of unit length.
            cosine_min: −1…1.
            limit: at least 1.
            gone: (n,) which rows are to be left out.
        """
        rows = self._candidates(probe, cosine_min, limit, gone)
        if rows is None:
            found = cosines(self.embeddings, probe)
            found[gone] = -2
            rows = chosen = nearest_rows(found, cosine_min, limit)
        else:
            found = cosines(self.embeddings[rows], probe)
            chosen = nearest_rows(found, cosine_min, limit)
            rows = rows[chosen]
        names = self.ids[rows].tobytes()
        face_ids = [UUID(bytes=names[start : start + 16]) for start in range(0, len(names), 16)]
        return list(zip(face_ids, found[chosen].tolist(), strict=True))

    def _candidates(
        self, probe: Embedding, cosine_min: float, limit: int, gone: NDArray[np.bool_]
    ) -> NDArray[np.int64] | None:
        """Returns rows among which the nearest are, ascending; None if it is better to compare all."""
        if self.codes is None:
            return None
        count = max(_CANDIDATES_MIN, 4 * limit)
        while count <= len(self) // 4:
            rows, estimates = self.codes.estimate(probe, count)
            reached = estimates[-1]
            present = ~gone[rows]
            rows, estimates = rows[present], estimates[present]
            enough = cosine_min - _ERRORS_BELOW_THRESHOLD * self.codes.error
            if len(rows) >= limit:
                enough = max(enough, estimates[limit - 1] - _ERRORS_BELOW_LAST * self.codes.error)
            if reached <= enough:
                return np.sort(rows[estimates >= enough])  # in the order in which they lie in the file
            count *= 4
        return None
