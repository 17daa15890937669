"""CompareFaces, from the outside."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.every_engine


def compare(rekognition: Any, faces_dir: Path, source: str, target: str, **options: Any) -> Any:
    """The answer for two photographs."""
    return rekognition.compare_faces(
        SourceImage={"Bytes": (faces_dir / source).read_bytes()},
        TargetImage={"Bytes": (faces_dir / target).read_bytes()},
        **options,
    )


def test_a_person_is_matched_in_a_group_and_the_others_are_not(rekognition: Any, faces_dir: Path) -> None:
    """Every face of the target is either a match or unmatched; only the same person reaches the default threshold."""
    answer = compare(rekognition, faces_dir, "people/fr_obama_2.jpg", "groups/fr_obama_and_biden.jpg")
    (match,) = answer["FaceMatches"]
    assert match["Similarity"] >= 80
    assert len(answer["UnmatchedFaces"]) >= 1
    for face in (match["Face"], *answer["UnmatchedFaces"]):
        assert set(face) == {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}
    assert set(answer["SourceImageFace"]) == {"BoundingBox", "Confidence"}


def test_the_same_picture_matches_itself_with_100(rekognition: Any, faces_dir: Path) -> None:
    """Even a threshold of 100 is reached by the very same face."""
    answer = compare(rekognition, faces_dir, "people/df01_img2.jpg", "people/df01_img2.jpg", SimilarityThreshold=100)
    assert [match["Similarity"] for match in answer["FaceMatches"]] == [100.0]
    assert answer["UnmatchedFaces"] == []


def test_matches_are_ranked(rekognition: Any, faces_dir: Path) -> None:
    """At a threshold of 0 every face matches, most similar first."""
    answer = compare(
        rekognition, faces_dir, "people/fr_obama_1.jpg", "groups/fr_obama_and_biden.jpg", SimilarityThreshold=0
    )
    similarities = [match["Similarity"] for match in answer["FaceMatches"]]
    assert similarities == sorted(similarities, reverse=True)
    assert answer["UnmatchedFaces"] == []


@pytest.mark.parametrize(
    ("source", "target"),
    [("noface/if_lake.jpg", "people/df01_img2.jpg"), ("people/df01_img2.jpg", "noface/if_lake.jpg")],
)
def test_a_picture_without_a_face_is_a_wrong_parameter(
    source: str, target: str, rekognition: Any, faces_dir: Path
) -> None:
    """Whichever of the two it is, the text is AWS's general one."""
    with pytest.raises(ClientError) as refused:
        compare(rekognition, faces_dir, source, target)
    assert refused.value.response["Error"] == {
        "Code": "InvalidParameterException",
        "Message": "Request has invalid parameters",
    }
