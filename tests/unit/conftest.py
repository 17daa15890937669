import subprocess
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import NoReturn

import numpy as np
import onnxruntime
import psycopg
import pytest
from hypothesis import HealthCheck, settings

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


# How long it takes to make an input says more of a busy machine than of the test.
settings.register_profile("quick", max_examples=20, suppress_health_check=[HealthCheck.too_slow])


class TierError(AssertionError):
    """A unit test has asked for what belongs to another tier."""


@pytest.fixture(scope="module", autouse=True)  # a session's would hold for the other tiers, too, once it is there
def _nothing_but_python() -> Iterator[None]:
    """Unit tests start no process, open no database and run no network. Tests that do stand in another folder."""

    def refuse(what: str, folder: str) -> Callable[..., NoReturn]:
        def refused(*_: object, **__: object) -> NoReturn:
            raise TierError(f"a unit test {what}: it belongs to tests/{folder}")

        return refused

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse("starts a process", "server"))
        patch.setattr(BaseProcess, "start", refuse("starts a process", "server"))
        for opens in (psycopg, psycopg.Connection, psycopg.AsyncConnection):
            patch.setattr(opens, "connect", refuse("opens a database", "database"))
        patch.setattr(onnxruntime.InferenceSession, "__init__", refuse("runs a network", "inference"))
        yield
