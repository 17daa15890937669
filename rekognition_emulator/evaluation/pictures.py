"""Embeddings of labelled pictures, and for each picture that has none the reason.

A picture of one person goes the way of a selfie through the server: decoded, its largest face found, embedded; or its
most central face, where labels are of that one, as in LFW. An image of an album goes the way of IndexFaces: every face
that passes the default quality filter. Side by side in threads, since everything that takes time releases the
interpreter; of a picture only its embeddings are kept.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from math import hypot
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import AnalyzedFace
from rekognition_emulator.domain.errors import (
    NoFaceInPicture,
    PictureTooCostly,
    PictureTooLarge,
    PictureTooSmall,
    PictureUnreadable,
)
from rekognition_emulator.domain.quality import QualityFilter
from rekognition_emulator.evaluation.bands import Covariates
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.pipeline import FACES_MAX, analyse, largest, select, side_px

_Outcome = TypeVar("_Outcome")
"""What is made of a picture."""


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
        covariates: of the faces, in the same order.
        left_out: the other pictures.
    """

    rows: dict[Path, int]
    embeddings: NDArray[np.float32]
    covariates: Covariates
    left_out: list[LeftOut]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedAlbum:
    """All faces of an album's images.

    Attributes:
        image_of: (faces,) which image each face is in, as its place in the list of files; ascending.
        embeddings: (faces, dimension) float32, each row of unit length.
        left_out: images without a face that passes the quality filter, and why.
    """

    image_of: NDArray[np.intp]
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
    embeddings, known = [_no_face(engine)], [np.empty((0, 3), np.float32)]
    left_out: list[LeftOut] = []
    for file, outcome in _each(dict.fromkeys(files), partial(_embed_one, engine, face), workers, on_picture):
        if isinstance(outcome, str):
            left_out.append(LeftOut(file, outcome))
        else:
            rows[file] = len(rows)
            embeddings.append(outcome[0])
            known.append(outcome[1])
    return Embedded(rows, np.concatenate(embeddings), Covariates(*np.concatenate(known).T), left_out)


def embed_album(
    engine: FaceEngine, files: Sequence[Path], workers: int, on_picture: Callable[[], None] = lambda: None
) -> EmbeddedAlbum:
    """Embeds every face of each image that IndexFaces would keep; arguments as those of ``embed_pictures``."""
    image_of: list[int] = []
    embeddings = [_no_face(engine)]
    left_out: list[LeftOut] = []
    for image, (file, outcome) in enumerate(_each(files, partial(_embed_all, engine), workers, on_picture)):
        if isinstance(outcome, str):
            left_out.append(LeftOut(file, outcome))
        else:
            image_of += [image] * len(outcome)
            embeddings.append(outcome)
    return EmbeddedAlbum(np.array(image_of, np.intp), np.concatenate(embeddings), left_out)


def _each(
    files: Iterable[Path], embed: Callable[[bytes], _Outcome], workers: int, on_picture: Callable[[], None]
) -> Iterator[tuple[Path, _Outcome | str]]:
    """Yields for each file, in order, what comes of it, or why nothing does."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            for file, outcome in pool.map(lambda file: (file, _outcome(embed, file)), files):
                yield file, outcome
                on_picture()
        except BaseException:  # an interrupted measurement must not wait for the pictures that are still to come
            pool.shutdown(cancel_futures=True)
            raise


def read_picture(file: Path) -> bytes:
    """Returns a file's contents.

    Raises:
        OSError: it cannot be read, or is no file: a pipe would be waited for without end.
    """
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is no file")
    try:
        return file.read_bytes()
    except ValueError as error:  # a zero byte in its name
        raise OSError(errno.EINVAL, "no file can have this name") from error


def _outcome(embed: Callable[[bytes], _Outcome], file: Path) -> _Outcome | str:
    try:
        return embed(read_picture(file))
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


def _embed_one(engine: FaceEngine, choice: FaceChoice, data: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns (1, dimension) float32, the embedding, and (1, 3) float32, the covariates."""
    image = decode(data)
    face = _central(engine, image) if choice is FaceChoice.CENTRAL else largest(engine, image, QualityFilter.NONE)[0]
    known = (side_px(face, image), face.quality.sharpness, abs(face.pose.yaw))
    return engine.embed(image, [face.detection]), np.array([known], np.float32)


def _embed_all(engine: FaceEngine, data: bytes) -> NDArray[np.float32]:
    """Returns (faces, dimension) float32."""
    image = decode(data)
    kept, _ = select(analyse(engine, image), image, QualityFilter.AUTO, FACES_MAX)
    if not kept:
        raise NoFaceInPicture
    return engine.embed(image, [portrait.detection for portrait in kept])


def _no_face(engine: FaceEngine) -> NDArray[np.float32]:
    return np.empty((0, engine.model.dimension), np.float32)


def _central(engine: FaceEngine, image: Image) -> AnalyzedFace:
    """Returns the face whose middle is nearest to the picture's; raises NoFaceInPicture if there is none."""

    def off_centre_px(portrait: AnalyzedFace) -> float:
        box = portrait.detection.box
        across, down = box.left + box.width / 2 - 0.5, box.top + box.height / 2 - 0.5
        return hypot(across * image.width_px, down * image.height_px)

    portraits = analyse(engine, image)
    if not portraits:
        raise NoFaceInPicture
    return min(portraits, key=off_centre_px)
