"""Image and compose file as far as they can be checked where nothing runs containers."""

import re
from pathlib import Path

import pytest

from rekognition_emulator.settings import Settings

compose_spec = pytest.importorskip("compose_spec", reason="the compose file is read by a tool of the tests")

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_compose_file_is_one() -> None:
    """Docker Compose's own rules hold, and what services mount and wait for is declared."""
    compose = compose_spec.PyCompose.from_yaml(COMPOSE).to_dict()
    services = compose["services"]
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    awaited = {name for service in services.values() for name in service.get("depends_on", {})}
    assert mounted == compose["volumes"].keys()
    assert awaited <= services.keys()


def test_a_misspelt_key_is_noticed() -> None:
    """The check above can fail."""
    with pytest.raises(ValueError, match="biuld"):
        compose_spec.PyCompose.from_yaml(COMPOSE.replace("build: .", "biuld: .", 1))


def test_server_is_locked_down() -> None:
    """The container can write to nothing but its data, and can gain no right."""
    server = compose_spec.PyCompose.from_yaml(COMPOSE).to_dict()["services"]["server"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]


def test_image_copies_what_exists() -> None:
    """A file that is renamed is renamed in the Dockerfile and in what it may read, too."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [name for line in re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_settings_of_image_and_compose_file_exist() -> None:
    """Every variable that is set for the server is one that it reads."""
    known = {f"REKOGNITION_{name.upper()}" for name in Settings.model_fields}
    server = compose_spec.PyCompose.from_yaml(COMPOSE).to_dict()["services"]["server"]
    assert set(re.findall(r"REKOGNITION_[A-Z0-9_]+(?==)", DOCKERFILE)) <= known
    assert {name for name in server["environment"] if name.startswith("REKOGNITION_")} <= known
