import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import typer
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.cli.start import exits_with_message, read_settings
from rekognition_emulator.cli.wording import counted
from tests.support.server import ROOT

EXPECTED_FALSE_MATCH_RATES = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]


def run(*arguments: object, succeeds: bool = True) -> str:
    """Runs a command in this process and returns what it says."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    assert (result.exit_code == 0) is succeeds, result.output
    assert "Traceback" not in result.output
    return result.output


def read(file: Path) -> Any:
    """Reads a document."""
    return json.loads(file.read_text())


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("PORT", "abc", "must be a whole number"),
        ("PORT", "65536", "must be 65535 or less"),
        ("QUEUE_MAX", "-1", "must be 0 or more"),
        ("OFFLINE", "maybe", "must be true or false"),
        ("DEVICE", "tpu", "must be 'cpu' or 'cuda'"),
        ("AUTH", "off", "must be 'enforce' or 'warn'"),
        ("LOG_LEVEL", "loud", "must be like the pattern ^(debug|info|warning|error)$"),
        ("INDEX", "hnsw", "is none of pgvector, faiss, milvus, memory"),
        ("ACCOUNT_REQUESTS_PER_SECOND", "IndexFaces=x", "IndexFaces must be a number"),
        ("MODEL_MIRRORS", "https://user:secret@mirror", "must be like the pattern"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_must_be(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, problem: str
) -> None:
    """In our words, not in those of a validator, and without what was given: it may be a secret."""
    monkeypatch.setenv(f"REKOGNITION_{setting}", value)
    with pytest.raises(SystemExit, match=re.escape(f"The settings are wrong. REKOGNITION_{setting}: {problem}")) as end:
        read_settings()
    assert "secret" not in str(end.value)


def test_an_error_of_the_system_is_said_without_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which file it is, and why."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^album\.csv: No such file or directory$"), exits_with_message(OSError):
        Path("album.csv").read_text()


def flags() -> Iterator[Any]:
    """Yields each option of each command that is there or not, and has no value."""
    waiting: list[Any] = [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop()
        waiting.extend(getattr(command, "commands", {}).values())
        yield from (each for each in command.params if getattr(each, "is_flag", False))


def test_help_shows_no_type_of_what_has_no_value() -> None:
    """``--prune <bool>`` would look as if it wanted one."""
    assert {each.name for each in flags()} >= {"prune", "accept_licence", "version"}
    assert [each.name for each in flags() if each.metavar != ""] == []


@pytest.mark.parametrize(("number", "text"), [(0, "0 faces"), (1, "1 face"), (2, "2 faces"), (12_345, "12,345 faces")])
def test_counts(number: int, text: str) -> None:
    """One is one."""
    assert counted(number, "face") == text


@pytest.mark.usefixtures("colours")
def test_evaluate_album(album: Path, tmp_path: Path) -> None:
    """An album's numbers are shown, written and drawn, and the picture without a face is named."""
    said = run("evaluate", "--album", album, "--json", tmp_path / "out.json", "--plot", tmp_path / "roc.png")
    numbers = read(tmp_path / "out.json")
    assert numbers["face_model"] == {"name": "colours", "version": "1.2", "dimension": 64}
    assert (numbers["people"], numbers["pictures"]) == (25, 50)
    assert (numbers["same_pairs"], numbers["stranger_pairs"]) == (25, 1200)
    assert (numbers["rank_one"], numbers["searches"]) == (1, 50)
    assert numbers["accuracy"]["pairs"] == 50
    assert [point["false_match_rate"] for point in numbers["operating_points"]] == EXPECTED_FALSE_MATCH_RATES
    assert [point["cosine"] is None for point in numbers["operating_points"]] == [False, False, True, True, True, True]
    assert numbers["left_out"] == [{"file": str(album / "person-01" / "nobody.png"), "reason": "no face found"}]
    for words in ("needs 10,000 pairs of strangers", "nobody.png: no face found", "100.00%", "FPIR", "50 searches"):
        assert words in said
    with PIL.Image.open(tmp_path / "roc.png") as plot:
        assert plot.format == "PNG"
        assert len(set(plot.convert("RGB").get_flattened_data())) > 3


@pytest.mark.usefixtures("colours")
def test_evaluate_by_kind_of_face(album: Path, tmp_path: Path) -> None:
    """What passes at which size, sharpness, turn and, where labels have it, group: in the file and as tables."""
    rows = ["file,person,remark,group"]
    for person in range(1, 13):
        folder = album / f"person-{person:02}"
        rows += [f"{file},{person},,{'day' if person < 9 else 'night'}" for file in sorted(folder.glob("person*.png"))]
    (tmp_path / "album.csv").write_text("\n".join([*rows, f"{album / 'person-13' / 'person-13_0001.png'},,,day"]))
    said = run("evaluate", "--album", tmp_path / "album.csv", "--json", tmp_path / "out.json")
    bands = {(band["measure"], band["band"]): band for band in read(tmp_path / "out.json")["bands"]}
    assert set(bands) == {
        ("side_px", "80 and more"),  # of 160 px the face has 96
        ("sharpness", "70 and more"),
        ("yaw_degrees", "below 15"),
        *(("group", name) for name in ("day", "night", "(two groups)")),
    }
    groups = [bands["group", name] for name in ("day", "night", "(two groups)")]
    assert [group["impostors"][1]["pairs"] for group in groups] == [112, 24, 128]
    at_60 = bands["group", "day"]["genuine"][0]
    assert (at_60["passing"], at_60["pairs"], at_60["rate"], at_60["high"]) == (8, 8, 1, 1)
    assert at_60["low"] == pytest.approx(0.676, abs=0.001)
    for words in (
        "smaller side, px",
        "lower sharpness",
        "larger yaw, °",
        "group of both",
        "0.0 (0.0–",
        "100.0% (67.6–100",
    ):
        assert words in said
    assert "Pictures passed over, because nobody has said whom they show: 1, in rows without a person." in said


@pytest.mark.usefixtures("colours")
def test_pairs_may_have_groups(album: Path, tmp_path: Path) -> None:
    """Each of the two faces has one; a face that is said to be of two is refused in words."""
    one, other = (f"person-0{person}/person-0{person}_000" for person in (1, 2))
    listed, head = tmp_path / "pairs.csv", "file_a,file_b,same,group_a,group_b"
    listed.write_text(f"{head}\n{one}1.png,{one}2.png,1,day,day\n{one}1.png,{other}1.png,0,day,night")
    run("evaluate", "--pairs", listed, "--images", album, "--json", tmp_path / "out.json")
    groups = [band for band in read(tmp_path / "out.json")["bands"] if band["measure"] == "group"]
    counted = [(band["band"], band["impostors"][0]["pairs"], band["genuine"][0]["pairs"]) for band in groups]
    assert counted == [("day", 0, 1), ("(two groups)", 1, 0)]
    listed.write_text(f"{head}\n{one}1.png,{one}2.png,1,day,day\n{one}1.png,{other}1.png,0,night,night")
    assert "is said to belong to the group day and to night" in run(
        "evaluate", "--pairs", listed, "--images", album, succeeds=False
    )


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize("measure", ["evaluate", "calibrate"])
def test_pictures_that_nobody_is_said_to_be_in_are_counted_out_loud(measure: str, album: Path, tmp_path: Path) -> None:
    """Beside the folders of people, or deeper than in one, a picture counts for nothing; so is a folder without any."""
    shutil.copytree(album, tmp_path / "people")
    some = tmp_path / "people" / "person-02" / "person-02_0001.png"
    shutil.copy(some, tmp_path / "people" / "a.png")
    (some.parent / "deeper").mkdir()
    shutil.copy(some, some.parent / "deeper" / "b.png")
    # There are too few pairs to calibrate; what lies there is said all the same.
    said = " ".join(run(measure, "--album", tmp_path / "people", succeeds=measure == "evaluate").split())
    assert "because nobody has said whom they show: 2, beside the folders of people or deeper in them." in said
    shutil.copytree(tmp_path / "people", tmp_path / "[bold]")
    said = " ".join(run("evaluate", "--album", album, "--selfies", tmp_path / "[bold]").split())
    assert (
        f"whom they show: 2, beside the folders of people or deeper in them. The first: {tmp_path}/[bold]/a.png" in said
    )
    (tmp_path / "flat").mkdir()
    shutil.copy(some, tmp_path / "flat" / "a.png")
    said = " ".join(run(measure, "--album", tmp_path / "flat", succeeds=False).split())
    assert "flat labels no picture, though it has 1: expected a folder per person" in said


@pytest.mark.usefixtures("colours")
def test_evaluate_pairs(album: Path, tmp_path: Path) -> None:
    """Listed pairs of both kinds are judged in ten folds; a pair that lacks a face is counted out loud."""
    rows = ["file_a,file_b,same", "person-01/nobody.png,person-02/person-02_0001.png,0"]
    for person in range(1, 25):
        one, other = f"person-{person:02}/person-{person:02}", f"person-{person + 1:02}/person-{person + 1:02}"
        rows += [f"{one}_0001.png,{one}_0002.png,1", f"{one}_0001.png,{other}_0001.png,0"]
    listed = tmp_path / "pairs.csv"
    listed.write_text("\n".join(rows))
    options = ("--face", "central", "--workers", 1)
    said = run("evaluate", "--pairs", listed, "--images", album, "--json", tmp_path / "out.json", *options)
    numbers = read(tmp_path / "out.json")
    assert (numbers["same_pairs"], numbers["stranger_pairs"], numbers["pairs_left_out"]) == (24, 24, 1)
    assert numbers["accuracy"]["mean"] == pytest.approx(1)
    assert numbers["rank_one"] is None
    assert numbers["face"] == "central"
    assert "on the central faces of 49 pictures" in said
    assert "1 of 49 pairs lack a face" in said
    assert "FPIR" not in said


@pytest.mark.usefixtures("colours")
def test_evaluate_selfies(album: Path, selfies: Path, tmp_path: Path) -> None:
    """What selfies find is shown, written and drawn; whoever is not in the album is counted apart."""
    said = run(
        *("evaluate", "--album", album, "--selfies", selfies),
        *("--json", tmp_path / "out.json", "--plot", tmp_path / "plot.png"),
    )
    numbers = read(tmp_path / "out.json")
    assert (numbers["images"], numbers["faces"], numbers["selfies"], numbers["visitors"]) == (51, 50, 5, 1)
    assert [at["images"] for at in numbers["at_ranks"]] == [10, 20, 50]
    assert [at["similarity"] for at in numbers["at_thresholds"]] == [60, 80, 90]
    assert numbers["at_ranks"][0]["recall"] == pytest.approx((2 / 3 + 4) / 5)  # one of the first's shows no face
    assert numbers["at_thresholds"][1]["false_positive_identification_rate"] == 0
    assert numbers["face"] == "largest"
    for words in ("5 of people who are in the album, 1 of visitors who are not", "FPIR", "nobody.png: no face found"):
        assert words in said
    with PIL.Image.open(tmp_path / "plot.png") as plot:
        assert len(set(plot.convert("RGB").get_flattened_data())) > 3


@pytest.mark.usefixtures("colours")
def test_compare_models(album: Path, selfies: Path, tmp_path: Path) -> None:
    """Several models are measured on the same images and stand side by side."""
    arguments = ("compare", "--model", "one", "--model", "two", "--album", album, "--selfies", selfies)
    said = run(*arguments, "--json", tmp_path / "out.json", "--plot", tmp_path / "plot.png")
    one, two = read(tmp_path / "out.json")["models"]
    assert one["at_thresholds"] == two["at_thresholds"]  # both are the same engine here
    assert said.count("colours") >= 2 * (1 + 3 + 3)  # above its list, and in each row of both tables
    assert (tmp_path / "plot.png").exists()


@pytest.mark.usefixtures("colours")
def test_selfies_of_nobody_in_the_album_are_refused(album: Path, selfies: Path, tmp_path: Path) -> None:
    """Where people are called differently in both, a sentence says so."""
    shutil.copytree(selfies / "person-01", tmp_path / "someone")
    said = run("evaluate", "--album", album, "--selfies", tmp_path, succeeds=False)
    assert "no selfie shows anybody in the album" in said


@pytest.mark.usefixtures("colours")
def test_a_single_pair_is_no_reason_to_fail(album: Path, tmp_path: Path) -> None:
    """Whatever a single pair cannot tell is a dash, and the drawing says so."""
    listed = tmp_path / "pairs.csv"
    listed.write_text("file_a,file_b,same\nperson-01/person-01_0001.png,person-01/person-01_0002.png,1")
    said = run("evaluate", "--pairs", listed, "--images", album, "--plot", tmp_path / "roc.png")
    assert "needs 100 pairs of strangers" in said
    assert "needs pairs of both kinds in each fold" in said
    assert (tmp_path / "roc.png").exists()


@pytest.mark.usefixtures("colours")
def test_calibrate(crowd: Path, tmp_path: Path) -> None:
    """From 100,000 pairs of strangers on there is a curve that a face model can carry, with its origin."""
    said = run("calibrate", "--album", crowd, "--json", tmp_path / "out.json")
    curve = read(tmp_path / "out.json")
    assert (curve["people"], curve["stranger_pairs"], curve["same_pairs"]) == (448, 448 * 447 // 2, 0)
    assert [similarity for _, similarity in curve["calibration"]] == [0, 6, 20, 40, 60, 80, 90, 99, 100]
    cosines = [cosine for cosine, _ in curve["calibration"]]
    assert cosines == sorted(set(cosines))
    assert [point["similarity"] for point in curve["curve"] if not point["measured"]] == [90, 99]
    assert curve["face"] == "largest"
    assert curve["pictures_from"] == str(crowd)
    assert len(curve["measured_on"]) == len("2000-01-01")
    assert "too few pairs to measure" in said
    assert (
        'name = "colours"\ncalibration = "out.json"\n/readyz and models list then call it: measured by the op' in said
    )


@pytest.mark.usefixtures("colours")
def test_calibrate_refuses_what_too_few_pairs_cannot_support(album: Path, tmp_path: Path) -> None:
    """What could be measured is shown, what it would take is said, and no curve is written."""
    said = run("calibrate", "--album", album, "--json", tmp_path / "out.json", succeeds=False)
    assert "1 in 100 " in said
    assert "takes 100,000 pairs of strangers" in said
    assert not (tmp_path / "out.json").exists()


@pytest.mark.usefixtures("colours")
def test_what_an_operator_can_mend_is_said_in_words(album: Path, tmp_path: Path) -> None:
    """Contradicting options, lists that are none and files that cannot be written end in a sentence."""
    listed = tmp_path / "pairs.csv"
    listed.write_text("file_a,file_b,same\nx.jpg,y.jpg,1")
    assert "either --pairs" in run("evaluate", succeeds=False)
    assert "either --pairs" in run("evaluate", "--album", album, "--images", album, succeeds=False)
    assert "None of the 2 pictures can be compared" in run("evaluate", "--pairs", listed, succeeds=False)
    assert "labels no picture" in run("calibrate", "--album", tmp_path, succeeds=False)
    nowhere = tmp_path / "missing" / "out.json"
    assert "No such file" in run("evaluate", "--album", album, "--json", nowhere, succeeds=False)


@pytest.mark.parametrize("arguments", [[], ["serve"]])
def test_without_a_command_it_serves(arguments: list[str]) -> None:
    """Serving is what the program does when nothing else is asked: here it says what is wrong with its settings."""
    ended = subprocess.run(
        [sys.executable, "-m", "rekognition_emulator", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "REKOGNITION_PORT": "eighty"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "REKOGNITION_PORT" in ended.stderr


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        (
            "import rekognition_emulator.__main__ as program; program.main()",
            {"typer", "rekognition_emulator.cli.commands"},
        ),
        ("import rekognition_emulator.cli.commands", {"fastapi", "uvicorn"}),
    ],
)
def test_each_way_loads_only_what_it_needs(program: str, absent: set[str]) -> None:
    """A server starts without what only the other commands need, and those without what only it needs."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {program}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "REKOGNITION_PORT": "eighty"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    loaded = set(ended.stdout.split())
    assert "rekognition_emulator.cli.start" in loaded
    assert not loaded & absent
