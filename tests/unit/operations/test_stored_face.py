from dataclasses import replace
from uuid import UUID

import pytest

import botocore_models
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.faces import EnrolledFace
from rekognition_emulator.http.codec import renderer
from rekognition_emulator.operations.rendering import stored_face

FACE = EnrolledFace(UUID(int=1), UUID(int=2), "IMG_1.jpg", BoundingBox(-0.1, 0.2, 0.3, 0.4), 99.5)
render = renderer(botocore_models.load().shape_for("Face"))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e300])
def test_a_stored_number_that_no_answer_can_carry_is_left_out(number: float) -> None:
    """One face of an import that was not checked does not keep a list from being answered."""
    whole = stored_face(FACE, "1.0")
    assert whole["BoundingBox"]["Left"] == pytest.approx(-0.1)
    spoilt = stored_face(replace(FACE, box=replace(FACE.box, top=number), confidence=number), "1.0")
    assert spoilt.keys() == whole.keys() - {"BoundingBox", "Confidence"}
    assert render(spoilt)
