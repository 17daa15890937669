"""``calibrate`` without labels: a face model's curve from images, or collections, of nobody knows whom."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from rekognition_emulator.cli.measuring import describe, embed_all, print_left_out, say_how_to_serve, write_json
from rekognition_emulator.cli.start import load_face_engine_to_measure, read_settings
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.domain.store import FaceStore
from rekognition_emulator.evaluation.calibration import MEASURED_MIN, SIMILARITIES, pictures_needed
from rekognition_emulator.evaluation.labels import read_events
from rekognition_emulator.evaluation.scores import pairs_needed
from rekognition_emulator.evaluation.unlabelled import UnlabelledCurve, calibrate_unlabelled, presumed_impostors
from rekognition_emulator.inference.inventory import known_models
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.records import Embedder

_PAGE = 4096
"""Faces of a collection that are listed at a time."""


def calibrate_on_images(folder: Path, json_file: Path | None, workers: int) -> None:
    """Estimates a curve from images, with a folder for each event.

    Raises:
        LabelsUnusable: there is no image, or none has a face.
        TooFewPairs: they cannot support a curve.
        OSError: a file cannot be read or written.
    """
    files, events = zip(*read_events(folder), strict=True)
    settings = read_settings()
    engine = load_face_engine_to_measure(settings)
    embedded = embed_all(engine, files, workers)
    event_of = np.array(events, np.intp)[embedded.image_of]
    curve = calibrate_unlabelled(presumed_impostors(embedded.embeddings, embedded.image_of, event_of))
    console = Console()
    print_left_out(console, embedded.left_out)
    _show(console, f"{engine.model.name} {engine.model.version}", len(embedded.image_of), curve)
    if json_file:
        write_json(json_file, describe(engine.model, folder, "all", embedded.left_out) | _document(curve))
    say_how_to_serve(console, json_file, engine.model.name, settings.model_files.models_dir, Evidence.UNLABELLED)


def calibrate_on_collections(names: Sequence[str], region: str | None, json_file: Path | None) -> None:
    """Estimates a curve from the faces of collections that have one face model; each collection is an event.

    Raises:
        TooFewPairs: they cannot support a curve.
        OSError: the file cannot be written.
    """
    from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database  # noqa: PLC0415 - images need no SQL
    from rekognition_emulator.storage.postgres import PostgresStore  # noqa: PLC0415 - likewise

    settings = read_settings()
    owner = Owner(settings.account_id, region or settings.region)
    with data_errors_exit_with_message(), open_database(settings) as pool:
        store = PostgresStore(pool)
        collections = [store.get_collection(owner, name) for name in dict.fromkeys(names)]
        versions = sorted({collection.face_model_version for collection in collections})
        if len(versions) > 1:
            sys.exit(f"The collections have different face models: versions {', '.join(versions)}.")
        parts = [_faces_of(store, collection) for collection in collections]
    embeddings = np.concatenate([embeddings for embeddings, _ in parts])
    event_of = np.repeat(np.arange(len(parts)), [len(images) for _, images in parts])
    images = [f"{event} {image}" for event, (_, of) in enumerate(parts) for image in of]
    image_of = np.unique(np.array(images, str), return_inverse=True)[1]
    curve = calibrate_unlabelled(presumed_impostors(embeddings, image_of, event_of))
    console, name = Console(), _name_of(versions[0], settings.model_files)
    _show(console, f"{name} {versions[0]}", len(embeddings), curve)
    if json_file:
        document = {
            "face_model": {"name": name, "version": versions[0]},
            "measured_on": datetime.now(UTC).date().isoformat(),
            "collections": [collection.name for collection in collections],
        }
        write_json(json_file, document | _document(curve))
    say_how_to_serve(console, json_file, name, settings.model_files.models_dir, Evidence.UNLABELLED)


def _name_of(version: str, files: ModelFiles) -> str:
    """Returns the name of the face model of this version, or a word in its place where it is not known here."""
    known = known_models(files).values()
    return next((model.name for model in known if isinstance(model, Embedder) and model.version == version), "NAME")


def _faces_of(store: FaceStore, collection: Collection) -> tuple[NDArray[np.float32], list[UUID]]:
    """Returns (faces, dimension) float32 and the image of each face."""
    image_of: dict[UUID, UUID] = {}
    after = None
    while True:
        page = store.list_faces(collection, after=after, limit=_PAGE)
        image_of |= {face.face_id: face.image_id for face in page.items}
        if not page.more:
            break
        after = page.items[-1].face_id
    embeddings: dict[UUID, NDArray[np.float32]] = {}
    since, present = 0, collection.revision
    while since < present:
        changes = store.changes(collection, since)
        embeddings |= zip(changes.added, changes.embeddings, strict=True)
        since, present = changes.revision, changes.removals_revision
    known = [face for face in image_of if face in embeddings]  # of those that come or go meanwhile, one is not there
    stacked = np.stack([embeddings[face] for face in known]) if known else np.empty((0, 1), np.float32)
    return stacked, [image_of[face] for face in known]


def _show(console: Console, model: str, faces: int, curve: UnlabelledCurve) -> None:
    console.print(
        f"[bold]Face model {model}[/bold] on {faces:,} faces nobody has labelled: {curve.pairs:,} pairs of impostors; "
        f"{curve.repeated:,} faces set aside as seen before",
        highlight=False,
    )
    table = Table("similarity", "cosine", "false match rate", "")
    for point in curve.points:
        shown = "within the pairs" if point.measured else "beyond them, with caution"
        table.add_row(
            f"{point.similarity:.0f}", f"{point.cosine:.4f}", f"1 in {1 / point.false_match_rate:,.0f}", shown
        )
    console.print(table)
    needed = pairs_needed(dict(SIMILARITIES)[MEASURED_MIN])
    if curve.pairs < needed:
        console.print(
            f"[bold]These are few:[/bold] it takes {needed:,} pairs of impostors to count what passes at "
            f"{MEASURED_MIN:.0f}, as {pictures_needed(needed):,} faces of as many events have them. From fewer it is "
            "drawn with caution: fewer impostors pass than it says, and fewer people are found. With the curves of 200 "
            "labelled faces 0.01 to 0.8 times as many passed at 80.",
            highlight=False,
            soft_wrap=True,
        )


def _document(curve: UnlabelledCurve) -> dict[str, Any]:
    return {
        "method": "unlabelled",
        "impostor_pairs": curve.pairs,
        "repeated_faces": curve.repeated,
        "curve": [asdict(point) for point in curve.points],
        "calibration": [(-1, 0), *((point.cosine, point.similarity) for point in curve.points), (1, 100)],
    }
