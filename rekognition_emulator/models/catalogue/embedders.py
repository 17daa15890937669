"""The embedders that we know."""

from typing import Final

from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.imaging.alignment import DLIB_SIDE_PX
from rekognition_emulator.models import curves
from rekognition_emulator.models.catalogue.publishers import deepface, opencv_zoo
from rekognition_emulator.models.curves import provisional
from rekognition_emulator.models.records import Embedder, Profile, Template

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
    urls=opencv_zoo("face_recognition_sface", "face_recognition_sface_2021dec.onnx"),
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
    urls=deepface("arcface_weights.onnx"),
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
    urls=deepface("facenet512_weights.onnx"),
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
    urls=deepface("ghostfacenet_v1.onnx"),
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


EMBEDDERS: Final = {
    model.name: model
    for model in (DLIB, RETAIL_0095, SFACE, AURAFACE, ARCFACE, FACENET512, GHOSTFACENET, BUFFALO_L, BUFFALO_S)
}
