"""``evaluate`` of pairs and albums: how well the face model tells people apart, as tables, JSON and a plot."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from rekognition_emulator.cli.bands import print_bands
from rekognition_emulator.cli.measuring import (
    Way,
    compare,
    describe,
    embed,
    or_dash,
    print_left_out,
    print_nearest_strangers,
    print_unlabelled,
    write_json,
)
from rekognition_emulator.cli.plots import draw_roc
from rekognition_emulator.cli.start import load_face_engine, read_settings
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.accuracy import PairList
from rekognition_emulator.evaluation.bands import BandCounter
from rekognition_emulator.evaluation.labels import LabelledPair, LabelsUnusable, read_album, read_pairs
from rekognition_emulator.evaluation.measurement import Measurement, measure_album, measure_pairs
from rekognition_emulator.evaluation.pictures import Embedded

_LEGEND: Final = """FPIR: how often a search for somebody who is not in the album finds somebody. FNIR: how often a \
search for somebody who is in it finds no picture of theirs."""


def evaluate_pairs(listed: Path, images: Path, json_file: Path | None, plot_file: Path | None, way: Way) -> None:
    """Measures the face model on listed pairs.

    Raises:
        LabelsUnusable: the list is not as it should be, or none of its pairs can be compared.
        OSError: a file cannot be read or written.
    """
    pairs = read_pairs(listed, images)
    engine = load_face_engine(read_settings())
    embedded = embed(engine, [file for pair in pairs for file in (pair.left, pair.right)], way)
    comparable = [pair for pair in pairs if pair.left in embedded.rows and pair.right in embedded.rows]
    if not comparable:
        raise LabelsUnusable(f"None of the {len(pairs):,} pairs can be compared: each lacks a face")
    counter = BandCounter(engine.model, embedded.covariates, _groups(comparable, embedded))
    measured = measure_pairs(engine.model, embedded.embeddings, _rows(comparable, embedded), counter)
    console = Console()
    _print(console, engine.model, measured, f"the {way.face} faces of {len(embedded.rows):,} pictures")
    if len(comparable) < len(pairs):
        console.print(f"{len(pairs) - len(comparable):,} of {len(pairs):,} pairs lack a face.")
    print_left_out(console, embedded.left_out)
    document = describe(engine.model, listed, way.face, embedded.left_out) | {
        "pairs_left_out": len(pairs) - len(comparable)
    }
    _write(document, measured, json_file)
    if plot_file:
        draw_roc(plot_file, engine.model, measured)


def evaluate_album(album: Path, json_file: Path | None, plot_file: Path | None, way: Way) -> None:
    """Measures the face model on an album, every picture against every other.

    Raises:
        LabelsUnusable: the album labels no picture, or none has a face.
        OSError: a file cannot be read or written.
    """
    pictures = read_album(album)
    engine = load_face_engine(read_settings())
    embedded = embed(engine, [picture.file for picture in pictures], way)
    group_of = {picture.file: picture.group for picture in pictures}
    counter = BandCounter(engine.model, embedded.covariates, [group_of[file] for file in embedded.rows])
    people, compared = compare(embedded, pictures, counter)
    measured = measure_album(engine.model, embedded.embeddings, people, compared, counter.bands())
    console = Console()
    print_unlabelled(console, album)
    _print(console, engine.model, measured, f"the {way.face} faces of {len(embedded.rows):,} pictures")
    print_nearest_strangers(console, compared.nearest_strangers, [*embedded.rows], [*embedded.rows])
    print_left_out(console, embedded.left_out)
    document = describe(engine.model, album, way.face, embedded.left_out) | {"people": int(people.max()) + 1}
    _write(document | {"pictures": len(people)}, measured, json_file)
    if plot_file:
        draw_roc(plot_file, engine.model, measured)


def _rows(pairs: Sequence[LabelledPair], embedded: Embedded) -> PairList:
    return PairList(
        left=np.array([embedded.rows[pair.left] for pair in pairs]),
        right=np.array([embedded.rows[pair.right] for pair in pairs]),
        same=np.array([pair.same for pair in pairs]),
        folds=np.array([pair.fold for pair in pairs]),
    )


def _groups(pairs: Sequence[LabelledPair], embedded: Embedded) -> list[str]:
    """Returns the group of each row.

    Raises:
        LabelsUnusable: a picture belongs to two.
    """
    group_of = dict.fromkeys(embedded.rows, "")
    for pair in pairs:
        for file, group in ((pair.left, pair.left_group), (pair.right, pair.right_group)):
            if group and group_of[file] not in {"", group}:
                raise LabelsUnusable(f"{file} is said to belong to the group {group_of[file]} and to {group}")
            group_of[file] = group or group_of[file]
    return list(group_of.values())


def _write(document: dict[str, Any], measured: Measurement, json_file: Path | None) -> None:
    if json_file:
        numbers = asdict(measured)
        numbers["roc"] = [
            {"cosine": cosine, "false_match_rate": false, "true_match_rate": true}
            for cosine, false, true in measured.roc
        ]
        write_json(json_file, document | numbers)


def _print(console: Console, model: FaceModel, measured: Measurement, faces: str) -> None:
    console.print(
        f"[bold]Face model {model.name} {model.version}[/bold] on {faces}: {measured.same_pairs:,} pairs "
        f"of one person, {measured.stranger_pairs:,} of strangers",
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
