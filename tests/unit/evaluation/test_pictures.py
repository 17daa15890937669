import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.comparison import compare_album
from rekognition_emulator.evaluation.labels import number_people, read_album
from rekognition_emulator.evaluation.measurement import measure_album
from rekognition_emulator.evaluation.pictures import FaceChoice, embed_album, embed_pictures
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine


def test_people_who_do_not_exist_are_told_apart(engine: FaceEngine, album_dir: Path) -> None:
    """From files to numbers with real networks: every view finds another of its person first."""
    album = read_album(album_dir)
    files = [picture.file for picture in album]
    done: list[None] = []
    embedded = embed_pictures(engine, [*files, files[0]], workers=2, on_picture=lambda: done.append(None))
    assert embedded.left_out == []
    assert list(embedded.rows) == files
    assert len(done) == len(files)
    np.testing.assert_allclose(np.linalg.norm(embedded.embeddings, axis=1), 1, atol=1e-5)
    people = number_people(picture.person for picture in album)
    measured = measure_album(engine.model, embedded.embeddings, people, compare_album(embedded.embeddings, people))
    assert (measured.same_pairs, measured.stranger_pairs) == (18, 135)
    assert measured.rank_one == measured.area_under_curve == 1
    assert measured.searches == 18
    assert measured.accuracy is None  # six people make no ten folds
    at_80 = measured.at_similarities[0]
    assert (at_80.false_matches, at_80.true_matches) == (0, 18)
    assert (at_80.false_positive_identification_rate, at_80.false_negative_identification_rate) == (0, 0)


def test_what_is_no_file_is_left_out(engine: FaceEngine, tmp_path: Path) -> None:
    """A pipe is not waited for, and a name that no file can have ends nothing."""
    os.mkfifo(tmp_path / "pipe.jpg")
    files = [tmp_path / "pipe.jpg", tmp_path / "zero\0.jpg", tmp_path / "absent.jpg"]
    left_out = embed_pictures(engine, files, workers=1, on_picture=lambda: None).left_out
    assert [picture.reason for picture in left_out] == [
        "cannot be read: it is no file",
        "cannot be read: no file can have this name",
        "cannot be read: No such file or directory",
    ]


class TwoFaces(FaceEngine):
    """Sees a large face at the left and a small one in the middle of every picture, and embeds them by their size."""

    @property
    def model(self) -> FaceModel:
        """Two numbers a face."""
        return FaceModel("two", "1.2", 2, "ours", ((-1, 0), (1, 100)))

    def detect(self, image: Image) -> list[Detection]:  # noqa: ARG002 - it sees them everywhere
        """Both."""
        points = np.array([(0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.42, 0.6), (0.58, 0.6)], np.float32)
        return [
            Detection(BoundingBox(0, 0.1, 0.4, 0.8), points, 99.9),
            Detection(BoundingBox(0.45, 0.4, 0.1, 0.2), points, 99.9),
        ]

    def embed(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:  # noqa: ARG002 - likewise
        """(1, 0) for the large one, (0, 1) for the small one."""
        return np.array([[1, 0] if face.box.area > 0.1 else [0, 1] for face in detections], np.float32)


@pytest.mark.parametrize(("choice", "embedding"), [("largest", [1, 0]), ("central", [0, 1])])
def test_the_labelled_face_is_the_largest_or_the_most_central(
    tmp_path: Path, choice: str, embedding: list[float]
) -> None:
    """In a press photograph the one that the label names may be the smaller one."""
    PIL.Image.new("RGB", (200, 100)).save(tmp_path / "two.png")
    embedded = embed_pictures(TwoFaces(), [tmp_path / "two.png"], workers=1, face=FaceChoice(choice))
    assert embedded.embeddings.tolist() == [embedding]


def test_a_picture_without_faces_has_no_central_one(engine: FaceEngine, tmp_path: Path) -> None:
    """It is left out as one without a largest face is."""
    PIL.Image.new("RGB", (200, 200)).save(tmp_path / "empty.png")
    embedded = embed_pictures(engine, [tmp_path / "empty.png"], workers=1, face=FaceChoice.CENTRAL)
    assert [left_out.reason for left_out in embedded.left_out] == ["no face found"]


def test_one_worker_and_several_give_the_same(engine: FaceEngine, album_dir: Path) -> None:
    """How many pictures are worked on at once changes nothing."""
    files = [picture.file for picture in read_album(album_dir)][:6]
    one, several = (embed_pictures(engine, files, workers) for workers in (1, 4))
    assert one.rows == several.rows
    assert (one.embeddings == several.embeddings).all()


def test_pictures_without_a_face_are_listed_with_the_reason(
    engine: FaceEngine, album_dir: Path, tmp_path: Path
) -> None:
    """None of them ends the measurement."""
    pictures = {"empty.png": PIL.Image.new("RGB", (200, 200)), "small.png": PIL.Image.new("RGB", (40, 40))}
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    PIL.Image.new("RGB", (200, 200)).save(tmp_path / "called.jpg", "WEBP")
    face = read_album(album_dir)[0].file
    files = [tmp_path / name for name in (*pictures, "called.jpg", "missing.jpg")]
    embedded = embed_pictures(engine, [*files, face], workers=2)
    assert embedded.rows == {face: 0}
    assert [picture.file for picture in embedded.left_out] == files
    reasons = ("no face found", "too small", "unreadable", "cannot be read: No such file")
    for left_out, reason in zip(embedded.left_out, reasons, strict=True):
        assert left_out.reason.startswith(reason)


def test_an_album_without_any_face_has_no_rows(engine: FaceEngine, tmp_path: Path) -> None:
    """The embeddings keep their width."""
    assert embed_pictures(engine, [tmp_path / "missing.jpg"], 1).embeddings.shape == (0, engine.model.dimension)


def test_a_failing_engine_is_not_taken_for_a_picture_without_a_face(
    engine: FaceEngine, album_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that no picture explains ends the measurement."""

    def fail(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(engine, "embed", fail)
    with pytest.raises(RuntimeError, match="out of order"):
        embed_pictures(engine, [picture.file for picture in read_album(album_dir)], workers=2)


def test_every_face_of_an_image_is_searched(engine: FaceEngine, album_dir: Path, tmp_path: Path) -> None:
    """Two people side by side are two faces of one image, each nearest to its own person's."""
    files = [picture.file for picture in read_album(album_dir)]
    left, right = (PIL.Image.open(file).resize((320, 320)) for file in (files[0], files[3]))
    both = PIL.Image.new("RGB", (640, 320))
    both.paste(left, (0, 0))
    both.paste(right, (320, 0))
    both.save(tmp_path / "both.png")
    PIL.Image.new("RGB", (200, 200)).save(tmp_path / "empty.png")
    album = embed_album(engine, [tmp_path / "empty.png", tmp_path / "both.png", files[0]], workers=2)
    assert album.image_of.tolist() == [1, 1, 2]
    assert [(each.file.name, each.reason) for each in album.left_out] == [("empty.png", "no face found")]
    people = embed_pictures(engine, [files[1], files[4]], workers=1).embeddings
    assert sorted((album.embeddings[:2] @ people.T).argmax(axis=1).tolist()) == [0, 1]
