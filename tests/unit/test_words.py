"""The words of the code: what a stranger from the field need not learn first."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("rekognition_emulator", "botocore_models", "conformance", "tests")


def test_modules_say_first_what_they_are() -> None:
    """A first line that says when a module changes leaves a reader to guess what it is."""
    sources = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    first_lines = {
        file: (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        for file in sources
    }
    assert len(first_lines) > 300
    assert [str(file) for file, line in first_lines.items() if "changes when" in line.lower()] == []


GONE = {
    "ChosenIndex": "IndexRouter",
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
