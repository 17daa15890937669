from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.embedded import EMBEDDER
from rekognition_emulator.inference.embedders import dlib_resnet
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.sessions import open_session


@pytest.fixture(scope="module")
def weights_path() -> Path:
    """The file that dlib and we read."""
    spec = find_spec(EMBEDDER.package)
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], EMBEDDER.weights_path)


def test_embeddings_equal_dlibs(cache_dir: Path, portrait: Image, weights_path: Path) -> None:
    """The oracle: dlib's own runtime gives the same descriptor for a face, for noise, and for black and white."""
    dlib = pytest.importorskip("dlib")
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    flat = [np.full((150, 150, 3), value, np.uint8) for value in (0, 255)]
    chips = np.stack([portrait.pixels[:150, 150:300], noise, *flat])
    (ours,) = open_session(EMBEDDER, cache_dir, threads=1).run(("embedding",), {"input": chips})
    oracle = dlib.face_recognition_model_v1(str(weights_path))
    for chip, embedding in zip(chips, ours, strict=True):
        descriptor = np.array(oracle.compute_face_descriptor(chip))
        assert np.abs(embedding - descriptor / np.linalg.norm(descriptor)).max() < 1e-5


def test_weights_are_read_to_the_end(weights_path: Path) -> None:
    """The shape of the network as its authors published it: 29 convolutions, four that shrink behind the stem."""
    convolutions, projection = dlib_resnet.read_weights(weights_path.read_bytes())
    assert [len(c.bias) for c in convolutions] == [32] * 7 + [64] * 8 + [128] * 6 + [256] * 8
    assert sum(c.stride == 2 for c in convolutions) == 5
    assert projection.shape == (256, 128)


def test_mirrored_face_has_the_same_embedding(embedded: FaceEngine, portrait: Image, mirrored: Image) -> None:
    """The mirrored chip is averaged in, so a mirrored picture differs only by what the detector sees differently."""
    (a,) = embedded.embed(portrait, embedded.detect(portrait))
    (b,) = embedded.embed(mirrored, embedded.detect(mirrored))
    assert a @ b > 0.995
