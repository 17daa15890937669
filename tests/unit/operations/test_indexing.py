"""IndexFaces with attributes that are read off embeddings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.details.attribute_heads import Head, HeadedAttributes, Heads
from rekognition_emulator.inference.details.face_details import FaceDetails
from rekognition_emulator.operations.context import Context
from tests.support.scripted import ScriptedEngine
from tests.unit.operations.test_users import caller, context, photograph, seen

__all__ = ["context"]

HEADS = Heads(
    face_model_version="99.0",
    trained_on="a test",
    heads={"eyeglasses": Head(weights=(2.0, 0.0), bias=0.0, faces=50, positive=20, accuracy=0.9, auc=0.9)},
)


def test_a_face_is_embedded_once(context: Context) -> None:
    """Those that are kept for the collection, and the others for their attributes."""
    embedded: list[Detection] = []

    class Counting(ScriptedEngine):
        def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
            embedded.extend(detections)
            return super().embed(image, detections)

    engine = Counting([seen(0.6, 0.2), seen(0.1, 0.4)])
    call = caller(replace(context, engine=engine, attributes=FaceDetails([HeadedAttributes(HEADS, engine)])))
    call("CreateCollection")
    answer = call(
        "IndexFaces", Image=photograph(), MaxFaces=1, QualityFilter="NONE", DetectionAttributes=["EYEGLASSES"]
    )
    (kept,), (left_out,) = answer["FaceRecords"], answer["UnindexedFaces"]
    for face in (kept, left_out):
        assert face["FaceDetail"]["Eyeglasses"]["Value"] is True
    assert len(embedded) == 2
    assert len({detection.box for detection in embedded}) == 2
