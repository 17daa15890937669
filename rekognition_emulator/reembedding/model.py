"""A collection on its way from one face model to another: what its faces are made from, and how far it is.

Faces are embedded by the new model one after the other, beside everything else, and what comes of it is staged. When
no face lacks its second embedding, all are exchanged at once; those that were there before are staged from then on, so
that the way back is the same as the way there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rekognition_emulator.domain.faces import EnrolledFace, FaceChip, PictureSource


@dataclass(frozen=True, slots=True)
class ReembedSource:
    """A face, and what it can be embedded from anew; neither is known of some.

    Attributes:
        chip: cut out of the picture when the face was stored.
        source: where the picture was read from.
    """

    face: EnrolledFace
    chip: FaceChip | None
    source: PictureSource | None


@dataclass(frozen=True, slots=True)
class ReembedStatus:
    """How far a collection is on its way from one face model to another.

    Attributes:
        face_model_version: what it is searched with.
        kept: the model before, whose embeddings are kept; None if none are.
        faces: how many it has.
        staged: model → of how many faces an embedding is staged.
        chips: of how many faces there is a chip.
        sources: of how many faces it is known where the picture was read from.
    """

    face_model_version: str
    kept: str | None
    faces: int
    staged: Mapping[str, int]
    chips: int
    sources: int


class AlreadyReembedding(Exception):
    """Another process works on the same collection."""
