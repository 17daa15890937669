"""``evaluate`` of pairs and albums: how well the face model tells people apart, as tables, JSON and a plot."""

from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from rekognition_emulator.admin import evaluation
from rekognition_emulator.admin.evaluation import Evaluation
from rekognition_emulator.admin.measuring import Way
from rekognition_emulator.cli.bands import print_bands
from rekognition_emulator.cli.measuring import (
    or_dash,
    print_left_out,
    print_nearest_strangers,
    print_unlabelled,
    write_json,
)
from rekognition_emulator.cli.plots import draw_roc
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import load_face_engine, read_settings
from rekognition_emulator.evaluation.measurement import Measurement

_LEGEND: Final = """FPIR: how often a search for somebody who is not in the album finds somebody. FNIR: how often a \
search for somebody who is in it finds no picture of theirs."""


def evaluate_pairs(listed: Path, images: Path, json_file: Path | None, plot_file: Path | None, way: Way) -> None:
    """Measures the face model on listed pairs; errors as ``admin.evaluation``'s, and OSError."""
    with counting() as bars:
        evaluated = evaluation.evaluate_pairs(
            load_face_engine(read_settings()), listed, images, way, partial(bar, bars)
        )
    console = Console()
    _print(console, evaluated, way)
    if evaluated.pairs_left_out:
        console.print(f"{evaluated.pairs_left_out:,} of {evaluated.pairs:,} pairs lack a face.")
    print_left_out(console, evaluated.left_out)
    _write(evaluated, json_file, plot_file)


def evaluate_album(album: Path, json_file: Path | None, plot_file: Path | None, way: Way) -> None:
    """Measures the face model on an album, every picture against every other; errors likewise."""
    with counting() as bars:
        evaluated = evaluation.evaluate_album(load_face_engine(read_settings()), album, way, partial(bar, bars))
    console = Console()
    print_unlabelled(console, album)
    _print(console, evaluated, way)
    print_nearest_strangers(console, evaluated.nearest_strangers)
    print_left_out(console, evaluated.left_out)
    _write(evaluated, json_file, plot_file)


def _write(evaluated: Evaluation, json_file: Path | None, plot_file: Path | None) -> None:
    if json_file:
        write_json(json_file, evaluated.document)
    if plot_file:
        draw_roc(plot_file, evaluated.model, evaluated.measured)


def _print(console: Console, evaluated: Evaluation, way: Way) -> None:
    model, measured = evaluated.model, evaluated.measured
    console.print(
        f"[bold]Face model {model.name} {model.version}[/bold] on the {way.face} faces of {evaluated.images:,} "
        f"pictures: {measured.same_pairs:,} pairs of one person, {measured.stranger_pairs:,} of strangers",
        highlight=False,
    )
    console.print(_summary(measured))
    console.print(_operating_points(measured))
    console.print(_similarities(measured))
    if measured.rank_one is not None:
        console.print(_LEGEND, highlight=False)
    print_bands(console, measured.bands)


def _summary(measured: Measurement) -> Table:
    table = Table("measure", "value", "of")
    if measured.accuracy:
        accuracy = f"{measured.accuracy.mean:.2%} ± {measured.accuracy.standard_error:.2%}"
        table.add_row("accuracy, ten folds", accuracy, f"{measured.accuracy.pairs:,} pairs")
    else:
        table.add_row("accuracy, ten folds", "–", "needs pairs of both kinds in each fold")
    table.add_row("area under the ROC", or_dash(measured.area_under_curve, "{:.5f}"), "all pairs")
    if measured.rank_one is not None:
        table.add_row("rank-1 identification", f"{measured.rank_one:.2%}", f"{measured.searches:,} searches")
    return table


def _operating_points(measured: Measurement) -> Table:
    table = Table("false match rate", "cosine", "true match rate")
    for point in measured.operating_points:
        if point.cosine is None:
            table.add_row(
                f"1 in {1 / point.false_match_rate:,.0f}", "–", f"needs {point.pairs_needed:,} pairs of strangers"
            )
        else:
            shown = or_dash(point.true_match_rate, "{:.2%}")
            table.add_row(f"1 in {1 / point.false_match_rate:,.0f}", f"{point.cosine:.4f}", shown)
    return table


def _similarities(measured: Measurement) -> Table:
    searched = any(at.false_positive_identification_rate is not None for at in measured.at_similarities)
    table = Table("similarity", "cosine", "strangers pass", "true pairs pass", *(["FPIR", "FNIR"] if searched else []))
    for at in measured.at_similarities:
        rates = (at.false_positive_identification_rate, at.false_negative_identification_rate)
        table.add_row(
            f"{at.similarity:.0f}",
            f"{at.cosine:.4f}",
            f"{at.false_matches:,} of {measured.stranger_pairs:,}",
            f"{at.true_matches / measured.same_pairs:.2%}" if measured.same_pairs else "–",
            *([or_dash(rate, "{:.2%}") for rate in rates] if searched else []),
        )
    return table
