"""``reembed``: moves a collection to another face model, or back."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import typer

from rekognition_emulator.actor import Actor
from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.admin.reembedding import Reembedded, StillKept, discard_kept, reembed, roll_back
from rekognition_emulator.app import open_s3
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database, operator
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import exits_with_message, load_face_engine, read_settings
from rekognition_emulator.cli.wording import counted
from rekognition_emulator.domain.errors import FaceModelChanged
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.models.weights import ModelUnusable
from rekognition_emulator.reembedding.model import AlreadyReembedding
from rekognition_emulator.reembedding.store import PostgresReembeddingStore
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.transactions import JoiningPool

NICENESS: Final = 10
"""Of this process: it takes the time that servers on the same machine leave."""

CONNECTIONS: Final = 2
"""One that keeps other processes out, and one to work with."""


def reembed_to(name: str, region: str | None, model: str, workers: int) -> None:
    """Embeds all faces of a collection with another model and exchanges the embeddings."""
    os.nice(NICENESS)
    with _desk(name, region) as desk, counting() as bars:
        try:
            done = reembed(
                desk.pool,
                desk.actor,
                desk.collection,
                lambda: load_face_engine(desk.settings.model_copy(update={"face_model": model})),
                open_s3(desk.settings).fetch_object,
                workers=workers,
                progress=bar(bars, name),
            )
        except StillKept as error:
            raise Refused(f"{error}: --confirm drops them, --rollback goes back to them.") from error
    _require_all(done)
    typer.echo(
        f"{name} is searched with model {model} from now on. The embeddings of before are kept: reembed --collection "
        f"{name} --rollback goes back to them, --confirm drops them."
    )


def go_back(name: str, region: str | None, workers: int) -> None:
    """Goes back to the model before, with its embeddings; faces that came since are embedded with it."""
    os.nice(NICENESS)
    with _desk(name, region) as desk, counting() as bars:
        done = roll_back(
            desk.pool,
            desk.actor,
            desk.collection,
            lambda: load_face_engine(desk.settings),
            open_s3(desk.settings).fetch_object,
            workers=workers,
            progress=bar(bars, name),
        )
    _require_all(done)
    typer.echo(
        f"{name} is searched with model version {done.version} again. What the other model made is kept: --confirm "
        "drops it."
    )


def confirm(name: str, region: str | None) -> None:
    """Drops the embeddings of the model before."""
    with _desk(name, region) as desk:
        dropped = discard_kept(desk.pool, desk.actor, desk.collection)
    embeddings = counted(dropped.count, "embedding")
    typer.echo(f"{embeddings} of model version {dropped.version} dropped; there is no way back to it.")


def show_status(name: str, region: str | None) -> None:
    """Says how far a collection is."""
    with _desk(name, region) as desk:
        status = PostgresReembeddingStore(desk.pool).standing(desk.collection)
    typer.echo(f"{name}: {counted(status.faces, 'face')} of model version {status.face_model_version}")
    typer.echo(f"stored with them: chips of {status.chips:,}, where the pictures are of {status.sources:,}")
    for version, count in status.staged.items():
        staged = f"{counted(count, 'embedding')} of version {version}"
        if version == status.kept:
            typer.echo(f"kept from before: {staged}, until --confirm or --rollback")
        else:
            typer.echo(f"on the way: {staged}")


def _require_all(done: Reembedded) -> None:
    """Lists the faces that cannot be embedded, and ends the program if there are any."""
    for failure in done.failures:
        typer.echo(f"{failure.face_id}  {failure.reason}")
    if done.failures:
        sys.exit(
            f"{len(done.failures):,} of {done.faces:,} faces, listed above, cannot be embedded anew, so nothing was "
            "changed. The others are done and wait: index those pictures again, so that chips or their places in S3 "
            "are known, or delete the faces, and run this again."
        )


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the commands work with."""

    settings: Settings
    pool: JoiningPool
    actor: Actor
    collection: Collection


@contextmanager
def _desk(name: str, region: str | None) -> Iterator[_Desk]:
    """Opens the database; what goes wrong ends the program with a sentence where the operator can mend it."""
    settings = read_settings()
    owner = Owner(settings.account_id, region or settings.region)
    try:
        with (
            data_errors_exit_with_message(),
            exits_with_message(ModelUnusable),
            open_database(settings, CONNECTIONS) as pool,
        ):
            collection = PostgresStore(pool).get_collection(owner, name)
            yield _Desk(settings, pool, operator("reembed", owner.account, owner.region), collection)
    except (AlreadyReembedding, FaceModelChanged) as error:
        sys.exit(f"Another process changes the face model of {error}.")
