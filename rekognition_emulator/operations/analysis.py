"""DetectFaces and CompareFaces: what is said about images without storing anything of them."""

from typing import Final

import numpy as np

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.errors import NoFaceInPicture
from rekognition_emulator.domain.quality import QualityFilter
from rekognition_emulator.imaging import image
from rekognition_emulator.inference.pipeline import FACES_MAX, analyse, largest, select
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.details import describe
from rekognition_emulator.operations.intake import picture_bytes
from rekognition_emulator.operations.rendering import bounding_box, compared_face, shown_similarity
from rekognition_emulator.telemetry.observation import stage

_THRESHOLD_DEFAULT: Final = 80.0
"""``SimilarityThreshold``. Source: API reference of CompareFaces."""


def detect_faces(context: Context, request: api.DetectFacesRequest) -> api.DetectFacesResponse:
    """Finds the 100 largest faces of a picture, largest first."""
    decoded = image.decode(picture_bytes(context, request["Image"]))
    portraits = analyse(context.engine, decoded)
    return {"FaceDetails": describe(context, decoded, portraits, request.get("Attributes", []))}


def compare_faces(context: Context, request: api.CompareFacesRequest) -> api.CompareFacesResponse:
    """Compares the largest face of one picture with the 100 largest of another.

    Raises:
        NoFaceInPicture: one of the pictures shows no face that passes the quality filter.
    """
    bar = QualityFilter(request.get("QualityFilter", "NONE"))
    source = image.decode(picture_bytes(context, request["SourceImage"]))
    target = image.decode(picture_bytes(context, request["TargetImage"]))
    probe, _ = largest(context.engine, source, bar)
    compared, _ = select(analyse(context.engine, target), target, bar, FACES_MAX)
    if not compared:
        raise NoFaceInPicture
    with stage("embed"):
        (embedding,) = context.engine.embed(source, [probe.detection])
        cosines = context.engine.embed(target, [portrait.detection for portrait in compared]) @ embedding
    similarities = [shown_similarity(context.engine.model, float(cosine)) for cosine in cosines]
    ranked = sorted(zip(similarities, compared, strict=True), key=lambda pair: pair[0], reverse=True)
    threshold = np.float32(request.get("SimilarityThreshold", _THRESHOLD_DEFAULT))
    return {
        "SourceImageFace": {
            "BoundingBox": bounding_box(probe.detection.box),
            "Confidence": probe.detection.confidence,
        },
        "FaceMatches": [
            {"Similarity": similarity, "Face": compared_face(portrait)}
            for similarity, portrait in ranked
            if similarity >= threshold
        ],
        "UnmatchedFaces": [compared_face(portrait) for similarity, portrait in ranked if similarity < threshold],
    }
