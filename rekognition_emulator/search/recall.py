"""How many of the true matches an index finds.

The truth is computed from the store's embeddings as they are told to any index, part by part: so a collection of
millions needs no more memory than its largest part, and no index vouches for another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.search.base import FaceIndex, Progress

NEIGHBOURS: Final = 50
"""How many nearest faces are compared of each probe: more than a person has pictures of in most albums."""

TOLERANCE: Final = 1e-5
"""Of a cosine: an index may add in another order."""


class CollectionChanging(Exception):
    """The collection changed while it was looked at, so that two answers would be of two moments."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What an index finds of what there is to find.

    Attributes:
        probes: how many faces were searched for.
        wanted: the nearest faces of all probes, together.
        found: how many of them the index has answered.
        alien: matches whose cosine is not the stored face's, or of which there is no face.
    """

    probes: int
    wanted: int
    found: int
    alien: int

    @property
    def rate(self) -> float:
        """0…1; of nothing, everything is found."""
        return self.found / self.wanted if self.wanted else 1.0


def measure_recall(
    store: FaceStore, index: FaceIndex, collection: Collection, probes_max: int, progress: Progress
) -> Recall:
    """Searches for some faces of a collection, and compares with all its embeddings.

    Args:
        store: the truth.
        index: what is measured.
        collection: as just read from the store.
        probes_max: how many faces are searched for; they are spread evenly over the collection.
        progress: is told how many faces were compared.

    Raises:
        CollectionChanging: it changed meanwhile.
        CollectionNotFound: it was deleted meanwhile.
    """
    ids, probes = _sample(store, collection, probes_max)
    if not ids:
        return Recall(0, 0, 0, 0)
    answers = [
        {match.face_id: match.cosine for match in index.search(collection, probe, cosine_min=-1, limit=NEIGHBOURS)}
        for probe in probes
    ]
    nearest = np.full((len(ids), NEIGHBOURS), -np.inf, np.float32)
    cosines_of_answers: list[dict[UUID, float]] = [{} for _ in ids]
    compared = 0
    for part_ids, embeddings in _parts(store, collection):
        cosines = probes @ embeddings.T
        nearest = -np.partition(-np.concatenate([nearest, cosines], axis=1), NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        places = {face_id: place for place, face_id in enumerate(part_ids)}
        for answer, known, row in zip(answers, cosines_of_answers, cosines, strict=True):
            known.update({face_id: float(row[places[face_id]]) for face_id in answer.keys() & places.keys()})
        compared += len(part_ids)
        progress(compared, max(compared, collection.face_count))
    if store.get_collection(collection.owner, collection.name).revision != collection.revision:
        raise CollectionChanging
    return _compare(nearest, answers, cosines_of_answers)


def _compare(nearest: NDArray[np.float32], answers: list[dict[UUID, float]], known: list[dict[UUID, float]]) -> Recall:
    """Counts. A match is right if it is as near as the last of the nearest: of equal ones any will do."""
    wanted = np.isfinite(nearest).sum(axis=1)
    found = alien = 0
    for row, count, answer, truth in zip(nearest, wanted, answers, known, strict=True):
        farthest = row[:count].min(initial=1) - TOLERANCE
        found += min(sum(cosine >= farthest for cosine in truth.values()), int(count))
        alien += sum(abs(truth.get(face_id, np.inf) - cosine) > TOLERANCE for face_id, cosine in answer.items())
    return Recall(len(answers), int(wanted.sum()), found, alien)


def _sample(store: FaceStore, collection: Collection, count: int) -> tuple[list[UUID], NDArray[np.float32]]:
    """Returns ids and embeddings, (n, d) float32, of some faces."""
    stride = max(collection.face_count // count, 1)
    ids: list[UUID] = []
    chosen: list[NDArray[np.float32]] = []
    seen = 0
    for part_ids, embeddings in _parts(store, collection):
        places = range(-seen % stride, len(part_ids), stride)
        ids += [part_ids[place] for place in places]
        chosen.append(embeddings[places])
        seen += len(part_ids)
    return ids[:count], np.concatenate(chosen)[:count] if ids else np.empty((0, 0), np.float32)


def _parts(store: FaceStore, collection: Collection) -> Iterator[tuple[list[UUID], NDArray[np.float32]]]:
    """Yields ids and embeddings of all faces, as an index is told them."""
    since, removals = 0, 0
    while since < collection.revision:
        changes = store.changes(collection, since, removals_since=removals)
        if changes.added:
            yield list(changes.added), changes.embeddings
        since, removals = changes.revision, changes.removals_revision
