"""The table of models: changes when one joins, or more becomes known about one.

A model is here with what its publisher says and with what was measured, and with None where neither is known. Two
rules follow from the table and are kept by ``selection``: no weights are loaded whose SHA-256 is not known
beforehand, and no embedder serves without a calibration that was measured on those weights. Where the table lacks
either, the operator's own manifest has to bring it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.engines.alignment import ARCFACE_TEMPLATE, DLIB_TEMPLATE, spread
from rekognition_emulator.engines.dlib_resnet import CHIP_SIDE_PX
from rekognition_emulator.faces.attributes import Attribute
from rekognition_emulator.faces.embedding import FaceModel

Calibration = Sequence[tuple[float, float]]
"""As ``FaceModel`` has it: (cosine, similarity) from (−1, 0) to (1, 100)."""


UNMEASURED: Final[Calibration] = ((-1, 0), (1, 100))
"""What a model carries while it is measured: its similarities mean nothing."""


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

    def points(self, side_px: int) -> NDArray[np.float32]:
        """Returns the (5, 2) float32 points in a chip of this side."""
        if self is Template.DLIB:
            # A little closer than dlib's own chips: better at low false match rates (LFW: 80.6 % of true matches
            # instead of 80.3 at 1e-4, 60.0 instead of 57.3 at 1e-5).
            return spread(DLIB_TEMPLATE, 1.04, CHIP_SIDE_PX) * np.float32(side_px / CHIP_SIDE_PX)
        return ARCFACE_TEMPLATE * np.float32(side_px / 112)


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
        urls: where the publisher keeps the one file, in the order in which to try.
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
        calibration: None as long as nobody has measured it.
        calibration_source: on what it was measured.
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
    calibration: Calibration | None = None
    calibration_source: str | None = None

    def face_model(self) -> FaceModel:
        """Returns what the rest of the house knows of it; it must be calibrated."""
        assert self.calibration
        return FaceModel(self.name, self.version, self.dimension, self.licence, self.calibration)


def _deepface(file: str) -> tuple[str, str]:
    """Returns where DeepFace 0.0.103 fetches a network from: its release, and the copy of it that is tried second."""
    return (
        f"https://github.com/serengil/deepface_models/releases/download/v1.0/{file}",
        f"https://huggingface.co/serengil/deepface/resolve/main/{file}",
    )


def _opencv_zoo(model: str, file: str) -> tuple[str, str]:
    """Returns where opencv_zoo keeps a network: the repository, which is archived, and what replaced it."""
    return (
        f"https://huggingface.co/opencv/{model}/resolve/main/{file}",
        f"https://github.com/opencv/opencv_zoo/raw/main/models/{model}/{file}",
    )


MTCNN: Final = Detector(
    name="mtcnn",
    licence="MIT",
    profile=Profile.PERMISSIVE,
    source="package mtcnn",
    files={
        "assets/weights/pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        "assets/weights/rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
        "assets/weights/onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    },
    accuracy="not stated for these weights",
    package="mtcnn",
)
YUNET: Final = SingleShotDetector(
    name="yunet",
    licence="MIT",
    profile=Profile.PERMISSIVE,
    source="opencv_zoo, face_detection_yunet",
    files={"face_detection_yunet_2023mar.onnx": "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"},
    accuracy="WIDER FACE 88.4/86.6/75.0 % (opencv_zoo)",
    urls=_opencv_zoo("face_detection_yunet", "face_detection_yunet_2023mar.onnx"),
    kind="yunet",
    # It finds faces of about 10 to 300 px (opencv_zoo): at 960 px those that AWS promises have 20, and at 320 one may
    # fill the picture. Source: tests/bench/detection.py.
    sides_px=(960, 320),
    score_min=0.7,  # as opencv_zoo
    overlap_max=0.3,  # likewise
    # Ours: shares of faces among what scores so much in scenes with labelled faces; tests/bench/detection.py has them.
    confidences=((0.7, 90), (0.8, 98), (0.85, 99.5), (0.9, 99.8), (0.928, 99.9), (1, 100)),
)


def _scrfd(name: str, pack: str, file: str, accuracy: str) -> SingleShotDetector:
    return SingleShotDetector(
        name=name,
        licence="non-commercial research only",
        profile=Profile.RESEARCH,
        source=f"InsightFace, pack {pack}",
        files={file: None},
        accuracy=f"WIDER FACE {accuracy} % (InsightFace)",
        kind="scrfd",
        sides_px=(640,),  # as InsightFace, which publishes the accuracy at this size
        score_min=0.5,  # likewise
        overlap_max=0.4,  # likewise
        # A guess, as long as nobody has measured it: its scores lie lower than other detectors'.
        confidences=((0.5, 70), (0.6, 95), (0.7, 99), (0.85, 99.9), (1, 100)),
    )


SCRFD_10G: Final = _scrfd("scrfd-10g", "buffalo_l", "det_10g.onnx", "95.4/94.0/82.8")
SCRFD_500M: Final = _scrfd("scrfd-500m", "buffalo_s", "det_500m.onnx", "91.0/88.4/69.5")
RETINAFACE: Final = Detector(
    name="retinaface",
    licence="not stated for the weights",
    profile=Profile.RESEARCH,
    source="DeepFace, release v1.0 of its models",
    files={"retinaface.onnx": None},
    accuracy="WIDER FACE 94.9/91.9/64.2 % at 640 px (InsightFace)",
    urls=_deepface("retinaface.onnx"),
)

DLIB: Final = Embedder(
    name="dlib",
    licence="CC0-1.0",
    profile=Profile.PERMISSIVE,
    source="package face_recognition_models",
    files={
        "models/dlib_face_recognition_resnet_model_v1.dat": (
            "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
        )
    },
    accuracy="LFW 99.38 % (dlib); 99.2 % as it runs here",
    package="face_recognition_models",
    version="100.1",
    dimension=128,
    side_px=CHIP_SIDE_PX,
    template=Template.DLIB,
    colours="RGB",
    layout="NHWC",
    mean=0.0,  # its graph normalises
    scale=1.0,
    # False match rates 1e-2, 1e-3, 1e-4, 1e-5, 1e-6 are at these cosines; true match rates 99.0, 93.5, 79.4, 55.8,
    # 33.4 %.
    calibration=((-1, 0), (0.911, 40), (0.929, 60), (0.944, 80), (0.955, 90), (0.963, 99), (1, 100)),
    calibration_source="ours: LFW deep-funneled, 29.6 million pairs of strangers",
)
SFACE: Final = Embedder(
    name="sface",
    licence="Apache-2.0; training data undisclosed",
    profile=Profile.PERMISSIVE,
    source="opencv_zoo, face_recognition_sface",
    files={"face_recognition_sface_2021dec.onnx": "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"},
    accuracy="LFW 99.40 % (opencv_zoo)",
    urls=_opencv_zoo("face_recognition_sface", "face_recognition_sface_2021dec.onnx"),
    version="101.1",
    dimension=128,
    side_px=112,
    template=Template.ARCFACE,
    colours="RGB",
    layout="NCHW",
    mean=0.0,
    scale=1.0,
)
AURAFACE: Final = Embedder(
    name="auraface",
    licence="Apache-2.0",
    profile=Profile.PERMISSIVE,
    source="Hugging Face, fal/AuraFace-v1",
    files={"glintr100.onnx": "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60"},
    accuracy="LFW 99.65 % (fal)",
    urls=("https://huggingface.co/fal/AuraFace-v1/resolve/main/glintr100.onnx",),
    version="102.1",
    dimension=512,
    side_px=112,
    template=Template.ARCFACE,
    colours="RGB",
    layout="NCHW",
    mean=127.5,
    scale=1 / 127.5,
)
ARCFACE: Final = Embedder(
    name="arcface",
    licence="not stated",
    profile=Profile.RESEARCH,
    source="DeepFace, release v1.0 of its models",
    files={"arcface_weights.onnx": None},
    accuracy="LFW 99.4 % (publisher)",
    urls=_deepface("arcface_weights.onnx"),
    version="103.1",
    dimension=512,
    side_px=112,
    template=Template.ARCFACE,
    colours="RGB",
    layout="NHWC",
    mean=127.5,
    scale=1 / 128,
)
FACENET512: Final = Embedder(
    name="facenet512",
    licence="not stated",
    profile=Profile.RESEARCH,
    source="DeepFace, release v1.0 of its models",
    files={"facenet512_weights.onnx": None},
    accuracy="LFW 99.65 % (publisher)",
    urls=_deepface("facenet512_weights.onnx"),
    version="104.1",
    dimension=512,
    side_px=160,
    template=Template.ARCFACE,
    colours="RGB",
    layout="NHWC",
    mean=127.5,
    scale=1 / 127.5,
)
GHOSTFACENET: Final = Embedder(
    name="ghostfacenet",
    licence="not stated for the weights",
    profile=Profile.RESEARCH,
    source="DeepFace, release v1.0 of its models",
    files={"ghostfacenet_v1.onnx": None},
    accuracy="LFW 99.77 % (publisher)",
    urls=_deepface("ghostfacenet_v1.onnx"),
    version="105.1",
    dimension=512,
    side_px=112,
    template=Template.ARCFACE,
    colours="RGB",
    layout="NHWC",
    mean=127.5,
    scale=1 / 128,
)


def _buffalo(name: str, file: str, version: str, accuracy: str) -> Embedder:
    return Embedder(
        name=name,
        licence="non-commercial research only",
        profile=Profile.RESEARCH,
        source=f"InsightFace, pack {name}",
        files={file: None},
        accuracy=f"LFW {accuracy} % (InsightFace)",
        version=version,
        dimension=512,
        side_px=112,
        template=Template.ARCFACE,
        colours="RGB",
        layout="NCHW",
        mean=127.5,
        scale=1 / 127.5,
    )


BUFFALO_L: Final = _buffalo("buffalo_l", "w600k_r50.onnx", "106.1", "99.83")
BUFFALO_S: Final = _buffalo("buffalo_s", "w600k_mbf.onnx", "107.1", "99.70")

DETECTORS: Final[dict[str, Detector]] = {
    model.name: model for model in (MTCNN, YUNET, SCRFD_10G, SCRFD_500M, RETINAFACE)
}
EMBEDDERS: Final = {
    model.name: model for model in (DLIB, SFACE, AURAFACE, ARCFACE, FACENET512, GHOSTFACENET, BUFFALO_L, BUFFALO_S)
}
ESTIMATORS: Final = {
    model.name: model
    for model in (
        Estimator(
            name=f"deepface-{name}",
            licence="not stated",
            profile=Profile.RESEARCH,
            source="DeepFace, release v1.0 of its models",
            files={file: None},
            accuracy=accuracy,
            urls=_deepface(file),
            attribute=attribute,
        )
        for name, attribute, file, accuracy in (
            ("age", Attribute.AGE_RANGE, "age_model_weights.onnx", "mean error 4.65 years (DeepFace)"),
            ("gender", Attribute.GENDER, "gender_model_weights.onnx", "97.44 % (DeepFace)"),
            ("emotion", Attribute.EMOTIONS, "facial_expression_model_weights.onnx", "not stated"),
        )
    )
}

RESEARCH: Final = [
    model.name
    for model in (*DETECTORS.values(), *EMBEDDERS.values(), *ESTIMATORS.values())
    if model.profile is Profile.RESEARCH
]
"""Names of the models whose licences have to be accepted."""
