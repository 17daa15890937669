"""IndexFaces, ListFaces and DeleteFaces."""

from dataclasses import replace
from uuid import UUID, uuid4

import numpy as np

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.detection import BoundingBox, Detection, Embedded
from rekognition_emulator.domain.faces import EnrolledFace, NewFace, name_picture
from rekognition_emulator.domain.quality import QualityFilter
from rekognition_emulator.imaging import image
from rekognition_emulator.imaging.crops import cut_chip
from rekognition_emulator.inference.pipeline import FACES_MAX, analyse, select
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.details import describe
from rekognition_emulator.operations.intake import picture_bytes, picture_source
from rekognition_emulator.operations.paging import page_size, read_token, write_token
from rekognition_emulator.operations.rendering import indexed_face, stored_face
from rekognition_emulator.telemetry.observation import current, stage


def index_faces(context: Context, request: api.IndexFacesRequest) -> api.IndexFacesResponse:
    """Stores the faces of a picture that pass the quality filter, at most MaxFaces of them, largest first.

    The same picture under the same ExternalImageId stores nothing twice: it is answered with the faces it has.
    """
    collection = context.collection(request["CollectionId"])
    picture = picture_bytes(context, request["Image"])
    decoded = image.decode(picture)
    bar = QualityFilter(request.get("QualityFilter", "AUTO"))
    kept, rejected = select(analyse(context.engine, decoded), decoded, bar, request.get("MaxFaces", FACES_MAX))

    external_image_id = request.get("ExternalImageId")
    image_id = name_picture(picture, external_image_id)
    detections = [portrait.detection for portrait in kept]
    with stage("embed"):
        embeddings = context.embedder(collection).embed(decoded, detections)
    faces = [
        NewFace(
            _new_face(image_id, external_image_id, detection),
            embedding,
            cut_chip(decoded, detection) if context.keep_chips else None,
        )
        for detection, embedding in zip(detections, embeddings, strict=True)
    ]
    # Before anything is stored: a failure must leave no faces behind that nobody was told of.
    embedded = [
        replace(
            portrait, detection=replace(portrait.detection, embedded=Embedded(collection.face_model_version, vector))
        )
        for portrait, vector in zip(kept, embeddings, strict=True)
    ]
    portraits = [*embedded, *(portrait for portrait, _ in rejected)]
    details = describe(context, decoded, portraits, request.get("DetectionAttributes", []))
    stored = context.store.add_faces(context.actor, collection, image_id, faces, picture_source(request["Image"]))
    current().count("faces_indexed", len(stored))
    return {
        "FaceRecords": [
            {"Face": indexed_face(face, portrait.detection), "FaceDetail": detail}
            for face, portrait, detail in zip(stored, kept, details[: len(kept)], strict=True)
        ],
        "FaceModelVersion": collection.face_model_version,
        "UnindexedFaces": [
            {"Reasons": [reason.value for reason in reasons], "FaceDetail": detail}
            for (_, reasons), detail in zip(rejected, details[len(kept) :], strict=True)
        ],
    }


def list_faces(context: Context, request: api.ListFacesRequest) -> api.ListFacesResponse:
    """Lists the faces of a collection by ascending id, or only a user's, or only some, or only what is both."""
    collection = context.store.get_collection(context.owner, request["CollectionId"])
    scope = ("ListFaces", str(collection.key))
    after = read_token(request.get("NextToken"), *scope)
    page = context.store.list_faces(
        collection,
        after=UUID(after) if after else None,
        limit=page_size(request.get("MaxResults")),
        face_ids=[UUID(face_id) for face_id in request["FaceIds"]] if "FaceIds" in request else None,
        user_id=request.get("UserId"),
    )
    response: api.ListFacesResponse = {
        "Faces": [stored_face(face, collection.face_model_version) for face in page.items],
        "FaceModelVersion": collection.face_model_version,
    }
    if page.more:
        response["NextToken"] = write_token(str(page.items[-1].face_id), *scope)
    return response


def delete_faces(context: Context, request: api.DeleteFacesRequest) -> api.DeleteFacesResponse:
    """Deletes faces; those that are not there and those that are a user's are reported, not refused."""
    collection = context.store.get_collection(context.owner, request["CollectionId"])
    face_ids = [UUID(face_id) for face_id in dict.fromkeys(request["FaceIds"])]
    deletion = context.store.delete_faces(context.actor, collection, face_ids)
    unsuccessful: list[api.UnsuccessfulFaceDeletion] = []
    for face_id in face_ids:
        if face_id in deletion.held:
            holder = deletion.held[face_id]
            reasons: list[api.UnsuccessfulFaceDeletionReason] = ["ASSOCIATED_TO_AN_EXISTING_USER"]
            unsuccessful.append({"FaceId": str(face_id), "UserId": holder, "Reasons": reasons})
        elif face_id not in deletion.deleted:
            unsuccessful.append({"FaceId": str(face_id), "Reasons": ["FACE_NOT_FOUND"]})
    return {
        "DeletedFaces": [str(face_id) for face_id in face_ids if face_id in deletion.deleted],
        "UnsuccessfulFaceDeletions": unsuccessful,
    }


def _new_face(image_id: UUID, external_image_id: str | None, detection: Detection) -> EnrolledFace:
    return EnrolledFace(
        face_id=uuid4(),
        image_id=image_id,
        external_image_id=external_image_id,
        box=_stored_box(detection.box),
        confidence=_stored_confidence(detection.confidence),
    )


def _stored_box(box: BoundingBox) -> BoundingBox:
    """Rounds to 6 significant digits. Source: all 236 stored box values in recorded answers of the service."""
    sides = (box.left, box.top, box.width, box.height)
    return BoundingBox(*(float(np.float32(f"{side:.6g}")) for side in sides))


def _stored_confidence(confidence: float) -> float:
    """Rounds to 6 decimals of the ratio. Source: all distinct confidences in recorded answers of the service."""
    return float(np.float32(np.float32(round(confidence / 100, 6)) * np.float32(100)))
