"""Other clients than the SDK that we depend on, each with a library of its own.

A library is installed once for each version of its lock file, below ``build``; later runs need no network.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.server import ROOT, Server

SCRIPTS = ROOT / "tests" / "story" / "clients"
INSTALLED = ROOT / "build" / "clients"
INSTALL_SECONDS_MAX = 100


@dataclass(frozen=True)
class Client:
    """An interpreter that reads a script from its standard input, and the folder where that finds its packages."""

    interpreter: Sequence[str]
    folder: Path

    def run(self, server: Server, script: str, argument: str) -> Any:
        """Runs one of our scripts and returns the JSON that it prints."""
        with (SCRIPTS / script).open() as source:
            run = subprocess.run(
                [*self.interpreter, "-", argument],
                stdin=source,
                env=environment(server),
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)


def javascript() -> Client:
    """AWS's SDK for JavaScript; skips the test where it cannot be had."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")

    def install(folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / name, folder)
        _install(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"], folder)

    return Client(["node", "--input-type=module"], _installed("javascript", SCRIPTS / "package-lock.json", install))


def aiobotocore() -> Client:
    """The SDK for asyncio, with the botocore that it asks for; skips the test where it cannot be had."""
    lock = SCRIPTS / "aiobotocore.lock"

    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=0"]
        _install(
            [*pip, "--only-binary=:all:", "--require-hashes", f"--target={folder}", f"--requirement={lock}"], folder
        )

    # Without the packages of our own environment, whose botocore is another one.
    interpreter = [sys.executable, "-S"]
    return Client(interpreter, _installed(f"aiobotocore-{sys.implementation.cache_tag}", lock, install))


def environment(server: Server) -> dict[str, str]:
    """What a client finds around it: of all that can be set, only the endpoint is not as it would be for AWS."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL_REKOGNITION": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",  # JavaScript reads this one
        "AWS_DEFAULT_REGION": "eu-central-1",  # and Python that one
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _installed(name: str, lock: Path, install: Callable[[Path], None]) -> Path:
    folder = INSTALLED / f"{name}-{sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        INSTALLED.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=INSTALLED) as parent:
            incomplete = Path(parent) / name
            incomplete.mkdir()
            install(incomplete)
            incomplete.rename(folder)  # it is there as a whole or not at all
    return folder


def _install(command: Sequence[str], folder: Path) -> None:
    what = " ".join(["cannot install:", Path(command[0]).name, *command[1:4]])
    try:
        run = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{what} … took more than {INSTALL_SECONDS_MAX} s")
    if run.returncode:
        reason = next((line for line in run.stderr.splitlines() if "error" in line.lower()), run.stderr)
        pytest.skip(f"{what} … said: {reason}")
