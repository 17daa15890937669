"""DetectFaces and CompareFaces, which store nothing."""

from collections.abc import Callable, Sequence
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.errors import NoFaceInPicture
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.operations.analysis import compare_faces, detect_faces
from rekognition_emulator.operations.context import Context
from tests.support.scripted import ScriptedEngine

Sees = Callable[..., Context]
Face = Callable[..., Detection]


class TurningEngine(ScriptedEngine):
    """Embeds a face by where it is: the further to the right, the less like one at the left edge."""

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:  # noqa: ARG002 - no need to look
        """A quarter turn from edge to edge."""
        turns = np.array([detection.box.left for detection in detections]) * np.pi / 2
        return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def lefts(faces: Any) -> list[float]:
    """Where faces of an answer are."""
    return [round(face["BoundingBox"]["Left"], 3) for face in faces]


def test_faces_are_described_largest_first(sees: Sees, face: Face, photograph: bytes) -> None:
    """Without attributes, what DEFAULT has; no store and no index is asked."""
    context = sees(face(0.6, 0.1, 0.2), face(0.1, 0.1, 0.4))
    details = detect_faces(context, {"Image": {"Bytes": photograph}})["FaceDetails"]
    assert lefts(details) == [0.1, 0.6]
    assert all(set(each) == {"BoundingBox", "Landmarks", "Pose", "Quality", "Confidence"} for each in details)
    for double in (context.store, context.index):
        assert cast("Mock", double).mock_calls == []
    assert detect_faces(sees(), {"Image": {"Bytes": photograph}}) == {"FaceDetails": []}


def test_faces_of_the_target_are_told_apart_by_similarity(sees: Sees, face: Face, photograph: bytes) -> None:
    """Most similar first; the threshold is 80 unless told otherwise, and what lies below is unmatched."""
    engine = TurningEngine([face(0.0, 0.1, 0.4), face(0.5, 0.6, 0.2), face(0.2, 0.1, 0.1), face(0.6, 0.1, 0.1)])
    image: api.Image = {"Bytes": photograph}
    answer = compare_faces(sees(engine=engine), {"SourceImage": image, "TargetImage": image})
    assert answer["SourceImageFace"]["BoundingBox"]["Left"] == 0
    assert lefts(match["Face"] for match in answer["FaceMatches"]) == [0.0, 0.2, 0.5]
    similarities = [match["Similarity"] for match in answer["FaceMatches"]]
    assert similarities == pytest.approx([50 + 50 * np.cos(left * np.pi / 2) for left in (0, 0.2, 0.5)], abs=1e-3)
    assert lefts(answer["UnmatchedFaces"]) == [0.6], "its similarity is 79.4"
    answer = compare_faces(
        sees(engine=engine), {"SourceImage": image, "TargetImage": image, "SimilarityThreshold": 99.0}
    )
    assert lefts(match["Face"] for match in answer["FaceMatches"]) == [0.0]
    assert lefts(answer["UnmatchedFaces"]) == [0.2, 0.5, 0.6]


@pytest.mark.parametrize("quality", ["NONE", "AUTO"])
def test_an_image_without_a_face_is_not_compared(sees: Sees, face: Face, photograph: bytes, quality: Any) -> None:
    """Where there is none, or where the filter keeps the only one out."""
    context = sees(*([] if quality == "NONE" else [face(0.1, 0.1, 0.4, confidence=50)]))
    image: api.Image = {"Bytes": photograph}
    with pytest.raises(NoFaceInPicture):
        compare_faces(context, {"SourceImage": image, "TargetImage": image, "QualityFilter": quality})
