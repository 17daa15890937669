"""Everything that is estimated of a face beyond finding it: the estimators at hand, in order of precedence."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from rekognition_emulator.domain.attributes import Attribute, Attributes, Emotion
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.expressions import smile_if_happy
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.details.age_gender import AgeGender
from rekognition_emulator.inference.details.attribute_heads import FILE, HeadedAttributes, read_heads
from rekognition_emulator.inference.details.deepface_attributes import DeepFaceAttributes
from rekognition_emulator.inference.details.expression import ExpressionAttributes, ExpressionNetwork, open_expression
from rekognition_emulator.inference.details.face_mesh import FaceMeshNetwork, open_face_mesh
from rekognition_emulator.inference.details.mesh_attributes import MeshAttributes
from rekognition_emulator.inference.details.on_demand import OnDemand
from rekognition_emulator.inference.engine import AttributeEstimator, FaceEmbedder
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.inference.sessions import open_model
from rekognition_emulator.models.catalogue import AGE, DEEPFACE_ESTIMATORS, EXPRESSION, FACE_MESHES, GENDER
from rekognition_emulator.models.manifest import read_estimators
from rekognition_emulator.models.records import Estimator, FaceMesh, Model
from rekognition_emulator.models.weights import ModelUnusable, read_verified

T = TypeVar("T")

log = structlog.get_logger(__name__)


def load_face_details(files: ModelFiles, embedder: FaceEmbedder) -> "FaceDetails":
    """Returns what estimates attributes, by the models that are at hand and accepted; none has to be.

    What the operator has brought, their own heads, and what they have accepted by name, DeepFace's networks, comes
    before what anybody may use. Networks are opened when they are first wanted.

    Args:
        files: where models are found.
        embedder: of new collections.

    Raises:
        ModelUnusable: a manifest, the operator's heads or the record of acceptances cannot be read.
    """
    return FaceDetails(
        [
            *_heads(files, embedder),
            DeepFaceAttributes(_networks(DEEPFACE_ESTIMATORS.values(), files)),
            AgeGender(_networks((AGE, GENDER), files)),
            *_meshes(files),
        ],
        _expression(files),
    )


def _heads(files: ModelFiles, embedder: FaceEmbedder) -> Iterator[HeadedAttributes]:
    heads = read_heads(files.models_dir)
    if heads is None:
        return
    if heads.face_model_version != embedder.model.version:
        log.warning(
            "attribute_heads_unused",
            cause="they were trained on the embeddings of another face model",
            trained_for=heads.face_model_version,
            face_model_version=embedder.model.version,
        )
        return
    if any(len(head.weights) != embedder.model.dimension for head in heads.heads.values()):
        raise ModelUnusable(
            f"The heads in {files.models_dir / FILE} have not a weight for each number of an embedding."
        )
    yield HeadedAttributes(heads, embedder)


def _networks(models: Iterable[Estimator], files: ModelFiles) -> dict[Attribute, OnDemand[Any]]:
    """Returns those networks that are at hand, by what they estimate, with SHA-256 where a manifest vouches for one."""
    known = read_estimators(files.models_dir)
    models = [known[model.name] for model in models]
    found = {model.attribute: _at_hand(model, files, partial(_session, model, files)) for model in models}
    return {attribute: network for attribute, network in found.items() if network}


def _session(model: Estimator, files: ModelFiles, folder: Path) -> Any:  # noqa: ANN401 - untyped library
    ((file, sha256),) = model.files.items()
    contents = read_verified(folder / file, sha256) if sha256 else (folder / file).read_bytes()
    return open_model(contents, files.threads, files.device)


def _meshes(files: ModelFiles) -> Iterator[MeshAttributes]:
    """Yields one for each face mesh at hand, the best first: should it be damaged, there may be another."""

    def load(model: FaceMesh, folder: Path) -> FaceMeshNetwork:
        return open_face_mesh(model, folder, files.cache_dir, files.threads, files.device)

    for model in FACE_MESHES.values():
        if network := _at_hand(model, files, partial(load, model)):
            yield MeshAttributes(network)


def _expression(files: ModelFiles) -> ExpressionAttributes | None:
    def load(folder: Path) -> ExpressionNetwork:
        return open_expression(EXPRESSION, folder, files.cache_dir, files.threads, files.device)

    network = _at_hand(EXPRESSION, files, load)
    return ExpressionAttributes(network) if network else None


def _at_hand(model: Model, files: ModelFiles, load: Callable[[Path], T]) -> OnDemand[T] | None:
    """Returns a model to be loaded from its folder when it is wanted; None where it is absent or not accepted."""
    if not files.accepts(model):
        return None
    try:
        folder = files.folder(model)
    except ModelUnusable:
        return None
    return OnDemand(model.name, partial(load, folder))


class FaceDetails(AttributeEstimator):
    """Asks several estimators, each only for what those before it do not know.

    Args:
        estimators: those that come first are preferred.
        expression: knows emotions if nobody else does; smiles that others see are judged by these as well.
    """

    def __init__(self, estimators: Sequence[AttributeEstimator], expression: AttributeEstimator | None = None) -> None:
        self._estimators = estimators
        self._expression = expression

    @property
    def known(self) -> AbstractSet[Attribute]:
        known = {attribute for estimator in self._estimators for attribute in estimator.known}
        return known | self._expression.known if self._expression else known

    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        found = [Attributes()] * len(detections)
        missing = set(wanted)
        for estimator in self._estimators:
            asked = missing & estimator.known
            if not asked:
                continue
            estimated = estimator.estimate(image, detections, asked)
            found = [earlier.completed(later) for earlier, later in zip(found, estimated, strict=True)]
            missing -= asked & estimator.known  # what has turned out to be damaged is left to the next
        smiles = any(face.smile for face in found)
        if self._expression and (smiles or Attribute.EMOTIONS in missing):
            shown = self._expression.estimate(image, detections, {Attribute.EMOTIONS})
            found = [_judged_together(*face) for face in zip(found, shown, strict=True)]
            if Attribute.EMOTIONS in missing:
                found = [face.completed(emotions) for face, emotions in zip(found, shown, strict=True)]
        return found


def _judged_together(face: Attributes, shown: Attributes) -> Attributes:
    """Returns a face whose smile is judged by its emotions as well, where both were estimated."""
    if face.smile is None or shown.emotions is None:
        return face
    return replace(face, smile=smile_if_happy(face.smile, dict(shown.emotions)[Emotion.HAPPY] / 100))
