"""The seven operations on users."""

from typing import Final, assert_never
from uuid import UUID

import numpy as np

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.detection import AnalyzedFace
from rekognition_emulator.domain.faces import Collection, Embedding
from rekognition_emulator.domain.quality import QualityFilter
from rekognition_emulator.domain.users import FaceOfAnother, SurplusFace, UnknownFace, UnlikeFace, User
from rekognition_emulator.imaging import image
from rekognition_emulator.inference.pipeline import analyse, select
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.defaults import (
    MATCHES_DEFAULT,
    SURPLUS_FACE,
    USER_WITH_FACES,
    USER_WITHOUT_FACES,
    USERS_PAGE_DEFAULT,
)
from rekognition_emulator.operations.idempotency import idempotent
from rekognition_emulator.operations.intake import picture_bytes
from rekognition_emulator.operations.paging import read_token, write_token
from rekognition_emulator.operations.rendering import bounding_box, shown_similarity, user_matches
from rekognition_emulator.telemetry.observation import current, stage

_ASSOCIATION_THRESHOLD_DEFAULT: Final = 75.0
"""``UserMatchThreshold`` of AssociateFaces. Source: its API reference."""

_SEARCH_THRESHOLD_DEFAULT: Final = 80.0
"""``UserMatchThreshold`` of the searches. Source: API reference of both operations."""


@idempotent("CreateUser")
def create_user(context: Context, request: api.CreateUserRequest) -> api.CreateUserResponse:
    """Creates a user, who has no faces yet."""
    context.users.create_user(context.actor, _collection(context, request["CollectionId"]), request["UserId"])
    return {}


@idempotent("DeleteUser")
def delete_user(context: Context, request: api.DeleteUserRequest) -> api.DeleteUserResponse:
    """Deletes a user; the faces stay in the collection."""
    context.users.delete_user(context.actor, _collection(context, request["CollectionId"]), request["UserId"])
    return {}


def list_users(context: Context, request: api.ListUsersRequest) -> api.ListUsersResponse:
    """Lists the users of a collection by ascending id."""
    collection = _collection(context, request["CollectionId"])
    scope = ("ListUsers", str(collection.key))
    after = read_token(request.get("NextToken"), *scope)
    limit = request.get("MaxResults", USERS_PAGE_DEFAULT)
    page = context.users.list_users(collection, after=after, limit=limit)
    response: api.ListUsersResponse = {
        "Users": [{"UserId": user.user_id, "UserStatus": _status(user)} for user in page.items]
    }
    if page.more:
        response["NextToken"] = write_token(page.items[-1].user_id, *scope)
    return response


@idempotent("AssociateFaces")
def associate_faces(context: Context, request: api.AssociateFacesRequest) -> api.AssociateFacesResponse:
    """Gives faces to a user: those that are nobody's and, once the user has faces, look like the user."""
    collection = context.collection(request["CollectionId"])
    model = context.embedder(collection).model
    threshold = float(np.float32(request.get("UserMatchThreshold", _ASSOCIATION_THRESHOLD_DEFAULT)))
    association = context.users.associate_faces(
        context.actor,
        collection,
        request["UserId"],
        [UUID(face_id) for face_id in request["FaceIds"]],
        near_enough=lambda cosine: shown_similarity(model, cosine) >= threshold,
    )
    unsuccessful: list[api.UnsuccessfulFaceAssociation] = []
    for refusal in association.refused:
        match refusal:
            case UnknownFace(face_id):
                unsuccessful.append({"FaceId": str(face_id), "Reasons": ["FACE_NOT_FOUND"]})
            case FaceOfAnother(face_id, user_id):
                reasons: list[api.UnsuccessfulFaceAssociationReason] = ["ASSOCIATED_TO_A_DIFFERENT_USER"]
                unsuccessful.append({"FaceId": str(face_id), "UserId": user_id, "Reasons": reasons})
            case UnlikeFace(face_id, cosine):
                confidence = shown_similarity(model, cosine)
                unsuccessful.append(
                    {"FaceId": str(face_id), "Confidence": confidence, "Reasons": ["LOW_MATCH_CONFIDENCE"]}
                )
            case SurplusFace(face_id):
                unsuccessful.append({"FaceId": str(face_id), "Reasons": SURPLUS_FACE})
            case _:
                assert_never(refusal)
    return {
        "AssociatedFaces": [{"FaceId": str(face_id)} for face_id in association.associated],
        "UnsuccessfulFaceAssociations": unsuccessful,
        "UserStatus": _status(association.user),
    }


@idempotent("DisassociateFaces")
def disassociate_faces(context: Context, request: api.DisassociateFacesRequest) -> api.DisassociateFacesResponse:
    """Takes faces from a user; they stay in the collection."""
    disassociation = context.users.disassociate_faces(
        context.actor,
        _collection(context, request["CollectionId"]),
        request["UserId"],
        [UUID(face_id) for face_id in request["FaceIds"]],
    )
    unsuccessful: list[api.UnsuccessfulFaceDisassociation] = []
    for refusal in disassociation.refused:
        match refusal:
            case UnknownFace(face_id):
                unsuccessful.append({"FaceId": str(face_id), "Reasons": ["FACE_NOT_FOUND"]})
            case FaceOfAnother(face_id, user_id):
                reasons: list[api.UnsuccessfulFaceDisassociationReason] = ["ASSOCIATED_TO_A_DIFFERENT_USER"]
                unsuccessful.append({"FaceId": str(face_id), "UserId": user_id, "Reasons": reasons})
            case _:
                assert_never(refusal)
    return {
        "DisassociatedFaces": [{"FaceId": str(face_id)} for face_id in disassociation.disassociated],
        "UnsuccessfulFaceDisassociations": unsuccessful,
        "UserStatus": _status(disassociation.user),
    }


def search_users(context: Context, request: api.SearchUsersRequest) -> api.SearchUsersResponse:
    """Finds the users most similar to a face of the collection or to another of its users."""
    collection = context.collection(request["CollectionId"])
    response: api.SearchUsersResponse = {"FaceModelVersion": collection.face_model_version}
    probe: Embedding | None
    match request:
        case {"FaceId": _, "UserId": _}:
            raise api.InvalidParameterException("Either FaceId or UserId should be provided, but not both.")
        case {"FaceId": face_id}:
            probe = context.store.get_embedding(collection, UUID(face_id))
            response["SearchedFace"] = {"FaceId": face_id}
        case {"UserId": user_id}:
            probe = context.users.get_user_embedding(collection, user_id)
            response["SearchedUser"] = {"UserId": user_id}
        case _:
            raise api.InvalidParameterException("Either FaceId or UserId should be provided.")
    response["UserMatches"] = _search(context, collection, probe, request, without=request.get("UserId"))
    return response


def search_users_by_image(context: Context, request: api.SearchUsersByImageRequest) -> api.SearchUsersByImageResponse:
    """Finds the users most similar to the largest face of a picture, and says why it searched with no other.

    No face to search with is an answer here, not an error as in SearchFacesByImage.
    """
    collection = context.collection(request["CollectionId"])
    decoded = image.decode(picture_bytes(context, request["Image"]))
    portraits = analyse(context.engine, decoded)
    kept, rejected = select(portraits[:1], decoded, QualityFilter(request.get("QualityFilter", "NONE")), max_faces=1)
    response: api.SearchUsersByImageResponse = {"FaceModelVersion": collection.face_model_version}
    probe = None
    if kept:
        detection = kept[0].detection
        with stage("embed"):
            (probe,) = context.embedder(collection).embed(decoded, [detection])
        response["SearchedFace"] = {"FaceDetail": {"BoundingBox": bounding_box(detection.box)}}
    response["UserMatches"] = _search(context, collection, probe, request)
    response["UnsearchedFaces"] = [
        *(_unsearched(portrait, [reason.value for reason in reasons]) for portrait, reasons in rejected),
        *(_unsearched(portrait, ["FACE_NOT_LARGEST"]) for portrait in portraits[1:]),
    ]
    return response


def _unsearched(portrait: AnalyzedFace, reasons: list[api.UnsearchedFaceReason]) -> api.UnsearchedFace:
    return {"FaceDetails": {"BoundingBox": bounding_box(portrait.detection.box)}, "Reasons": reasons}


def _search(
    context: Context,
    collection: Collection,
    probe: Embedding | None,
    request: api.SearchUsersRequest | api.SearchUsersByImageRequest,
    without: str | None = None,
) -> list[api.UserMatch]:
    if probe is None:
        return []
    model = context.embedder(collection).model
    threshold = request.get("UserMatchThreshold", _SEARCH_THRESHOLD_DEFAULT)
    matches = context.index.search_users(
        collection,
        probe,
        cosine_min=model.cosine_min(threshold),
        limit=request.get("MaxUsers", MATCHES_DEFAULT),
        without=without,
    )
    context.still(collection)  # faces are looked up after a search, which shows as much; users are not
    current().count("users_matched", len(matches))
    return user_matches(model, matches, threshold)


def _collection(context: Context, name: str) -> Collection:
    """Returns a collection of the caller, whatever face model it is of: what does not compare faces needs none."""
    return context.store.get_collection(context.owner, name)


def _status(user: User) -> api.UserStatus:
    return USER_WITH_FACES if user.face_count else USER_WITHOUT_FACES
