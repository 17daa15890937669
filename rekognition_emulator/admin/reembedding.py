"""Collections on their way to another face model: embedded with it, brought back, and the way back given up.

One process at a time works on a collection; servers go on meanwhile.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from rekognition_emulator.actor import Actor
from rekognition_emulator.admin.errors import Refused, require
from rekognition_emulator.domain.faces import Collection
from rekognition_emulator.inference.engine import FaceEmbedder, FaceEngine
from rekognition_emulator.operations.context import FetchObject
from rekognition_emulator.progress import Progress
from rekognition_emulator.reembedding.model import ReembedStatus
from rekognition_emulator.reembedding.service import Failure, Reembedding
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.storage.transactions import JoiningPool

LoadEngine = Callable[[], FaceEngine]
"""Loads what finds and embeds faces, once nothing else stands in the way. Raises ModelUnusable."""


class StillKept(Refused):
    """A collection keeps the embeddings of a model before: they have to be dropped, or gone back to, first."""


@dataclass(frozen=True, slots=True)
class Reembedded:
    """What came of embedding a collection with another model.

    Attributes:
        version: of the model that searches it now, unless there are failures.
        faces: how many it has.
        failures: those that cannot be embedded. Nothing is exchanged unless there are none; the others are done, and
            wait.
    """

    version: str
    faces: int
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True)
class DiscardedEmbeddings:
    """The model to which there is no way back, and how many embeddings of it were dropped."""

    version: str
    count: int


def reembed(  # noqa: PLR0913 - what a re-embedding takes
    pool: JoiningPool,
    actor: Actor,
    collection: Collection,
    load_engine: LoadEngine,
    fetch_object: FetchObject,
    *,
    workers: int,
    progress: Progress,
) -> Reembedded:
    """Embeds all faces of a collection with another model and exchanges the embeddings; those of before are kept.

    Args:
        pool: to the database, with a connection that is held all the while and one to work with.
        actor: who wants it.
        collection: as just read.
        load_engine: of the new model.
        fetch_object: reads images in S3 again: (bucket, key, version or None) → bytes.
        workers: faces, or images, worked on at once.
        progress: told how many faces are embedded, those of earlier runs among them.

    Raises:
        StillKept: it keeps the embeddings of a third model.
        Refused: its faces are of this model already.
        AlreadyReembedding: another process does so.
        CollectionNotFound, FaceModelChanged: it was deleted, or given another model, meanwhile.
        ModelUnusable: the engine cannot be loaded.
    """
    store = PostgresReembeddingStore(pool)
    with store.alone(collection):
        engine = load_engine()
        version, status = engine.model.version, store.standing(collection)
        if status.kept not in {None, version}:
            raise StillKept(f"{collection.name} still keeps the embeddings of model version {status.kept}")
        begun = set(status.staged) - {version, status.kept}
        store.discard(actor, collection, sorted(begun))
        require(
            version != status.face_model_version,
            f"The faces of {collection.name} are those of model {engine.model.name}, version {version}, already.",
        )
        return _run(pool, actor, collection, engine, engine, fetch_object, workers, progress)


def roll_back(  # noqa: PLR0913 - likewise
    pool: JoiningPool,
    actor: Actor,
    collection: Collection,
    load_engine: LoadEngine,
    fetch_object: FetchObject,
    *,
    workers: int,
    progress: Progress,
) -> Reembedded:
    """Goes back to the model before, with its embeddings; faces that came since are embedded with it.

    Arguments and errors as ``reembed``'s; the engine is one that has an embedder of that model.

    Raises:
        Refused: no embeddings of another model are kept, or the model is not at hand.
    """
    store = PostgresReembeddingStore(pool)
    with store.alone(collection):
        kept = _kept(store.standing(collection), collection)
        engine = load_engine()
        embedder = engine.embedder(kept)
        if embedder is None:
            raise Refused(
                f"The face model of version {kept}, to which {collection.name} would go back, is not at hand here."
            )
        return _run(pool, actor, collection, engine, embedder, fetch_object, workers, progress)


def discard_kept(pool: JoiningPool, actor: Actor, collection: Collection) -> DiscardedEmbeddings:
    """Drops the embeddings of the model before, to which there is no way back from then on.

    Raises:
        Refused: no embeddings of another model are kept.
        AlreadyReembedding, CollectionNotFound, FaceModelChanged: as for ``reembed``.
    """
    store = PostgresReembeddingStore(pool)
    with store.alone(collection):
        kept = _kept(store.standing(collection), collection)
        return DiscardedEmbeddings(kept, store.discard(actor, collection, [kept]))


def _run(  # noqa: PLR0913, PLR0917 - likewise
    pool: JoiningPool,
    actor: Actor,
    collection: Collection,
    engine: FaceEngine,
    embedder: FaceEmbedder,
    fetch_object: FetchObject,
    workers: int,
    progress: Progress,
) -> Reembedded:
    store = PostgresReembeddingStore(pool)
    faces = store.standing(collection).faces
    with closing(PgvectorIndex(pool)) as index:
        run = Reembedding(store, actor, collection, engine, embedder, fetch_object, index, workers=workers)
        return Reembedded(embedder.model.version, faces, run.run(progress))


def _kept(status: ReembedStatus, collection: Collection) -> str:
    if status.kept is None:
        raise Refused(
            f"{collection.name} keeps no embeddings of another model: there is nothing to confirm and no way back."
        )
    return status.kept
