"""What measurements of a face model begin with: labelled images as embeddings, compared with each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.bands import BandCounter
from rekognition_emulator.evaluation.comparison import AlbumComparison, compare_album
from rekognition_emulator.evaluation.labels import LabelledPicture, LabelsUnusable, number_people
from rekognition_emulator.evaluation.pictures import (
    Embedded,
    EmbeddedAlbum,
    FaceChoice,
    LeftOut,
    embed_album,
    embed_pictures,
)
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.progress import ProgressOf


@dataclass(frozen=True, slots=True)
class Way:
    """How images become embeddings.

    Attributes:
        workers: images worked on at once.
        face: which one of an image of one person.
    """

    workers: int
    face: FaceChoice


def embed(engine: FaceEngine, files: Sequence[Path], way: Way, progress_of: ProgressOf) -> Embedded:
    """Embeds a face of each image, each once.

    Raises:
        LabelsUnusable: no image has a face.
    """
    files = list(dict.fromkeys(files))
    embedded = embed_pictures(engine, files, way.workers, progress_of("faces"), way.face)
    _require_faces(len(embedded.rows), files, embedded.left_out)
    return embedded


def embed_all(engine: FaceEngine, files: Sequence[Path], workers: int, progress_of: ProgressOf) -> EmbeddedAlbum:
    """Embeds all faces of each image.

    Raises:
        LabelsUnusable: no image has a face.
    """
    embedded = embed_album(engine, files, workers, progress_of("images"))
    _require_faces(len(embedded.embeddings), files, embedded.left_out)
    return embedded


def compare(
    embedded: Embedded, album: Sequence[LabelledPicture], progress_of: ProgressOf, counter: BandCounter | None = None
) -> tuple[NDArray[np.intp], AlbumComparison]:
    """Compares every image of an album with every other.

    Args:
        embedded: the album's images that have a face.
        album: all of them.
        progress_of: told of pairs.
        counter: counts the same pairs by kind of face.

    Returns:
        (n,) whom each row of the embeddings shows, and the comparison.
    """
    person_of = {picture.file: picture.person for picture in album}
    people = number_people(person_of[file] for file in embedded.rows)
    return people, compare_album(embedded.embeddings, people, progress=progress_of("pairs"), counter=counter)


def describe(model: FaceModel, source: Path, faces: str, left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Returns what every document says first: what was measured, on which faces of what, and when."""
    return {
        "face_model": {"name": model.name, "version": model.version, "dimension": model.dimension},
        "measured_on": datetime.now(UTC).date().isoformat(),
        "pictures_from": str(source),
        "face": faces,
        "left_out": [{"file": str(picture.file), "reason": picture.reason} for picture in left_out],
    }


def _require_faces(found: int, files: Sequence[Path], left_out: Sequence[LeftOut]) -> None:
    if not found:
        first = left_out[0]
        raise LabelsUnusable(
            f"None of the {len(files):,} pictures can be compared; the first, {first.file}: {first.reason}"
        )
