"""What the commands that measure a face model print and write alike."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from rekognition_emulator.admin.evaluation import NearPair
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.evaluation.labels import unlabelled
from rekognition_emulator.evaluation.pictures import LeftOut


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


def print_nearest_strangers(console: Console, pairs: Sequence[NearPair]) -> None:
    """Lists the pairs of strangers that are nearest to each other: where labels are wrong, it shows here."""
    console.print("[bold]The nearest strangers[/bold] (are they two people?)")
    for cosine, one, other in pairs:
        console.print(f"  {cosine:.4f}  {one}  {other}", markup=False, highlight=False, soft_wrap=True)


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
