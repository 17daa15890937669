"""What measurements of a face model share: options, embeddings behind a progress bar, how a result is described."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rekognition_emulator.domain.embedding import Evidence, FaceModel
from rekognition_emulator.evaluation.bands import BandCounter
from rekognition_emulator.evaluation.comparison import AlbumComparison, compare_album
from rekognition_emulator.evaluation.labels import LabelledPicture, LabelsUnusable, number_people, unlabelled
from rekognition_emulator.evaluation.pictures import (
    Embedded,
    EmbeddedAlbum,
    FaceChoice,
    LeftOut,
    embed_album,
    embed_pictures,
)
from rekognition_emulator.inference.engine import FaceEngine


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
    """Embeds a face of each picture, each once, and shows how far it is.

    Raises:
        LabelsUnusable: no picture has a face.
    """
    files = list(dict.fromkeys(files))
    with _advancing("faces", len(files)) as on_picture:
        embedded = embed_pictures(engine, files, way.workers, on_picture, way.face)
    _require_faces(len(embedded.rows), files, embedded.left_out)
    return embedded


def embed_all(engine: FaceEngine, files: Sequence[Path], workers: int) -> EmbeddedAlbum:
    """Embeds all faces of each image, and shows how far it is.

    Raises:
        LabelsUnusable: no image has a face.
    """
    with _advancing("images", len(files)) as on_picture:
        embedded = embed_album(engine, files, workers, on_picture)
    _require_faces(len(embedded.embeddings), files, embedded.left_out)
    return embedded


def compare(
    embedded: Embedded, album: Sequence[LabelledPicture], counter: BandCounter | None = None
) -> tuple[NDArray[np.intp], AlbumComparison]:
    """Compares every picture of an album with every other, and shows how far it is.

    Args:
        embedded: the album's pictures that have a face.
        album: all of them.
        counter: counts the same pairs by kind of face.

    Returns:
        (n,) whom each row of the embeddings shows, and the comparison.
    """
    person_of = {picture.file: picture.person for picture in album}
    people = number_people(person_of[file] for file in embedded.rows)
    with _progress() as progress:
        task = progress.add_task("pairs", total=len(people))
        compared = compare_album(
            embedded.embeddings, people, on_rows=lambda rows: progress.advance(task, rows), counter=counter
        )
    return people, compared


def print_left_out(console: Console, left_out: Sequence[LeftOut]) -> None:
    """Lists the pictures that no comparison could be made with."""
    if left_out:
        console.print(f"[bold]{len(left_out):,} pictures left out of all numbers:[/bold]")
        for picture in left_out:
            console.print(f"  {picture.file}: {picture.reason}", markup=False, highlight=False, soft_wrap=True)


def print_unlabelled(console: Console, album: Path) -> None:
    """Says how many of an album's pictures are passed over because nobody has said whom they show."""
    if passed_over := unlabelled(album):
        where = "beside the folders of people or deeper in them" if album.is_dir() else "in rows without a person"
        console.print(
            "[bold]Pictures passed over[/bold], because nobody has said whom they show: "
            f"{len(passed_over):,}, {where}. The first: {escape(str(passed_over[0]))}",
            highlight=False,
            soft_wrap=True,
        )


def print_nearest_strangers(
    console: Console, pairs: Sequence[tuple[float, int, int]], files: Sequence[Path], others: Sequence[Path]
) -> None:
    """Lists the pairs of strangers that are nearest to each other: where labels are wrong, it shows here.

    Args:
        console: where.
        pairs: (cosine, place in files, place in others), nearest first.
        files: of the first of each pair.
        others: of the second.
    """
    console.print("[bold]The nearest strangers[/bold] (are they two people?)")
    for cosine, one, other in pairs:
        console.print(f"  {cosine:.4f}  {files[one]}  {others[other]}", markup=False, highlight=False, soft_wrap=True)


def describe(model: FaceModel, source: Path, faces: str, left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Returns what every document says first: what was measured, on which faces of what, and when."""
    return {
        "face_model": {"name": model.name, "version": model.version, "dimension": model.dimension},
        "measured_on": datetime.now(UTC).date().isoformat(),
        "pictures_from": str(source),
        "face": faces,
        "left_out": [{"file": str(picture.file), "reason": picture.reason} for picture in left_out],
    }


def write_json(file: Path, document: dict[str, Any]) -> None:
    """Writes a document for machines."""
    # A name of a file need not be UTF-8; in ASCII it can be said nevertheless.
    file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def say_how_to_serve(console: Console, curve: Path | None, model: str, models_dir: Path, evidence: Evidence) -> None:
    """Says where a curve was written and how a server comes to use it, or that it was not written.

    Args:
        console: where.
        curve: the file, if there is one.
        model: the face model's name.
        models_dir: that manifests lie in.
        evidence: what the curve rests on.
    """
    if curve is None:
        console.print("Nothing is changed by this: --json FILE writes the curve, and says how a server uses it.")
        return
    console.print(
        f"The curve is in {curve}. Servers use it from their next start on if it lies in {models_dir}, and "
        f"{model}.toml there has these two lines, beside what it may have already:\n"
        f'name = "{model}"\ncalibration = "{curve.name}"\n'
        f"/readyz and models list then call it: {evidence}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def or_dash(number: float | None, shown: str) -> str:
    """Returns a number in a format such as "{:.1%}", or a dash where there is none."""
    return "–" if number is None else shown.format(number)


def _require_faces(found: int, files: Sequence[Path], left_out: Sequence[LeftOut]) -> None:
    if not found:
        first = left_out[0]
        raise LabelsUnusable(
            f"None of the {len(files):,} pictures can be compared; the first, {first.file}: {first.reason}"
        )


@contextmanager
def _advancing(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yields what moves a bar one step; it is on standard error and leaves nothing: standard output is for numbers."""
    with _progress() as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
