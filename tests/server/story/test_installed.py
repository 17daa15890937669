"""The package as it is installed, without the checkout that it was built from."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.server import ROOT, Server


def test_a_wheel_serves(tmp_path: Path) -> None:
    """What a wheel lacks of migrations, model or types is missed here, and nowhere else."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("rekognition_emulator", "botocore_models"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels, installed = tmp_path / "wheels", tmp_path / "installed"
    building = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(building, check=True, timeout=300)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True, timeout=300)
    assert (installed / "rekognition_emulator" / "py.typed").is_file()
    code = "import rekognition_emulator; print(rekognition_emulator.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(installed)}, capture_output=True, check=True
    )
    assert Path(found.stdout.decode().strip()).is_relative_to(installed)

    data_dir = tmp_path / "data"
    data_dir.mkdir()
    server = Server.start(data_dir, folder=str(tmp_path), PYTHONPATH=str(installed))
    try:
        client = server.client()
        client.create_collection(CollectionId="wedding")
        assert client.list_collections()["CollectionIds"] == ["wedding"]
    finally:
        assert server.stop() == 0
