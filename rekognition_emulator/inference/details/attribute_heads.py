"""Attributes by the operator's own heads: a weight for each number of an embedding, as ``train-attributes`` fits them.

No head comes with the product: what it is trained on has to be the operator's to use. The file is bound to the version
of the face model whose embeddings the weights belong to.
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rekognition_emulator.domain.attributes import Attribute, Attributes, Verdict
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import AttributeEstimator, FaceEmbedder
from rekognition_emulator.models.weights import ModelUnusable, write_whole

FILE: Final = "attribute-heads.json"
"""In the folder of the operator's models."""

Name = Literal["eyeglasses", "sunglasses", "beard", "mustache", "face_occluded"]

HEADS: Final[Mapping[Attribute, Name]] = {
    Attribute.EYEGLASSES: "eyeglasses",
    Attribute.SUNGLASSES: "sunglasses",
    Attribute.BEARD: "beard",
    Attribute.MUSTACHE: "mustache",
    Attribute.FACE_OCCLUDED: "face_occluded",
}
"""What a head can be trained for, and its name in files of labels, in the heads' own file and in ``Attributes``."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Head(BaseModel):
    """A logistic head.

    Attributes:
        weights: for each number of an embedding; with ``bias`` they give the log odds that it is so.
        faces: that it was trained on.
        positive: of these, for which it is so.
        accuracy: the share of faces that it was right about when it had not been trained on them, 0…1.
        auc: how well it ranked those, 0…1; 0.5 is chance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: tuple[Finite, ...]
    bias: Finite
    faces: Annotated[int, Field(ge=1)]
    positive: Annotated[int, Field(ge=1)]
    accuracy: Annotated[float, Field(ge=0, le=1)]
    auc: Annotated[float, Field(ge=0, le=1)]


class Heads(BaseModel):
    """The heads of one face model.

    Attributes:
        face_model_version: whose embeddings they read.
        trained_on: in the operator's words.
        heads: by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    face_model_version: str
    trained_on: Annotated[str, Field(min_length=1)]
    heads: dict[Name, Head]


class HeadedAttributes(AttributeEstimator):
    """Reads attributes off embeddings; faces are embedded for it that have not been with the same face model.

    Args:
        heads: of the embedder's version.
        embedder: of new collections.
    """

    def __init__(self, heads: Heads, embedder: FaceEmbedder) -> None:
        self._embedder = embedder
        self._heads = {attribute: heads.heads[name] for attribute, name in HEADS.items() if name in heads.heads}

    @property
    def known(self) -> AbstractSet[Attribute]:
        return self._heads.keys()

    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        asked = [attribute for attribute in self._heads if attribute in wanted]
        if not asked or not detections:
            return [Attributes()] * len(detections)
        weights = np.array([self._heads[attribute].weights for attribute in asked])
        bias = np.array([self._heads[attribute].bias for attribute in asked])
        odds = self._embeddings(image, detections) @ weights.T + bias
        probabilities = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        return [_as_attributes(asked, row) for row in probabilities]

    def _embeddings(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        model = self._embedder.model
        embeddings = np.zeros((len(detections), model.dimension), np.float32)
        missing = []
        for place, detection in enumerate(detections):
            if detection.embedded and detection.embedded.face_model_version == model.version:
                embeddings[place] = detection.embedded.vector
            else:
                missing.append(place)
        if missing:
            embeddings[missing] = self._embedder.embed(image, [detections[place] for place in missing])
        return embeddings


def _as_attributes(asked: Sequence[Attribute], probabilities: NDArray[np.float64]) -> Attributes:
    verdicts: dict[str, Any] = {
        str(HEADS[attribute]): Verdict.of(float(probability))
        for attribute, probability in zip(asked, probabilities, strict=True)
    }
    return Attributes(**verdicts)


def read_heads(folder: Path) -> Heads | None:
    """Reads the operator's heads; None where there are none.

    Raises:
        ModelUnusable: the file is not what it should be.
    """
    path = folder / FILE
    try:
        return Heads.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise ModelUnusable(f"{path} does not describe heads. {problems}") from error
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read: {error.strerror}.") from error


def write_heads(folder: Path, heads: Heads) -> Path:
    """Writes heads where a server finds them; returns where.

    Raises:
        ModelUnusable: the file cannot be written.
    """
    path = folder / FILE
    write_whole(path, (json.dumps(heads.model_dump(), indent=1) + "\n").encode())
    return path
