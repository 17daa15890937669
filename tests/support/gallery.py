"""Made-up faces for stores and indexes: what matters of them is that they are all different."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.actor import Actor
from rekognition_emulator.domain.detection import BoundingBox
from rekognition_emulator.domain.faces import EnrolledFace, NewFace, Owner

OWNER = Owner("000000000000", "eu-central-1")
ACTOR = Actor("Test", OWNER.account, "", "(a test)", OWNER.region)


def embeddings(count: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Returns (count, dimension) float32 of unit length, always the same for the same seed."""
    drawn = np.random.default_rng(seed).normal(size=(count, dimension))
    unit: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def picture(vectors: NDArray[np.float32], *, image_id: UUID | None = None, ids: Sequence[UUID] = ()) -> list[NewFace]:
    """Returns one picture's faces, side by side, with these embeddings."""
    image_id = image_id or uuid4()
    return [
        NewFace(
            EnrolledFace(
                face_id=ids[number] if ids else uuid4(),
                image_id=image_id,
                external_image_id=f"album-7:IMG_{number:04}.jpg",
                box=BoundingBox(number + 1 / 3, 0.1, 0.7, 0.2),
                confidence=99.123456789,
            ),
            vector,
        )
        for number, vector in enumerate(vectors)
    ]
