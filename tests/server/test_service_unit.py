"""The systemd unit of the documentation: systemd takes it, and finds little that it leaves open."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations" / "service.md"
EXPOSURE_MAX = 2.0
"""Of 10, as systemd counts it; below 4.9 it calls a service OK. A server that listens, and so may reach the network,
cannot come near 0."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as the page has it, but for the path of this installation's command."""
    (text,) = re.findall(r"^```ini\n(\[Unit\].*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "rekognition-emulator.service"
    here = Path(sys.executable).with_name("rekognition-emulator")
    file.write_text(text.replace("/opt/rekognition-emulator/.venv/bin/rekognition-emulator", str(here)))
    return file


def test_the_unit_says_what_the_server_needs(unit: Path) -> None:
    """A signal to all processes would take the database away from requests that are being finished."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # systemd tells upper case from lower
    parser.read(unit)
    service = parser["Service"]
    assert service["KillMode"] == "mixed"
    assert service["ExecStart"].endswith("rekognition-emulator serve")
    assert service["StateDirectoryMode"] == "0700"
    assert service["NoNewPrivileges"] == "true"


def test_systemd_takes_the_unit(unit: Path) -> None:
    """A misspelt directive would be ignored with a line in the journal that nobody reads."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    checked = subprocess.run([program, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert [line for line in checked.stderr.splitlines() if unit.name in line or str(unit) in line] == []


def test_systemd_finds_little_that_the_unit_leaves_open(unit: Path) -> None:
    """Each directive that is taken out raises the exposure that systemd counts."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    judged = subprocess.run(
        [program, "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True, check=False
    )
    found = re.search(r"exposure level for \S+: ([0-9.]+)", judged.stdout)
    if found is None:
        pytest.skip(f"this systemd does not judge files: {judged.stderr.strip()}")
    assert float(found[1]) <= EXPOSURE_MAX
