from dataclasses import replace
from pathlib import Path

import pytest

from rekognition_emulator.admin.errors import Refused
from rekognition_emulator.admin.inventory import State, known_models, pull
from rekognition_emulator.admin.models import (
    accept_licence,
    describe_model,
    list_models,
    pull_recommended,
    verify_models,
)
from rekognition_emulator.inference.selection import AUTO, ModelFiles
from rekognition_emulator.models.catalogue import (
    ARCFACE,
    DLIB,
    FACE_LANDMARKER,
    FACE_MESH,
    MTCNN,
    RECOMMENDED,
    RETAIL_0095,
    YUNET,
)
from rekognition_emulator.models.downloads import PublisherUnreachable
from rekognition_emulator.models.licences import read_acceptances
from rekognition_emulator.models.records import Model
from rekognition_emulator.models.weights import ModelUnusable
from rekognition_emulator.progress import no_progress

(WEIGHTS,) = ARCFACE.files


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """Nothing but what comes with the installation."""
    return ModelFiles(tmp_path / "cache", tmp_path / "models", tmp_path / "deepface")


class Publishers:
    """Remembers what was asked for, and fails where it is told to."""

    def __init__(self, *unreachable: str, unusable: str = "") -> None:
        self.errors: dict[str, type[ModelUnusable]] = dict.fromkeys(unreachable, PublisherUnreachable)
        self.errors[unusable] = ModelUnusable
        self.asked: list[str] = []

    def fetch(self, model: Model, _folder: Path) -> None:
        """Fetches nothing."""
        self.asked.append(model.name)
        if model.name in self.errors:
            raise self.errors[model.name](model.name)


def test_what_stands_for_another_is_fetched_only_in_its_place(files: ModelFiles, tmp_path: Path) -> None:
    """The older mesh is not asked for where the newer one is had; where it is not, it makes up for it."""
    assert FACE_MESH.instead_of == FACE_LANDMARKER.name
    publishers = Publishers()
    assert not pull_recommended(files, publishers.fetch, tmp_path).missing
    assert publishers.asked == [name for name in RECOMMENDED if name != FACE_MESH.name]
    publishers = Publishers(FACE_LANDMARKER.name)
    assert not pull_recommended(files, publishers.fetch, tmp_path).missing
    assert FACE_MESH.name in publishers.asked


def test_what_hinders_one_model_hinders_no_other(files: ModelFiles, tmp_path: Path) -> None:
    """All are asked for; those whose publishers do not answer are told apart from the rest."""
    publishers = Publishers(YUNET.name, FACE_LANDMARKER.name, FACE_MESH.name, unusable=RETAIL_0095.name)
    pulled = pull_recommended(files, publishers.fetch, tmp_path)
    assert set(publishers.asked) == set(RECOMMENDED)
    assert {model.name for model in pulled.unreachable} == {YUNET.name, FACE_LANDMARKER.name, FACE_MESH.name}
    assert pulled.unusable == [known_models(files)[RETAIL_0095.name]]
    assert len(pulled.missing) == 4


def test_the_list_says_what_serves(files: ModelFiles) -> None:
    """What comes with the installation, and of each model whether its licence asks for a word."""
    listed = list_models(files, AUTO, AUTO)
    assert listed.trouble is None
    assert [each.model.name for each in listed.models if each.is_chosen] == [MTCNN.name, DLIB.name]
    arcface = next(each for each in listed.models if each.model.name == ARCFACE.name)
    assert not arcface.is_accepted
    assert [weights.state for weights in arcface.weights] == [State.ABSENT]
    accept_licence(arcface.model, files, "ann")
    (word,) = read_acceptances(files.models_dir)
    assert (word.model, word.user) == (ARCFACE.name, "ann")
    assert describe_model(ARCFACE.name, files).acceptance == word
    assert describe_model(DLIB.name, files).acceptance is None
    assert next(each for each in list_models(files, AUTO, AUTO).models if each.model == arcface.model).is_accepted


def test_nothing_is_fetched_without_a_licence(files: ModelFiles) -> None:
    """Whoever asks for it, and wherever it could be fetched from."""
    with pytest.raises(Refused, match="is not accepted"):
        pull(ARCFACE, files, files.models_dir, [], no_progress)
    accept_licence(ARCFACE, files, "ann")
    with pytest.raises(ModelUnusable, match="REKOGNITION_OFFLINE forbids"):
        pull(ARCFACE, replace(files, offline=True), files.models_dir, [], no_progress)


def test_a_face_model_that_cannot_serve_is_no_end_of_the_list(files: ModelFiles) -> None:
    """The list is there to see why."""
    listed = list_models(files, AUTO, ARCFACE.name)
    assert listed.trouble
    assert ARCFACE.name in listed.trouble
    assert len(listed.models) == len(known_models(files))


def test_absent_weights_are_a_fault_of_models_that_are_named(files: ModelFiles) -> None:
    """Of all models only those at hand are compared; weights that nobody has given a SHA-256 for are no fault."""
    assert [(each.file, each.is_faulty) for each in verify_models([ARCFACE.name], files)] == [(WEIGHTS, True)]
    everything = list(verify_models([], files))
    assert ARCFACE.name not in {each.model.name for each in everything}
    assert everything
    assert not any(each.is_faulty for each in everything)
    files.models_dir.mkdir()
    (files.models_dir / WEIGHTS).write_bytes(b"anything")
    (verified,) = verify_models([ARCFACE.name], files)
    assert (verified.weights.state, verified.is_faulty) == (State.UNPINNED, False)
    (files.models_dir / next(iter(YUNET.files))).write_bytes(b"anything else")
    (verified,) = verify_models([YUNET.name], files)
    assert (verified.weights.state, verified.is_faulty) == (State.WRONG, True)
    with pytest.raises(ModelUnusable, match="is none of"):
        list(verify_models(["nothing"], files))
