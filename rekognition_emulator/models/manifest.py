"""What operators say about models, in TOML files beside the weights.

A file describes a model of the operator's own, or brings to a model of the table what the table lacks: the SHA-256 of
the weights and, of a face model, the calibration that was measured on them. The calibration is written out, or is the
name of a file that ``calibrate --json`` has written; that one says which weights it was measured on, and serves no
others.
"""

import json
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.models.catalogue import DETECTORS, EMBEDDERS, ESTIMATORS, SCRFD_10G, YUNET
from rekognition_emulator.models.records import Detector, Embedder, Estimator, Model, Profile, Template
from rekognition_emulator.models.weights import ModelUnusable, write_whole

Points = tuple[tuple[float, float], ...]


def _rising(points: Points) -> Points:
    """Completes a calibration with its two ends and refuses one that does not rise."""
    ends = ((-1.0, 0.0), (1.0, 100.0))
    inner = [point for point in points if point not in ends]
    complete = (ends[0], *inner, ends[1])
    # Not negated comparisons: not-a-number is neither above nor below.
    if not inner or not all(a < c and b < d for (a, b), (c, d) in pairwise(complete)):
        raise ValueError("must be pairs of cosine and similarity that rise together, between (-1, 0) and (1, 100)")
    return complete


def _confidences(points: Points) -> Points:
    """Refuses what leads from no score to a confidence, or falls."""
    if not points or not all(0 <= score <= 1 and 0 <= confidence <= 100 for score, confidence in points):  # noqa: PLR2004
        raise ValueError("must be pairs of score, 0 to 1, and confidence, 0 to 100")
    if not all(a < c and b <= d for (a, b), (c, d) in pairwise(points)):
        raise ValueError("must rise")
    return points


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Named(BaseModel):
    """What every manifest says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class _Vouched(_Named):
    """What only somebody who has the weights can know."""

    sha256: Sha256


class _Curve(BaseModel):
    """What was measured on a face model."""

    calibration: Annotated[Points, AfterValidator(_rising)] | None = None
    calibration_source: Annotated[str, Field(min_length=1)] | None = None


class _Measured(_Curve, _Named):
    """What is known in addition of a face model of the table."""

    sha256: Sha256 | None = None


File = Annotated[str, Field(pattern=r"^[^/\\]+\.onnx$")]
Score = Annotated[float, Field(gt=0, lt=1)]
Side = Annotated[int, Field(ge=64, le=4096)]


class _Own(_Curve, _Vouched):
    """All that there is to know of a face model."""

    role: Literal["embedder"] = "embedder"
    file: File
    version: Annotated[str, Field(pattern=r"^[1-9][0-9]{3,8}\.[0-9]{1,9}$")]  # the table's stay below 1000
    dimension: Annotated[int, Field(ge=8, le=4096)]
    side_px: Annotated[int, Field(ge=16, le=1024)]
    template: Template
    colours: Literal["RGB", "BGR"]
    layout: Literal["NHWC", "NCHW"]
    mean: Annotated[float, Field(allow_inf_nan=False)]
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    mirrored: bool = True
    licence: Annotated[str, Field(min_length=1)]
    accuracy: str = "not stated"
    source: str = "the operator"


class _OwnDetector(_Vouched):
    """All that there is to know of a detector; what is not said is as in the table's detector of the same kind."""

    role: Literal["detector"]
    kind: Literal["yunet", "scrfd"]
    file: File
    licence: Annotated[str, Field(min_length=1)]
    sides_px: Annotated[tuple[Side, ...], Field(min_length=1, max_length=4)] | None = None
    score_min: Score | None = None
    overlap_max: Score | None = None
    confidences: Annotated[Points, AfterValidator(_confidences)] | None = None
    accuracy: str = "not stated"
    source: str = "the operator"


def read_manifests(folder: Path) -> dict[str, Embedder]:
    """Reads what every ``*.toml`` of a folder says about face models; there are none if it does not exist.

    Returns:
        Name → embedder with a SHA-256, calibrated if its file is.

    Raises:
        ModelUnusable: a file is not what it should be, or says another SHA-256 than the table, or two files describe
            models of the same name or version, or a calibration was measured on other weights.
    """
    found: dict[str, Embedder] = {}
    for path in sorted(folder.glob("*.toml")):
        model = _read(path)
        if isinstance(model, Embedder):
            if model.name in found or model.version in {other.version for other in found.values()}:
                raise ModelUnusable(f"{path}: another file beside it describes a model of this name or version.")
            found[model.name] = model
    return found


def read_estimators(folder: Path) -> dict[str, Estimator]:
    """Returns the table's estimators, with SHA-256 where a folder's manifests vouch for one; errors likewise."""
    read = [_read(path) for path in sorted(folder.glob("*.toml"))]
    return ESTIMATORS | {model.name: model for model in read if isinstance(model, Estimator)}


def read_detectors(folder: Path) -> dict[str, Detector]:
    """Returns the table's detectors, with SHA-256 where a folder's manifests vouch for one, and those of the operator.

    Raises:
        ModelUnusable: as ``read_manifests``.
    """
    found: dict[str, Detector] = {}
    for path in sorted(folder.glob("*.toml")):
        model = _read(path)
        if isinstance(model, Detector):
            if model.name in found:
                raise ModelUnusable(f"{path}: another file beside it describes a detector of this name.")
            found[model.name] = model
    return DETECTORS | found


def vouch(folder: Path, model: Model, sha256: str, origin: str) -> Path:
    """Writes a manifest that says no more than a SHA-256, for a model of which none is there; returns where it lies.

    Raises:
        ModelUnusable: it cannot be written, or a manifest of another model has its place.
    """
    path = folder / f"{model.name}.toml"
    if path.exists():
        raise ModelUnusable(f"{path} describes another model than {model.name}: give it that model's name.")
    write_whole(path, f'# {origin}\nname = "{model.name}"\nsha256 = "{sha256}"\n'.encode())
    return path


def known_by(embedder: Embedder, sha256: str) -> Embedder:
    """Returns a model of the table with the SHA-256 of its weights.

    Weights that no publisher vouches for are told apart by their contents: two servers that hold different ones under
    the same name must not share a collection.
    """
    if None not in embedder.files.values():
        return embedder
    (file,) = embedder.files
    return replace(embedder, files={file: sha256}, version=f"{embedder.version}.{int(sha256[:8], 16)}")


def _read(path: Path) -> Model:
    try:
        contents = tomllib.loads(path.read_text())
        if other := (ESTIMATORS | DETECTORS).get(str(contents.get("name"))):
            return _vouched(other, _Vouched.model_validate(contents), path)
        if contents.get("role") == Detector.role:
            return _described_detector(_OwnDetector.model_validate(contents))
        measured = _measured(path.parent / contents["calibration"]) if _names_a_file(contents) else {}
        contents |= {name: measured[name] for name in ("calibration", "calibration_source") if measured}
        known = EMBEDDERS.get(str(contents.get("name")))
        if known:
            embedder = _completed(known, _Measured.model_validate(contents), path)
        else:
            embedder = _described(_Own.model_validate(contents))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ModelUnusable(f"{path} does not describe a model. {problems}") from error
    # TOML, JSON and UTF-8 go wrong as kinds of ValueError, or by too many brackets.
    except (OSError, RecursionError, ValueError) as error:
        raise ModelUnusable(f"{path} cannot be read: {error}") from error
    if measured and measured["version"] != embedder.version:
        raise ModelUnusable(
            f"{path}: its calibration was measured on version {measured['version']}, and this is {embedder.version}."
        )
    return replace(embedder, evidence=measured["evidence"]) if measured else embedder


def _names_a_file(contents: dict[str, Any]) -> bool:
    return isinstance(contents.get("calibration"), str)


def _measured(path: Path) -> dict[str, Any]:
    """Reads what ``calibrate --json`` has written."""
    document = json.loads(path.read_text())
    try:
        unlabelled = document.get("method") == "unlabelled"
        pairs = document["impostor_pairs" if unlabelled else "stranger_pairs"]
        return {
            "version": document["face_model"]["version"],
            "calibration": document["calibration"],
            "calibration_source": f"{pairs:,} impostor pairs, {document['measured_on']}",
            "evidence": Evidence.UNLABELLED if unlabelled else Evidence.OPERATOR,
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelUnusable(f"{path} is not a file that calibrate has written.") from error


def _vouched(model: Model, vouched: _Vouched, path: Path) -> Model:
    """Returns a model of the table that is no face model with the SHA-256 of its weights."""
    if model.package:
        raise ModelUnusable(f"{path} vouches for {model.name}, whose weights come with the package {model.package}.")
    if len(model.files) > 1:
        raise ModelUnusable(f"{path} vouches for {model.name}, of whose files the SHA-256 are known.")
    ((file, published),) = model.files.items()
    if published not in {None, vouched.sha256}:
        raise ModelUnusable(f"{path} gives another SHA-256 for {file} than its publisher: {published}.")
    return replace(model, files={file: vouched.sha256})


def _described_detector(own: _OwnDetector) -> Detector:
    said = own.model_dump(exclude={"role", "file", "sha256"}, exclude_none=True)
    like = {YUNET.kind: YUNET, SCRFD_10G.kind: SCRFD_10G}[own.kind]
    return replace(like, profile=Profile.OPERATOR, files={own.file: own.sha256}, urls=(), **said)


def _described(own: _Own) -> Embedder:
    values = own.model_dump(exclude={"role", "file", "sha256"})
    return Embedder(profile=Profile.OPERATOR, files={own.file: own.sha256}, **values)


def _completed(known: Embedder, measured: _Measured, path: Path) -> Embedder:
    published = known.files.values()
    if measured.sha256 is None and None in published:
        raise ModelUnusable(f"{path} lacks sha256: the publisher of {known.name} gives none.")
    if measured.sha256 and None not in published and measured.sha256 not in published:
        raise ModelUnusable(
            f"{path} gives another SHA-256 for {known.name} than its publisher: {', '.join(map(str, published))}."
        )
    embedder = known_by(known, measured.sha256) if measured.sha256 else known
    if not measured.calibration:
        return embedder
    source = measured.calibration_source or "the operator"
    return replace(embedder, calibration=measured.calibration, calibration_source=source, evidence=Evidence.OPERATOR)
