import json
import re
import shutil
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.models.manifest import read_manifests
from rekognition_emulator.storage.postgres import PostgresStore
from tests.support.gallery import ACTOR, OWNER, embeddings, picture


def calibrate(*arguments: object, **environment: str) -> tuple[int, str]:
    """Runs the command; returns how it ended and what it said."""
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], env={"COLUMNS": "120", **environment})
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.mark.usefixtures("colours")
def test_images_in_folders_are_events(crowd: Path, tmp_path: Path) -> None:
    """Each folder is an event: nobody in one is somebody in another, and the curve is shown and written."""
    for number in range(1, 101):
        (tmp_path / "season" / f"event {number}").mkdir(parents=True)
        shutil.copy(crowd.parent / f"{number}.png", tmp_path / "season" / f"event {number}")
    code, said = calibrate("--unlabelled", tmp_path / "season", "--json", tmp_path / "curve.json")
    assert (code, "4,950 pairs of impostors" in said, "0 faces set aside" in said) == (0, True, True), said
    document = json.loads((tmp_path / "curve.json").read_text())
    assert document["method"] == "unlabelled"
    assert document["face_model"]["name"] == "colours"
    assert document["calibration"][0] == [-1, 0]
    assert document["calibration"][-1] == [1, 100]
    assert (np.diff(document["calibration"], axis=0) > 0).all()
    assert "it takes 100,000 pairs of impostors to count what passes at 80" in said
    assert f"The curve is in {tmp_path / 'curve.json'}." in said
    assert "/readyz and models list then call it: measured by the operator, unlabelled." in said
    assert 'name = "colours"\ncalibration = "curve.json"' in said


@pytest.mark.usefixtures("colours")
def test_one_event_of_single_faces_says_nothing(crowd: Path) -> None:
    """Two images of one event may show the same person: without a second face in any of them there is no pair."""
    code, said = calibrate("--unlabelled", crowd.parent)
    assert code == 1
    assert "it takes 1,000 pairs of faces that are in one image or in two events; here are 0" in said


def test_collections_are_events(database_url: str, store: PostgresStore, tmp_path: Path) -> None:
    """Faces come from the database with the images that they are in; those of one collection meet in an image only."""
    faces = embeddings(80, 64)
    for name, part in (("spring", faces[:40]), ("autumn", faces[40:])):
        collection = store.create_collection(ACTOR, OWNER, name, "100.1")
        for start in range(0, 40, 4):
            image = uuid4()
            store.add_faces(ACTOR, collection, image, picture(part[start : start + 4], image_id=image))
    environment = {
        "REKOGNITION_DATABASE_URL": database_url,
        "REKOGNITION_REGION": OWNER.region,
        "REKOGNITION_DATA_DIR": str(tmp_path / "data"),
    }
    code, said = calibrate("--collection", "spring", "--collection", "autumn", **environment)
    assert (code, "dlib 100.1 on 80 faces nobody has labelled" in said) == (0, True), said
    assert "--json FILE writes" in said
    (tmp_path / "models").mkdir()
    file, environment = (
        tmp_path / "models" / "curve.json",
        environment | {"REKOGNITION_MODELS_DIR": f"{tmp_path}/models"},
    )
    code, said = calibrate("--collection", "spring", "--collection", "autumn", "--json", file, **environment)
    (tmp_path / "models" / "dlib.toml").write_text("\n".join(re.findall('(?:name|calibration) = ".*"', said)))
    (served,) = read_manifests(tmp_path / "models").values()
    assert (served.name, served.evidence) == ("dlib", Evidence.UNLABELLED)
    code, said = calibrate("--collection", "spring", **environment)
    assert (code, "here are 60" in said) == (1, True), said
    assert "There is no collection winter" in calibrate("--collection", "winter", **environment)[1]
    store.create_collection(ACTOR, OWNER, "other", "101.1")
    code, said = calibrate("--collection", "spring", "--collection", "other", **environment)
    assert (code, "different face models: versions 100.1, 101.1" in said) == (1, True), said


def test_one_source_is_named(tmp_path: Path) -> None:
    """None or two are refused before anything is read."""
    assert calibrate()[0] == 2
    assert calibrate("--unlabelled", tmp_path, "--collection", "x")[0] == 2
