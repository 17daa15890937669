"""Changes when labelled pictures are turned into embeddings in another way, or when more can go wrong with one.

Each picture goes the way of a selfie through the server: decoded, its largest face found, embedded; or its most central
face, where labels are of that one, as in LFW. Side by side in threads, since everything that takes time releases the
interpreter; of a picture only its embedding is kept.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from math import hypot
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.faces.detection import Portrait
from rekognition_emulator.faces.engine import FaceEngine
from rekognition_emulator.faces.errors import (
    NoFaceInPicture,
    PictureTooCostly,
    PictureTooLarge,
    PictureTooSmall,
    PictureUnreadable,
)
from rekognition_emulator.faces.image import Image, decode
from rekognition_emulator.faces.pipeline import analyse, largest
from rekognition_emulator.faces.quality import QualityBar


class FaceChoice(StrEnum):
    """Which face of a picture is the one that its label names."""

    LARGEST = "largest"
    """As SearchFacesByImage and CompareFaces choose."""
    CENTRAL = "central"
    """The one whose middle is nearest to the picture's."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that no comparison could be made with, and why."""

    file: Path
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Pictures as embeddings.

    Attributes:
        rows: which row of the embeddings is which picture's.
        embeddings: (len(rows), dimension) float32, each row of unit length.
        left_out: the other pictures.
    """

    rows: dict[Path, int]
    embeddings: NDArray[np.float32]
    left_out: list[LeftOut]


def embed_pictures(
    engine: FaceEngine,
    files: Iterable[Path],
    workers: int,
    on_picture: Callable[[], None] = lambda: None,
    face: FaceChoice = FaceChoice.LARGEST,
) -> Embedded:
    """Embeds one face of each picture.

    Args:
        engine: finds and embeds.
        files: pictures; one that comes twice is embedded once.
        workers: pictures worked on at once.
        on_picture: told, in this thread, when one is done.
        face: which one.
    """
    rows: dict[Path, int] = {}
    embeddings: list[NDArray[np.float32]] = []
    left_out: list[LeftOut] = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for file, outcome in pool.map(lambda file: (file, _embed(engine, file, face)), dict.fromkeys(files)):
                if isinstance(outcome, str):
                    left_out.append(LeftOut(file, outcome))
                else:
                    rows[file] = len(embeddings)
                    embeddings.append(outcome)
                on_picture()
        except BaseException:  # an interrupted measurement must not wait for the pictures that are still to come
            pool.shutdown(cancel_futures=True)
            raise
    stacked = np.stack(embeddings) if embeddings else np.empty((0, engine.model.dimension), np.float32)
    return Embedded(rows, stacked, left_out)


def _embed(engine: FaceEngine, file: Path, choice: FaceChoice) -> NDArray[np.float32] | str:
    """Returns (dimension,) float32, or why there is none."""
    try:
        image = decode(file.read_bytes())
        face = _central(engine, image) if choice is FaceChoice.CENTRAL else largest(engine, image, QualityBar.NONE)[0]
        embedding: NDArray[np.float32] = engine.embed(image, [face.detection])[0]
    except NoFaceInPicture:
        return "no face found"
    except PictureUnreadable as error:
        return f"unreadable: {error}"
    except PictureTooSmall as error:
        return f"too small: {error}"
    except (PictureTooLarge, PictureTooCostly) as error:
        return f"too large: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return embedding


def _central(engine: FaceEngine, image: Image) -> Portrait:
    """Returns the face whose middle is nearest to the picture's; raises NoFaceInPicture if there is none."""

    def off_centre_px(portrait: Portrait) -> float:
        box = portrait.detection.box
        across, down = box.left + box.width / 2 - 0.5, box.top + box.height / 2 - 0.5
        return hypot(across * image.width_px, down * image.height_px)

    portraits = analyse(engine, image)
    if not portraits:
        raise NoFaceInPicture
    return min(portraits, key=off_centre_px)
