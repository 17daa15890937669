"""What ``evaluate`` and ``calibrate`` share: pictures to embeddings behind a progress bar, and what is said of both.

Changes when labelled pictures are worked on, or what was worked on is described, in another way.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rekognition_emulator.evaluation.comparison import AlbumComparison, compare_album
from rekognition_emulator.evaluation.labels import LabelledPicture, LabelsUnusable, number_people
from rekognition_emulator.evaluation.pictures import Embedded, FaceChoice, LeftOut, embed_pictures
from rekognition_emulator.faces.embedding import FaceModel
from rekognition_emulator.faces.engine import FaceEngine


@dataclass(frozen=True, slots=True)
class Way:
    """How pictures become embeddings.

    Attributes:
        workers: pictures worked on at once.
        face: which one of a picture.
    """

    workers: int
    face: FaceChoice


def embed(engine: FaceEngine, files: Sequence[Path], way: Way) -> Embedded:
    """Embeds pictures, each once, and shows how far it is.

    Raises:
        LabelsUnusable: no picture has a face.
    """
    files = list(dict.fromkeys(files))
    with _progress() as progress:
        task = progress.add_task("faces", total=len(files))
        embedded = embed_pictures(engine, files, way.workers, lambda: progress.advance(task), way.face)
    if not embedded.rows:
        first = embedded.left_out[0]
        raise LabelsUnusable(
            f"None of the {len(files):,} pictures can be compared; the first, {first.file}: {first.reason}"
        )
    return embedded


def compare(embedded: Embedded, album: Sequence[LabelledPicture]) -> tuple[NDArray[np.intp], AlbumComparison]:
    """Compares every picture of an album with every other, and shows how far it is.

    Returns:
        (n,) whom each row of the embeddings shows, and the comparison.
    """
    person_of = {picture.file: picture.person for picture in album}
    people = number_people(person_of[file] for file in embedded.rows)
    with _progress() as progress:
        task = progress.add_task("pairs", total=len(people))
        compared = compare_album(embedded.embeddings, people, on_rows=lambda rows: progress.advance(task, rows))
    return people, compared


def print_left_out(console: Console, left_out: Sequence[LeftOut]) -> None:
    """Lists the pictures that no comparison could be made with."""
    if left_out:
        console.print(f"[bold]{len(left_out):,} pictures left out of all numbers:[/bold]")
        for picture in left_out:
            console.print(f"  {picture.file}: {picture.reason}", markup=False, highlight=False, soft_wrap=True)


def print_nearest_strangers(console: Console, compared: AlbumComparison, embedded: Embedded) -> None:
    """Lists the pairs of strangers that are nearest to each other: where labels are wrong, it shows here."""
    files = list(embedded.rows)
    console.print("[bold]The nearest strangers[/bold] (are they two people?)")
    for cosine, one, other in compared.nearest_strangers:
        console.print(f"  {cosine:.4f}  {files[one]}  {files[other]}", markup=False, highlight=False, soft_wrap=True)


def describe(model: FaceModel, source: Path, way: Way, left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Returns what every document says first: what was measured, on what, and when."""
    return {
        "face_model": {"name": model.name, "version": model.version, "dimension": model.dimension},
        "measured_on": datetime.now(UTC).date().isoformat(),
        "pictures_from": str(source),
        "face": way.face,
        "left_out": [{"file": str(picture.file), "reason": picture.reason} for picture in left_out],
    }


def write_json(file: Path, document: dict[str, Any]) -> None:
    """Writes a document for machines."""
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _progress() -> Progress:
    """Returns a bar on standard error that leaves nothing behind: standard output is for the numbers."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
