"""Attributes that are read off a mesh of the face."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from rekognition_emulator.domain import expressions
from rekognition_emulator.domain.attributes import Attribute, Attributes
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.domain.mesh import Mesh, landmarks30, pose_of
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.details.face_mesh import FaceMeshNetwork
from rekognition_emulator.inference.details.on_demand import OnDemand
from rekognition_emulator.inference.engine import AttributeEstimator

FROM_MESH: Final = frozenset(
    (Attribute.SMILE, Attribute.EYES_OPEN, Attribute.MOUTH_OPEN, Attribute.EYE_DIRECTION, Attribute.FACE_SHAPE)
)


class MeshAttributes(AttributeEstimator):
    """Fits a mesh to each face and reads it; a face that no mesh fits stays unknown.

    Args:
        network: fits meshes.
    """

    def __init__(self, network: OnDemand[FaceMeshNetwork]) -> None:
        self._network = network

    @property
    def known(self) -> AbstractSet[Attribute]:
        return frozenset() if self._network.is_hopeless else FROM_MESH

    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        network = self._network.get() if wanted & FROM_MESH and detections else None
        if network is None:
            return [Attributes()] * len(detections)
        aspect = image.width_px / image.height_px
        return [_read(mesh, aspect, wanted) if mesh else Attributes() for mesh in network.fit(image, detections)]


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
