"""Weights and networks as files: read and checked, kept in a cache, written whole.

A network that does not come as ONNX is written as that once and kept under the cache directory. The file's name says
what it was made from and what it must contain, so a stale or damaged one is never opened: it is written again.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path


class ModelUnusable(Exception):
    """A model cannot be served; the text is a sentence for the operator."""


class WeightsMismatch(ModelUnusable):
    """Weights are not those that were examined."""


def read_verified(path: Path, sha256: str) -> bytes:
    """Returns a file of weights.

    Raises:
        ModelUnusable: it is not there or cannot be read.
        WeightsMismatch: its contents are others.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"The weights {path} cannot be read: {error.strerror}.") from error
    found = hashlib.sha256(contents).hexdigest()
    if found != sha256:
        raise WeightsMismatch(
            f"The weights {path} ({len(contents)} bytes) have the SHA-256 {found} instead of {sha256}: "
            "the file is damaged, cut short or another one."
        )
    return contents


def prepared(made_from: str, cache_dir: Path, build: Callable[[], bytes]) -> bytes:
    """Returns an ONNX file's contents, from the cache if a sound one is there; else builds it and keeps it there.

    Args:
        made_from: tells weights, and versions of what builds, apart; a part of a file's name.
        cache_dir: made if it does not exist.
        build: makes the contents.

    Raises:
        ModelUnusable: the cache cannot be written.
    """
    for path in cache_dir.glob(f"{made_from}-*.onnx"):
        model = path.read_bytes()
        if path.stem == f"{made_from}-{hashlib.sha256(model).hexdigest()}":
            return model
    model = build()
    write_whole(cache_dir / f"{made_from}-{hashlib.sha256(model).hexdigest()}.onnx", model)
    return model


def package_folder(package: str) -> Path:
    """Returns where an installed package lies, without importing it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package}, which carries weights, is not installed")
    return Path(spec.submodule_search_locations[0])


def write_whole(path: Path, contents: bytes) -> None:
    """Writes a file durably, and so that no other process ever sees a part of it.

    Raises:
        ModelUnusable: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(contents)
                os.fchmod(handle, 0o644)  # who serves may be another user than who pulled
                file.flush()
                os.fsync(handle)
            Path(name).replace(path)
            sync_folder(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be written: {error.strerror}.") from error


def sync_folder(folder: Path) -> None:
    """Makes what was renamed in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
