"""``calibrate``: measures a model's curve from similarity to false match rate, and writes it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rekognition_emulator.admin.calibration import measure_labelled
from rekognition_emulator.admin.measuring import Way
from rekognition_emulator.cli.measuring import (
    print_left_out,
    print_nearest_strangers,
    print_unlabelled,
    say_how_to_serve,
    write_json,
)
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import load_face_engine_to_measure, read_settings
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.evaluation.calibration import CurvePoint
from rekognition_emulator.evaluation.scores import OperatingPoint


def calibrate_on_album(album: Path, json_file: Path | None, way: Way) -> None:
    """Measures which cosines mean which similarities, and shows the curve.

    Raises:
        LabelsUnusable: the album labels no picture, or none has a face.
        TooFewPairs: the album cannot support a curve. What could be measured was shown.
        OSError: a file cannot be read or written.
    """
    settings = read_settings()
    with counting() as bars:
        measured = measure_labelled(load_face_engine_to_measure(settings), album, way, partial(bar, bars))
    console = Console()
    console.print(
        f"[bold]Face model {measured.model.name} {measured.model.version}[/bold] on the {way.face} faces of "
        f"{measured.images:,} pictures of {measured.people:,} people: {measured.scores.stranger_pairs:,} pairs of "
        "strangers",
        highlight=False,
    )
    print_unlabelled(console, album)
    console.print(_measured_table(measured.operating_points))
    print_nearest_strangers(console, measured.nearest_strangers)
    print_left_out(console, measured.left_out)
    curve = measured.curve()
    console.print(_curve_table(curve))
    if json_file:
        write_json(json_file, measured.document(curve))
    say_how_to_serve(console, json_file, measured.model.name, settings.model_files.models_dir, Evidence.OPERATOR)


def _measured_table(points: Sequence[OperatingPoint]) -> Table:
    table = Table("false match rate", "cosine", "")
    for point in points:
        known = point.cosine is not None
        table.add_row(
            f"1 in {1 / point.false_match_rate:,.0f}",
            f"{point.cosine:.4f}" if known else "–",
            "measured" if known else f"needs {point.pairs_needed:,} pairs of strangers",
        )
    return table


def _curve_table(curve: Sequence[CurvePoint]) -> Table:
    table = Table("similarity", "cosine", "strangers that pass")
    for point in curve:
        meaning = f"1 in {1 / point.false_match_rate:,.0f}"
        shown = meaning if point.measured else f"fewer than {meaning}: too few pairs to measure, so it asks for more"
        table.add_row(f"{point.similarity:.0f}", f"{point.cosine:.4f}", shown)
    return table
