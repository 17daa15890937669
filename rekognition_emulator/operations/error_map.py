"""What can go wrong with faces, as the errors that AWS has for it: one line for each class of ours."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.api.core import ServiceError
from rekognition_emulator.domain import errors


def _collection_not_found(error: errors.CollectionNotFound, operation: str) -> ServiceError:
    if operation == "DescribeCollection":  # the service words it differently there. Source: recorded answer, 2019
        return api.ResourceNotFoundException(f"Collection:{error.name} not found!")
    return api.ResourceNotFoundException(f"The collection id: {error.name} does not exist")


def _no_face_in_picture(_: errors.NoFaceInPicture, operation: str) -> ServiceError:
    if operation == "CompareFaces":  # which of its two pictures it is, the service does not say
        return api.InvalidParameterException("Request has invalid parameters")
    return api.InvalidParameterException("There are no faces in the image. Should be at least 1.")


def _picture_too_large(error: errors.PictureTooLarge, _: str) -> ServiceError:
    return api.ImageTooLargeException(
        f"Input image dimensions {error.width_px} x {error.height_px} "
        f"exceed maximum dimension size of {error.side_px_max} pixels"
    )


def _face_model_mismatch(error: errors.FaceModelMismatch, _: str) -> ServiceError:
    return api.InvalidParameterException(
        f"The collection id: {error.name} holds faces of model {error.face_model_version}, "
        "which this server does not run."
    )


ERROR_MAP: Final[Mapping[type[errors.FaceError], Callable[[Any, str], ServiceError]]] = {
    errors.CollectionExists: lambda error, _: api.ResourceAlreadyExistsException(
        f"The collection id: {error.name} already exists"
    ),
    errors.CollectionNotFound: _collection_not_found,
    # Twice during one request: whoever asks again, as every SDK does by itself, is answered.
    errors.FaceModelChanged: lambda error, _: api.ThrottlingException(
        f"The collection id: {error.name} is being given another face model."
    ),
    errors.FaceModelMismatch: _face_model_mismatch,
    errors.FaceNotFound: lambda *_: api.InvalidParameterException("faceId was not found in the collection."),
    errors.NoFaceInPicture: _no_face_in_picture,
    errors.ObjectTooLarge: lambda *_: api.ImageTooLargeException("Image size is too large."),
    errors.ObjectUnavailable: lambda *_: api.InvalidS3ObjectException(
        "Unable to get object metadata from S3. Check object key, region and/or access permissions."
    ),
    errors.PictureTooCostly: lambda *_: api.ImageTooLargeException("Image size is too large."),
    errors.PictureTooLarge: _picture_too_large,
    errors.PictureTooSmall: lambda *_: api.InvalidParameterException("Request has invalid parameters"),
    errors.PictureUnreadable: lambda *_: api.InvalidImageFormatException("Request has invalid image format"),
    errors.PicturesTooMany: lambda *_: api.ProvisionedThroughputExceededException("Provisioned Rate exceeded."),
    errors.TokenInUse: lambda error, _: api.IdempotentParameterMismatchException(
        f"The ClientRequestToken: {error.token} you have supplied is already in use."
    ),
    errors.TooManyTags: lambda error, _: api.ServiceQuotaExceededException(
        f"The collection id: {error.name} has reached the maximum number of tags: {error.tags_max}"
    ),
    errors.UserExists: lambda error, _: api.ConflictException(f"The user id: {error.user_id} already exists"),
    errors.UserFull: lambda error, _: api.ServiceQuotaExceededException(
        f"The user id: {error.user_id} has reached the maximum number of faces: {error.faces_max}"
    ),
    errors.UserNotFound: lambda error, _: api.ResourceNotFoundException(f"The user id: {error.user_id} does not exist"),
}
"""What can go wrong with faces → what AWS calls it, given the operation. Texts: recorded answers of the service; for
objects its API reference, for tokens its developer guide; for users and tags, where nothing public has one, ours."""


def translate_error(error: Exception, operation: str) -> ServiceError | None:
    """Returns the answer for an error that a caller can cause; None for one that is ours."""
    translate = ERROR_MAP.get(type(error)) if isinstance(error, errors.FaceError) else None
    return translate(error, operation) if translate else None
