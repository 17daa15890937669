"""Progress bars for long work, on standard error, that leave nothing behind; without a terminal there are none."""

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
    """Returns bars that say how many of how many, the rate and the time left."""
    return _bars(BarColumn(), MofNCompleteColumn(), *more, _RateColumn())


def copying() -> progress.Progress:
    """Returns the same for bytes."""
    return _bars(BarColumn(), DownloadColumn(), TransferSpeedColumn())


def bar(bars: progress.Progress, doing: str) -> Progress:
    """Adds a bar to those that are shown, and returns what moves it."""
    task = bars.add_task(doing, total=None)
    return lambda done, total: bars.update(task, completed=done, total=total)


def _bars(*columns: ProgressColumn) -> progress.Progress:
    console = Console(stderr=True)
    return progress.Progress(
        TextColumn("{task.description}"),
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
