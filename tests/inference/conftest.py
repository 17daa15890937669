import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.catalogue import DETECTORS, DLIB, EMBEDDERS, MTCNN, RETINAFACE, SFACE, YUNET
from tests.support.detectors import YUNET_FILE, YUNET_N, write_retinaface, write_scrfd
from tests.support.networks import COARSE, embedded_engine, write_embedder, write_manifest
from tests.support.openvino import write_ir_embedder


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the networks are written, once for all tests."""
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="session")
def embedded(cache_dir: Path) -> FaceEngine:
    """The embedded engine."""
    return embedded_engine(cache_dir, threads=1)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An operator's folder: a small network under the name of each embedder's, described and calibrated.

    Until the tests of a file are over, the catalogue says that these are the publishers'.
    """
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        for name, embedder in list(EMBEDDERS.items()):
            if embedder.format == "openvino":
                patch.setitem(EMBEDDERS, name, write_ir_embedder(folder, embedder))
                write_manifest(folder, name=name, calibration=COARSE)
            elif name != DLIB.name:
                # SFace's graph takes a single face; so does its stand-in.
                path = write_embedder(folder, embedder, batch=1 if embedder is SFACE else "n")
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                if embedder.files[path.name]:
                    patch.setitem(EMBEDDERS, name, replace(embedder, files={path.name: sha256}))
                write_manifest(folder, name=name, sha256=sha256, calibration=COARSE)
        yield folder


@pytest.fixture(scope="module")
def model_files(cache_dir: Path, models_dir: Path) -> ModelFiles:
    """Everything at hand and everything accepted."""
    return ModelFiles(cache_dir, models_dir, models_dir / "none", frozenset({*DETECTORS, *EMBEDDERS}))


@pytest.fixture(scope="module")
def put_detector(models_dir: Path, weights: Callable[[str], Path]) -> Callable[[str], None]:
    """Puts a detector's weights into the operator's folder, by its name, and what has to be said of them."""

    def put(name: str) -> None:
        if name == MTCNN.name:
            return
        yunet = weights(YUNET_FILE)
        if name == YUNET.name:
            (models_dir / YUNET_FILE).symlink_to(yunet)
        elif name == "yunet-n":
            (models_dir / YUNET_N["file"]).symlink_to(weights(YUNET_N["file"]))
            write_manifest(models_dir, name=name, **YUNET_N)
        else:
            (file,) = DETECTORS[name].files
            write = write_retinaface if name == RETINAFACE.name else write_scrfd
            sha256 = hashlib.sha256(write(models_dir / file, yunet).read_bytes()).hexdigest()
            write_manifest(models_dir, name=name, sha256=sha256)

    return put


@pytest.fixture(scope="module")
def portrait() -> Image:
    """One real face, upright, in the public domain."""
    from skimage.data import astronaut

    pixels = astronaut()
    return Image(pixels, pixels.shape[1], pixels.shape[0])


@pytest.fixture(scope="module")
def mirrored(portrait: Image) -> Image:
    """The same, left and right exchanged."""
    return Image(np.ascontiguousarray(portrait.pixels[:, ::-1]), portrait.width_px, portrait.height_px)


@pytest.fixture(scope="module")
def photograph(faces_dir: Path) -> Callable[[str], Image]:
    """Reads a photograph by its name in the manifest, upright, at full size, whatever its format."""

    def read(file: str) -> Image:
        with PIL.Image.open(faces_dir / file) as opened:
            pixels = np.asarray(PIL.ImageOps.exif_transpose(opened).convert("RGB"))
        return Image(pixels, pixels.shape[1], pixels.shape[0])

    return read
