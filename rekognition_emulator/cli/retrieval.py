"""``evaluate --selfies`` and ``compare``: what selfies find in an album, for one face model or several side by side."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from rekognition_emulator.admin import evaluation
from rekognition_emulator.admin.evaluation import SelfieEvaluation
from rekognition_emulator.admin.measuring import Way
from rekognition_emulator.cli.measuring import (
    or_dash,
    print_left_out,
    print_nearest_strangers,
    print_unlabelled,
    write_json,
)
from rekognition_emulator.cli.plots import draw_retrieval
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import load_face_engine, read_settings
from rekognition_emulator.evaluation.labels import read_album, read_event
from rekognition_emulator.evaluation.pictures import FaceChoice
from rekognition_emulator.evaluation.retrieval import PAGE

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
    wanted = [settings.model_copy(update={"face_model": name}) for name in dict.fromkeys(models)] or [settings]
    engines = [load_face_engine(one) for one in wanted]  # all first: one that cannot be had ends it at once
    evaluated = []
    for engine in engines:
        with counting() as bars:
            one = evaluation.evaluate_selfies(engine, album, images, visitors, way, progress_of=partial(bar, bars))
        console.print(f"[bold]{one.model.name} {one.model.version}[/bold]", highlight=False)
        print_nearest_strangers(console, one.nearest_strangers)
        print_left_out(console, one.left_out)
        evaluated.append(one)
    _print(console, evaluated)
    if json_file:
        documents = [one.document for one in evaluated]
        write_json(json_file, documents[0] if len(documents) == 1 else {"models": documents})
    if plot_file:
        draw_retrieval(plot_file, [(one.model, one.retrieval) for one in evaluated])


def _print(console: Console, evaluated: Sequence[SelfieEvaluation]) -> None:
    first = evaluated[0].retrieval
    console.print(
        f"{first.selfies:,} of people who are in the album, {first.visitors:,} of visitors who are not; means over the "
        "selfies",
        highlight=False,
    )
    ranks = Table("first images", "face model", "precision", "recall")
    for place in range(len(first.at_ranks)):
        for each in evaluated:
            at = each.retrieval.at_ranks[place]
            ranks.add_row(f"{at.images}", each.model.name, f"{at.precision:.1%}", f"{at.recall:.1%}")
    console.print(ranks)
    thresholds = Table("similarity", "face model", "precision", "recall", "strangers", "FPIR")
    for place in range(len(first.at_thresholds)):
        for each in evaluated:
            point = each.retrieval.at_thresholds[place]
            rates = (point.precision, point.recall, point.strangers_shown, point.false_positive_identification_rate)
            thresholds.add_row(f"{point.similarity:.0f}", each.model.name, *(or_dash(rate, "{:.1%}") for rate in rates))
    console.print(thresholds)
    console.print(
        f"strangers: selfies whose first {PAGE} images show somebody else; FPIR: selfies of visitors who are not "
        "in the album that find anything.",
        highlight=False,
    )
