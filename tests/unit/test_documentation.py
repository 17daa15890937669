"""The documentation: each command can be typed, each link leads somewhere, and the first page is short."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app

ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).with_name("rekognition-emulator")
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
    ROOT / "conformance" / "README.md",
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

README_LINES_MAX = 150
"""More than this nobody reads who only wants to know what it is."""

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")

WRITTEN = re.compile(
    r"^(?:\$ |)(?:\.venv/bin/)?rekognition-emulator +(?P<block>[a-z-].*)$|"
    r"`(?:\.venv/bin/)?rekognition-emulator\s+(?P<inline>[a-z-][^`]*)`",
    re.MULTILINE,
)
"""In a block of a console, or in a sentence. What it prints begins with its name, too, and then with its version."""


def documented() -> Iterator[tuple[str, str]]:
    """Yields each command line and the page that it is on."""
    for page in PAGES:
        text = page.read_text()
        in_blocks = "\n".join(re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        in_sentences = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for found in WRITTEN.finditer(in_blocks):
            if found["block"]:
                yield found["block"], page.name
        for found in WRITTEN.finditer(in_sentences):
            if found["inline"]:
                yield " ".join(found["inline"].split()), page.name


LINES = sorted(set(documented()))


def words(line: str) -> list[str]:
    """Returns the arguments of a command line, without its comment and without where its output goes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found = list(lexer)
    ends = [number for number, word in enumerate(found) if word in {">", "|", "&&", ";"}]
    return found[: min(ends, default=len(found))]


def called(arguments: list[str]) -> tuple[Any, list[str]]:
    """Returns the command that arguments call, and those that are left for it."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no {rest[0]}"
        command = command.commands[rest.pop(0)]
    return command, rest


def check(line: str) -> None:
    """Holds a line against the commands that there are: the command, each option, and what each needs.

    Raises:
        Exception: click's, or an AssertionError, that says what is wrong.
    """
    command, rest = called(words(line))
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if word.startswith("-"):
            assert word.partition("=")[0] in options, f"{command.name} has no {word}"


def test_there_are_commands_to_check() -> None:
    """Where none were found, the pattern would be wrong."""
    assert len(LINES) >= 25
    assert {"serve", "keys", "index-album", "models"} <= {words(line)[0] for line, _ in LINES}


@pytest.mark.parametrize(("line", "page"), LINES)
def test_a_command_of_the_documentation_exists(line: str, page: str) -> None:
    """So does each of its options, and its help can be had."""
    check(line)
    arguments = words(line)
    _, rest = called(arguments)
    helped = CliRunner().invoke(app, [*arguments[: len(arguments) - len(rest)], "--help"])
    assert helped.exit_code == 0
    assert "Usage: " in helped.output


@pytest.mark.parametrize("line", ["index-albums photos", "keys make NAME", "audit --sinse 7d", "serve --address ::1"])
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    """The check above can fail."""
    with pytest.raises(AssertionError, match=r"there is no|has no"):
        check(line)


def anchors(page: Path) -> set[str]:
    """Returns what the headings of a page are called in links, as the hosts of repositories and MkDocs make it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """Returns the links of a text to files or headings that do not exist."""
    broken = []
    for found in LINK.finditer(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        file, _, anchor = found["target"].partition("#")
        if ":" in file:
            continue
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(found["target"])
    return broken


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading that it has; other sites are not asked."""
    assert broken_links(page, page.read_text()) == []


def test_a_broken_link_is_noticed() -> None:
    """The check above can fail."""
    readme = ROOT / "README.md"
    assert broken_links(readme, "[a](docs/no.md) [b](#no-heading) [c](LICENSE) [d](#licence)") == [
        "docs/no.md",
        "#no-heading",
    ]


def test_the_first_page_is_short() -> None:
    """And every other page of the documentation is reached from it."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= README_LINES_MAX
    linked = {(ROOT / found["target"].partition("#")[0]).resolve() for found in LINK.finditer(text)}
    assert [
        name for page, name in zip(PAGES, NAMES, strict=True) if page.name != "README.md" and page not in linked
    ] == []


def test_the_command_is_installed() -> None:
    """By whatever has set up the environment: ``make run`` does."""
    assert SCRIPT.is_file(), f"{SCRIPT} is absent: `make .venv/run.stamp` installs it"
    said = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True, cwd="/")
    assert re.fullmatch(r"rekognition-emulator \d+\.\d+\.\d+\n", said.stdout)
