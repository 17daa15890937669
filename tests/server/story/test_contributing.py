"""CONTRIBUTING.md, done as it says: an operation in a copy of the sources, an index in a package of its own."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from rekognition_emulator.demo.people import PEOPLE, View, selfie
from tests.support.server import ROOT, Server

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
OURS = ("rekognition_emulator", "botocore_models", "tests", "docs", "tools")


def blocks(section: str, kind: str) -> list[str]:
    """Returns the blocks of a kind that a section shows, in their order."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    found = re.findall(rf"^( *)```{kind}\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(re.sub(f"^{indent}", "", block, flags=re.MULTILINE)) for indent, block in found]


def write_files(folder: Path, shown: list[str]) -> None:
    """Writes the blocks that begin with the name of a file."""
    for block in shown:
        name, _, text = block.partition("\n")
        (folder / name.removeprefix("# ")).write_text(text)


def run(command: str, folder: Path, **environment: str) -> str:
    """Types a line of a console block, and returns what it prints."""
    words = shlex.split(command.removeprefix("$ "))
    assert words[0] == ".venv/bin/python", command
    done = subprocess.run(
        [sys.executable, *words[1:], "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)  # another run of pytest, with a server of its own
def test_an_operation_is_one_file_and_one_record(tmp_path: Path) -> None:
    """Served to an unmodified client, listed, and in agreement with every table about operations."""
    for name in OURS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    handler, record, test = blocks("Add an operation", "python")
    write_files(tmp_path, [handler, test])
    operations = tmp_path / "rekognition_emulator" / "operations"

    registry = (operations / "registry.py").read_text()
    imported = "from rekognition_emulator.operations.text import detect_text\n"
    first, rest = registry.split("from rekognition_emulator.operations.users", 1)
    rest = re.sub(r"(= \{\n)", rf"\1    {record.strip()}\n", rest, count=1)
    (operations / "registry.py").write_text(f"{first}{imported}from rekognition_emulator.operations.users{rest}")

    coverage = (operations / "coverage.py").read_text()
    assert coverage.count('        "DetectText",\n') == 1
    (operations / "coverage.py").write_text(coverage.replace('        "DetectText",\n', ""))

    subprocess.run([sys.executable, "-m", "tools.documentation"], cwd=tmp_path, check=True, timeout=100)
    assert (tmp_path / "docs" / "reference" / "compatibility.md").read_text() != (
        ROOT / "docs" / "reference" / "compatibility.md"
    ).read_text()
    (command,) = blocks("Add an operation", "console")
    assert " passed" in run(command, tmp_path)


@pytest.mark.timeout(300)  # likewise
def test_an_index_comes_from_another_package(
    tmp_path: Path, start_server: Callable[..., Server], database_server: str
) -> None:
    """Installed, named in one setting, tried by the contract suite, and never told apart by a client."""
    source, installed = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    write_files(source, [*blocks("Add an index", "python"), *blocks("Add an index", "toml")])
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(installed), str(source)], check=True, timeout=100
    )
    beside = {"PYTHONPATH": str(installed)}

    client = start_server(REKOGNITION_INDEX="plain", **beside).client()
    client.create_collection(CollectionId="party")
    views = (View(), View(roll=12, light=0.7))
    ada, again = (
        client.index_faces(CollectionId="party", Image={"Bytes": selfie(PEOPLE[0], view)})["FaceRecords"][0]["Face"]
        for view in views
    )
    client.index_faces(CollectionId="party", Image={"Bytes": selfie(PEOPLE[1])})
    matches = client.search_faces(CollectionId="party", FaceId=ada["FaceId"])["FaceMatches"]
    assert [match["Face"]["FaceId"] for match in matches] == [again["FaceId"]]

    (command,) = blocks("Add an index", "console")
    assert " passed" in run(command, ROOT, **beside, REKOGNITION_TEST_DATABASE_URL=database_server)
