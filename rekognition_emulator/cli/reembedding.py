"""``reembed``: moves a collection to another face model, or back."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import typer

from rekognition_emulator.actor import Actor
from rekognition_emulator.app import open_s3
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import counting
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.domain.errors import FaceModelChanged
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.inference.engine import FaceEmbedder, FaceEngine
from rekognition_emulator.inference.selection import load_engine
from rekognition_emulator.models.weights import ModelUnusable
from rekognition_emulator.reembedding.model import AlreadyReembedding, ReembedStatus
from rekognition_emulator.reembedding.service import Reembedding
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.search.pgvector import PgvectorIndex
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool

NICENESS: Final = 10
"""Of this process: it takes the time that servers on the same machine leave."""

CONNECTIONS: Final = 2
"""One that keeps other processes out, and one to work with."""


def reembed_to(name: str, region: str | None, model: str, workers: int) -> None:
    """Embeds all faces of a collection with another model and exchanges the embeddings."""
    settings = read_settings()
    os.nice(NICENESS)
    with _open(settings) as pool:
        store, collection = PostgresReembeddingStore(pool), _collection(pool, settings, name, region)
        with store.alone(collection):
            engine = load_engine(model, settings.detector, settings.model_files)
            standing = store.standing(collection)
            _require_a_way(standing, name, engine.model.version)
            begun = set(standing.staged) - {engine.model.version, standing.kept}
            store.discard(_actor(settings, collection), collection, sorted(begun))
            if engine.model.version == standing.face_model_version:
                sys.exit(f"The faces of {name} are those of model {model}, version {engine.model.version}, already.")
            _run(settings, pool, collection, engine, engine, workers)
    typer.echo(
        f"{name} is searched with model {model} from now on. The embeddings of before are kept: reembed --collection "
        f"{name} --rollback goes back to them, --confirm drops them."
    )


def roll_back(name: str, region: str | None, workers: int) -> None:
    """Goes back to the model before, with its embeddings; faces that came since are embedded with it."""
    settings = read_settings()
    os.nice(NICENESS)
    with _open(settings) as pool:
        store, collection = PostgresReembeddingStore(pool), _collection(pool, settings, name, region)
        with store.alone(collection):
            kept = _kept(store.standing(collection), name)
            engine = load_engine(settings.face_model, settings.detector, settings.model_files)
            embedder = engine.embedder(kept)
            if embedder is None:
                sys.exit(f"The face model of version {kept}, to which {name} would go back, is not at hand here.")
            _run(settings, pool, collection, engine, embedder, workers)
    typer.echo(
        f"{name} is searched with model version {kept} again. What the other model made is kept: --confirm drops it."
    )


def confirm(name: str, region: str | None) -> None:
    """Drops the embeddings of the model before."""
    settings = read_settings()
    with _open(settings) as pool:
        store, collection = PostgresReembeddingStore(pool), _collection(pool, settings, name, region)
        with store.alone(collection):
            kept = _kept(store.standing(collection), name)
            dropped = store.discard(_actor(settings, collection), collection, [kept])
    typer.echo(f"{counted(dropped, 'embedding')} of model version {kept} dropped; there is no way back to it.")


def show_standing(name: str, region: str | None) -> None:
    """Says how far a collection is."""
    settings = read_settings()
    with _open(settings) as pool:
        standing = PostgresReembeddingStore(pool).standing(_collection(pool, settings, name, region))
    typer.echo(f"{name}: {counted(standing.faces, 'face')} of model version {standing.face_model_version}")
    typer.echo(f"stored with them: chips of {standing.chips:,}, where the pictures are of {standing.sources:,}")
    for version, count in standing.staged.items():
        staged = f"{counted(count, 'embedding')} of version {version}"
        if version == standing.kept:
            typer.echo(f"kept from before: {staged}, until --confirm or --rollback")
        else:
            typer.echo(f"on the way: {staged}")


def _run(  # noqa: PLR0913, PLR0917 # what a re-embedding takes
    settings: Settings,
    pool: JoiningPool,
    collection: Collection,
    engine: FaceEngine,
    embedder: FaceEmbedder,
    workers: int,
) -> None:
    """Works behind a progress bar; ends the program where faces cannot be embedded."""
    store = PostgresReembeddingStore(pool)
    standing = store.standing(collection)
    with counting() as bars, closing(PgvectorIndex(pool)) as index:
        done = standing.staged.get(embedder.model.version, 0)
        task = bars.add_task(collection.name, total=standing.faces, completed=done)
        fetch_object = open_s3(settings).fetch_object
        actor = _actor(settings, collection)
        reembedding = Reembedding(store, actor, collection, engine, embedder, fetch_object, index, workers=workers)
        failures = reembedding.run(lambda faces: bars.advance(task, faces))
    for failure in failures:
        typer.echo(f"{failure.face_id}  {failure.reason}")
    if failures:
        sys.exit(
            f"{len(failures):,} of {standing.faces:,} faces, listed above, cannot be embedded anew, so nothing was "
            "changed. The others are done and wait: index those pictures again, so that chips or their places in S3 "
            "are known, or delete the faces, and run this again."
        )


def _actor(settings: Settings, collection: Collection) -> Actor:
    return operator("reembed", settings.account_id, collection.owner.region)


def _require_a_way(standing: ReembedStatus, name: str, version: str) -> None:
    if standing.kept not in {None, version}:
        sys.exit(
            f"{name} still keeps the embeddings of model version {standing.kept}: --confirm drops them, --rollback "
            "goes back to them."
        )


def _kept(standing: ReembedStatus, name: str) -> str:
    if standing.kept is None:
        sys.exit(f"{name} keeps no embeddings of another model: there is nothing to confirm and no way back.")
    return standing.kept


def _collection(pool: JoiningPool, settings: Settings, name: str, region: str | None) -> Collection:
    return PostgresStore(pool).get_collection(Owner(settings.account_id, region or settings.region), name)


@contextmanager
def _open(settings: Settings) -> Iterator[JoiningPool]:
    """Opens the database; what goes wrong ends the program with a sentence where the operator can mend it."""
    try:
        with (
            data_errors_exit_with_message(),
            exits_with_message(ModelUnusable),
            open_database(settings, CONNECTIONS) as pool,
        ):
            yield pool
    except (AlreadyReembedding, FaceModelChanged) as error:
        sys.exit(f"Another process changes the face model of {error}.")
