"""The operator's heads serve with the face model that they were trained for, and no other."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from rekognition_emulator.domain.attributes import Attribute, Attributes
from rekognition_emulator.domain.detection import BoundingBox, Detection, Embedded
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.details.attribute_heads import FILE
from rekognition_emulator.inference.details.face_details import FaceDetails, load_face_details
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.weights import ModelUnusable
from tests.support.scripted import ScriptedEngine

HEAD: dict[str, Any] = {"weights": [2.0, 0.0], "bias": 0.0, "faces": 50, "positive": 20, "accuracy": 0.9, "auc": 0.9}
HEADS: dict[str, Any] = {"face_model_version": "99.0", "trained_on": "a test", "heads": {"eyeglasses": HEAD}}
FACE = Detection(BoundingBox(0.1, 0.1, 0.5, 0.5), np.zeros((5, 2), np.float32), 99.0)
IMAGE = Image(np.zeros((10, 10, 3), np.uint8), 10, 10)


def details_in(folder: Path, heads: object) -> FaceDetails:
    """What estimates with these heads; every face is embedded as (1, 0)."""
    (folder / FILE).write_text(json.dumps(heads))
    return load_face_details(ModelFiles(folder / "cache", folder, folder / "none"), ScriptedEngine([]))


def test_a_head_answers_with_its_probability(tmp_path: Path) -> None:
    """Of what it says, yes or no."""
    opposite = HEAD | {"weights": [-2.0, 0.0]}
    details = details_in(tmp_path, HEADS | {"heads": {"eyeglasses": HEAD, "face_occluded": opposite}})
    (found,) = details.estimate(IMAGE, [FACE], set(Attribute))
    assert found.eyeglasses
    assert found.face_occluded
    assert found == Attributes(eyeglasses=found.eyeglasses, face_occluded=found.face_occluded)
    assert (found.eyeglasses.value, found.face_occluded.value) == (True, False)
    assert found.eyeglasses.confidence == pytest.approx(100 / (1 + np.exp(-2)))
    assert found.face_occluded.confidence == pytest.approx(found.eyeglasses.confidence)
    assert details.estimate(IMAGE, [FACE], {Attribute.SMILE}) == [Attributes()]


def test_a_face_that_is_embedded_is_not_embedded_again(tmp_path: Path) -> None:
    """Unless it was with another face model; each face keeps its own."""
    asked: list[Detection] = []

    class Counting(ScriptedEngine):
        def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
            asked.extend(detections)
            return super().embed(image, detections)

    (tmp_path / FILE).write_text(json.dumps(HEADS))
    details = load_face_details(ModelFiles(tmp_path / "cache", tmp_path, tmp_path / "none"), Counting([]))
    opposite = replace(FACE, embedded=Embedded("99.0", np.array([-1, 0], np.float32)))
    foreign = replace(FACE, embedded=Embedded("98.0", np.array([-1, 0], np.float32)))
    found = details.estimate(IMAGE, [opposite, FACE, foreign], {Attribute.EYEGLASSES})
    assert [face.eyeglasses.value for face in found if face.eyeglasses] == [False, True, True]
    assert asked == [FACE, foreign]


def test_heads_of_another_face_model_are_passed_over(tmp_path: Path) -> None:
    """Their weights mean nothing for these embeddings; the log says so."""
    with capture_logs() as logs:
        details = details_in(tmp_path, HEADS | {"face_model_version": "108.1"})
    assert details.known == set()
    assert [line["event"] for line in logs] == ["attribute_heads_unused"]


@pytest.mark.parametrize(
    "heads",
    [
        [],
        HEADS | {"heads": {"eyeglasses": HEAD | {"weights": [1.0]}}},
        HEADS | {"heads": {"eyeglasses": HEAD | {"weights": [float("nan"), 1.0]}}},
        HEADS | {"heads": {"smile": HEAD}},
        HEADS | {"trained_on": ""},
        HEADS | {"more": 1},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, heads: object) -> None:
    """In a sentence, when the server starts, as any other manifest."""
    with pytest.raises(ModelUnusable, match=FILE):
        details_in(tmp_path, heads)
