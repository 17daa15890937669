"""The models that we know: one record each, with what its publisher says and what was measured.

What neither has is None. A rule follows from the catalogue and is kept by ``inference.selection``: no weights
are loaded whose SHA-256 is not known beforehand. Where the catalogue lacks it, the operator's own manifest has to bring
it; that can bring a better calibration, too.
"""

from rekognition_emulator.models.catalogue.details import (
    AGE,
    DEEPFACE_ESTIMATORS,
    ESTIMATORS,
    EXPRESSION,
    FACE_LANDMARKER,
    FACE_MESH,
    FACE_MESHES,
    GENDER,
)
from rekognition_emulator.models.catalogue.detectors import (
    DETECTORS,
    MTCNN,
    RECOMMENDED_DETECTORS,
    RETINAFACE,
    SCRFD_10G,
    SCRFD_500M,
    YUNET,
)
from rekognition_emulator.models.catalogue.embedders import (
    ARCFACE,
    AURAFACE,
    BUFFALO_L,
    BUFFALO_S,
    DLIB,
    EMBEDDERS,
    FACENET512,
    GHOSTFACENET,
    RETAIL_0095,
    SFACE,
)
from rekognition_emulator.models.catalogue.models import MODELS, RECOMMENDED, RESEARCH

__all__ = [
    "AGE",
    "ARCFACE",
    "AURAFACE",
    "BUFFALO_L",
    "BUFFALO_S",
    "DEEPFACE_ESTIMATORS",
    "DETECTORS",
    "DLIB",
    "EMBEDDERS",
    "ESTIMATORS",
    "EXPRESSION",
    "FACENET512",
    "FACE_LANDMARKER",
    "FACE_MESH",
    "FACE_MESHES",
    "GENDER",
    "GHOSTFACENET",
    "MODELS",
    "MTCNN",
    "RECOMMENDED",
    "RECOMMENDED_DETECTORS",
    "RESEARCH",
    "RETAIL_0095",
    "RETINAFACE",
    "SCRFD_10G",
    "SCRFD_500M",
    "SFACE",
    "YUNET",
]
