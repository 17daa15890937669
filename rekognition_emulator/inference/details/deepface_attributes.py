"""Age, gender and emotions by DeepFace's networks.

They are used where their files lie and the operator accepts their licences: they are large, and their publisher does
not say whether they may be used commercially. The networks are called directly, in batches; cropping
follows DeepFace 0.0.103, which they were published with: the detector's box, turned until the eyes are level, its
longer side filling the square.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Attribute, Attributes, Emotion, Gender
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.imaging.alignment import warp
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.details.on_demand import OnDemand
from rekognition_emulator.inference.engine import AttributeEstimator

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
    """DeepFace's networks, as far as they are at hand.

    Args:
        networks: ONNX sessions by what they estimate.
    """

    def __init__(self, networks: Mapping[Attribute, OnDemand[Any]]) -> None:
        self._networks = dict(networks)

    @property
    def known(self) -> AbstractSet[Attribute]:
        return {attribute for attribute, network in self._networks.items() if not network.is_hopeless}

    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        asked = wanted & self._networks.keys() if detections else set()
        opened = {attribute: self._networks[attribute].get() for attribute in asked}
        networks = {attribute: network for attribute, network in opened.items() if network}
        if not networks:
            return [Attributes()] * len(detections)
        faces = _crops(image, detections)
        scores = {
            attribute: _run(network, _small_and_grey(faces) if attribute is Attribute.EMOTIONS else faces)
            for attribute, network in networks.items()
        }
        return [
            Attributes(
                age=_age(scores[Attribute.AGE_RANGE][face]) if Attribute.AGE_RANGE in scores else None,
                gender=_gender(scores[Attribute.GENDER][face]) if Attribute.GENDER in scores else None,
                emotions=_emotions(scores[Attribute.EMOTIONS][face]) if Attribute.EMOTIONS in scores else None,
            )
            for face in range(len(detections))
        ]


def _run(network: Any, faces: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ANN401 - untyped library
    (scores,) = network.run(None, {network.get_inputs()[0].name: faces.astype(np.float32) / np.float32(255)})
    return np.asarray(scores, np.float32)


def _crops(image: Image, detections: Sequence[Detection]) -> NDArray[np.uint8]:
    """Returns the faces as (n, 224, 224, 3) uint8, BGR, black beside what is narrower than high."""
    height, width = image.pixels.shape[:2]
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
    faces = warp(image, np.stack(transforms), SIDE_PX)
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
