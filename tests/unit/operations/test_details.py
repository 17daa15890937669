"""How a face's details are sent: AWS's members in AWS's order and forms, as many landmarks as the request asks for."""

import json

import numpy as np
import pytest

import botocore_models
from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.attributes import Attributes, Emotion, EyeDirection, Gender, Verdict
from rekognition_emulator.domain.detection import AnalyzedFace, BoundingBox, Detection, Pose, Quality
from rekognition_emulator.http.codec import renderer
from rekognition_emulator.operations.rendering import face_detail
from tests.support.server import ROOT

PORTRAIT = AnalyzedFace(
    Detection(BoundingBox(0.1, 0.1, 0.5, 0.5), np.full((5, 2), 0.25, np.float32), 99.5),
    Pose(1.0, 2.0, 3.0),
    Quality(60.0, 70.0),
)
EVERYTHING = Attributes(
    age=(20, 40),
    gender=(Gender.FEMALE, 99.0),
    emotions=[(Emotion.HAPPY, 90.0), (Emotion.CALM, 10.0)],
    smile=Verdict(value=True, confidence=97.0),
    eyes_open=Verdict(value=True, confidence=96.0),
    mouth_open=Verdict(value=False, confidence=95.0),
    eye_direction=EyeDirection(4.0, -5.0, 51.5),
    eyeglasses=Verdict(value=False, confidence=94.0),
    sunglasses=Verdict(value=False, confidence=93.0),
    beard=Verdict(value=False, confidence=92.0),
    mustache=Verdict(value=False, confidence=91.0),
    face_occluded=Verdict(value=False, confidence=90.0),
    landmarks=[(place / 100, place / 200) for place in range(30)],
    pose=Pose(10.0, 20.0, 30.0),
)
RECORDINGS = ROOT.parent / "shared" / "recordings"
render = renderer(botocore_models.load().shape_for("FaceDetail"))


def test_every_member_is_sent_in_the_order_of_the_model() -> None:
    """All seventeen, as the service orders them on the wire."""
    sent = json.loads(render(face_detail(PORTRAIT, EVERYTHING)))
    assert list(sent) == list(api.FaceDetail.__annotations__)
    assert sent["Smile"] == {"Value": True, "Confidence": 97.0}
    assert sent["FaceOccluded"] == {"Value": False, "Confidence": 90.0}
    assert sent["EyeDirection"] == {"Yaw": 4.0, "Pitch": -5.0, "Confidence": 51.5}
    assert [emotion["Type"] for emotion in sent["Emotions"]] == ["HAPPY", "CALM"]


def test_a_mesh_gives_thirty_landmarks_and_its_pose() -> None:
    """In the place of the detector's five, and of the pose that follows from those."""
    detail = face_detail(PORTRAIT, EVERYTHING)
    assert len({point["Type"] for point in detail["Landmarks"]}) == 30
    assert detail["Landmarks"][-1] == {"Type": "upperJawlineRight", "X": 0.29, "Y": 0.145}
    assert detail["Pose"] == {"Roll": 10.0, "Yaw": 20.0, "Pitch": 30.0}


def test_without_a_mesh_there_are_five() -> None:
    """And nothing that was not estimated."""
    detail = face_detail(PORTRAIT, Attributes(age=(20, 40)))
    assert set(detail) == {"BoundingBox", "AgeRange", "Landmarks", "Pose", "Quality", "Confidence"}
    assert [point["Type"] for point in detail["Landmarks"]] == [
        *("eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose")
    ]
    assert detail["Pose"] == {"Roll": 1.0, "Yaw": 2.0, "Pitch": 3.0}


@pytest.mark.parametrize("recording", ["detectfaces-all-2022", "detectfaces-all-2023"])
def test_landmarks_have_the_order_of_recorded_answers(recording: str) -> None:
    """Thirty of them, the five first."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}")
    answer = json.loads((RECORDINGS / f"{recording}.json").read_text())["response"]
    recorded = [point["Type"] for point in answer["FaceDetails"][0]["Landmarks"]]
    assert [point["Type"] for point in face_detail(PORTRAIT, EVERYTHING)["Landmarks"]] == recorded
