"""Progress bars for long work."""

from rich import progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from rekognition_emulator.progress import Progress


class _RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s" if speed < 100 else f"{speed:,.0f}/s")  # noqa: PLR2004 - digits


def counting(*more: ProgressColumn) -> progress.Progress:
    """Returns a bar on standard error that leaves nothing behind: how many of how many, rate and time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *more)
    return progress.Progress(
        *columns, _RateColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    )


def copying() -> progress.Progress:
    """Returns the same for bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return progress.Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)


def bar(bars: progress.Progress, doing: str) -> Progress:
    """Adds a bar to those that are shown, and returns what moves it."""
    task = bars.add_task(doing, total=None)
    return lambda done, total: bars.update(task, completed=done, total=total)
