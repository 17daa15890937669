"""Attributes beyond the default ones, from the outside: what is asked for and known is there, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.demo.people import PEOPLE, album, selfie
from rekognition_emulator.models.catalogue import AGE, DEEPFACE_ESTIMATORS, EXPRESSION, FACE_LANDMARKER, GENDER
from tests.support.networks import write_networks
from tests.support.server import Server

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


def test_the_free_networks_tell_what_all_promises(
    start_server: Callable[..., Server], weights_dir: Path, faces_dir: Path
) -> None:
    """With what set-up fetches: thirty landmarks, and every member but those that need a head of the operator's."""
    needed = [file for model in (AGE, GENDER, EXPRESSION, FACE_LANDMARKER) for file in model.files]
    if not all((weights_dir / file).is_file() for file in needed):
        pytest.skip(f"not all of {', '.join(needed)} are in {weights_dir}")
    client = start_server(REKOGNITION_MODELS_DIR=str(weights_dir)).client()
    picture = {"Bytes": (faces_dir / "pose" / "insp_happy.png").read_bytes()}
    (face,) = client.detect_faces(Image=picture, Attributes=["ALL"])["FaceDetails"]
    heads = {"Beard", "Eyeglasses", "FaceOccluded", "Mustache", "Sunglasses"}
    assert set(face) == set(api.FaceDetail.__annotations__) - heads
    assert len(face["Landmarks"]) == 30
    assert face["Smile"]["Value"] is face["MouthOpen"]["Value"] is face["EyesOpen"]["Value"] is True
    assert face["Gender"]["Value"] == "Male"
    assert face["Emotions"][0]["Type"] == "HAPPY"
    (plain,) = client.detect_faces(Image=picture)["FaceDetails"]
    (single,) = client.detect_faces(Image=picture, Attributes=["SMILE"])["FaceDetails"]
    assert set(plain) == DEFAULT
    assert len(plain["Landmarks"]) == 5
    assert {name: value for name, value in single.items() if name != "Smile"} == plain
    assert single["Smile"] == face["Smile"]


def test_neutral_values_are_sent_only_where_they_are_wanted(start_server: Callable[..., Server]) -> None:
    """By setting, for programs that stop without them: told at the start and in the metrics, and still counted."""
    server = start_server(REKOGNITION_ABSENT_ATTRIBUTES="neutral", REKOGNITION_METRICS_PORT="0")
    stdout: Any = server.process.stdout
    said = ""
    while not (metrics := re.search(r"metrics on (\S+)", said)):
        said += stdout.readline()
    assert "REKOGNITION_ABSENT_ATTRIBUTES=neutral: attributes that nothing here can tell" in said
    client = server.client()
    (face,) = client.detect_faces(Image=PICTURE, Attributes=["ALL"])["FaceDetails"]
    assert set(face) == set(api.FaceDetail.__annotations__)
    assert face["Sunglasses"] == {"Value": False, "Confidence": 50.0}
    assert len(face["Emotions"]) == 8
    (single,) = client.detect_faces(Image=PICTURE, Attributes=["EYES_OPEN"])["FaceDetails"]
    assert set(single) == DEFAULT | {"EyesOpen"}
    assert single["EyesOpen"] == {"Value": True, "Confidence": 50.0}
    page = httpx.get(metrics[1]).text
    assert 'absent_attributes="neutral"' in page
    assert 'rekognition_attributes_absent_total{attribute="EYES_OPEN"} 2.0' in page


def test_without_networks_nothing_is_invented(rekognition: Any) -> None:
    """A server that has none answers as if only the default attributes had been asked for."""
    (face,) = rekognition.detect_faces(Image=PICTURE, Attributes=["ALL"])["FaceDetails"]
    assert set(face) == DEFAULT
