"""What a face's mesh says of it, and with the expression network which emotions it shows."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np

from rekognition_emulator.engines.expression import EMOTIONS, ExpressionNetwork
from rekognition_emulator.engines.face_mesh import FaceMeshNetwork
from rekognition_emulator.engines.on_demand import OnDemand
from rekognition_emulator.faces import expressions
from rekognition_emulator.faces.attributes import Attribute, AttributeEstimator, Attributes, Emotion
from rekognition_emulator.faces.detection import Detection
from rekognition_emulator.faces.image import Image
from rekognition_emulator.faces.mesh import Mesh, landmarks30, pose_of

FROM_MESH: Final = frozenset(
    (Attribute.SMILE, Attribute.EYES_OPEN, Attribute.MOUTH_OPEN, Attribute.EYE_DIRECTION, Attribute.FACE_SHAPE)
)


class MeshDetails(AttributeEstimator):
    """Fits a mesh to each face and reads it; scores emotions by a network beside it.

    Args:
        mesh: fits meshes; None where there is no network for it.
        expression: scores emotions; likewise.
    """

    def __init__(self, mesh: OnDemand[FaceMeshNetwork] | None, expression: OnDemand[ExpressionNetwork] | None) -> None:
        self._mesh = mesh
        self._expression = expression

    @property
    def known(self) -> AbstractSet[Attribute]:
        from_mesh = FROM_MESH if self._mesh and not self._mesh.is_hopeless else frozenset()
        from_expression = {Attribute.EMOTIONS} if self._expression and not self._expression.is_hopeless else set()
        return from_mesh | from_expression

    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        meshes = self._meshes(image, detections) if wanted & FROM_MESH else [None] * len(detections)
        emotions = self._emotions(image, detections) if Attribute.EMOTIONS in wanted else [None] * len(detections)
        aspect = image.width_px / image.height_px
        return [
            (_read(mesh, aspect, wanted) if mesh else Attributes()).completed(Attributes(emotions=shown))
            for mesh, shown in zip(meshes, emotions, strict=True)
        ]

    def _meshes(self, image: Image, detections: Sequence[Detection]) -> Sequence[Mesh | None]:
        network = self._mesh.get() if self._mesh and detections else None
        return network.fit(image, detections) if network else [None] * len(detections)

    def _emotions(
        self, image: Image, detections: Sequence[Detection]
    ) -> Sequence[Sequence[tuple[Emotion, float]] | None]:
        network = self._expression.get() if self._expression and detections else None
        if network is None:
            return [None] * len(detections)
        return [
            [(EMOTIONS[place], 100 * float(scores[place])) for place in np.argsort(-scores, kind="stable")]
            for scores in network.scores(image, detections)
        ]


def _read(mesh: Mesh, aspect: float, wanted: AbstractSet[Attribute]) -> Attributes:
    pose = pose_of(mesh, aspect)
    return Attributes(
        smile=expressions.smile(mesh, aspect) if Attribute.SMILE in wanted else None,
        eyes_open=expressions.eyes_open(mesh, aspect) if Attribute.EYES_OPEN in wanted else None,
        mouth_open=expressions.mouth_open(mesh, aspect) if Attribute.MOUTH_OPEN in wanted else None,
        eye_direction=expressions.eye_direction(mesh, pose, aspect) if Attribute.EYE_DIRECTION in wanted else None,
        landmarks=landmarks30(mesh) if Attribute.FACE_SHAPE in wanted else None,
        pose=pose if Attribute.FACE_SHAPE in wanted else None,
    )
