"""``train-attributes``: fits the operator's own heads for what no free network tells, and writes them for servers."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rekognition_emulator.cli.start import load_face_engine, read_settings
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.errors import FaceError
from rekognition_emulator.evaluation.attribute_heads import (
    FACES_MIN,
    FOLDS,
    LabelledFace,
    columns,
    enough,
    fit_head,
    read_labelled_faces,
)
from rekognition_emulator.evaluation.labels import LabelsUnusable
from rekognition_emulator.evaluation.pictures import read_picture
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.details.attribute_heads import HEADS, Head, Heads, write_heads
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.pipeline import analyse

OVERLAP_MIN: Final = 0.3
"""Intersection over union with a labelled box from which a found face is the one. Ours: whoever labels draws boxes
otherwise than a detector."""


def train(labels: Path, images: Path, workers: int) -> None:
    """Fits a head for each attribute that is labelled often enough, shows how good they are, and writes them.

    Raises:
        LabelsUnusable: no attribute has enough labelled faces, or the file is not as it should be.
        ModelUnusable: the face model cannot serve, or the heads cannot be written.
        OSError: the labels cannot be read.
    """
    settings = read_settings()
    listed = read_labelled_faces(labels, images, list(HEADS.values()))
    engine = load_face_engine(settings)
    faces, embeddings = _embed(engine, listed, workers)
    pictures = np.unique([str(face.file) for face in faces], return_inverse=True)[1].astype(np.intp)
    heads, table = {}, Table("attribute", "faces", "with it", "right", "AUC")
    for name in HEADS.values():
        known = list(columns(faces, name))
        places = np.array([place for place, _ in known], np.intp)
        so = np.array([is_so for _, is_so in known], bool)
        if not enough(so, pictures[places]):
            table.add_row(name, f"{len(so):,}", f"{so.sum():,}", f"needs {FACES_MIN} faces with it and without", "")
            continue
        fitted = fit_head(embeddings[places], so, pictures[places])
        heads[name] = Head(
            weights=tuple(fitted.weights.tolist()),
            bias=fitted.bias,
            faces=fitted.faces,
            positive=fitted.positive,
            accuracy=fitted.accuracy,
            auc=fitted.auc,
        )
        table.add_row(name, f"{fitted.faces:,}", f"{fitted.positive:,}", f"{fitted.accuracy:.1%}", f"{fitted.auc:.3f}")
    console = Console()
    console.print(f"Each fifth of the pictures judged by what the others taught, face model {engine.model.name}:")
    console.print(table)
    if not heads:
        raise LabelsUnusable(f"No attribute has {FACES_MIN} faces with it and as many without, in {FOLDS} pictures.")
    trained_on = (
        f"{len(faces)} faces of {pictures.max() + 1} pictures, labelled in {labels.name}, "
        f"{datetime.now(UTC).date().isoformat()}"
    )
    path = write_heads(
        settings.model_files.models_dir,
        Heads(face_model_version=engine.model.version, trained_on=trained_on, heads=heads),
    )
    console.print(f"{path} has them; a server that is started now answers with them.", soft_wrap=True, highlight=False)


def _embed(
    engine: FaceEngine, listed: Sequence[LabelledFace], workers: int
) -> tuple[list[LabelledFace], NDArray[np.float32]]:
    """Returns the labelled faces that were found, and their embeddings; says which were not.

    Raises:
        LabelsUnusable: none was found.
    """
    by_file: dict[Path, list[LabelledFace]] = {}
    for face in listed:
        by_file.setdefault(face.file, []).append(face)
    faces, embeddings = [], []
    console = Console(stderr=True)
    with ThreadPoolExecutor(workers) as pool:
        outcomes = pool.map(partial(_embed_picture, engine), by_file, by_file.values())
        for file, outcome in track(zip(by_file, outcomes, strict=True), "pictures", len(by_file), console=console):
            if isinstance(outcome, str):
                console.print(f"left out: {file}: {outcome}", markup=False, highlight=False, soft_wrap=True)
                continue
            faces += outcome[0]
            embeddings.append(outcome[1])
    if not faces:
        raise LabelsUnusable("None of the labelled faces was found.")
    return faces, np.concatenate(embeddings)


def _embed_picture(
    engine: FaceEngine, file: Path, listed: Sequence[LabelledFace]
) -> tuple[list[LabelledFace], NDArray[np.float32]] | str:
    """Returns the faces of a picture that were found again, and their embeddings; or why there are none."""
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
