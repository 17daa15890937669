"""SearchFaces and SearchFacesByImage."""

from typing import Final
from uuid import UUID

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.faces import Collection, Embedding
from rekognition_emulator.domain.quality import QualityFilter
from rekognition_emulator.imaging import image
from rekognition_emulator.inference.pipeline import largest
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.defaults import MATCHES_DEFAULT
from rekognition_emulator.operations.intake import picture_bytes
from rekognition_emulator.operations.rendering import bounding_box, face_matches
from rekognition_emulator.telemetry.observation import current, stage

_THRESHOLD_DEFAULT: Final = 80.0
"""``FaceMatchThreshold``. Source: API reference of both operations."""


def search_faces(context: Context, request: api.SearchFacesRequest) -> api.SearchFacesResponse:
    """Finds the faces most similar to one of the same collection, which is not among them."""
    collection = context.collection(request["CollectionId"])
    face_id = UUID(request["FaceId"])
    probe = context.store.get_embedding(collection, face_id)
    return {
        "SearchedFaceId": request["FaceId"],
        "FaceMatches": _search(context, collection, probe, request, without=face_id),
        "FaceModelVersion": collection.face_model_version,
    }


def search_faces_by_image(context: Context, request: api.SearchFacesByImageRequest) -> api.SearchFacesByImageResponse:
    """Finds the faces most similar to the largest face of a picture.

    Raises:
        NoFaceInPicture: there is no face, or the largest one does not pass the quality filter.
    """
    collection = context.collection(request["CollectionId"])
    decoded = image.decode(picture_bytes(context, request["Image"]))
    portrait, _ = largest(context.engine, decoded, QualityFilter(request.get("QualityFilter", "NONE")))
    face = portrait.detection
    with stage("embed"):
        (probe,) = context.embedder(collection).embed(decoded, [face])
    return {
        "SearchedFaceBoundingBox": bounding_box(face.box),
        "SearchedFaceConfidence": face.confidence,
        "FaceMatches": _search(context, collection, probe, request),
        "FaceModelVersion": collection.face_model_version,
    }


def _search(
    context: Context,
    collection: Collection,
    probe: Embedding,
    request: api.SearchFacesRequest | api.SearchFacesByImageRequest,
    without: UUID | None = None,
) -> list[api.FaceMatch]:
    model = context.embedder(collection).model
    threshold = request.get("FaceMatchThreshold", _THRESHOLD_DEFAULT)
    matches = context.index.search(
        collection,
        probe,
        cosine_min=model.cosine_min(threshold),
        limit=request.get("MaxFaces", MATCHES_DEFAULT),
        without=without,
    )
    faces = context.store.get_faces(collection, [match.face_id for match in matches])
    current().count("faces_matched", len(matches))
    return face_matches(model, matches, faces, threshold)
