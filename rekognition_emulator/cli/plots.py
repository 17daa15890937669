"""Plots of what was measured: the ROC of a face model, and what selfies find against how often they show a stranger.

With Pillow: a plotting library would be larger than the server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from pathlib import Path
from typing import Final

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.measurement import Measurement
from rekognition_emulator.evaluation.retrieval import PAGE, Retrieval
from rekognition_emulator.evaluation.scores import FALSE_MATCHES_MIN

_SIZE: Final = (720, 480)
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 48, 692, 420  # of the axes, in pixels
_OVERSAMPLING: Final = 3
"""Drawn so much larger and then shrunk, which smooths the lines."""

_INK, _GRID, _CURVE, _MARK = "#24292f", "#d8dee4", "#0969da", "#cf222e"
_COLOURS: Final = (_CURVE, _MARK, "#1a7f37", "#8250df", "#bf8700", "#57606a")

_RETRIEVAL_DECADES: Final = 3
"""From one selfie in a thousand up. Ours: nobody labels enough selfies to see less."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A canvas with axes: false match rates from 1 at the right down to 10^-decades, true match rates 0…1 upwards."""

    draw: PIL.ImageDraw.ImageDraw
    decades: int

    def place(self, false_match_rate: float, true_match_rate: float) -> tuple[float, float]:
        """Returns where two rates are, in pixels of the finished picture."""
        along = 1 + log10(false_match_rate) / self.decades
        return _LEFT + along * (_RIGHT - _LEFT), _BOTTOM - true_match_rate * (_BOTTOM - _TOP)

    def line(self, points: list[tuple[float, float]], colour: str, width_px: float) -> None:
        """Draws a line through points."""
        scaled = [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points]
        self.draw.line(scaled, fill=colour, width=round(width_px * _OVERSAMPLING), joint="curve")

    def dot(self, point: tuple[float, float], colour: str, radius_px: float) -> None:
        """Draws a disc."""
        self.draw.circle([side * _OVERSAMPLING for side in point], radius_px * _OVERSAMPLING, fill=colour)

    def text(
        self, point: tuple[float, float], words: str, anchor: str, *, side_px: int = 13, colour: str = _INK
    ) -> None:
        """Writes words; the anchor is Pillow's."""
        x, y = point
        font = PIL.ImageFont.load_default(side_px * _OVERSAMPLING)
        self.draw.text((x * _OVERSAMPLING, y * _OVERSAMPLING), words, fill=colour, font=font, anchor=anchor)


def draw_roc(file: Path, model: FaceModel, measured: Measurement) -> None:
    """Draws true match rates over false match rates as far as they are measured, into a PNG file."""
    lowest = FALSE_MATCHES_MIN / measured.stranger_pairs if measured.stranger_pairs > FALSE_MATCHES_MIN else 0.1
    image = PIL.Image.new("RGB", (_SIZE[0] * _OVERSAMPLING, _SIZE[1] * _OVERSAMPLING), "white")
    sheet = _Sheet(PIL.ImageDraw.Draw(image), decades=max(ceil(-log10(lowest)), 1))
    pairs = f"{measured.same_pairs:,} pairs of one person, {measured.stranger_pairs:,} of strangers"
    caption = "false match rate; the curve ends where pairs are too few"
    _draw_axes(sheet, f"True match rate of {model.name} {model.version}", pairs, caption)
    curve = [sheet.place(max(false, lowest), true) for _, false, true in measured.roc]
    if curve:
        sheet.line(curve, _CURVE, 2.5)
    else:
        sheet.text(sheet.place(10 ** (-sheet.decades / 2), 0.5), "too few pairs", "mm")
    for at in measured.at_similarities:
        if at.false_matches >= FALSE_MATCHES_MIN and measured.same_pairs:
            false, true = at.false_matches / measured.stranger_pairs, at.true_matches / measured.same_pairs
            x, y = sheet.place(false, true)
            sheet.dot((x, y), _MARK, 4)
            sheet.text((x + 8, y + 10), f"similarity {at.similarity:.0f}", "lm", colour=_MARK)
    _save(image, file)


def draw_retrieval(file: Path, measured: Sequence[tuple[FaceModel, Retrieval]]) -> None:
    """Draws for each face model the recall of images over how often a stranger is shown, into a PNG file.

    Shares below one in a thousand selfies are drawn at the left edge.
    """
    image = PIL.Image.new("RGB", (_SIZE[0] * _OVERSAMPLING, _SIZE[1] * _OVERSAMPLING), "white")
    sheet = _Sheet(PIL.ImageDraw.Draw(image), decades=_RETRIEVAL_DECADES)
    selfies = f"{measured[0][1].selfies:,} selfies, {measured[0][1].images:,} images"
    caption = f"share of selfies whose first {PAGE} images show a stranger; dots: similarity 60, 80, 90"
    _draw_axes(sheet, "Images found (recall)", selfies, caption)
    for place, (model, retrieval) in enumerate(measured):
        colour = _COLOURS[place % len(_COLOURS)]

        def at(strangers: float, recall: float) -> tuple[float, float]:
            return sheet.place(max(strangers, 10.0**-_RETRIEVAL_DECADES), recall)

        sheet.line([at(point.strangers_shown, point.recall) for point in retrieval.curve], colour, 2.5)
        for point in retrieval.at_thresholds:
            sheet.dot(at(point.strangers_shown, point.recall), colour, 4)
        sheet.text((_RIGHT - 8, _BOTTOM - 14 - 18 * place), f"{model.name} {model.version}", "rm", colour=colour)
    _save(image, file)


def _save(image: PIL.Image.Image, file: Path) -> None:
    image.resize(_SIZE, PIL.Image.Resampling.BOX).save(file, "PNG")


def _draw_axes(sheet: _Sheet, title: str, subtitle: str, caption: str) -> None:
    for decade in range(-sheet.decades, 1):
        x, _ = sheet.place(10.0**decade, 0)
        sheet.line([(x, _TOP), (x, _BOTTOM)], _GRID, 1)
        sheet.text((x, _BOTTOM + 8), "1" if decade == 0 else f"1e{decade}", "mt")
    for percent in range(0, 101, 20):
        _, y = sheet.place(1, percent / 100)
        sheet.line([(_LEFT, y), (_RIGHT, y)], _GRID, 1)
        sheet.text((_LEFT - 8, y), f"{percent} %", "rm")
    sheet.line([(_LEFT, _TOP), (_LEFT, _BOTTOM), (_RIGHT, _BOTTOM)], _INK, 1)
    sheet.text((_LEFT, 26), title, "lm", side_px=16)
    sheet.text((_RIGHT, 26), subtitle, "rm")
    sheet.text(((_LEFT + _RIGHT) / 2, _BOTTOM + 40), caption, "mm")
