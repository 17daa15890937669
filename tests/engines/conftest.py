from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from rekognition_emulator.engines.embedded import EmbeddedEngine
from rekognition_emulator.faces.image import Image


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the networks are written, once for all tests."""
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="session")
def embedded(cache_dir: Path) -> EmbeddedEngine:
    """The embedded engine."""
    return EmbeddedEngine(cache_dir, threads=1)


@pytest.fixture(scope="session")
def portrait() -> Image:
    """One real face, upright, in the public domain."""
    from skimage.data import astronaut

    pixels = astronaut()
    return Image(pixels, pixels.shape[1], pixels.shape[0])


@pytest.fixture(scope="session")
def mirrored(portrait: Image) -> Image:
    """The same, left and right exchanged."""
    return Image(np.ascontiguousarray(portrait.pixels[:, ::-1]), portrait.width_px, portrait.height_px)


@pytest.fixture(scope="session")
def photograph(faces_dir: Path) -> Callable[[str], Image]:
    """Reads a photograph by its name in the manifest, upright, at full size, whatever its format."""

    def read(file: str) -> Image:
        with PIL.Image.open(faces_dir / file) as opened:
            pixels = np.asarray(PIL.ImageOps.exif_transpose(opened).convert("RGB"))
        return Image(pixels, pixels.shape[1], pixels.shape[0])

    return read
