"""``calibrate`` without labels: a face model's curve from images, or collections, of nobody knows whom."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rekognition_emulator.admin import calibration
from rekognition_emulator.admin.calibration import UnlabelledCalibration
from rekognition_emulator.cli.database import data_errors_exit_with_message, open_database
from rekognition_emulator.cli.measuring import print_left_out, say_how_to_serve, write_json
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import load_face_engine_to_measure, read_settings
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.domain.faces import Owner
from rekognition_emulator.evaluation.calibration import MEASURED_MIN, SIMILARITIES, pictures_needed
from rekognition_emulator.evaluation.scores import pairs_needed
from rekognition_emulator.storage.postgres import PostgresStore


def calibrate_on_images(folder: Path, json_file: Path | None, workers: int) -> None:
    """Estimates a curve from images, with a folder for each event.

    Raises:
        LabelsUnusable: there is no image, or none has a face.
        TooFewPairs: they cannot support a curve.
        OSError: a file cannot be read or written.
    """
    settings = read_settings()
    engine = load_face_engine_to_measure(settings)
    with counting() as bars:
        calibrated = calibration.calibrate_on_images(engine, folder, workers, partial(bar, bars))
    _show_and_write(calibrated, json_file, settings.model_files.models_dir)


def calibrate_on_collections(names: Sequence[str], region: str | None, json_file: Path | None) -> None:
    """Estimates a curve from the faces of collections that have one face model; each collection is an event.

    Raises:
        TooFewPairs: they cannot support a curve.
        OSError: the file cannot be written.
    """
    settings = read_settings()
    owner = Owner(settings.account_id, region or settings.region)
    with data_errors_exit_with_message(), open_database(settings) as pool:
        calibrated = calibration.calibrate_on_collections(PostgresStore(pool), owner, names, settings.model_files)
    _show_and_write(calibrated, json_file, settings.model_files.models_dir)


def _show_and_write(calibrated: UnlabelledCalibration, json_file: Path | None, models_dir: Path) -> None:
    console, name = Console(), calibrated.model_name or "NAME"
    print_left_out(console, calibrated.left_out)
    _show(console, name, calibrated)
    if json_file:
        write_json(json_file, calibrated.document)
    say_how_to_serve(console, json_file, name, models_dir, Evidence.UNLABELLED)


def _show(console: Console, model: str, calibrated: UnlabelledCalibration) -> None:
    curve = calibrated.curve
    console.print(
        f"[bold]Face model {model} {calibrated.model_version}[/bold] on {calibrated.faces:,} faces nobody has "
        f"labelled: {curve.pairs:,} pairs of impostors; "
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
