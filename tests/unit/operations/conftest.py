"""Handlers between doubles: an engine that finds what a test scripted, stores and an index that answer as told."""

import io
from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import PIL.Image
import pytest

from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.inference.details.face_details import FaceDetails
from rekognition_emulator.operations.context import Context
from rekognition_emulator.search.base import FaceIndex
from rekognition_emulator.storage.answers import PostgresAnswerStore
from rekognition_emulator.storage.postgres import PostgresStore
from rekognition_emulator.storage.tags import PostgresTagStore
from rekognition_emulator.storage.users import PostgresUserStore
from tests.support.gallery import ACTOR, ALBUM, OWNER
from tests.support.scripted import ScriptedEngine


@pytest.fixture
def photograph() -> bytes:
    """Any picture that is sharp everywhere: the engine does not look."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(noise).save(file, "png")
    return file.getvalue()


@pytest.fixture
def sees() -> Callable[..., Context]:
    """Makes what handlers work with: an engine that sees these faces, and doubles that check how they are called."""

    def make(*detections: Detection, **other: Any) -> Context:
        store = create_autospec(PostgresStore, instance=True)
        store.get_collection.return_value = ALBUM
        context: dict[str, Any] = {
            "engine": ScriptedEngine(detections),
            "attributes": FaceDetails([]),
            "store": store,
            "users": create_autospec(PostgresUserStore, instance=True),
            "tags": create_autospec(PostgresTagStore, instance=True),
            "answers": create_autospec(PostgresAnswerStore, instance=True),
            "index": create_autospec(FaceIndex, instance=True),
            "fetch_object": create_autospec(lambda bucket, key, version: b""),  # noqa: ARG005 - what it is called with
            "owner": OWNER,
            "actor": ACTOR,
        }
        return Context(**{**context, **other})

    return make
