"""The commands and their options. Changes when one gets another option; what each does stands beside this file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from rekognition_emulator.cli.calibration import calibrate_on_album
from rekognition_emulator.cli.evaluation import evaluate_album, evaluate_pairs
from rekognition_emulator.cli.models import models
from rekognition_emulator.cli.start import said_in_words
from rekognition_emulator.engines.networks import ModelUnusable
from rekognition_emulator.evaluation.calibration import TooFewPairs
from rekognition_emulator.evaluation.labels import LabelsUnusable

app = typer.Typer(
    help="The face operations of AWS Rekognition on your own machines. Without a command it serves.",
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print the values of variables
)
app.add_typer(models, name="models")

_ALBUM = typer.Option(exists=True, help="A folder with a folder of pictures per person, or CSV: file, person.")
_PAIRS = typer.Option(exists=True, dir_okay=False, help="LFW's pairs.txt, or CSV: file_a, file_b, same (1 or 0).")
_IMAGES = typer.Option(exists=True, file_okay=False, help="Where the pairs' pictures are. Default: beside the list.")
_JSON = typer.Option("--json", dir_okay=False, help="Write the numbers to this file.")
_PLOT = typer.Option("--plot", dir_okay=False, help="Draw the ROC into this PNG file.")
_WORKERS = typer.Option(min=1, help="Pictures worked on at once. Default: one per core.", show_default=False)
_MENDABLE = (LabelsUnusable, ModelUnusable, TooFewPairs, OSError)
_CORES = os.cpu_count() or 1


@app.command()
def serve() -> None:
    """Answer AWS's SDKs, as the environment says; the same as no command at all."""
    from rekognition_emulator.cli import serving  # noqa: PLC0415 - the other commands need neither HTTP nor SQL

    serving.serve()


@app.command()
def evaluate(  # noqa: PLR0913 - an argument is an option of the command line
    *,
    pairs: Annotated[Path | None, _PAIRS] = None,
    images: Annotated[Path | None, _IMAGES] = None,
    album: Annotated[Path | None, _ALBUM] = None,
    json_file: Annotated[Path | None, _JSON] = None,
    plot_file: Annotated[Path | None, _PLOT] = None,
    workers: Annotated[int, _WORKERS] = _CORES,
) -> None:
    """Measure on labelled pictures how well the face model tells people apart."""
    with said_in_words(*_MENDABLE):
        if pairs and not album:
            evaluate_pairs(pairs, images or pairs.parent, json_file, plot_file, workers)
        elif album and not pairs and not images:
            evaluate_album(album, json_file, plot_file, workers)
        else:
            raise typer.BadParameter("give either --pairs, with --images if need be, or --album")


@app.command()
def calibrate(
    *,
    album: Annotated[Path, _ALBUM],
    json_file: Annotated[Path | None, _JSON] = None,
    workers: Annotated[int, _WORKERS] = _CORES,
) -> None:
    """Measure on an album which cosines of the face model mean which similarities."""
    with said_in_words(*_MENDABLE):
        calibrate_on_album(album, json_file, workers)
