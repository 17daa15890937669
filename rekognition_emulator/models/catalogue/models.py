"""All models that we know, whatever they are for."""

from collections.abc import Sequence
from typing import Final

from rekognition_emulator.models.catalogue.details import ESTIMATORS, FACE_MESHES
from rekognition_emulator.models.catalogue.detectors import DETECTORS
from rekognition_emulator.models.catalogue.embedders import EMBEDDERS
from rekognition_emulator.models.records import Model, Profile

MODELS: Final[Sequence[Model]] = (*DETECTORS.values(), *EMBEDDERS.values(), *FACE_MESHES.values(), *ESTIMATORS.values())

RESEARCH: Final = [model.name for model in MODELS if model.profile is Profile.RESEARCH]
"""Names of the models whose licences have to be accepted."""

RECOMMENDED: Final = [model.name for model in MODELS if model.recommended]
"""Names of the models that set-up fetches."""
