"""SearchFaces and SearchFacesByImage between AWS's words and the index."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from unittest.mock import Mock
from uuid import UUID, uuid4

import numpy as np
import pytest

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.errors import FaceModelMismatch, NoFaceInPicture
from rekognition_emulator.domain.faces import EnrolledFace, Match
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.search import search_faces, search_faces_by_image
from tests.support.gallery import ALBUM

Sees = Callable[..., Context]
Face = Callable[..., Detection]

EAST = np.array([1, 0], np.float32)
PROBE = UUID(int=9)


def finding(context: Context, *cosines: float, gone: int | None = None) -> list[str]:
    """Has the index find faces of these cosines, of which one is gone by now; returns the ids of the others."""
    ids = [UUID(int=number) for number in range(1, len(cosines) + 1)]
    found = [Match(face_id, cosine) for face_id, cosine in zip(ids, cosines, strict=True)]
    there = [face_id for number, face_id in enumerate(ids) if number != gone]
    cast("Mock", context.store.get_embedding).return_value = EAST
    cast("Mock", context.index.search).return_value = found
    cast("Mock", context.store.get_faces).return_value = {
        face_id: EnrolledFace(face_id, uuid4(), None, BoundingBox(0, 0, 1, 1), 99.0) for face_id in there
    }
    return [str(face_id) for face_id in there]


def ids(answer: Any) -> list[str]:
    """Which faces an answer has found."""
    return [match["Face"]["FaceId"] for match in answer["FaceMatches"]]


def test_the_index_is_asked_for_what_the_service_promises(sees: Sees) -> None:
    """80 faces of similarity 80 unless told otherwise, by this model a cosine of 0.6; never the face itself."""
    context = sees()
    expected = finding(context, 1.0, 0.8)
    answer = search_faces(context, {"CollectionId": "album", "FaceId": str(PROBE)})
    assert ids(answer) == expected
    assert [match["Similarity"] for match in answer["FaceMatches"]] == pytest.approx([100, 90], abs=1e-4)
    assert (answer["SearchedFaceId"], answer["FaceModelVersion"]) == (str(PROBE), "99.0")
    asked = cast("Mock", context.index.search).call_args
    assert asked.args[0] is ALBUM
    assert asked.kwargs == {"cosine_min": pytest.approx(0.6, abs=1e-6), "limit": 80, "without": PROBE}
    search_faces(context, {"CollectionId": "album", "FaceId": str(PROBE), "FaceMatchThreshold": 0.0, "MaxFaces": 5})
    asked = cast("Mock", context.index.search).call_args
    assert asked.kwargs == {"cosine_min": pytest.approx(-1), "limit": 5, "without": PROBE}


def test_a_match_that_went_meanwhile_is_left_out(sees: Sees) -> None:
    """Nor is one shown below the threshold that was asked for, by rounding."""
    context = sees()
    expected = finding(context, 0.9, 0.8, 0.7, 0.5999, gone=1)
    answer = search_faces(context, {"CollectionId": "album", "FaceId": str(PROBE)})
    assert ids(answer) == [expected[0], expected[1]]


def test_the_largest_face_of_an_image_is_searched_with(sees: Sees, face: Face, photograph: bytes) -> None:
    """And shown, unrounded; the others are not even embedded."""
    context = sees(face(0.6, 0.1, 0.2), face(0.1, 0.1, 0.4, confidence=98.7))
    expected = finding(context, 0.9)
    answer = search_faces_by_image(context, {"CollectionId": "album", "Image": {"Bytes": photograph}})
    assert ids(answer) == expected
    assert answer["SearchedFaceBoundingBox"] == {"Left": 0.1, "Top": 0.1, "Width": 0.4, "Height": 0.4}
    assert answer["SearchedFaceConfidence"] == 98.7
    asked = cast("Mock", context.index.search).call_args
    assert np.array_equal(asked.args[1], EAST)
    assert asked.kwargs["without"] is None


@pytest.mark.parametrize(("seen", "quality"), [(False, "NONE"), (True, "AUTO")])
def test_without_a_face_nothing_is_searched(
    sees: Sees, face: Face, photograph: bytes, *, seen: bool, quality: Any
) -> None:
    """None in the image, or none that passes the filter."""
    context = sees(*([face(0.1, 0.1, 0.4, confidence=50)] if seen else []))
    with pytest.raises(NoFaceInPicture):
        search_faces_by_image(
            context, {"CollectionId": "album", "Image": {"Bytes": photograph}, "QualityFilter": quality}
        )
    cast("Mock", context.index.search).assert_not_called()


def test_a_collection_of_another_face_model_is_not_searched(sees: Sees, face: Face, photograph: bytes) -> None:
    """Cosines between two models mean nothing."""
    context = sees(face(0.1, 0.1, 0.4))
    cast("Mock", context.store.get_collection).return_value = replace(ALBUM, face_model_version="1.0")
    with pytest.raises(FaceModelMismatch):
        search_faces(context, {"CollectionId": "album", "FaceId": str(PROBE)})
    with pytest.raises(FaceModelMismatch):
        search_faces_by_image(context, {"CollectionId": "album", "Image": {"Bytes": photograph}})
    cast("Mock", context.index.search).assert_not_called()
