"""What is installed: lock files that belong to pyproject.toml, and the notices that come with it."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from rekognition_emulator import __version__
from tools import third_party

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SERVER: list[str] = PROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
LOCKS = {
    "requirements.lock": [SERVER, GROUPS["build"]],
    "requirements-extras.lock": [SERVER, GROUPS["build"], EXTRAS["deepface"], EXTRAS["milvus"], EXTRAS["tracing"]],
    "requirements-demo.lock": [SERVER, EXTRAS["demo"]],
    "requirements-dev.lock": [SERVER, *EXTRAS.values(), GROUPS["core-test"], GROUPS["test"], GROUPS["check"]],
    "requirements-bench.lock": [SERVER, *EXTRAS.values(), *GROUPS.values()],
}


def normalized(name: str) -> str:
    """Returns a package's name as lock files write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(file: str) -> dict[str, str]:
    """Package → version."""
    found = re.findall(r"^([a-z0-9.-]+)(?:\[\S+\])?==([^ ;]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {normalized(name): version for name, version in found}


@pytest.mark.parametrize("file", LOCKS)
def test_whatever_is_asked_for_is_locked(file: str) -> None:
    """At the version that all lock files share, with hashes, and without the address of anybody's index."""
    asked = {
        normalized(re.split(r"[^\w.-]", requirement)[0])
        for requirements in LOCKS[file]
        for requirement in requirements
        if isinstance(requirement, str)  # the others are groups that a group includes
    }
    versions = locked(file)
    assert asked <= versions.keys()
    assert versions.items() <= locked("requirements-bench.lock").items()
    text = (ROOT / file).read_text()
    assert len(re.findall(r"==.+\\\n    --hash=sha256:", text)) == len(versions)
    assert "://" not in text


def test_nothing_of_development_is_published() -> None:
    """Whoever installs the package sees extras of the server, and no tool of ours."""
    assert EXTRAS.keys() == {"deepface", "milvus", "tracing", "demo"}


def test_the_version_is_said_once_more() -> None:
    """By the package that answers ``--version``, as by what builds it."""
    assert PROJECT["project"]["version"] == __version__
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_notices_are_those_of_catalogue_and_lock_file() -> None:
    """``make generate`` writes them again; a licence is what the installed package says."""
    try:
        assert third_party.NOTICES.read_text() == third_party.notices()
    except PackageNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    assert third_party.NOTICES.name in PROJECT["project"]["license-files"]
