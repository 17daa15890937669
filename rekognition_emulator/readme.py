"""Writes the README's tables from the code they describe. Changes when the README shows another one.

``python -m rekognition_emulator.readme`` writes; ``--check`` fails if a table is not what it would write.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic_core import PydanticUndefined

from rekognition_emulator.engines.catalogue import MODELS
from rekognition_emulator.engines.models import Embedder, Model
from rekognition_emulator.operations.coverage import attribute_coverage, coverage
from rekognition_emulator.settings import Settings

_README: Final = Path(__file__).parents[1] / "README.md"


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


TABLES: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "operations": operations_table,
    "attributes": attributes_table,
    "models": models_table,
    "settings": settings_table,
}


def rewrite(text: str) -> str:
    """Returns the README with every table between its two marks replaced by what the code says now."""
    for name, rows in TABLES.items():
        begin, end = f"<!-- table: {name} -->", "<!-- end -->"
        before, begin_found, rest = text.partition(begin)
        _, end_found, after = rest.partition(end)
        if not begin_found or not end_found:
            raise SystemExit(f"README.md lacks the marks {begin} … {end}")
        text = before + "\n".join([begin, *rows(), end]) + after
    return text


def main() -> None:
    """Writes the README, or with ``--check`` exits with 1 if it would change."""
    text = _README.read_text()
    rewritten = rewrite(text)
    if "--check" not in sys.argv[1:]:
        _README.write_text(rewritten)
    elif rewritten != text:
        raise SystemExit("README.md is behind the code: make generate")


if __name__ == "__main__":
    main()
