from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors.scrfd import Scrfd
from rekognition_emulator.models.catalogue import SCRFD_10G
from rekognition_emulator.models.weights import ModelUnusable
from tests.support.detectors import PLANTED_POINTS, PLANTED_SIDES, write_planted_scrfd

RED, GREEN = (255, 0, 0), (0, 255, 0)


def opened(path: Path, sides_px: tuple[int, ...] = (640,)) -> Scrfd:
    """Opens a network at these sizes of the picture."""
    return Scrfd(replace(SCRFD_10G, sides_px=sides_px), path.read_bytes(), threads=1)


def planted(size: tuple[int, int], *plants: tuple[int, int, int, Sequence[int]]) -> Image:
    """Makes a black picture with squares: x, y, side in pixels and colour."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, side, colour in plants:
        pixels[y : y + side, x : x + side] = colour
    return Image(pixels, *size)


def in_pixels(image: Image, face: Detection) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns a face's corners, (4,), and landmarks, (5, 2), in pixels of the picture."""
    size = np.array([image.width_px, image.height_px])
    box = np.array([face.box.left, face.box.top, face.box.width, face.box.height]) * np.tile(size, 2)
    return np.concatenate([box[:2], box[:2] + box[2:]]), face.landmarks * size


@pytest.mark.parametrize("size", [(640, 384), (384, 640), (640, 640), (600, 350)])
@pytest.mark.parametrize(("stride", "colour"), [(8, RED), (8, GREEN), (32, RED), (32, GREEN)])
@pytest.mark.parametrize("shape", [(1, 3, "h", "w"), (1, 3, 640, 640)])
def test_a_plant_comes_out_exactly(
    tmp_path: Path, size: tuple[int, int], stride: int, colour: Sequence[int], shape: Sequence[int | str]
) -> None:
    """Upright, lying or of no multiple of the stride: box and landmarks lie as far from the cell as they were said to.

    A cell of 32 px is full in every grid: its sixteen small cells are faces too, and overlap no more than they should.
    """
    x, y = 7 * 32, 5 * 32
    image = planted(size, (x, y, stride, colour))
    found = opened(write_planted_scrfd(tmp_path / "scrfd.onnx", shape)).detect(image)
    corner = np.array([x, y])
    sides = np.array(PLANTED_SIDES) * stride
    expected = np.concatenate([corner - sides[:2], corner + sides[2:]])
    (face,) = [each for each in found if np.allclose(in_pixels(image, each)[0], expected, atol=0.01)]
    assert face.confidence == pytest.approx(100, abs=0.1)
    points = corner + np.array(PLANTED_POINTS).reshape(5, 2) * stride
    assert np.allclose(in_pixels(image, face)[1], points, atol=0.01)


def test_a_batch_dimension_does_not_matter(tmp_path: Path) -> None:
    """Exports with and without one are read alike."""
    image = planted((256, 192), (64, 96, 8, RED), (160, 32, 8, GREEN))
    found = [
        opened(write_planted_scrfd(tmp_path / f"{batch}.onnx", batch=batch)).detect(image) for batch in (False, True)
    ]
    assert len(found[0]) == 2
    assert [face.box for face in found[0]] == [face.box for face in found[1]]


def test_a_picture_is_seen_at_each_size(tmp_path: Path) -> None:
    """What is a cell of 8 px of the whole picture and what is one of its half are found both, where they are."""
    image = planted((512, 256), (64, 96, 8, RED), (320, 96, 16, RED))
    detector = opened(write_planted_scrfd(tmp_path / "scrfd.onnx"), (512, 256))
    boxes = [in_pixels(image, face)[0] for face in detector.detect(image)]
    for x, y, stride in ((64, 96, 8), (320, 96, 16)):
        sides = np.array(PLANTED_SIDES) * stride
        expected = (x - sides[0], y - sides[1], x + sides[2], y + sides[3])
        assert any(np.allclose(box, expected, atol=0.01) for box in boxes)


def test_a_faint_plant_is_none(tmp_path: Path) -> None:
    """Below the least score there is no face; at it there is one, and not a sure one."""
    detector = opened(write_planted_scrfd(tmp_path / "scrfd.onnx"))
    assert detector.detect(planted((256, 256), (64, 64, 8, (125, 0, 0)))) == []
    (face,) = detector.detect(planted((256, 256), (64, 64, 8, (130, 0, 0))))
    assert 70 <= face.confidence < 90


def test_other_networks_are_refused(tmp_path: Path) -> None:
    """One without landmarks, one that is cut short and what is no network at all each get a sentence."""
    path = write_planted_scrfd(tmp_path / "scrfd.onnx")
    model = onnx.load(path)
    del model.graph.output[6:]
    for weights in (model.SerializeToString(), path.read_bytes()[:-9], b"not a network"):
        with pytest.raises(ModelUnusable, match="scrfd-10g are no scrfd network with five landmarks"):
            Scrfd(SCRFD_10G, weights, threads=1)
