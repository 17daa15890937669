"""Attributes beyond the default ones, from the outside: what is asked for and known is there, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from rekognition_emulator.demo.people import PEOPLE, album, selfie
from rekognition_emulator.engines.catalogue import DEEPFACE_ESTIMATORS
from tests.networks import write_networks
from tests.server import Server

pytest.importorskip("skimage", reason="people are made up from scikit-image's portrait")

DEFAULT = {"BoundingBox", "Landmarks", "Pose", "Quality", "Confidence"}
PICTURE = {"Bytes": selfie(PEOPLE[0])}


@pytest.fixture(scope="module")
def estimating(start_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client of a server that finds networks where DeepFace keeps its own."""
    folder = tmp_path_factory.mktemp("weights")
    write_networks(folder)
    return start_server(
        REKOGNITION_ATTRIBUTES_DIR=str(folder),
        REKOGNITION_ACCEPT_LICENCES=", ".join(model.name for model in DEEPFACE_ESTIMATORS.values()),
    ).client()


@pytest.mark.parametrize(
    ("wanted", "added"),
    [
        ([], set()),
        (["DEFAULT"], set()),
        (["ALL"], {"AgeRange", "Gender", "Emotions"}),
        (["DEFAULT", "ALL"], {"AgeRange", "Gender", "Emotions"}),
        (["AGE_RANGE"], {"AgeRange"}),
        (["DEFAULT", "GENDER", "SMILE"], {"Gender"}),
        (["BEARD", "EMOTIONS"], {"Emotions"}),
    ],
)
def test_what_is_wanted_and_known_is_shown(wanted: list[str], added: set[str], estimating: Any) -> None:
    """The default members are always there; a single attribute adds only itself, one that nobody estimates nothing."""
    options = {"Attributes": wanted} if wanted else {}
    (face,) = estimating.detect_faces(Image=PICTURE, **options)["FaceDetails"]
    assert set(face) == DEFAULT | added


def test_values_have_the_services_form(estimating: Any) -> None:
    """Ages are whole years, a gender is as sure as its value is likely, and emotions are ranked."""
    (face,) = estimating.detect_faces(Image=PICTURE, Attributes=["ALL"])["FaceDetails"]
    assert 0 <= face["AgeRange"]["Low"] < face["AgeRange"]["High"]
    assert face["Gender"]["Value"] in {"Male", "Female"}
    assert 50 <= face["Gender"]["Confidence"] <= 100
    confidences = [emotion["Confidence"] for emotion in face["Emotions"]]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(100, abs=0.01)


def test_unindexed_faces_show_the_same_attributes(estimating: Any) -> None:
    """IndexFaces estimates the faces that it stores and those that it does not."""
    estimating.create_collection(CollectionId="attributes")
    group = next(picture.jpeg for picture in album(seed=1, pictures=24) if len(picture.appearances) == 2)
    answer = estimating.index_faces(
        CollectionId="attributes", Image={"Bytes": group}, DetectionAttributes=["AGE_RANGE"], MaxFaces=1
    )
    (record,), (unindexed,) = answer["FaceRecords"], answer["UnindexedFaces"]
    assert set(record["FaceDetail"]) == set(unindexed["FaceDetail"]) == DEFAULT | {"AgeRange"}


def test_without_networks_nothing_is_invented(rekognition: Any) -> None:
    """A server that has none answers as if only the default attributes had been asked for."""
    (face,) = rekognition.detect_faces(Image=PICTURE, Attributes=["ALL"])["FaceDetails"]
    assert set(face) == DEFAULT
