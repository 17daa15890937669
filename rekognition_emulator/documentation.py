"""Writes the documentation's tables from the code that they describe.

``python -m rekognition_emulator.documentation`` writes; ``--check`` fails if a table is not what it would write.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic_core import PydanticUndefined

from rekognition_emulator.models.catalogue import MODELS
from rekognition_emulator.models.records import Embedder, Model
from rekognition_emulator.operations.coverage import attribute_coverage, coverage
from rekognition_emulator.settings import Settings

_ROOT: Final = Path(__file__).parents[1]


def operations_table() -> Iterator[str]:
    """Yields the rows of the table of operations: those that answer, then the others by reason."""
    yield "| operation | here |"
    yield "|---|---|"
    absent: dict[str, list[str]] = {}
    for operation, reason in coverage():
        if reason is None:
            yield f"| {operation} | **yes** |"
        else:
            absent.setdefault(reason, []).append(operation)
    for reason, operations in sorted(absent.items(), key=lambda row: row[0], reverse=True):
        yield f"| {', '.join(operations)} | {reason} |"


def attributes_table() -> Iterator[str]:
    """Yields the rows of the table of a face's members."""
    yield "| member of `FaceDetail` | here |"
    yield "|---|---|"
    for member, source in attribute_coverage():
        yield f"| {member} | {source} |"


def settings_table() -> Iterator[str]:
    """Yields the rows of the table of settings."""
    yield "| variable | default | what it sets |"
    yield "|---|---|---|"
    prefix = Settings.model_config["env_prefix"]
    for name, field in Settings.model_fields.items():
        default = "–" if field.default in (None, PydanticUndefined, frozenset(), (), {}) else f"`{field.default}`"
        yield f"| `{prefix}{name.upper()}` | {default} | {field.description} |"


def models_table() -> Iterator[str]:
    """Yields the rows of the table of models: what finds faces, what embeds them, what estimates attributes."""
    yield "| model | role | licence | profile | weights | accuracy | version | numbers | calibration |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for model in MODELS:
        weights = f"{model.source}: " + ", ".join(f"`{file.rpartition('/')[2]}`" for file in model.files)
        row = (model.name, model.role, model.licence, model.profile, weights, model.accuracy)
        yield f"| {' | '.join(map(str, (*row, *_of_embedder(model))))} |"


def _of_embedder(model: Model) -> Sequence[object]:
    if not isinstance(model, Embedder):
        return "–", "–", "–"
    version = f"{model.version}.*" if None in model.files.values() else model.version  # the rest tells weights apart
    return version, model.dimension, f"{model.evidence}; {model.calibration_source}"


TABLES: Final[Mapping[str, tuple[str, Callable[[], Iterator[str]]]]] = {
    "operations": ("docs/reference/compatibility.md", operations_table),
    "attributes": ("docs/reference/compatibility.md", attributes_table),
    "models": ("docs/guides/face-models.md", models_table),
    "settings": ("docs/reference/configuration.md", settings_table),
}
"""Table → the page that it is on, and its rows."""


def rewrite(text: str, name: str, rows: Iterable[str]) -> str:
    """Returns a page with the table of this name, between its two marks, replaced by these rows."""
    begin, end = f"<!-- table: {name} -->", "<!-- end -->"
    before, begin_found, rest = text.partition(begin)
    _, end_found, after = rest.partition(end)
    if not begin_found or not end_found:
        raise SystemExit(f"The page lacks the marks {begin} … {end}")
    return before + "\n".join([begin, *rows, end]) + after


def main() -> None:
    """Writes the tables, or with ``--check`` exits with 1 if one would change."""
    for name, (page, rows) in TABLES.items():
        path = _ROOT / page
        text = path.read_text(encoding="utf-8")
        rewritten = rewrite(text, name, rows())
        if "--check" not in sys.argv[1:]:
            path.write_text(rewritten, encoding="utf-8")
        elif rewritten != text:
            raise SystemExit(f"{page} is behind the code: make generate")


if __name__ == "__main__":
    main()
