"""What requests have in common, in our words: images and attributes."""

from collections.abc import Sequence

from rekognition_emulator.api.rekognition import Attribute as RequestedAttribute
from rekognition_emulator.api.rekognition import Image, InvalidParameterException, InvalidS3ObjectException
from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.domain.faces import PictureSource
from rekognition_emulator.operations.context import Context
from rekognition_emulator.telemetry.observation import stage


def picture_bytes(context: Context, image: Image) -> bytes:
    """Returns the picture that a request carries, or else the one that it names in S3.

    Raises:
        InvalidParameterException: it does neither.
        InvalidS3ObjectException: it names no bucket or no key.
        ObjectUnavailable, ObjectTooLarge: the object cannot be had.
    """
    if "Bytes" in image:
        return image["Bytes"]
    if "S3Object" not in image:
        raise InvalidParameterException("Requested image should either contain bytes or s3 object.")
    s3_object = image["S3Object"]
    # The model requires neither, yet there is an S3 object, so that the text above would be wrong.
    if "Bucket" not in s3_object or "Name" not in s3_object:
        raise InvalidS3ObjectException("Request has invalid S3 object.")
    with stage("fetch"):
        return context.fetch_object(s3_object["Bucket"], s3_object["Name"], s3_object.get("Version"))


def picture_source(image: Image) -> PictureSource | None:
    """Returns where ``picture_bytes`` has read a picture from; None for one that the request carries."""
    if "Bytes" in image:
        return None
    s3_object = image["S3Object"]
    return PictureSource(s3_object["Bucket"], s3_object["Name"], s3_object.get("Version"))


def wanted_attributes(requested: Sequence[RequestedAttribute]) -> set[Attribute]:
    """Returns which attributes that can be estimated a request asks for; what DEFAULT asks for is always measured.

    A single name adds its own member and nothing else: AWS's model says that ``["FACE_OCCLUDED"]`` is
    ``["DEFAULT", "FACE_OCCLUDED"]``, so that landmarks are five, and the pose is theirs, as with DEFAULT.
    """
    if "ALL" in requested:
        return set(Attribute)
    return {Attribute(name) for name in requested if name != "DEFAULT"}
