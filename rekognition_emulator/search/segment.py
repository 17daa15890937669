"""The bulk of a collection in memory, which no longer changes, searched by codes.

Small ones are compared one by one. Of larger ones only those are compared that may be among the nearest by what stands
in for the embeddings (``codes``): rounded ones, with which nothing is missed, or codes in the largest.
"""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.faces import Embedding
from rekognition_emulator.search.quantizers import ROUNDED_MIN, ProductQuantizer, ScalarQuantizer
from rekognition_emulator.search.vectors import cosines, floor, nearest_rows

_PART_MAX: Final = 4
"""At most a quarter is looked up one by one; to go through all in order is faster than that."""


class Segment:
    """Faces by ascending id. Never changes; who holds it knows which of them went."""

    def __init__(
        self, ids: NDArray[np.uint8], embeddings: NDArray[np.float32], codes: ProductQuantizer | None, *, mapped: bool
    ) -> None:
        """Makes one.

        Args:
            ids: (n, 16) uint8, ascending.
            embeddings: (n, d) float32.
            codes: of the embeddings; None where nothing may be missed.
            mapped: whether the embeddings lie in a file and not in memory.
        """
        self.ids = ids
        self.embeddings = embeddings
        self.codes = codes
        self._mapped = mapped
        rounded = None if codes or embeddings.size < ROUNDED_MIN else ScalarQuantizer.of(embeddings)
        self._stand_in = codes or rounded
        # Halves of ids as numbers: NumPy compares those a hundred times faster than strings of 16 bytes.
        self._upper = np.ascontiguousarray(ids).view(">u8")[:, 0].astype(np.uint64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size_bytes(self) -> int:
        """Memory that is taken; what is mapped belongs to the system, which takes it back when it needs it."""
        stand_in = self._stand_in.size_bytes if self._stand_in else 0
        return self.ids.nbytes + self._upper.nbytes + stand_in + (0 if self._mapped else self.embeddings.nbytes)

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
        if self._stand_in is None:
            return None
        count = self._stand_in.candidates_min
        while count <= len(self) // _PART_MAX:
            nearest = self._stand_in.estimate(probe, count)
            present = ~gone[nearest.rows]
            rows, estimates = nearest.rows[present], nearest.cosines[present]
            enough = floor(cosine_min) - nearest.below_threshold
            if len(rows) >= limit:
                enough = max(enough, float(estimates[limit - 1]) - nearest.below_last)
            if nearest.cosines[-1] < enough:
                return np.sort(rows[estimates >= enough])  # in the order in which they lie in memory or in the file
            count = 4 * max(count, limit)
        return None
