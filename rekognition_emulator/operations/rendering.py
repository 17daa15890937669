"""Our values in AWS's words. A member whose value is unknown is left out."""

from collections.abc import Sequence
from typing import Final, cast
from uuid import UUID

import numpy as np

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.attributes import Attributes, Verdict
from rekognition_emulator.domain.detection import LANDMARKS, AnalyzedFace, BoundingBox, Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.domain.faces import EnrolledFace, Match, Owner, UserMatch
from rekognition_emulator.domain.mesh import LANDMARKS_30
from rekognition_emulator.operations.defaults import USER_WITH_FACES

_LANDMARK_TYPES: Final[Sequence[tuple[api.LandmarkType, int]]] = (
    ("eyeLeft", LANDMARKS.index("eye_left")),
    ("eyeRight", LANDMARKS.index("eye_right")),
    ("mouthLeft", LANDMARKS.index("mouth_left")),
    ("mouthRight", LANDMARKS.index("mouth_right")),
    ("nose", LANDMARKS.index("nose")),
)
"""The five points in the order in which AWS sends them since its model 4, and where ours stand."""

_VERDICTS: Final[Sequence[tuple[str, str]]] = (
    ("Smile", "smile"),
    ("Eyeglasses", "eyeglasses"),
    ("Sunglasses", "sunglasses"),
    ("Beard", "beard"),
    ("Mustache", "mustache"),
    ("EyesOpen", "eyes_open"),
    ("MouthOpen", "mouth_open"),
    ("FaceOccluded", "face_occluded"),
)
"""Members that consist of a value and the confidence in it, and where ours stands."""

_FLOAT_MAX: Final = float(np.finfo(np.float32).max)
"""The service's floats have 32 bits."""


def collection_arn(owner: Owner, name: str) -> str:
    """Returns a collection's full resource name. CreateCollection alone answers it without the leading ``arn:``."""
    return f"arn:aws:rekognition:{owner.region}:{owner.account}:collection/{name}"


def bounding_box(box: BoundingBox) -> api.BoundingBox:
    """Returns the box as it is, not clamped to the picture."""
    return {"Width": box.width, "Height": box.height, "Left": box.left, "Top": box.top}


def face_detail(portrait: AnalyzedFace, attributes: Attributes | None = None) -> api.FaceDetail:
    """Returns what DEFAULT attributes ask for, and of the others what was estimated.

    Thirty landmarks and the pose of a mesh, which ALL alone asks for, take the place of the five and their pose.
    Members are sent in the order of the model, which is AWS's, whatever their order here.
    """
    attributes = attributes or Attributes()
    detection, quality = portrait.detection, portrait.quality
    pose = attributes.pose or portrait.pose
    detail: api.FaceDetail = {
        "BoundingBox": bounding_box(detection.box),
        "Landmarks": _landmarks(detection, attributes),
        "Pose": {"Roll": pose.roll, "Yaw": pose.yaw, "Pitch": pose.pitch},
        "Quality": {"Brightness": quality.brightness, "Sharpness": quality.sharpness},
        "Confidence": detection.confidence,
    }
    if attributes.age:
        low, high = attributes.age
        detail["AgeRange"] = {"Low": low, "High": high}
    if attributes.gender:
        gender, confidence = attributes.gender
        detail["Gender"] = {"Value": gender.value, "Confidence": confidence}
    if attributes.emotions:
        detail["Emotions"] = [{"Type": emotion.value, "Confidence": sure} for emotion, sure in attributes.emotions]
    if attributes.eye_direction:
        gaze = attributes.eye_direction
        detail["EyeDirection"] = {"Yaw": gaze.yaw, "Pitch": gaze.pitch, "Confidence": gaze.confidence}
    for member, name in _VERDICTS:
        verdict: Verdict | None = getattr(attributes, name)
        if verdict:
            detail[member] = {"Value": verdict.value, "Confidence": verdict.confidence}  # type: ignore[literal-required]
    return detail


def _landmarks(detection: Detection, attributes: Attributes) -> list[api.Landmark]:
    if attributes.landmarks:
        return [
            {"Type": cast("api.LandmarkType", name), "X": x, "Y": y}
            for name, (x, y) in zip(LANDMARKS_30, attributes.landmarks, strict=True)
        ]
    return [
        {"Type": name, "X": float(detection.landmarks[place, 0]), "Y": float(detection.landmarks[place, 1])}
        for name, place in _LANDMARK_TYPES
    ]


def compared_face(portrait: AnalyzedFace) -> api.ComparedFace:
    """Returns a face as CompareFaces shows it. Emotions and a smile, which the model also allows, AWS does not send."""
    detail = face_detail(portrait)
    return {
        "BoundingBox": detail["BoundingBox"],
        "Confidence": detail["Confidence"],
        "Landmarks": detail["Landmarks"],
        "Pose": detail["Pose"],
        "Quality": detail["Quality"],
    }


def shown_similarity(model: FaceModel, cosine: float) -> float:
    """Returns a similarity as the client will see it, a 32-bit float: none may read 79.99999 at a threshold of 80."""
    return float(np.float32(model.similarity(cosine)))


def indexed_face(face: EnrolledFace, detection: Detection) -> api.Face:
    """Returns a face as IndexFaces shows it: box and confidence unrounded, no model version."""
    shown = _identity(face)
    shown["BoundingBox"] = bounding_box(detection.box)
    shown["Confidence"] = detection.confidence
    return shown


def stored_face(face: EnrolledFace, face_model_version: str) -> api.Face:
    """Returns a face as lists and searches show it; numbers that no answer can carry, as of an import, are unknown."""
    shown = _identity(face)
    box = face.box
    if all(-_FLOAT_MAX <= side <= _FLOAT_MAX for side in (box.left, box.top, box.width, box.height)):
        shown["BoundingBox"] = bounding_box(box)
    if -_FLOAT_MAX <= face.confidence <= _FLOAT_MAX:
        shown["Confidence"] = face.confidence
    shown["IndexFacesModelVersion"] = face_model_version
    if face.user_id is not None:
        shown["UserId"] = face.user_id
    return shown


def face_matches(
    model: FaceModel, matches: Sequence[Match], faces: dict[UUID, EnrolledFace], similarity_min: float
) -> list[api.FaceMatch]:
    """Returns the matches that reach the threshold, in their order; those deleted since the search are left out."""
    found = (
        (shown_similarity(model, match.cosine), faces[match.face_id]) for match in matches if match.face_id in faces
    )
    return [
        {"Similarity": similarity, "Face": stored_face(face, model.version)}
        for similarity, face in found
        if similarity >= np.float32(similarity_min)
    ]


def user_matches(model: FaceModel, matches: Sequence[UserMatch], similarity_min: float) -> list[api.UserMatch]:
    """Returns the matches that reach the threshold, in their order; whoever is found has faces."""
    found = ((shown_similarity(model, match.cosine), match.user_id) for match in matches)
    return [
        {"Similarity": similarity, "User": {"UserId": user_id, "UserStatus": USER_WITH_FACES}}
        for similarity, user_id in found
        if similarity >= np.float32(similarity_min)
    ]


def _identity(face: EnrolledFace) -> api.Face:
    shown: api.Face = {"FaceId": str(face.face_id), "ImageId": str(face.image_id)}
    if face.external_image_id is not None:
        shown["ExternalImageId"] = face.external_image_id
    return shown
