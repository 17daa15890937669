"""``calibrate``: measures a model's curve from similarity to false match rate, and writes it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rekognition_emulator.cli.measuring import (
    Way,
    compare,
    describe,
    embed,
    print_left_out,
    print_nearest_strangers,
    print_unlabelled,
    say_how_to_serve,
    write_json,
)
from rekognition_emulator.cli.start import load_face_engine_to_measure, read_settings
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.evaluation.calibration import CurvePoint, calibrate
from rekognition_emulator.evaluation.labels import read_album
from rekognition_emulator.evaluation.scores import FALSE_MATCH_RATES, OperatingPoint


def calibrate_on_album(album: Path, json_file: Path | None, way: Way) -> None:
    """Measures which cosines mean which similarities, and shows the curve.

    Raises:
        LabelsUnusable: the album labels no picture, or none has a face.
        TooFewPairs: the album cannot support a curve. What could be measured was shown.
        OSError: a file cannot be read or written.
    """
    pictures = read_album(album)
    settings = read_settings()
    engine = load_face_engine_to_measure(settings)
    embedded = embed(engine, [picture.file for picture in pictures], way)
    people, compared = compare(embedded, pictures)
    points = [compared.scores.operating_point(rate) for rate in FALSE_MATCH_RATES]
    console = Console()
    console.print(
        f"[bold]Face model {engine.model.name} {engine.model.version}[/bold] on the {way.face} faces of "
        f"{len(people):,} pictures of {int(people.max()) + 1:,} people: {compared.scores.stranger_pairs:,} pairs of "
        "strangers",
        highlight=False,
    )
    print_unlabelled(console, album)
    console.print(_measured_table(points))
    print_nearest_strangers(console, compared.nearest_strangers, [*embedded.rows], [*embedded.rows])
    print_left_out(console, embedded.left_out)
    curve = calibrate(compared.scores)
    console.print(_curve_table(curve))
    if json_file:
        document = describe(engine.model, album, way.face, embedded.left_out) | {
            "people": int(people.max()) + 1,
            "pictures": len(people),
            "stranger_pairs": compared.scores.stranger_pairs,
            "same_pairs": compared.scores.same_pairs,
            "operating_points": [asdict(point) for point in points],
            "curve": [asdict(point) for point in curve],
            "calibration": [(-1, 0), *((point.cosine, point.similarity) for point in curve), (1, 100)],
        }
        write_json(json_file, document)
    say_how_to_serve(console, json_file, engine.model.name, settings.model_files.models_dir, Evidence.OPERATOR)


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
