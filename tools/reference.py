"""The reference's tables, read off the code: command line, metrics, errors, archives, settings, models, operations."""

import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
import typer
from pydantic_core import PydanticUndefined

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.api.core import FrameworkError, ServiceError
from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.faces import EnrolledFace, NewFace
from rekognition_emulator.domain.users import User
from rekognition_emulator.models.catalogue import MODELS
from rekognition_emulator.models.records import Embedder, Model
from rekognition_emulator.operations.coverage import attribute_coverage, coverage
from rekognition_emulator.operations.error_map import ERROR_MAP
from rekognition_emulator.settings import Settings
from rekognition_emulator.storage.archive import ArchiveWriter, Part
from rekognition_emulator.storage.archive_lines import Described
from rekognition_emulator.telemetry.metrics import COUNTERS, GAUGES, HISTOGRAMS, PREFIX, SHARED_GAUGES

_GZIP: Final = 31
"""What zlib calls the format of gzip."""

SENT_ELSEWHERE: Final[Mapping[type[ServiceError], str]] = {
    api.AccessDeniedException: "The caller's policies do not allow it.",
    api.InternalServerError: "The database is away, or there is a bug: the log has the cause. SDKs try again.",
    api.InvalidPaginationTokenException: "A NextToken that this operation has not given for this collection.",
    api.InvalidParameterException: "Members of a request that exclude each other, or lack one another.",
    api.InvalidS3ObjectException: "An S3Object that lacks its bucket or its name.",
    api.ProvisionedThroughputExceededException: "The account's requests of this second are spent. SDKs try again.",
    api.ResourceNotFoundException: "No collection has the ARN of a request about tags.",
    api.ThrottlingException: "More requests at once than the server takes. SDKs try again.",
}
"""Errors of the service's model that are not, or not only, translated from an error about faces."""

OUTSIDE_THE_PROTOCOL: Final = (
    ("404", "Another path, method or content type than the service has."),
    ("408", "The body did not arrive in time."),
    ("413", "The body is longer than that of any request of the service."),
)
"""Answers without a JSON body: an SDK reports the status as the error code."""


def _default(value: object) -> str:
    return "–" if value in (None, PydanticUndefined, frozenset(), (), {}) else f"`{value}`"


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
        yield f"| `{prefix}{name.upper()}` | {_default(field.default)} | {field.description} |"


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


def commands_reference() -> Iterator[str]:
    """Yields a section for each command: its line, what it does, its arguments and options."""
    for path, command in commands():
        arguments = [parameter for parameter in command.params if not _is_option(parameter)]
        line = " ".join(["rekognition-emulator", *path, *map(_argument, arguments), "[OPTIONS]"])
        yield from ("", f"## {' '.join(path)}", "", f"`{line}`", "", " ".join(command.help.split()))
        if command.params:
            yield from ("", "| | default | what it says |", "|---|---|---|")
        for parameter in command.params:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            shown = names if _is_option(parameter) else f"`{_argument(parameter)}`"
            is_shown = parameter.show_default and parameter.default is not False  # a switch is off
            default = "required" if parameter.required else _default(parameter.default if is_shown else None)
            yield f"| {shown} | {default} | {parameter.help} |"


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields each command that can be called, and the words that call it."""

    def below(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from below(command, (*path, name))
            else:
                yield (*path, name), command

    return below(typer.main.get_command(app), ())


def _is_option(parameter: Any) -> bool:
    return bool(parameter.opts[0].startswith("-"))


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    several = "…" if parameter.nargs == -1 else ""
    return f"{name}{several}" if parameter.required else f"[{name}{several}]"


def metrics_table() -> Iterator[str]:
    """Yields the rows of the table of metrics."""
    yield "| metric | type | labels | what it means |"
    yield "|---|---|---|---|"
    for kind, suffix, families in (
        ("counter", "_total", COUNTERS),
        ("gauge", "", GAUGES),
        ("gauge", "", SHARED_GAUGES),
        ("histogram", "", HISTOGRAMS),
    ):
        for name, family in families.items():
            labels = ", ".join(f"`{label}`" for label in family.labels) or "–"
            yield f"| `{PREFIX}{name}{suffix}` | {kind} | {labels} | {family.meaning} |"


class _Anything:
    """An error about faces of which nothing is known: each attribute is its own name."""

    def __getattr__(self, name: str) -> str:
        return f"<{name}>"


def errors_table() -> Iterator[str]:
    """Yields the rows of the table of errors: those about faces, then those of the protocol, then bare statuses."""
    yield "| error | status | when | text |"
    yield "|---|---|---|---|"
    rows = [(translate(_Anything(), ""), _first_sentence(error)) for error, translate in ERROR_MAP.items()]
    rows += [(error(), when) for error, when in SENT_ELSEWHERE.items()]
    for answer, when in sorted(rows, key=lambda row: (row[0].code, row[1])):
        text = f"`{answer.message}`" if answer.message else "–"
        yield f"| {answer.code} | {answer.status} | {when} | {text} |"
    for error in FrameworkError.__subclasses__():
        yield f"| {error.__name__} | {error.status} | {_first_sentence(error)} | – |"
    for status, when in OUTSIDE_THE_PROTOCOL:
        yield f"| {status} | {status} | {when} | – |"


def _first_sentence(documented: type) -> str:
    return f"{' '.join((documented.__doc__ or '').split()).partition('. ')[0].rstrip('.')}."


def archive_example() -> Iterator[str]:
    """Yields the lines of a small archive, as ``zcat`` shows them: one user, whose one face has two dimensions."""
    created = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    embedding = np.array([0.6, 0.8], "<f4")
    face = EnrolledFace(
        UUID(int=1), UUID(int=2), "church:IMG_7.jpg", BoundingBox(0.25, 0.125, 0.5, 0.5), 99.5, user_id="ada"
    )
    file = io.BytesIO()
    writer = ArchiveWriter(file, Described("us-east-1", "wedding", "100.1", 2, created, {"year": "2026"}, 1, 1))
    writer.write(Part(users=[(User("ada", 1), embedding)], faces=[NewFace(face, embedding)]))
    writer.end()
    yield "```json"
    yield from zlib.decompress(file.getvalue(), _GZIP).decode().splitlines()
    yield "```"


TABLES: Final[Mapping[str, tuple[str, Callable[[], Iterator[str]]]]] = {
    "operations": ("docs/reference/compatibility.md", operations_table),
    "attributes": ("docs/reference/compatibility.md", attributes_table),
    "models": ("docs/guides/face-models.md", models_table),
    "settings": ("docs/reference/configuration.md", settings_table),
    "commands": ("docs/reference/command-line.md", commands_reference),
    "metrics": ("docs/reference/metrics.md", metrics_table),
    "errors": ("docs/reference/errors.md", errors_table),
    "archive": ("docs/reference/archive-format.md", archive_example),
}
"""Table → the page that it is on, and its rows."""
