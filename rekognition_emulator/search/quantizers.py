"""Short codes in place of embeddings, so that few of them have to be compared exactly.

Either is looked through first, and then the embeddings of those faces are compared that may be among the nearest: which
these are follows from how far an estimate may be off.

A ``ProductQuantizer`` has four bits for each two dimensions, an eighth of half precision; codes of a million faces are
made in half a minute and looked through in 7 ms. Their error is measured when they are made, so they miss one of the
nearest now and then. An inverted file or a graph (IVF, HNSW) was refused. Of the 50 nearest of a large collection a few
are the person's, and the others are those strangers who happen to lie nearest, anywhere in the space: reading half of
an inverted file over 50,000 faces found 83 of 100 of them. And a graph cannot forget a face.

A ``ScalarQuantizer`` has eight bits for each dimension, and its error has a bound: nothing is ever missed.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Final, Protocol, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.faces import Embedding
from rekognition_emulator.search.vectors import cosines

CODED_MIN: Final = 50_000
"""Faces from which on there are codes: so many of 512 dimensions take 129 MB when they are rounded, and 30 as codes."""

ROUNDED_MIN: Final = 4_000_000
"""Numbers in the embeddings, 8,000 × 512, from which on they are rounded: to compare so many takes 0.5 ms, and 0.3 if
rounded first; half as many take as long either way."""

_TRAINING_FACES: Final = 20_000
_PROBES: Final = 32
_BLOCK: Final = 50_000
"""Faces that are coded at once; 100 MB of 512 dimensions."""

_ROUNDED_BLOCK: Final = 2_000
"""Faces that are rounded at once; what is computed of 512 dimensions stays in the processor's cache."""

_DIMENSIONS_WIDE: Final = 256
"""From here on a code of four bits stands for two dimensions, below for one: dlib's 128 carry more each."""

_CODED_CANDIDATES: Final = 4_096
_ROUNDED_CANDIDATES: Final = 512
"""Faces that are looked at first. Of the 50 nearest of 15,000, 250 to 480 may be one of them by what is rounded."""

_ERRORS_BELOW_LAST: Final = 2.5
"""By how many standard errors a code may understate a face among the nearest before it is missed: one in 160."""

_ERRORS_BELOW_THRESHOLD: Final = 6.0
"""The same for a face above the threshold where there are fewer than asked for: one in a billion."""

_LARGEST: Final = 127
"""Of the whole numbers from −127 to 127, eight bits."""

_ROUNDING: Final = 2.0**-21
"""What float32 may add to an error for each dimension, relative to the lengths: 2⁻²⁴ for a product or a sum, of which
there are two each in the estimate, in the cosine itself, in the residuals and in their lengths."""


class Rows(Protocol):
    """Embeddings that are read a part at a time."""

    def __len__(self) -> int:
        """Returns how many there are."""

    def __getitem__(self, rows: "slice | NDArray[np.int64]", /) -> NDArray[np.float32]:
        """Returns (len(rows), d) float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """The faces that look nearest.

    Attributes:
        rows: (n,) int64.
        cosines: (n,) float32, as they look, descending. No other face looks nearer than the last one.
        below_last: by how much less a face may look than the last one wanted of those that look nearest, and yet be
            among the wanted.
        below_threshold: by how much less a face may look than it is.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]
    below_last: float
    below_threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class ProductQuantizer:
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
            nearest = made.estimate(probe, 500)
            errors.append(nearest.cosines - cosines(embeddings[nearest.rows], probe))
        return cls(index, mean, float(np.sqrt(np.mean(np.square(errors)))))

    @property
    def size_bytes(self) -> int:
        """Memory that is taken."""
        size: int = self.index.ntotal * self.index.M // 2
        return size

    @property
    def candidates_min(self) -> int:
        """How many to look at first."""
        return _CODED_CANDIDATES

    def estimate(self, probe: Embedding, count: int) -> Estimates:
        """Returns the faces that look nearest, ``count`` of them or nearly so many."""
        estimates, rows = self.index.search(probe[None], count)
        known = rows[0] >= 0
        looks = estimates[0][known] + np.float32(probe @ self.mean)
        return Estimates(rows[0][known], looks, _ERRORS_BELOW_LAST * self.error, _ERRORS_BELOW_THRESHOLD * self.error)


@dataclass(frozen=True, slots=True, eq=False)
class ScalarQuantizer:
    """Embeddings in eight bits a dimension.

    With v and w whole numbers, a probe q and an embedding x are::

        x  =  mean  +  scale · w  +  residual
        q  =  step / scale · v  +  residual of the probe

    and the estimate is step · (v · w) + q · mean: products of bytes, and a quarter of the memory to read. It leaves out
    q · residual and the probe's residual against scale · w; neither can be more than the product of their lengths.

    Attributes:
        index: w, row by row.
        mean: (d,) float32, of the embeddings.
        scale: (d,) float32, each dimension's own.
        length: of the longest scale · w.
        residual: length of the longest.
    """

    index: faiss.IndexScalarQuantizer
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    length: float
    residual: float

    @classmethod
    def of(cls, embeddings: NDArray[np.float32]) -> Self:
        """Rounds (n, d) float32, n at least 1; 15,000 × 512 in 20 ms."""
        faiss.omp_set_num_threads(1)  # as in ``ProductQuantizer.of``
        mean = embeddings.mean(axis=0)
        scale = np.maximum(embeddings.max(axis=0) - mean, mean - embeddings.min(axis=0)) / np.float32(_LARGEST)
        scale[scale == 0] = scale.max() or 1  # whatever it is, all w are 0 there; far larger ones would coarsen v
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        index = faiss.IndexScalarQuantizer(len(mean), kind, faiss.METRIC_INNER_PRODUCT)
        length = residual = 0.0
        for start in range(0, len(embeddings), _ROUNDED_BLOCK):
            left = embeddings[start : start + _ROUNDED_BLOCK] - mean
            whole = np.rint(left / scale)
            index.add(whole)
            whole *= scale
            left -= whole
            length = max(length, _longest(whole))
            residual = max(residual, _longest(left))
        return cls(index, mean, scale, length, residual)

    @property
    def size_bytes(self) -> int:
        """Memory that is taken."""
        size: int = self.index.ntotal * self.index.d
        return size

    @property
    def candidates_min(self) -> int:
        """How many to look at first; of more faces more lie within the error's bound."""
        return max(_ROUNDED_CANDIDATES, 2 * isqrt(self.index.ntotal))

    def estimate(self, probe: Embedding, count: int) -> Estimates:
        """Returns the ``count`` faces that look nearest, at most all."""
        # Of this thread alone: FAISS would have a second one wait, which finds no core while others search.
        faiss.omp_set_num_threads(1)
        scaled = probe * self.scale
        step = np.abs(scaled).max() / np.float32(_LARGEST) or np.float32(1)
        whole = np.rint(scaled / step)  # FAISS makes bytes of a probe, too, and would cut off what is behind the point
        length = float(np.linalg.norm(probe))
        residual = float(np.linalg.norm((scaled - step * whole) / self.scale))
        lengths = length * (float(np.linalg.norm(self.mean)) + self.length + self.residual)
        error = length * self.residual + residual * self.length + _ROUNDING * len(probe) * lengths
        products, rows = self.index.search(whole[None], count)
        return Estimates(rows[0], products[0] * step + np.float32(probe @ self.mean), 2 * error, error)


def _longest(vectors: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors).max()))
