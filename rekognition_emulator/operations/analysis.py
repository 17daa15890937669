"""DetectFaces: changes when AWS says more about a picture without storing anything of it."""

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.faces import image
from rekognition_emulator.faces.pipeline import analyse
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.intake import picture_bytes
from rekognition_emulator.operations.rendering import face_detail


def detect_faces(context: Context, request: api.DetectFacesRequest) -> api.DetectFacesResponse:
    """Finds the 100 largest faces of a picture, largest first."""
    portraits = analyse(context.engine, image.decode(picture_bytes(context, request["Image"])))
    return {"FaceDetails": [face_detail(portrait) for portrait in portraits]}
