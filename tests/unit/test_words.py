"""The words of the code: what a stranger from the field need not learn first."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("rekognition_emulator", "botocore_models", "conformance", "tests", "tools")


def test_modules_say_first_what_they_are() -> None:
    """A first line that says when a module changes leaves a reader to guess what it is."""
    sources = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    first_lines = {file: file.read_text(encoding="utf-8").partition("\n")[0] for file in sources}
    assert len(first_lines) > 300
    assert [str(file) for file, line in first_lines.items() if "changes when" in line.lower()] == []


GONE = {
    "ChosenIndex": "IndexRouter",
    "Gate": "Authenticator, Authorizer",
    "Permit": "Authorize",
    "Surroundings": "IndexDependencies",
    "Unguarded": "InsecureBindError",
    "QualityBar": "QualityFilter",
    "Portrait": "AnalyzedFace",
    "Sought": "AuditFilter",
    "HANDLERS": "OPERATIONS",
    "steady": "retry_on_model_change",
    "said_in_words": "exits_with_message",
}
"""Private words that the code had, and the field's that it has now: docs/reference/glossary.md."""


def test_private_words_are_gone() -> None:
    """A reader from the field has not to learn a vocabulary first."""
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            if file != Path(__file__):
                words = set(re.findall(r"\w+", file.read_text(encoding="utf-8")))
                assert not words & GONE.keys(), file


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "conformance" / "README.md"]
GONE_FROM_PROSE = {
    "picture": "image",
    "pictures": "images",
    "chip": "face crop",
    "chips": "face crops",
    "wall": "tenant boundary",
    "walls": "tenant boundaries",
    "floor": "layer",
    "floors": "layers",
    "milestone": "history token",
    "house": "codebase",
    "bars": "thresholds",
    "anew": "again",
}
"""Likewise in what is written for readers."""


def prose(page: str) -> str:
    """Returns a page without its code, its links' targets and the tables that are generated from the code."""
    page = re.sub(r"^```.*?^ *```|<!-- table.*?<!-- end -->", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", " ", page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_private_words_are_gone_from_the_documentation(page: Path) -> None:
    """The glossary has the field's; what a command prints or is called is code."""
    words = set(re.findall(r"[a-z]+", prose(page.read_text(encoding="utf-8")).lower()))
    assert words & GONE_FROM_PROSE.keys() == set()


LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGS = {"log", "_LOG"}
"""What a module calls its logger."""


def logged(source: str) -> list[tuple[ast.expr, set[str | None]]]:
    """Returns the event of each log line that a module writes, and the names of its keys."""
    return [
        (node.args[0], {keyword.arg for keyword in node.keywords})
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in LOGS
    ]


def test_events_in_the_log_have_stable_names() -> None:
    """An alert matches a name; a sentence would change with its wording. What caused an event is always `cause`."""
    lines = [
        (file.name, event, keys)
        for file in (ROOT / "rekognition_emulator").rglob("*.py")
        for event, keys in logged(file.read_text(encoding="utf-8"))
    ]
    assert len(lines) > 25
    for name, event, keys in lines:
        assert isinstance(event, ast.Constant), f"{name} makes an event's name up: {ast.unparse(event)}"
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", str(event.value)), f"{name}: {event.value!r}"
        assert not keys & {"why", "reason", "because"}, f"{name}: {event.value!r} has a cause"
