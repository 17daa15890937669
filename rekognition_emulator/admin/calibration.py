"""Calibrations of a face model: which cosines mean which similarities, from labelled images or faces without labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.admin.errors import require
from rekognition_emulator.admin.evaluation import NearPair
from rekognition_emulator.admin.inventory import known_models
from rekognition_emulator.admin.measuring import Way, compare, describe, embed, embed_all
from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.domain.faces import Collection, Owner
from rekognition_emulator.evaluation.calibration import CurvePoint, calibrate
from rekognition_emulator.evaluation.labels import read_album, read_events
from rekognition_emulator.evaluation.pictures import LeftOut
from rekognition_emulator.evaluation.scores import FALSE_MATCH_RATES, OperatingPoint, Scores
from rekognition_emulator.evaluation.unlabelled import UnlabelledCurve, calibrate_unlabelled, presumed_impostors
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.records import Embedder
from rekognition_emulator.progress import ProgressOf
from rekognition_emulator.storage.postgres import PostgresStore

_PAGE: Final = 4096
"""Faces of a collection that are listed at a time."""


@dataclass(frozen=True, slots=True)
class MeasuredAlbum:
    """A labelled album as it was compared; ``curve`` is what can be made of it.

    Attributes:
        model: that was measured.
        people: how many the images show.
        images: how many had a face.
        left_out: the others, and why.
        scores: of all pairs.
        operating_points: cosines at false match rates, as far as they can be measured.
        nearest_strangers: nearest first; where labels are wrong, it shows here.
        description: what every document says first.
    """

    model: FaceModel
    people: int
    images: int
    left_out: Sequence[LeftOut]
    scores: Scores
    operating_points: Sequence[OperatingPoint]
    nearest_strangers: Sequence[NearPair]
    description: dict[str, Any]

    def curve(self) -> list[CurvePoint]:
        """Returns which cosines mean which similarities.

        Raises:
            TooFewPairs: the album cannot support a curve.
        """
        return calibrate(self.scores)

    def document(self, curve: Sequence[CurvePoint]) -> dict[str, Any]:
        """Returns everything for machines; servers read the curve from it."""
        return self.description | {
            "people": self.people,
            "pictures": self.images,
            "stranger_pairs": self.scores.stranger_pairs,
            "same_pairs": self.scores.same_pairs,
            "operating_points": [asdict(point) for point in self.operating_points],
            "curve": [asdict(point) for point in curve],
            "calibration": _calibration(curve),
        }


@dataclass(frozen=True, slots=True)
class UnlabelledCalibration:
    """A curve from faces of nobody knows whom.

    Attributes:
        model_name: of the face model; None where nothing is known here of the one of this version.
        model_version: its.
        faces: how many there were.
        left_out: images without a face, and why.
        curve: what cosines mean.
        document: everything, for machines; servers read the curve from it.
    """

    model_name: str | None
    model_version: str
    faces: int
    left_out: Sequence[LeftOut]
    curve: UnlabelledCurve
    document: dict[str, Any]


def measure_labelled(engine: FaceEngine, album: Path, way: Way, progress_of: ProgressOf) -> MeasuredAlbum:
    """Compares every image of a labelled album with every other.

    Args:
        engine: to calibrate.
        album: a folder with a folder of images per person, or CSV.
        way: how they are embedded.
        progress_of: told of faces, then of pairs.

    Raises:
        LabelsUnusable: the album labels no image, or none has a face.
        OSError: a file cannot be read.
    """
    pictures = read_album(album)
    embedded = embed(engine, [picture.file for picture in pictures], way, progress_of)
    people, compared = compare(embedded, pictures, progress_of)
    files = list(embedded.rows)
    return MeasuredAlbum(
        model=engine.model,
        people=int(people.max()) + 1,
        images=len(people),
        left_out=embedded.left_out,
        scores=compared.scores,
        operating_points=[compared.scores.operating_point(rate) for rate in FALSE_MATCH_RATES],
        nearest_strangers=[(cosine, files[one], files[other]) for cosine, one, other in compared.nearest_strangers],
        description=describe(engine.model, album, way.face, embedded.left_out),
    )


def calibrate_on_images(
    engine: FaceEngine, folder: Path, workers: int, progress_of: ProgressOf
) -> UnlabelledCalibration:
    """Estimates a curve from images without labels, with a folder for each event.

    Args:
        engine: to calibrate.
        folder: of folders.
        workers: images worked on at once.
        progress_of: told of images.

    Raises:
        LabelsUnusable: there is no image, or none has a face.
        TooFewPairs: they cannot support a curve.
        OSError: a file cannot be read.
    """
    files, events = zip(*read_events(folder), strict=True)
    embedded = embed_all(engine, files, workers, progress_of)
    event_of = np.array(events, np.intp)[embedded.image_of]
    curve = calibrate_unlabelled(presumed_impostors(embedded.embeddings, embedded.image_of, event_of))
    document = describe(engine.model, folder, "all", embedded.left_out) | _document(curve)
    faces = len(embedded.image_of)
    return UnlabelledCalibration(engine.model.name, engine.model.version, faces, embedded.left_out, curve, document)


def calibrate_on_collections(
    store: PostgresStore, owner: Owner, names: Sequence[str], files: ModelFiles
) -> UnlabelledCalibration:
    """Estimates a curve from the faces of collections that have one face model; each collection is an event.

    Args:
        store: that has them.
        owner: whose they are.
        names: the collections'.
        files: where models may lie, for the name of theirs.

    Raises:
        Refused: the collections have different face models.
        CollectionNotFound: there is none of one of these names.
        TooFewPairs: they cannot support a curve.
    """
    collections = [store.get_collection(owner, name) for name in dict.fromkeys(names)]
    versions = sorted({collection.face_model_version for collection in collections})
    require(len(versions) == 1, f"The collections have different face models: versions {', '.join(versions)}.")
    parts = [_faces_of(store, collection) for collection in collections]
    embeddings = np.concatenate([embeddings for embeddings, _ in parts])
    event_of = np.repeat(np.arange(len(parts)), [len(images) for _, images in parts])
    images = [f"{event} {image}" for event, (_, of) in enumerate(parts) for image in of]
    image_of = np.unique(np.array(images, str), return_inverse=True)[1]
    curve = calibrate_unlabelled(presumed_impostors(embeddings, image_of, event_of))
    name = _name_of(versions[0], files)
    document = {
        "face_model": {"name": name or "NAME", "version": versions[0]},
        "measured_on": datetime.now(UTC).date().isoformat(),
        "collections": [collection.name for collection in collections],
    }
    return UnlabelledCalibration(name, versions[0], len(embeddings), [], curve, document | _document(curve))


def _name_of(version: str, files: ModelFiles) -> str | None:
    known = known_models(files).values()
    return next((model.name for model in known if isinstance(model, Embedder) and model.version == version), None)


def _faces_of(store: PostgresStore, collection: Collection) -> tuple[NDArray[np.float32], list[UUID]]:
    """Returns (faces, dimension) float32 and the image of each face."""
    image_of: dict[UUID, UUID] = {}
    after = None
    while True:
        page = store.list_faces(collection, after=after, limit=_PAGE)
        image_of |= {face.face_id: face.image_id for face in page.items}
        if not page.more:
            break
        after = page.items[-1].face_id
    embeddings: dict[UUID, NDArray[np.float32]] = {}
    since, present = 0, collection.revision
    while since < present:
        changes = store.changes(collection, since)
        embeddings |= zip(changes.added, changes.embeddings, strict=True)
        since, present = changes.revision, changes.removals_revision
    known = [face for face in image_of if face in embeddings]  # of those that come or go meanwhile, one is not there
    stacked = np.stack([embeddings[face] for face in known]) if known else np.empty((0, 1), np.float32)
    return stacked, [image_of[face] for face in known]


def _document(curve: UnlabelledCurve) -> dict[str, Any]:
    return {
        "method": "unlabelled",
        "impostor_pairs": curve.pairs,
        "repeated_faces": curve.repeated,
        "curve": [asdict(point) for point in curve.points],
        "calibration": _calibration(curve.points),
    }


def _calibration(points: Sequence[CurvePoint]) -> list[tuple[float, float]]:
    """Returns a curve as a manifest takes it: (cosine, similarity), from −1 to 1."""
    return [(-1, 0), *((point.cosine, point.similarity) for point in points), (1, 100)]
