"""Changes when pictures can come from somewhere else: the API's Image to the picture's bytes."""

from rekognition_emulator.api.rekognition import Image, InvalidParameterException, InvalidS3ObjectException


def picture_bytes(image: Image) -> bytes:
    """Returns the picture that a request carries. Where it names an S3 object as well, the bytes win.

    Raises:
        InvalidParameterException: it carries none.
        InvalidS3ObjectException: it names an S3 object.
    """
    if "Bytes" in image:
        return image["Bytes"]
    if image.get("S3Object"):
        # Differs from AWS: pictures travel in the request only.
        raise InvalidS3ObjectException("This server does not read pictures from S3. Send them as bytes.")
    raise InvalidParameterException("Requested image should either contain bytes or s3 object.")
