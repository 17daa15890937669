"""``evaluate --selfies`` and ``compare``: what selfies find in an album, for one face model or several side by side."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from rekognition_emulator.cli.measuring import (
    Way,
    describe,
    embed,
    embed_all,
    or_dash,
    print_left_out,
    print_nearest_strangers,
    print_unlabelled,
    write_json,
)
from rekognition_emulator.cli.plots import draw_retrieval
from rekognition_emulator.cli.start import load_face_engine, read_settings
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.labels import (
    LabelledImage,
    LabelledPicture,
    LabelsUnusable,
    read_album,
    read_event,
)
from rekognition_emulator.evaluation.pictures import FaceChoice, LeftOut
from rekognition_emulator.evaluation.retrieval import (
    PAGE,
    Retrieval,
    best_cosines,
    measure_retrieval,
    nearest_strangers,
)
from rekognition_emulator.inference.engine import FaceEngine

_FACE_NAMES: Final = {
    FaceChoice.LARGEST: "the largest face",
    FaceChoice.CENTRAL: "the most central face",
}


def evaluate_selfies(  # noqa: PLR0913 - an argument is an option of the command line
    models: Sequence[str], album: Path, selfies: Path, way: Way, *, json_file: Path | None, plot_file: Path | None
) -> None:
    """Measures what selfies find in an album: with each of these face models, or with the one of the settings.

    Raises:
        LabelsUnusable: labels are missing, or no selfie shows anybody in the album.
        ModelUnusable: a model cannot be had.
        OSError: a file cannot be read or written.
    """
    images, visitors = read_event(album), read_album(selfies)
    settings = read_settings()
    console = Console()
    console.print(
        f"[bold]{len(visitors):,} selfies[/bold] ({_FACE_NAMES[way.face]} of each) search [bold]{len(images):,} "
        "images[/bold]",
        highlight=False,
    )
    print_unlabelled(console, selfies)
    measured: list[tuple[FaceModel, Retrieval]] = []
    documents: list[dict[str, Any]] = []
    wanted = [settings.model_copy(update={"face_model": name}) for name in dict.fromkeys(models)] or [settings]
    for engine in [load_face_engine(one) for one in wanted]:  # all first: one that cannot be had ends it at once
        retrieval, left_out = _measure(console, engine, images, visitors, way)
        measured.append((engine.model, retrieval))
        documents.append(describe(engine.model, album, way.face, left_out) | asdict(retrieval))
    _print(console, measured)
    if json_file:
        write_json(json_file, documents[0] if len(documents) == 1 else {"models": documents})
    if plot_file:
        draw_retrieval(plot_file, measured)


def _measure(
    console: Console,
    engine: FaceEngine,
    images: Sequence[LabelledImage],
    visitors: Sequence[LabelledPicture],
    way: Way,
) -> tuple[Retrieval, list[LeftOut]]:
    """Measures one face model, and lists what may be wrong with the labels and what could not be compared."""
    searched = embed_all(engine, [image.file for image in images], way.workers)
    asking = embed(engine, [visitor.file for visitor in visitors], way)
    people = [visitor.person for visitor in visitors if visitor.file in asking.rows]
    relevant = np.array([[person in image.people for image in images] for person in people])
    best = best_cosines(asking.embeddings, searched.embeddings, searched.image_of, len(images))
    try:
        retrieval = measure_retrieval(engine.model, best, relevant, len(searched.embeddings))
    except ValueError as error:
        raise LabelsUnusable(f"Nothing to measure: {error}. Are people called the same in both?") from error
    console.print(f"[bold]{engine.model.name} {engine.model.version}[/bold]", highlight=False)
    image_files, left_out = [image.file for image in images], [*searched.left_out, *asking.left_out]
    print_nearest_strangers(console, nearest_strangers(best, relevant), list(asking.rows), image_files)
    print_left_out(console, left_out)
    return retrieval, left_out


def _print(console: Console, measured: Sequence[tuple[FaceModel, Retrieval]]) -> None:
    first = measured[0][1]
    console.print(
        f"{first.selfies:,} of people who are in the album, {first.visitors:,} of visitors who are not; means over the "
        "selfies",
        highlight=False,
    )
    ranks = Table("first images", "face model", "precision", "recall")
    for place in range(len(first.at_ranks)):
        for model, retrieval in measured:
            at = retrieval.at_ranks[place]
            ranks.add_row(f"{at.images}", model.name, f"{at.precision:.1%}", f"{at.recall:.1%}")
    console.print(ranks)
    thresholds = Table("similarity", "face model", "precision", "recall", "strangers", "FPIR")
    for place in range(len(first.at_thresholds)):
        for model, retrieval in measured:
            point = retrieval.at_thresholds[place]
            rates = (point.precision, point.recall, point.strangers_shown, point.false_positive_identification_rate)
            thresholds.add_row(f"{point.similarity:.0f}", model.name, *(or_dash(rate, "{:.1%}") for rate in rates))
    console.print(thresholds)
    console.print(
        f"strangers: selfies whose first {PAGE} images show somebody else; FPIR: selfies of visitors who are not "
        "in the album that find anything.",
        highlight=False,
    )
