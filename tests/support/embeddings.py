"""Embeddings of people who do not exist, whose cosines are spread as those of real face models.

What an approximate search finds depends on how near the nearest are: among evenly random vectors nothing is near, and
every shortcut looks bad; with copies of a few vectors every shortcut looks good. So people are drawn first, and then
some faces of each. With m the direction that all embeddings share, p a person's own one and e what differs from picture
to picture, all of unit length and as good as perpendicular, a face is::

    √common · m  +  √(1 − common) · (√same · p  +  √(1 − same) · e)

Strangers then have a cosine of ``common`` in the mean, two faces of a person one of common + (1 − common) · same; the
fewer dimensions p and e are drawn in, the further strangers scatter. Faces differ in how well they show their person:
``same`` is drawn anew for each.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Space:
    """How the embeddings of a face model lie.

    Attributes:
        dimension: of an embedding.
        dimensions_used: in how many of them faces differ.
        common: −1…1, mean cosine of strangers.
        same: least and largest share of a face that is its person's.
    """

    dimension: int
    dimensions_used: int
    common: float
    same: tuple[float, float]


ARCFACE: Final = Space(dimension=512, dimensions_used=400, common=0.0, same=(0.5, 0.8))
"""Strangers 0 ± 0.05, the same person mostly 0.5 to 0.8. Source: Deng et al., "ArcFace", 2019, figure 6 and our own
measurements of models of this class."""

DLIB: Final = Space(dimension=128, dimensions_used=33, common=0.85, same=(0.5, 0.85))
"""Strangers 0.85 ± 0.026, the same person mostly 0.93 to 0.98. Source: our measurement on LFW, where one pair of
strangers in 100 reaches 0.911, one in 10,000 reaches 0.944, and a third of the pairs of one person 0.963."""

FACES_PER_PERSON: Final = 5
"""In the mean; as many people have 1 face as have 9. Ours: between a passer-by and the bride."""


def faces_of_people(count: int, space: Space = ARCFACE, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draws people with one to nine faces each, shuffled; always the same for the same arguments.

    Returns:
        (count, dimension) float32 embeddings of unit length, and (count,) int64: whose each is.
    """
    draw = np.random.default_rng(seed)
    people = np.repeat(np.arange(count), draw.integers(1, 2 * FACES_PER_PERSON, size=count))[:count]
    draw.shuffle(people)
    own = _directions(draw, int(people.max()) + 1, space)
    embeddings = np.empty((count, space.dimension), np.float32)
    for start in range(0, count, _BLOCK):
        whose = people[start : start + _BLOCK]
        same = draw.uniform(*space.same, size=(len(whose), 1)).astype(np.float32)
        faces = np.sqrt(same) * own[whose] + np.sqrt(1 - same) * _directions(draw, len(whose), space)
        block = np.zeros((len(whose), space.dimension), np.float32)
        block[:, : space.dimensions_used] = np.sqrt(1 - space.common) * faces
        block[:, -1] = np.sqrt(space.common)
        embeddings[start : start + _BLOCK] = _mixed(block / np.linalg.norm(block, axis=1, keepdims=True))
    return embeddings, people


_BLOCK: Final = 65_536
"""Faces that are made at once, so that a million of them take little more memory than they end up in."""


def _directions(draw: np.random.Generator, count: int, space: Space) -> NDArray[np.float32]:
    drawn = draw.standard_normal((count, space.dimensions_used), dtype=np.float32)
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def _mixed(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turns the space, for no model keeps faces in the first dimensions: lengths and cosines stay."""
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((vectors.shape[1],) * 2))
    turned: NDArray[np.float32] = vectors @ axes.astype(np.float32)
    return turned
