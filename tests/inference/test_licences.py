"""What is recorded of licences that somebody accepted."""

from dataclasses import replace
from pathlib import Path

import pytest

from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.catalogue import ARCFACE, FACENET512, SFACE
from rekognition_emulator.models.licences import FILE, Acceptance, read_acceptances, record_acceptance
from rekognition_emulator.models.weights import ModelUnusable

WORD = Acceptance("arcface", ARCFACE.licence, "2030-01-01", "ada")


def files(folder: Path) -> ModelFiles:
    """Models of one folder, none accepted by a setting."""
    return ModelFiles(folder / "cache", folder, folder / "deepface")


def test_an_acceptance_is_of_one_model(tmp_path: Path) -> None:
    """It opens that model and no other; what needs none is open anyway."""
    assert not files(tmp_path).accepts(ARCFACE)
    record_acceptance(tmp_path, WORD)
    assert files(tmp_path).accepts(ARCFACE)
    assert not files(tmp_path).accepts(FACENET512)
    assert files(tmp_path).accepts(SFACE)


def test_an_acceptance_is_of_one_text(tmp_path: Path) -> None:
    """When the licence of a model is another, nobody has accepted it yet."""
    record_acceptance(tmp_path, WORD)
    assert not files(tmp_path).accepts(replace(ARCFACE, licence="by the face"))


def test_the_last_word_on_a_model_stands(tmp_path: Path) -> None:
    """Others are kept, and others may read them."""
    other, newer = replace(WORD, model="facenet512"), replace(WORD, date="2031-01-01", user="ben")
    for each in (WORD, other, newer):
        record_acceptance(tmp_path / "models", each)
    assert read_acceptances(tmp_path / "models") == [other, newer]
    assert (tmp_path / "models" / FILE).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("contents", ["", "{}x", "[1]", '[{"model": "arcface"}]', "7", "\udcff"])
def test_a_damaged_record_accepts_nothing(tmp_path: Path, contents: str) -> None:
    """It is named in a sentence, and not written over."""
    (tmp_path / FILE).write_bytes(contents.encode(errors="surrogateescape"))
    with pytest.raises(ModelUnusable, match=FILE):
        files(tmp_path).accepts(ARCFACE)
    with pytest.raises(ModelUnusable, match=FILE):
        record_acceptance(tmp_path, WORD)
    assert (tmp_path / FILE).read_bytes() == contents.encode(errors="surrogateescape")


def test_a_folder_that_cannot_be_written_is_said_in_words() -> None:
    """An acceptance that would be forgotten is none."""
    with pytest.raises(ModelUnusable, match="cannot be written"):
        record_acceptance(Path("/proc/models"), WORD)
