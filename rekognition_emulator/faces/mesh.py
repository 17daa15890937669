"""A dense mesh of one face, as a network fits it: what landmarks, pose, gaze and expressions are read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

POINTS: Final = 478
"""Of MediaPipe's topology: 468 of the face, then five of each iris, whose first is the pupil. Source: MediaPipe,
face_mesh_connections.py."""


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A mesh fitted to a face.

    Attributes:
        points: (POINTS, 3) float32. x and y in ratios of the upright image's width and height; z, which grows away from
            the camera, in the unit of x.
        presence: 0…1, how sure the network is that there is a face under the mesh.
        blendshapes: name of a movement, as MediaPipe calls it → how strong it is, 0…1; None where no network for it is
            at hand.
    """

    points: NDArray[np.float32]
    presence: float
    blendshapes: Mapping[str, float] | None = None
