import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rekognition_emulator.domain.quality import REQUIREMENTS, QualityFilter
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors.yunet import YuNet
from rekognition_emulator.models.catalogue import YUNET

(FILE,) = YUNET.files
SIDE_PX = 640
"""Of the square that OpenCV's reading of the graph takes."""


def test_what_it_reports_passes_the_default_filter() -> None:
    """IndexFaces keeps what is sure enough to be a face at all; its stricter filters ask for surer ones."""
    required = [
        REQUIREMENTS[bar].confidence_min for bar in (QualityFilter.AUTO, QualityFilter.MEDIUM, QualityFilter.HIGH)
    ]
    kept = [np.interp(score, *np.array(YUNET.confidences).T) for score in (YUNET.score_min, 0.79, 0.84)]
    assert all(confidence >= least for confidence, least in zip(kept, required, strict=True))
    assert all(confidence < least for confidence, least in zip(kept[:2], required[1:], strict=True))


@pytest.fixture(scope="module")
def yunet(weights: Callable[[str], Path]) -> YuNet:
    """The published graph."""
    return YuNet(YUNET, weights(FILE).read_bytes(), threads=1)


def test_finds_what_opencv_finds(yunet: YuNet, portrait: Image, weights: Callable[[str], Path]) -> None:
    """The oracle: OpenCV's own reading of the same graph finds each cell's face where we do, wherever it is surest."""
    pixels = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    pixels[:512, :512] = portrait.pixels
    oracle = cv2.FaceDetectorYN.create(str(weights(FILE)), "", (SIDE_PX, SIDE_PX), YUNET.score_min)
    _, (face,) = oracle.detect(np.ascontiguousarray(pixels[..., ::-1]))
    seen = yunet.look(pixels)
    best = seen.scores.argmax()
    assert np.abs(seen.boxes[best] - (*face[:2], *(face[:2] + face[2:4]))).max() < 1
    assert np.abs(seen.landmarks[best] - face[4:14].reshape(5, 2)).max() < 1


@pytest.mark.parametrize("shape", [(512, 512), (512, 768), (704, 512)])
def test_the_graph_takes_any_size(yunet: YuNet, portrait: Image, shape: tuple[int, int]) -> None:
    """Freed from the size that its file declares, it sees the same face in the corner of any frame."""
    frame = np.zeros((*shape, 3), np.uint8)
    frame[:512, :512] = portrait.pixels
    alone, framed = yunet.look(portrait.pixels), yunet.look(frame)
    assert np.abs(framed.boxes[framed.scores.argmax()] - alone.boxes[alone.scores.argmax()]).max() < 1


def test_a_face_may_fill_the_picture(yunet: YuNet, portrait: Image) -> None:
    """A close-up of any size, larger than the network knows faces, is one face."""
    close = portrait.pixels[40:200, 150:300]
    for factor in (1, 4, 12):
        pixels = cv2.resize(close, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        (face,) = yunet.detect(Image(pixels, pixels.shape[1], pixels.shape[0]))
        assert face.box.area > 0.2


def test_faces_are_found_where_they_are_and_nowhere_else(
    yunet: YuNet, faces_dir: Path, photograph: Callable[[str], Image]
) -> None:
    """No photograph has fewer faces than a sound detector must find; together they have hardly any too many."""
    missed, extra = [], 0
    with (faces_dir / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["faces"]:  # those without are broken files
            count = len(yunet.detect(photograph(row["file"])))
            extra += max(count - int(row["faces_max"]), 0)
            if count < int(row["faces_min"]):
                missed.append(row["file"])
    assert not missed
    assert extra <= 1
