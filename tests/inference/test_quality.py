import json
from pathlib import Path

import pytest

from rekognition_emulator.domain.errors import PictureUnreadable
from rekognition_emulator.domain.quality import QualityFilter
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.pipeline import analyse, select
from tests.support.networks import embedded_engine


def test_brightness_is_that_of_aws_on_its_own_pictures(aws_answers_dir: Path, tmp_path: Path) -> None:
    """Two pictures whose answers by AWS are public, found and measured by the embedded engine."""
    answers = {
        "face.jpeg": json.loads((aws_answers_dir / "face_detection.json").read_text())["FaceDetails"][0],
        "face2.jpg": json.loads((aws_answers_dir / "face_compare.json").read_text())["FaceMatches"][0]["Face"],
    }
    engine = embedded_engine(tmp_path, threads=2)
    for name, answer in answers.items():
        largest = analyse(engine, decode((aws_answers_dir / name).read_bytes()))[0]
        assert largest.quality.brightness == pytest.approx(answer["Quality"]["Brightness"], abs=5), name


def test_the_default_bar_takes_every_portrait(faces_dir: Path, tmp_path: Path) -> None:
    """Whoever a real photograph was taken of can be found: of a sample of portraits, no main face is refused."""
    engine = embedded_engine(tmp_path, threads=2)
    for path in sorted((faces_dir / "people").glob("*.jpg"))[::9]:
        try:
            image = decode(path.read_bytes())
        except PictureUnreadable:  # a few are of other formats, whatever their names say
            continue
        kept, _ = select(analyse(engine, image)[:1], image, QualityFilter.AUTO, max_faces=1)
        assert kept, path.name
