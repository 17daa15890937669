"""The photographs that benches measure.

All come from a folder of photographs that is no part of the project (``REKOGNITION_TEST_FACES``), as the weights of
recommended models do (``REKOGNITION_TEST_WEIGHTS``).
"""

import argparse
import os
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

import PIL.Image

from rekognition_emulator.domain.errors import FaceError
from rekognition_emulator.imaging.image import decode

QUALITY: Final = 90
"""Of the JPEGs that are composed: what cameras and phones write."""

GROUP: Final = "groups/cf_011_3.jpg"
"""A photograph of three people."""

SELFIE: Final = "people/df01_img2.jpg"


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Lets a bench be told where the photographs are."""
    beside = Path(__file__).parents[2] / "shared" / "faces"
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("REKOGNITION_TEST_FACES", beside)))


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Lets a bench be told where the weights of recommended models are."""
    beside = Path(__file__).parents[2] / "shared" / "weights"
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("REKOGNITION_TEST_WEIGHTS", beside)))


@cache
def album(folder: Path, every: int) -> list[bytes]:
    """Reads every so many-th photograph that the product accepts.

    Raises:
        FileNotFoundError: there is none.
    """
    accepted = []
    for path in sorted(folder.rglob("*.*")):
        picture = path.read_bytes()
        try:
            decode(picture)
        except FaceError:
            continue
        accepted.append(picture)
    if not accepted:
        raise FileNotFoundError(f"There are no photographs in {folder}; --folder names another.")
    return accepted[::every]


@cache
def composed(folder: Path) -> dict[str, bytes]:
    """Returns a picture of each kind that an album service sees: a camera's, a shrunk one, and a selfie as it came."""
    group = PIL.Image.open(folder / GROUP).convert("RGB")
    return {
        "24 MP, three faces": _jpeg(group, 6000, 4000),
        "2 MP, three faces": _jpeg(group, 1732, 1155),
        "selfie": (folder / SELFIE).read_bytes(),
    }


def _jpeg(photograph: PIL.Image.Image, width_px: int, height_px: int) -> bytes:
    """Scales a photograph to cover a size and cuts off what is over, evenly on both sides."""
    scale = max(width_px / photograph.width, height_px / photograph.height)
    left, top = (photograph.width - width_px / scale) / 2, (photograph.height - height_px / scale) / 2
    box = (left, top, left + width_px / scale, top + height_px / scale)
    written = BytesIO()
    photograph.resize((width_px, height_px), PIL.Image.Resampling.LANCZOS, box).save(written, "JPEG", quality=QUALITY)
    return written.getvalue()
