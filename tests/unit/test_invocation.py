import sys
from pathlib import Path

import pytest

from rekognition_emulator.invocation import command


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment's folder of programs, with nothing of it on the path, below the working directory."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return programs


def install(programs: Path) -> None:
    """Makes the script."""
    script = programs / "rekognition-emulator"
    script.touch()
    script.chmod(0o755)


def test_a_command_that_is_on_the_path_has_its_name(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment that is activated, or an image."""
    install(environment)
    monkeypatch.setenv("PATH", str(environment))
    assert command("keys list") == "rekognition-emulator keys list"


def test_another_installation_on_the_path_is_not_ours(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would look into another database."""
    install(environment)
    install(tmp_path)
    assert command("keys list") == ".venv/bin/rekognition-emulator keys list"


def test_a_command_that_is_not_on_the_path_is_found_from_elsewhere(
    environment: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its whole path."""
    install(environment)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert command("keys list") == f"{environment}/rekognition-emulator keys list"


def test_without_the_script_the_module_is_run(environment: Path) -> None:
    """As where only the dependencies are installed."""
    assert command("keys list") == ".venv/bin/python -m rekognition_emulator keys list"
