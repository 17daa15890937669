"""The commands on real photographs: floors a little below what was measured, for regressions."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.models.catalogue import RETAIL_0095, YUNET

WEBP = {"insp_rd_1.jpg", "insp_rd_2.jpg"}
"""Not what their names say."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the networks are written, once for all tests."""
    return tmp_path_factory.mktemp("data")


def test_pairs_of_photographs(faces_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    """With the engine of the settings, listed pairs are told apart, and the unreadable pictures are reported."""
    document = tmp_path / "out.json"
    arguments = ["evaluate", "--pairs", str(faces_dir / "pairs.csv"), "--json", str(document)]
    result = CliRunner().invoke(app, arguments, env={"REKOGNITION_DATA_DIR": str(data_dir)})
    assert result.exit_code == 0, result.output
    numbers = json.loads(document.read_text())
    assert {Path(left_out["file"]).name for left_out in numbers["left_out"]} == WEBP
    assert (numbers["same_pairs"], numbers["stranger_pairs"], numbers["pairs_left_out"]) == (60, 122, 4)
    assert numbers["accuracy"]["mean"] > 0.97
    assert numbers["area_under_curve"] > 0.995
    assert numbers["at_similarities"][0]["false_matches"] == 0


def test_pairs_of_photographs_with_what_is_recommended(
    faces_dir: Path, weights: Callable[[str], Path], data_dir: Path, tmp_path: Path
) -> None:
    """Where the recommended weights are, they tell everybody apart, and at 80 no stranger passes."""
    folders = {weights(file).parent for model in (YUNET, RETAIL_0095) for file in model.files}
    document = tmp_path / "out.json"
    result = CliRunner().invoke(
        app,
        ["evaluate", "--pairs", str(faces_dir / "pairs.csv"), "--json", str(document)],
        env={"REKOGNITION_DATA_DIR": str(data_dir), "REKOGNITION_MODELS_DIR": str(folders.pop())},
    )
    assert result.exit_code == 0, result.output
    numbers = json.loads(document.read_text())
    assert numbers["face_model"]["name"] == "retail-0095"
    assert numbers["accuracy"]["mean"] >= 0.994
    at_80 = numbers["at_similarities"][0]
    assert at_80["true_matches"] >= 0.95 * numbers["same_pairs"]
    assert at_80["false_matches"] == 0


def test_an_album_of_photographs(faces_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    """Every search among the people finds them first, and nearly all at 80; too few are they for a curve."""
    with (faces_dir / "manifest.csv").open(newline="") as file:
        people = [row for row in csv.DictReader(file) if row["file"].startswith("people/") and row["identity"]]
    album, document = tmp_path / "album.csv", tmp_path / "out.json"
    with album.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("file", "person"), *((faces_dir / row["file"], row["identity"]) for row in people)]
        )
    environment = {"REKOGNITION_DATA_DIR": str(data_dir)}
    result = CliRunner().invoke(app, ["evaluate", "--album", str(album), "--json", str(document)], env=environment)
    assert result.exit_code == 0, result.output
    numbers = json.loads(document.read_text())
    assert numbers["people"] == len({row["identity"] for row in people})
    assert numbers["rank_one"] > 0.98
    at_80 = numbers["at_similarities"][0]
    assert at_80["false_matches"] == at_80["false_positive_identification_rate"] == 0
    assert at_80["false_negative_identification_rate"] < 0.06
