"""The detectors that we know."""

from typing import Final

from rekognition_emulator.models.catalogue.publishers import deepface, opencv_zoo
from rekognition_emulator.models.records import Detector, Profile, SingleShotDetector

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
    urls=opencv_zoo("face_detection_yunet", "face_detection_yunet_2023mar.onnx"),
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
    urls=deepface("retinaface.onnx"),
)

DETECTORS: Final[dict[str, Detector]] = {
    model.name: model for model in (MTCNN, YUNET, SCRFD_10G, SCRFD_500M, RETINAFACE)
}

RECOMMENDED_DETECTORS: Final = [YUNET.name, MTCNN.name]
"""For ``auto``, the best first: YuNet finds 82 % of the faces of 40 to 60 px where MTCNN finds 70, 90 against 83 up to
100 px, in 0.6 of the time. Source: ours, 200 pictures of WIDER FACE."""
