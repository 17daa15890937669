"""Gives a collection another face model, from stored crops or from the images.

Beside servers that go on indexing and searching. Whatever was staged is durable, so a process that was killed is
followed by one that goes on where it ended; the faces that came meanwhile are embedded like those that were there.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from uuid import UUID

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.detection import SAME_FACE_OVERLAP
from rekognition_emulator.domain.errors import FaceError, ObjectTooLarge, ObjectUnavailable
from rekognition_emulator.domain.faces import Collection, Embedding, PictureSource, name_picture
from rekognition_emulator.imaging import image
from rekognition_emulator.imaging.crops import open_chip
from rekognition_emulator.inference.engine import FaceEmbedder, FaceEngine
from rekognition_emulator.inference.pipeline import analyse
from rekognition_emulator.reembedding.model import ReembeddingStore, ReembedSource
from rekognition_emulator.search.base import FaceIndex

BATCH: Final = 32
"""Faces that are staged at once, which is what a killed process loses: a second of work, half a megabyte of chips."""

LATE_MAX: Final = 8
"""Faces that are embedded while nobody may write into the collection: a tenth of a second. So an exchange comes about
however many faces keep coming; from chips alone, for nobody is to wait for an object in S3."""

Progress = Callable[[int], None]
"""(faces embedded since the last call) → None."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A face that cannot be embedded anew, and why."""

    face_id: UUID
    reason: str


class Reembedding:
    """One collection and the model that its faces are to be embedded with.

    Args:
        store: where embeddings are staged.
        actor: who has asked for it.
        collection: as just read.
        engine: finds the faces in pictures that are read again.
        embedder: the new model's.
        fetch_object: reads such pictures: (bucket, key, version or None) → bytes. Raises ObjectUnavailable,
            ObjectTooLarge.
        index: that is inside the database. What it holds of the collection it forgets before the exchange, which would
            otherwise bring it up to date face by face while nobody may write.
        workers: faces, or pictures, worked on at once.
    """

    def __init__(  # noqa: PLR0913, PLR0917 # what it takes from all floors
        self,
        store: ReembeddingStore,
        actor: Actor,
        collection: Collection,
        engine: FaceEngine,
        embedder: FaceEmbedder,
        fetch_object: Callable[[str, str, str | None], bytes],
        index: FaceIndex,
        *,
        workers: int,
    ) -> None:
        self._store = store
        self._actor = actor
        self._collection = collection
        self._engine = engine
        self._embedder = embedder
        self._fetch_object = fetch_object
        self._index = index
        self._workers = workers

    def run(self, progress: Progress) -> list[Failure]:
        """Embeds all faces and exchanges the embeddings.

        Returns:
            The faces that cannot be embedded; nothing is exchanged unless there are none.

        Raises:
            CollectionNotFound: the collection was deleted meanwhile.
            FaceModelChanged: it has another face model by now.
        """
        with ThreadPoolExecutor(self._workers) as pool:
            since, embedded = 0, 1
            while embedded or not self._exchange(pool, since, progress):
                revision = self._store.revision(self._collection)
                embedded, failures = self._catch_up(pool, since, progress)
                if failures:
                    return failures
                since = revision  # whatever came up to here is embedded
            return []

    def _catch_up(self, pool: ThreadPoolExecutor, since: int, progress: Progress) -> tuple[int, list[Failure]]:
        """Embeds the faces that lack it; returns how many, and which it failed for."""
        embedded, failures = 0, []
        after = None
        while origins := self._lacking(since, after, BATCH):
            after = (origins[-1].face.image_id, origins[-1].face.face_id)
            failures += (failed := self._stage(pool, origins))
            embedded += len(origins) - len(failed)
            progress(len(origins) - len(failed))
        return embedded, failures

    def _exchange(self, pool: ThreadPoolExecutor, since: int, progress: Progress) -> bool:
        """Exchanges the embeddings, unless too many faces came before others were kept from writing."""
        self._index.forget(self._collection)
        with self._store.exclusive(self._collection):
            late = self._lacking(since, None, LATE_MAX + 1)
            if len(late) > LATE_MAX or any(origin.chip is None for origin in late) or self._stage(pool, late):
                return False
            progress(len(late))
            self._store.exchange(self._actor, self._collection, self._embedder.model.version)
        return True

    def _lacking(self, since: int, after: tuple[UUID, UUID] | None, limit: int) -> list[ReembedSource]:
        version = self._embedder.model.version
        return self._store.lacking(self._collection, version, since=since, after=after, limit=limit)

    def _stage(self, pool: ThreadPoolExecutor, origins: Sequence[ReembedSource]) -> list[Failure]:
        """Embeds faces and stages what comes of it; returns those that it does not come of."""
        pictures = [list(faces) for _, faces in groupby(origins, key=_work)]
        embeddings: dict[UUID, Embedding] = {}
        failures = []
        for face_id, outcome in (each for outcomes in pool.map(self._embed, pictures) for each in outcomes):
            if isinstance(outcome, str):
                failures.append(Failure(face_id, outcome))
            else:
                embeddings[face_id] = outcome
        if embeddings:
            self._store.stage(self._collection, self._embedder.model.version, embeddings)
        return failures

    def _embed(self, origins: Sequence[ReembedSource]) -> list[tuple[UUID, Embedding | str]]:
        """Embeds faces of one origin; each comes back with its embedding, or with why there is none."""
        first = origins[0]
        if first.chip is not None:
            chip, face = open_chip(first.chip)
            return [(first.face.face_id, self._embedder.embed(chip, [face])[0])]
        if first.source is None:
            return [(origin.face.face_id, "neither chip nor source was stored") for origin in origins]
        try:
            return list(self._embed_from(first.source, origins))
        except (ObjectUnavailable, ObjectTooLarge) as error:
            reason = f"its picture {error} cannot be read"
        except FaceError as error:
            reason = f"its picture cannot be decoded: {error}"
        return [(origin.face.face_id, reason) for origin in origins]

    def _embed_from(
        self, source: PictureSource, origins: Sequence[ReembedSource]
    ) -> Iterator[tuple[UUID, Embedding | str]]:
        """Reads a picture again and finds its faces where they were."""
        picture = self._fetch_object(source.bucket, source.key, source.version)
        face = origins[0].face
        if name_picture(picture, face.external_image_id) != face.image_id:
            reason = f"{source.bucket}/{source.key} holds another picture than the one that was indexed"
            yield from ((origin.face.face_id, reason) for origin in origins)
            return
        decoded = image.decode(picture)
        detections = [portrait.detection for portrait in analyse(self._engine, decoded)]
        for origin in origins:
            box = origin.face.box
            best = max(detections, key=lambda detection: box.overlap(detection.box), default=None)
            if best is None or box.overlap(best.box) <= SAME_FACE_OVERLAP:
                yield origin.face.face_id, "it is not found in its picture any more"
            else:
                yield origin.face.face_id, self._embedder.embed(decoded, [best])[0]


def _work(origin: ReembedSource) -> UUID:
    """Returns what faces have in common that are embedded together: their picture, if it has to be read again."""
    return origin.face.face_id if origin.chip else origin.face.image_id
