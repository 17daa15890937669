"""Retrieval: how many of their images visitors find in an album by a selfie, and how often they are shown a stranger.

Pairs of faces tell how good a face model is; whether visitors are content is decided by images. An image is as similar
to a selfie as the most similar face in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.comparison import NEAREST_STRANGERS

RANKS: Final = (10, 20, 50)
"""Images of a first page, in a shop that shows few or many. Ours."""

PAGE: Final = 20
"""Images of the first page that should show no stranger. Ours: what a phone shows in a few strokes of the thumb."""

SIMILARITIES: Final = (60.0, 80.0, 90.0)
"""Thresholds that shops use: a generous one, AWS's default, and the one its guides recommend for strangers."""

CURVE: Final = tuple(float(similarity) for similarity in range(40, 100))
"""Thresholds at which the plot looks."""


@dataclass(frozen=True, slots=True)
class AtRank:
    """What the best images show, whatever their similarity: means over the selfies of people who are in the album.

    Attributes:
        images: looked at, from the best on; all images with a face where the album has fewer.
        precision: share of them that show the person, 0…1.
        recall: share of the person's images that are among them, 0…1.
    """

    images: int
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What a search with a threshold returns.

    Attributes:
        similarity: the threshold, 0…100.
        precision: share of all returned images that show whom the selfie shows; None if nothing is returned.
        recall: share of a person's images that are returned, 0…1; mean over the selfies of people in the album.
        strangers_shown: share of those selfies for which one of the best ``PAGE`` returned images does not show the
            person.
        false_positive_identification_rate: share of selfies of people who are not in the album for which anything is
            returned; None where there is no such selfie.
    """

    similarity: float
    precision: float | None
    recall: float
    strangers_shown: float
    false_positive_identification_rate: float | None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How good an album is searched by selfies.

    Attributes:
        images: of the album, those without a face included.
        faces: that are searched.
        selfies: of people who are in the album.
        visitors: selfies of people who are not.
        at_ranks: by number of images.
        at_thresholds: by similarity.
        curve: likewise, at every similarity of ``CURVE``.
    """

    images: int
    faces: int
    selfies: int
    visitors: int
    at_ranks: Sequence[AtRank]
    at_thresholds: Sequence[AtThreshold]
    curve: Sequence[AtThreshold]


def best_cosines(
    selfies: NDArray[np.float32], faces: NDArray[np.float32], image_of: NDArray[np.intp], images: int
) -> NDArray[np.float32]:
    """Returns (selfies, images) float32: the highest cosine of each selfie with a face of each image; −inf without one.

    Args:
        selfies: (selfies, dimension) float32, rows of unit length.
        faces: (faces, dimension) float32, likewise.
        image_of: (faces,) number of the image that each face is in, ascending.
        images: how many there are.
    """
    best = np.full((len(selfies), images), -np.inf, np.float32)
    if len(faces):
        shown, first = np.unique(image_of, return_index=True)
        for row, selfie in enumerate(selfies):  # one by one: all cosines of a large event would not fit into memory
            best[row, shown] = np.maximum.reduceat(faces @ selfie, first)
    return best


def measure_retrieval(
    model: FaceModel, best: NDArray[np.float32], relevant: NDArray[np.bool_], faces: int
) -> Retrieval:
    """Measures what selfies find.

    Args:
        model: with its calibration.
        best: (selfies, images) float32, as ``best_cosines`` returns them.
        relevant: (selfies, images) bool, whether the image shows whom the selfie shows.
        faces: that were compared.

    Raises:
        ValueError: no selfie shows anybody who is in the album.
    """
    present = relevant.any(axis=1)
    if not present.any():
        raise ValueError("no selfie shows anybody in the album")
    order = np.argsort(-best, axis=1, kind="stable")
    ranked = _Ranked(
        np.take_along_axis(best, order, axis=1)[present],
        np.take_along_axis(relevant, order, axis=1)[present],
        best[~present].max(axis=1, initial=-np.inf),
    )
    return Retrieval(
        images=best.shape[1],
        faces=faces,
        selfies=int(present.sum()),
        visitors=int((~present).sum()),
        at_ranks=[ranked.at_rank(images) for images in RANKS],
        at_thresholds=[ranked.at_threshold(model, similarity) for similarity in SIMILARITIES],
        curve=[ranked.at_threshold(model, similarity) for similarity in CURVE],
    )


def nearest_strangers(
    best: NDArray[np.float32], relevant: NDArray[np.bool_], count: int = NEAREST_STRANGERS
) -> list[tuple[float, int, int]]:
    """Returns the images nearest to a selfie of somebody whom they do not show, as (cosine, selfie, image)."""
    strangers = np.where(relevant, -np.inf, best)
    selfies, images = np.unravel_index(np.argsort(-strangers, axis=None)[:count], strangers.shape)
    return [
        (float(strangers[selfie, image]), int(selfie), int(image))
        for selfie, image in zip(selfies, images, strict=True)
        if np.isfinite(strangers[selfie, image])
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Images by falling cosine.

    Attributes:
        cosines: (selfies, images) float32 of people in the album, −inf where an image shows no face.
        relevant: (selfies, images) bool.
        highest: (visitors,) float32, the best cosine that somebody has who is not in the album.
    """

    cosines: NDArray[np.float32]
    relevant: NDArray[np.bool_]
    highest: NDArray[np.float32]

    def at_rank(self, images: int) -> AtRank:
        searchable = np.isfinite(self.cosines[:, :images])
        hits = (self.relevant[:, :images] & searchable).sum(axis=1)
        precision = hits / np.maximum(searchable.sum(axis=1), 1)
        return AtRank(images, float(precision.mean()), float((hits / self.relevant.sum(axis=1)).mean()))

    def at_threshold(self, model: FaceModel, similarity: float) -> AtThreshold:
        cosine = model.cosine_min(similarity)
        returned = self.cosines >= cosine
        hits = returned & self.relevant
        strangers = (returned & ~self.relevant)[:, :PAGE].any(axis=1)
        return AtThreshold(
            similarity,
            float(hits.sum() / returned.sum()) if returned.any() else None,
            float((hits.sum(axis=1) / self.relevant.sum(axis=1)).mean()),
            float(strangers.mean()),
            float((self.highest >= cosine).mean()) if len(self.highest) else None,
        )
