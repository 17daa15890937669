"""The reference that is written from the code leaves nothing out."""

import ast
import json
import re
from pathlib import Path

from rekognition_emulator.api import core
from rekognition_emulator.api import rekognition as api
from tools import reference

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"

ERRORS = {
    name
    for module in (api, core)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, core.ServiceError)
}


def made(source: str) -> set[str]:
    """Returns the names of AWS's errors that a module makes, such as InvalidParameterException."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    return (names | {call.id for call in calls if isinstance(call, ast.Name)}) & ERRORS


def test_every_error_that_the_product_makes_is_in_the_reference() -> None:
    """Callers read there what to expect: one that is missing reads as one that cannot come."""
    sources = (ROOT / "rekognition_emulator").rglob("*.py")
    names = set().union(*(made(source.read_text(encoding="utf-8")) for source in sources))
    assert len(names) > 15
    rows = "\n".join(reference.errors_table())
    assert {name for name in names if f"| {name} |" not in rows} == set()


def test_texts_of_errors_show_what_they_are_made_of() -> None:
    """A text with a made-up name in it would be one that nobody ever receives."""
    rows = list(reference.errors_table())
    assert any("`The user id: <user_id> already exists`" in row for row in rows)


def test_every_option_of_the_command_line_is_explained() -> None:
    """Each command has its section, and no row of it is empty."""
    page = "\n".join(reference.commands_reference())
    known = dict(reference.commands())
    assert ("keys", "create") in known
    for path, command in known.items():
        (section,) = re.findall(rf"^## {' '.join(path)}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        for parameter in command.params:
            assert parameter.help, (path, parameter.name)
            assert f"| {parameter.help} |" in section


def test_a_default_of_this_machine_is_not_in_the_reference() -> None:
    """How many cores write the page must not be seen in it."""
    workers = [row for row in reference.commands_reference() if row.startswith("| `--workers` |")]
    assert workers
    assert {row.split(" | ")[1] for row in workers} <= {"–", "`8`"}


def test_every_member_of_an_archive_is_explained() -> None:
    """Other programs read archives by that page alone."""
    members: set[str] = set()

    def gather(value: object) -> None:
        if isinstance(value, dict):
            members.update(value)
            for each in value.values():
                gather(each)

    for line in list(reference.archive_example())[1:-1]:
        gather(json.loads(line))
    cells = re.findall(r"^\| (`[^|]+) \|", (PAGES / "archive-format.md").read_text(), re.MULTILINE)
    explained = set(re.findall(r"`(\w+)`", " ".join(cells)))
    assert members - {"year"} <= explained  # the example's own tag
    assert explained - members == set()
