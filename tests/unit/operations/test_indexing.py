"""IndexFaces, ListFaces and DeleteFaces between AWS's words and the store."""

from collections.abc import Callable
from typing import Any, cast
from unittest.mock import Mock, create_autospec
from uuid import UUID, uuid4

import pytest

from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.faces import Collection, Deletion, EnrolledFace, NewFace, Page, PictureSource
from rekognition_emulator.inference.engine import AttributeEstimator
from rekognition_emulator.operations.context import Context
from rekognition_emulator.operations.indexing import delete_faces, index_faces, list_faces
from tests.support.gallery import ACTOR, OWNER

Sees = Callable[..., Context]
Face = Callable[..., Detection]


def storing(context: Context) -> list[list[NewFace]]:
    """Has the store keep what it is given; returns what it was given, picture by picture."""
    given: list[list[NewFace]] = []

    def add_faces(
        actor: object, collection: Collection, image_id: UUID, faces: list[NewFace], source: PictureSource | None
    ) -> list[EnrolledFace]:
        assert (actor, collection.name) == (ACTOR, "album")
        assert all(new.face.image_id == image_id for new in faces)
        given.append(list(faces))
        return [new.face for new in faces]

    cast("Mock", context.store.add_faces).side_effect = add_faces
    return given


def test_the_largest_faces_are_stored_and_the_others_told(sees: Sees, face: Face, photograph: bytes) -> None:
    """Largest first; what the filter or MaxFaces keeps out is answered with its reasons, and not stored."""
    context = sees(face(0.6, 0.1, 0.2), face(0.1, 0.1, 0.4), face(0.6, 0.5, 0.3), face(0.1, 0.6, 0.25, confidence=50))
    given = storing(context)
    answer = index_faces(
        context, {"CollectionId": "album", "Image": {"Bytes": photograph}, "MaxFaces": 2, "ExternalImageId": "IMG_1"}
    )
    [stored] = given
    assert [new.face.box.width for new in stored] == pytest.approx([0.4, 0.3])
    assert [record["Face"]["FaceId"] for record in answer["FaceRecords"]] == [str(new.face.face_id) for new in stored]
    assert {record["Face"]["ExternalImageId"] for record in answer["FaceRecords"]} == {"IMG_1"}
    assert answer["FaceModelVersion"] == "99.0"
    refused = answer["UnindexedFaces"]
    assert [each["FaceDetail"]["BoundingBox"]["Width"] for each in refused] == pytest.approx([0.25, 0.2])
    assert [each["Reasons"] for each in refused] == [["LOW_CONFIDENCE"], ["EXCEEDS_MAX_FACES"]]


def test_stored_numbers_are_rounded_and_answered_ones_are_not(sees: Sees, face: Face, photograph: bytes) -> None:
    """As in recorded answers: ListFaces shows six digits of what IndexFaces has shown whole."""
    context = sees(face(1 / 7, 0.1, 1 / 3, confidence=99.12345678))
    given = storing(context)
    answer = index_faces(context, {"CollectionId": "album", "Image": {"Bytes": photograph}})
    [[new]] = given
    assert new.face.box.left == pytest.approx(0.142857)
    assert new.face.box.left != 1 / 7
    assert new.face.confidence == pytest.approx(99.1235, abs=1e-5)
    [record] = answer["FaceRecords"]
    assert record["Face"]["BoundingBox"]["Left"] == 1 / 7
    assert record["Face"]["Confidence"] == 99.12345678


def test_a_picture_is_known_by_its_bytes_and_its_name(sees: Sees, face: Face, photograph: bytes) -> None:
    """The same picture under the same ExternalImageId is the same image, so that the store keeps its faces once."""
    context = sees(face(0.1, 0.1, 0.4))
    given = storing(context)
    for name in ("IMG_1", "IMG_1", "IMG_2"):
        index_faces(context, {"CollectionId": "album", "Image": {"Bytes": photograph}, "ExternalImageId": name})
    first, again, other = (new.face.image_id for [new] in given)
    assert first == again != other


def test_the_answer_names_the_face_that_was_there_before(sees: Sees, face: Face, photograph: bytes) -> None:
    """Not the id that was made for it this time."""
    context = sees(face(0.1, 0.1, 0.4))
    before = EnrolledFace(uuid4(), uuid4(), None, BoundingBox(0.1, 0.1, 0.4, 0.4), 99.9)
    cast("Mock", context.store.add_faces).return_value = [before]
    answer = index_faces(context, {"CollectionId": "album", "Image": {"Bytes": photograph}})
    assert [record["Face"]["FaceId"] for record in answer["FaceRecords"]] == [str(before.face_id)]


@pytest.mark.parametrize("kept", [True, False])
def test_crops_are_kept_where_the_deployment_keeps_them(
    sees: Sees, face: Face, photograph: bytes, *, kept: bool
) -> None:
    """And the source of an image in S3 is remembered in any case."""
    fetch = Mock(return_value=photograph)
    context = sees(face(0.1, 0.1, 0.4), keep_chips=kept, fetch_object=fetch)
    given = storing(context)
    image: Any = {"S3Object": {"Bucket": "party", "Name": "a.png", "Version": "3"}}
    index_faces(context, {"CollectionId": "album", "Image": image})
    [[new]] = given
    assert (new.chip is not None) is kept
    assert cast("Mock", context.store.add_faces).call_args.args[-1] == PictureSource("party", "a.png", "3")
    fetch.assert_called_once_with("party", "a.png", "3")


def test_nothing_is_stored_where_the_answer_cannot_be_made(sees: Sees, face: Face, photograph: bytes) -> None:
    """A failure of what describes faces leaves no faces behind that nobody was told of."""
    attributes = create_autospec(AttributeEstimator, instance=True, known=frozenset(Attribute))
    attributes.estimate.side_effect = RuntimeError("the network is damaged")
    context = sees(face(0.1, 0.1, 0.4), attributes=attributes)
    with pytest.raises(RuntimeError):
        index_faces(context, {"CollectionId": "album", "Image": {"Bytes": photograph}, "DetectionAttributes": ["ALL"]})
    cast("Mock", context.store.add_faces).assert_not_called()


def test_a_list_goes_on_where_the_page_ended(sees: Sees) -> None:
    """By a token that belongs to this list; the last page has none."""
    context = sees()
    faces = [EnrolledFace(UUID(int=n), uuid4(), None, BoundingBox(0, 0, 1, 1), 99.0, user_id="ann") for n in (1, 2, 3)]
    stored = cast("Mock", context.store.list_faces)
    stored.side_effect = [Page(faces[:2], more=True), Page(faces[2:], more=False)]
    first = list_faces(context, {"CollectionId": "album", "MaxResults": 2, "UserId": "ann"})
    last = list_faces(context, {"CollectionId": "album", "NextToken": first["NextToken"]})
    listed = [face["FaceId"] for page in (first, last) for face in page["Faces"]]
    assert listed == [str(face.face_id) for face in faces]
    assert first["Faces"][0]["UserId"] == "ann"
    assert "NextToken" not in last
    asked = [call.kwargs for call in stored.call_args_list]
    assert asked == [
        {"after": None, "limit": 2, "face_ids": None, "user_id": "ann"},
        {"after": UUID(int=2), "limit": 1000, "face_ids": None, "user_id": None},
    ]


def test_deleting_accounts_for_each_face_once(sees: Sees) -> None:
    """In the order asked for: gone, somebody's, or not there; an id that is repeated counts once."""
    gone, held, missing = (UUID(int=number) for number in (3, 2, 1))
    context = sees()
    deleted = cast("Mock", context.store.delete_faces)
    deleted.return_value = Deletion(frozenset({gone}), {held: "ann"})
    answer = delete_faces(
        context, {"CollectionId": "album", "FaceIds": [str(each) for each in (missing, gone, held, gone)]}
    )
    assert answer == {
        "DeletedFaces": [str(gone)],
        "UnsuccessfulFaceDeletions": [
            {"FaceId": str(missing), "Reasons": ["FACE_NOT_FOUND"]},
            {"FaceId": str(held), "UserId": "ann", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]},
        ],
    }
    assert deleted.call_args.args[2] == [missing, gone, held]
    cast("Mock", context.store.get_collection).assert_called_once_with(OWNER, "album")
