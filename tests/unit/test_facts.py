"""Facts that stand in one place of the product's code, because what stands twice is changed once."""

import ast
import re
from pathlib import Path

import pytest

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.api.core import ServiceError

PACKAGE = Path(__file__).parents[2] / "rekognition_emulator"

HOMES = {
    r"arn:aws:(?!sns)": ["arn.py"],
    r"\[a-zA-Z0-9_\.\\-\]\{1,255\}": ["arn.py"],  # a collection's id
    r"\{12\}(?!:)": ["arn.py"],  # an account's
    r"\bmkstemp\(|\.hardlink_to\(|\bos\.(link|replace|rename)\(": ["files.py"],
    r"\bfsync\(": ["files.py", "models/downloads.py"],  # a download is resumed: what has come is kept, whole or not
    r"\bthreading\.Event\(": [
        "background.py",
        "jobs/worker.py",
        "search/hnsw.py",
    ],  # a worker is ended in its owner's thread, too; a graph's lock
    r"\b15 \* 2\*\*20\b": ["s3.py"],
    r": Final = 50_000\n\"\"\"Added faces": ["storage/changes.py"],
    r"\"__type\"": ["http/responses.py"],
}
"""What a fact looks like where it is written down → the files that may."""


@pytest.mark.parametrize("fact", HOMES)
def test_a_fact_stands_in_one_place(fact: str) -> None:
    """Generated code apart, which follows the model."""
    files = (file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "api" / "rekognition.py")
    found = {str(file.relative_to(PACKAGE)) for file in files if re.search(fact, file.read_text(encoding="utf-8"))}
    assert sorted(found) == HOMES[fact]


def classes(file: Path) -> list[ast.ClassDef]:
    """Every class that a file defines."""
    return [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)]


def test_errors_of_the_model_are_generated_and_nowhere_else() -> None:
    """What the service declares as an error is no class of ours as well."""
    generated = {
        name for name, value in vars(api).items() if isinstance(value, type) and issubclass(value, ServiceError)
    }
    assert len(generated) > 20
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name != "api":
            assert not {each.name for each in classes(file)} & generated, file


def test_no_interface_has_a_single_implementation() -> None:
    """An abstract class is for what has several implementations; others are documented where they are written."""
    bases = [
        (each.name, {ast.unparse(base).partition("[")[0] for base in each.bases})
        for file in PACKAGE.rglob("*.py")
        for each in classes(file)
    ]
    interfaces = {name for name, above in bases if "ABC" in above}
    assert "FaceIndex" in interfaces
    for interface in interfaces - {"KeyStore"}:  # by which access asks for keys without knowing of a database
        assert sum(interface in above for _, above in bases) > 1, interface
