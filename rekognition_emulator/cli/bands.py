"""Tables of what passes by kind of face: size, sharpness, yaw, and group where labels have it."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from rekognition_emulator.evaluation.bands import GROUP, SHARPNESS, SIDE, SIMILARITIES, YAW, Band, Rate
from rekognition_emulator.evaluation.calibration import SIMILARITIES as MEANINGS

TITLES: Final = {measure.name: measure.title for measure in (SIDE, SHARPNESS, YAW)} | {GROUP: "group of both"}

LEGEND: Final = """[bold]By kind of face[/bold]: a pair counts for the worse of its two faces. False matches are a \
multiple of what the similarity means (1 in 1,000 at 60, in 10,000 at 80, in 100,000 at 90), true matches a share; in \
brackets Wilson's 95 % interval, which takes pairs for independent."""


def print_bands(console: Console, bands: Sequence[Band]) -> None:
    """Shows a table for each measure."""
    console.print(LEGEND, highlight=False)
    for measure, of_measure in groupby(bands, key=attrgetter("measure")):
        heads = (TITLES[measure], "at", "impostors", "false matches", "genuine", "true matches")
        # A terminal has 80 columns: numbers stay whole, the first head breaks.
        table = Table(heads[0], *(Column(head, no_wrap=True) for head in heads[1:]), box=SIMPLE_HEAD, pad_edge=False)
        for band in of_measure:
            for place, similarity in enumerate(SIMILARITIES):
                impostors, genuine = band.impostors[place], band.genuine[place]
                table.add_row(
                    band.band if place == 0 else "",
                    f"{similarity:.0f}",
                    f"{impostors.pairs:,}",
                    as_multiple(impostors, similarity),
                    f"{genuine.pairs:,}",
                    as_share(genuine),
                )
        console.print(table)


def as_multiple(rate: Rate, similarity: float) -> str:
    """Returns how many times as often impostors pass as a similarity promises, with the interval."""
    if rate.rate is None:
        return "–"
    times, low, high = (share / dict(MEANINGS)[similarity] for share in (rate.rate, rate.low, rate.high))
    return f"{_short(times)} ({_short(low)}–{_short(high)})"


def as_share(rate: Rate) -> str:
    """Returns such as "97.7% (97.5–97.9)"."""
    if rate.rate is None:
        return "–"
    return f"{rate.rate:.1%} ({100 * rate.low:.1f}–{100 * rate.high:.1f})"


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"  # noqa: PLR2004 - two digits are enough
