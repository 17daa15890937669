"""Programs beside the product: whoever asks one what it does is told, and nothing starts."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAMS = [
    file
    for folder in ("benchmarks", "conformance", "tools")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if 'if __name__ == "__main__":' in file.read_text()
]


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_program_explains_itself(file: Path) -> None:
    """With ``--help``, which only a parser of arguments knows."""
    assert re.search(r"ArgumentParser\(\s*(prog=[^,]+,\s*)?description=", file.read_text())


def test_there_are_programs() -> None:
    """Without any, the check above would prove nothing."""
    assert len(PROGRAMS) > 15
