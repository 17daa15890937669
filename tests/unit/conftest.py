from collections.abc import Callable

import numpy as np
import pytest

from rekognition_emulator.domain.detection import BoundingBox, Detection
from tests.support.scripted import FRONTAL, ScriptedEngine


@pytest.fixture
def face() -> Callable[..., Detection]:
    """Makes a detection of a frontal face."""

    def make(left: float, top: float, side: float, confidence: float = 99.9) -> Detection:
        box = BoundingBox(left, top, side, side)
        return Detection(box, (FRONTAL * side + (left, top)).astype(np.float32), confidence)

    return make


@pytest.fixture
def scripted() -> Callable[..., ScriptedEngine]:
    """Makes an engine that finds these detections in every picture."""
    return ScriptedEngine
