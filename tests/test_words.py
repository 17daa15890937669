"""The words of the code: what a stranger from the field need not learn first."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
