from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.imaging.alignment import ARCFACE_TEMPLATE, Crop
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.composed import OTHERS_OPEN_MAX, ComposedEngine
from rekognition_emulator.inference.embedders.aligned import FACES_AT_ONCE, AlignedEmbedder, of_unit_length
from rekognition_emulator.inference.engine import FaceDetector, FaceEmbedder


def model(version: str) -> FaceModel:
    """Two numbers a face."""
    return FaceModel("left-right", version, 2, "ours", ((-1, 0), (1, 100)))


def left_and_right(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeds a chip by the brightness of its halves."""
    assert len(faces) <= 2 * FACES_AT_ONCE
    halves = [faces[:, :, :56].mean(axis=(1, 2, 3)), faces[:, :, 56:].mean(axis=(1, 2, 3))]
    return of_unit_length(np.stack(halves, axis=1).astype(np.float32))


def embedder(version: str, *, mirrored: bool = True) -> AlignedEmbedder:
    """An embedder without a network."""
    return AlignedEmbedder(model(version), Crop(ARCFACE_TEMPLATE, 112), mirrored=mirrored, network=left_and_right)


class Blind(FaceDetector):
    """Finds nothing."""

    def detect(self, image: Image) -> list[Detection]:  # noqa: ARG002 - it is blind
        """None."""
        return []


@pytest.fixture
def picture() -> tuple[Image, Sequence[Detection]]:
    """Many faces that fill a chip each, in a picture whose left half alone is white."""
    pixels = np.zeros((112, 112, 3), np.uint8)
    pixels[:, :56] = 255
    face = Detection(BoundingBox(0, 0, 1, 1), ARCFACE_TEMPLATE / np.float32(112), 99.9)
    return Image(pixels, 112, 112), [face] * (2 * FACES_AT_ONCE + 1)


def test_the_mirror_image_is_averaged_in_where_the_model_wants_it(picture: tuple[Image, Sequence[Detection]]) -> None:
    """With it, left and right are the same; without, they are what they are; in batches, and none is lost."""
    assert np.allclose(embedder("1.0").embed(*picture), np.sqrt(0.5), atol=0.02)
    assert np.allclose(embedder("1.0", mirrored=False).embed(*picture), [[1, 0]], atol=0.02)
    assert len(embedder("1.0").embed(*picture)) == len(picture[1])


def test_a_row_of_zeros_stays() -> None:
    """What has no direction becomes no not-a-number, which would match everything or break the search."""
    assert np.array_equal(of_unit_length(np.array([[0, 0], [3, 4]], np.float32)), np.array([[0, 0], [0.6, 0.8]], "f4"))


def test_few_older_models_stay_open() -> None:
    """Each is opened when it is first needed; beyond the bound the longest unused one goes and is opened again."""
    opened: Counter[str] = Counter()

    def opening(version: str) -> Callable[[], FaceEmbedder]:
        def open_it() -> FaceEmbedder:
            opened[version] += 1
            return embedder(version)

        return open_it

    versions = [f"{number}.0" for number in range(1, OTHERS_OPEN_MAX + 2)]
    engine = ComposedEngine(Blind(), embedder("0.0"), 1, {version: opening(version) for version in versions})
    assert not opened
    for version in (*versions[:OTHERS_OPEN_MAX], versions[0], versions[0]):
        found = engine.embedder(version)
        assert found
        assert found.model.version == version
    assert set(opened.values()) == {1}
    assert engine.embedder(versions[-1])
    assert engine.embedder(versions[0])
    assert opened[versions[0]] == 1
    assert engine.embedder(versions[1])
    assert opened[versions[1]] == 2
