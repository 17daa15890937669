"""Age, gender and emotions by DeepFace's networks. Changes when DeepFace changes them.

They are used where their files lie and the operator accepts their licences, by name: they are large, and their
publisher does not say whether they may be used commercially. The networks are called directly, in batches; cropping
follows DeepFace 0.0.103, which they were published with: the detector's box, turned until the eyes are level, its
longer side filling the square.
"""

import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.engines.alignment import warp
from rekognition_emulator.engines.models import ESTIMATORS
from rekognition_emulator.engines.networks import open_model
from rekognition_emulator.faces.attributes import Attribute, AttributeEstimator, Attributes, Emotion, Gender
from rekognition_emulator.faces.detection import Detection
from rekognition_emulator.faces.image import Image

FILES: Final = {model.attribute: file for model in ESTIMATORS.values() for file in model.files}
"""As DeepFace names them in its folder of weights."""

SIDE_PX: Final = 224
EMOTION_SIDE_PX: Final = 48

AGE_ERROR_YEARS: Final = 4.65
"""Half the width of an age range. Source: mean absolute error that DeepFace's README gives for the network."""

GENDERS: Final = (Gender.FEMALE, Gender.MALE)
EMOTIONS: Final = (
    Emotion.ANGRY,
    Emotion.DISGUSTED,
    Emotion.FEAR,
    Emotion.HAPPY,
    Emotion.SAD,
    Emotion.SURPRISED,
    Emotion.CALM,
)
"""Order of the networks' outputs. What DeepFace calls neutral is AWS's CALM."""


class DeepFaceAttributes(AttributeEstimator):
    """The networks of ``FILES`` that lie in a folder, each opened when it is first wanted: they are large.

    Args:
        folder: DeepFace's folder of weights; may lack any of them, or not exist.
        threads: that one call may use.
        accepted: names of the models in ``models.ESTIMATORS`` whose licences the operator accepts; no other is used.
    """

    def __init__(self, folder: Path, threads: int, accepted: Collection[str]) -> None:
        allowed = [model.attribute for model in ESTIMATORS.values() if model.name in accepted]
        self._files = {attribute: folder / FILES[attribute] for attribute in allowed}
        self._files = {attribute: file for attribute, file in self._files.items() if file.is_file()}
        self._threads = threads
        self._networks: dict[Attribute, Any] = {}
        self._opening = threading.Lock()

    def estimate(self, image: Image, detections: Sequence[Detection], wanted: set[Attribute]) -> list[Attributes]:
        """Estimates attributes; see ``AttributeEstimator``."""
        if not detections or not wanted & self._files.keys():
            return [Attributes()] * len(detections)
        faces = _crops(image.pixels, detections)
        scores = {
            attribute: _run(
                self._network(attribute), _small_and_grey(faces) if attribute is Attribute.EMOTIONS else faces
            )
            for attribute in wanted & self._files.keys()
        }
        return [
            Attributes(
                age=_age(scores[Attribute.AGE_RANGE][face]) if Attribute.AGE_RANGE in scores else None,
                gender=_gender(scores[Attribute.GENDER][face]) if Attribute.GENDER in scores else None,
                emotions=_emotions(scores[Attribute.EMOTIONS][face]) if Attribute.EMOTIONS in scores else None,
            )
            for face in range(len(detections))
        ]

    def _network(self, attribute: Attribute) -> Any:  # noqa: ANN401 - untyped library
        with self._opening:
            if attribute not in self._networks:
                self._networks[attribute] = open_model(self._files[attribute].read_bytes(), self._threads)
            return self._networks[attribute]


def _run(network: Any, faces: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ANN401 - untyped library
    (scores,) = network.run(None, {network.get_inputs()[0].name: faces.astype(np.float32) / np.float32(255)})
    return np.asarray(scores, np.float32)


def _crops(pixels: NDArray[np.uint8], detections: Sequence[Detection]) -> NDArray[np.uint8]:
    """Returns the faces as (n, 224, 224, 3) uint8, BGR, black beside what is narrower than high."""
    height, width = pixels.shape[:2]
    transforms, halves = [], []
    for detection in detections:
        box = detection.box
        size = np.array([box.width * width, box.height * height])
        centre = np.array([(box.left + box.width / 2) * width, (box.top + box.height / 2) * height])
        across, down = (detection.landmarks[1] - detection.landmarks[0]) * (width, height)
        if abs(down) > abs(across):  # the head lies on its side, and so does its box
            size = size[::-1]
        scale = SIDE_PX / max(size.max(), 1.0)
        angle = np.arctan2(down, across)
        turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        transforms.append(np.column_stack([turn, SIDE_PX / 2 - turn @ centre]))
        halves.append(np.minimum(np.ceil(size * scale / 2), SIDE_PX // 2).astype(int))
    faces = warp(pixels, np.stack(transforms), SIDE_PX)
    for face, (half_width, half_height) in zip(faces, halves, strict=True):
        face[:, : SIDE_PX // 2 - half_width] = face[:, SIDE_PX // 2 + half_width :] = 0
        face[: SIDE_PX // 2 - half_height] = face[SIDE_PX // 2 + half_height :] = 0
    return faces[..., ::-1]


def _small_and_grey(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns BGR crops as (n, 48, 48, 1) uint8."""
    grey = (cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_BGR2GRAY) for face in faces)
    small = [cv2.resize(face, (EMOTION_SIDE_PX, EMOTION_SIDE_PX), interpolation=cv2.INTER_AREA) for face in grey]
    return np.stack(small)[..., None].astype(np.uint8)


def _age(scores: NDArray[np.float32]) -> tuple[int, int]:
    expected = float(scores @ np.arange(len(scores)))
    return max(round(expected - AGE_ERROR_YEARS), 0), round(expected + AGE_ERROR_YEARS)


def _gender(scores: NDArray[np.float32]) -> tuple[Gender, float]:
    likelier = int(scores.argmax())
    return GENDERS[likelier], 100 * float(scores[likelier] / scores.sum())


def _emotions(scores: NDArray[np.float32]) -> list[tuple[Emotion, float]]:
    confidences = 100 * scores / scores.sum()
    return [(EMOTIONS[place], float(confidences[place])) for place in np.argsort(-confidences, kind="stable")]
