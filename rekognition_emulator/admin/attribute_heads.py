"""The operator's own heads for attributes of faces that no free network tells: fitted on labelled images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.errors import FaceError
from rekognition_emulator.evaluation.attribute_heads import (
    LabelledFace,
    columns,
    enough,
    fit_head,
    read_labelled_faces,
)
from rekognition_emulator.evaluation.labels import LabelsUnusable
from rekognition_emulator.evaluation.pictures import LeftOut, read_picture
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.details.attribute_heads import HEADS, Head, Heads
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.pipeline import analyse
from rekognition_emulator.progress import ProgressOf

OVERLAP_MIN: Final = 0.3
"""Intersection over union with a labelled box from which a found face is the one. Ours: whoever labels draws boxes
otherwise than a detector."""


@dataclass(frozen=True, slots=True)
class FittedHead:
    """What came of an attribute.

    Attributes:
        attribute: its name.
        faces: of which it is known.
        positive: that have it.
        head: None where too few have it, or have it not.
    """

    attribute: str
    faces: int
    positive: int
    head: Head | None


@dataclass(frozen=True, slots=True)
class TrainedHeads:
    """Heads of all attributes, and what they were trained on.

    Attributes:
        fitted: in the order in which servers know them.
        left_out: images of which no labelled face was found, and why.
        heads: as ``write_heads`` takes them; without any, servers have no use for them.
    """

    fitted: Sequence[FittedHead]
    left_out: Sequence[LeftOut]
    heads: Heads


def train_heads(engine: FaceEngine, labels: Path, images: Path, workers: int, progress_of: ProgressOf) -> TrainedHeads:
    """Fits a head for each attribute that is labelled often enough.

    Args:
        engine: whose embeddings the heads read.
        labels: CSV, as ``read_labelled_faces`` reads it.
        images: where the labelled images are.
        workers: images worked on at once.
        progress_of: told of images.

    Raises:
        LabelsUnusable: the file is not as it should be, or none of its faces is found.
        OSError: it cannot be read.
    """
    listed = read_labelled_faces(labels, images, list(HEADS.values()))
    faces, embeddings, left_out = _embed(engine, listed, workers, progress_of)
    pictures = np.unique([str(face.file) for face in faces], return_inverse=True)[1].astype(np.intp)
    fitted = [_fit(name, faces, embeddings, pictures) for name in HEADS.values()]
    trained_on = (
        f"{len(faces)} faces of {pictures.max() + 1} pictures, labelled in {labels.name}, "
        f"{datetime.now(UTC).date().isoformat()}"
    )
    heads = {each.attribute: each.head for each in fitted if each.head}
    return TrainedHeads(
        fitted, left_out, Heads(face_model_version=engine.model.version, trained_on=trained_on, heads=heads)
    )


def _fit(
    name: str, faces: Sequence[LabelledFace], embeddings: NDArray[np.float32], pictures: NDArray[np.intp]
) -> FittedHead:
    known = list(columns(faces, name))
    places = np.array([place for place, _ in known], np.intp)
    so = np.array([is_so for _, is_so in known], bool)
    if not enough(so, pictures[places]):
        return FittedHead(name, len(so), int(so.sum()), None)
    fitted = fit_head(embeddings[places], so, pictures[places])
    head = Head(
        weights=tuple(fitted.weights.tolist()),
        bias=fitted.bias,
        faces=fitted.faces,
        positive=fitted.positive,
        accuracy=fitted.accuracy,
        auc=fitted.auc,
    )
    return FittedHead(name, fitted.faces, fitted.positive, head)


def _embed(
    engine: FaceEngine, listed: Sequence[LabelledFace], workers: int, progress_of: ProgressOf
) -> tuple[list[LabelledFace], NDArray[np.float32], list[LeftOut]]:
    """Returns the labelled faces that were found, their embeddings, and the images without one.

    Raises:
        LabelsUnusable: none was found.
    """
    by_file: dict[Path, list[LabelledFace]] = {}
    for face in listed:
        by_file.setdefault(face.file, []).append(face)
    faces, embeddings, left_out = [], [], []
    progress = progress_of("pictures")
    with ThreadPoolExecutor(workers) as pool:
        outcomes = pool.map(partial(_embed_picture, engine), by_file, by_file.values())
        for done, (file, outcome) in enumerate(zip(by_file, outcomes, strict=True), start=1):
            progress(done, len(by_file))
            if isinstance(outcome, str):
                left_out.append(LeftOut(file, outcome))
            else:
                faces += outcome[0]
                embeddings.append(outcome[1])
    if not faces:
        raise LabelsUnusable(f"None of the labelled faces was found. {left_out[0].file}: {left_out[0].reason}.")
    return faces, np.concatenate(embeddings), left_out


def _embed_picture(
    engine: FaceEngine, file: Path, listed: Sequence[LabelledFace]
) -> tuple[list[LabelledFace], NDArray[np.float32]] | str:
    """Returns the faces of an image that were found again, and their embeddings; or why there are none."""
    try:
        image = decode(read_picture(file))
    except FaceError as error:
        return f"cannot be decoded: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    found = [portrait.detection for portrait in analyse(engine, image)]
    matched = [(face, detection) for face in listed if (detection := _find(face, found))]
    if not matched:
        return "the labelled face is not found"
    faces, detections = zip(*matched, strict=True)
    return list(faces), engine.embed(image, detections)


def _find(face: LabelledFace, found: Sequence[Detection]) -> Detection | None:
    """Returns the face that a label is about; without a box, the largest."""
    if face.box is None:
        return found[0] if found else None
    box = face.box
    nearest = max(found, key=lambda detection: detection.box.overlap(box), default=None)
    return nearest if nearest and nearest.box.overlap(box) >= OVERLAP_MIN else None
