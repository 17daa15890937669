"""``train-attributes`` as an operator leads it: from labels to a file that a server answers with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rekognition_emulator.cli.commands import app
from rekognition_emulator.domain.attributes import Attribute, Attributes
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.details.attribute_heads import FILE, HeadedAttributes, read_heads
from tests.server.cli.conftest import ColourEngine

BEARDED = range(1, 13)


@pytest.fixture(autouse=True)
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's folder, which does not exist yet."""
    monkeypatch.setenv("REKOGNITION_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path / "models"


def train(labels: Path, images: Path) -> tuple[int, str]:
    """Runs the command; returns how it ended and what it said."""
    result = CliRunner().invoke(app, ["train-attributes", "--labels", str(labels), "--images", str(images)])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def pictures(album: Path) -> list[tuple[str, bool]]:
    """Each picture of the album, relative to it, and whether its person is bearded."""
    return [
        (f"person-{person:02}/person-{person:02}_{take:04}.png", person in BEARDED)
        for person in range(1, 26)
        for take in (1, 2)
    ]


@pytest.mark.usefixtures("colours")
def test_what_was_labelled_is_told(album: Path, tmp_path: Path, models_dir: Path) -> None:
    """The head that is written knows who has a beard; what it was trained on, and how good it is, stands beside it."""
    labels = tmp_path / "labels.csv"
    rows = [f"{file},{'yes' if bearded else 'no'},no\n" for file, bearded in pictures(album)]
    labels.write_text("file,beard,sunglasses\n" + "".join(rows) + "person-01/nobody.png,no,no\n")
    code, said = train(labels, album)
    assert code == 0, said
    assert "nobody.png: the labelled face is not found" in said
    assert "sunglasses" in said
    assert "needs 20 faces with it and without" in said
    heads = read_heads(models_dir)
    assert heads
    assert heads.face_model_version == ColourEngine().model.version
    assert heads.trained_on.startswith("50 faces of 50 pictures, labelled in labels.csv")
    assert heads.heads.keys() == {"beard"}
    beard = heads.heads["beard"]
    assert (beard.faces, beard.positive) == (50, 24)
    assert 0.7 < beard.accuracy < 1  # of faces left out, known by the other pictures of their people, if there are any
    estimator = HeadedAttributes(heads, ColourEngine())
    assert estimator.known == {Attribute.BEARD}
    for file, bearded in pictures(album):
        image = decode((album / file).read_bytes())
        (found,) = estimator.estimate(image, ColourEngine().detect(image), {Attribute.BEARD, Attribute.SMILE})
        assert found.beard
        assert found.beard.value is bearded
        assert 50 <= found.beard.confidence <= 100
        assert found == Attributes(beard=found.beard)


@pytest.mark.usefixtures("colours")
def test_the_box_says_whose_label_it_is(album: Path, tmp_path: Path) -> None:
    """A face that lies elsewhere than the label's box is another one."""
    labels = tmp_path / "labels.csv"
    file = "person-01/person-01_0001.png"
    labels.write_text(f"file,left,top,width,height,beard\n{file},0.8,0.8,0.1,0.1,yes\n")
    code, said = train(labels, album)
    assert code == 1
    assert "None of the labelled faces was found." in said


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("file,beard\nperson-01/person-01_0001.png,perhaps\n", "line 2: expected yes or no for beard"),
        ("file,colour\nperson-01/person-01_0001.png,red\n", "labels no face"),
        ("file,left,top,width,height,beard\na.png,0,0,wide,1,yes\n", "line 2: expected left, top, width, height as"),
        ("beard\nyes\n", "line 2: expected a file"),
        ("", "labels no face"),
        ("file,beard\nabsent.png,yes\n", "absent.png: cannot be read"),
        ("file,beard\nperson-01/person-01_0001.png,yes\n", "No attribute has 20 faces with it and as many without"),
    ],
)
def test_what_cannot_be_trained_on_is_said(
    labels: str, words: str, album: Path, tmp_path: Path, models_dir: Path
) -> None:
    """In a sentence, and nothing is written."""
    (tmp_path / "labels.csv").write_text(labels)
    code, said = train(tmp_path / "labels.csv", album)
    assert code == 1
    assert words in said
    assert not (models_dir / FILE).exists()
