"""MTCNN, a detector of three networks, each of which looks closer at what the one before let pass.

MTCNN (Zhang et al. 2016): P-Net looks at every window of an image pyramid, R-Net and O-Net judge what it proposes at
24 and 48 px. The networks are those of the package ``mtcnn``; the walk between them is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.imaging.alignment import Pixels, octaves, shrunk
from rekognition_emulator.imaging.image import Image

WINDOW_PX: Final = 12
"""Side of the window that P-Net judges."""

WINDOW_STEP_PX: Final = 2
"""From one window to the next, in both directions."""

WINDOW_REACH: Final = 1.1
"""A window also answers to faces smaller than itself by this, so that the search may start higher up the pyramid.
Source: ours, 101 faces shrunk to 40 and to 24 px: as many found as without; at 1.3 one in twenty is lost."""

PYRAMID_FACTOR: Final = 0.709
"""From one level of the pyramid to the next: half the area. Source: the paper's code and the package's default."""

PROPOSAL_SCORE_MIN: Final = 0.6
REFINEMENT_SCORE_MIN: Final = 0.8
OUTPUT_SCORE_MIN: Final = 0.8
"""Source: the package's defaults, but 0.8 instead of 0.7 in the middle. Ours: over 147 photographs, each searched at
four offsets of the pyramid, that leaves 11 detections too many instead of 18 and loses no face; 0.9 loses some."""

LEVEL_OVERLAP_MAX: Final = 0.5
PYRAMID_OVERLAP_MAX: Final = 0.7
REFINEMENT_OVERLAP_MAX: Final = 0.7
NESTING_MAX: Final = 0.7
"""Source of the four: the package's defaults. The last is of the smaller box's area, the others are intersection over
union."""

LEVEL_PROPOSALS_MAX: Final = 400
PROPOSALS_MAX: Final = 800
REFINEMENTS_MAX: Final = 200
"""Bounds on what goes from one stage to the next, best first, so that no picture, noise included, costs more memory or
time than these. Pictures of a hundred faces stay well below. Source: ours."""

TURNED_PROPOSALS_MAX: Final = 16
"""How many of the proposed squares are looked at in other turns, best first. Ours: of 364 turned photographs of people
and groups 16 and 30 show the right turn as the surest in all but 15, most of which have 150 px and show nothing."""

RUN_AREA_PX: Final = 65536
CROPS_AREA_PX: Final = 9216
"""How many pixels a network sees at once, P-Net and the other two: what its layers pass on stays in the processor's
cache, and memory does not grow with the picture. Source: ours; P-Net takes a third longer over whole levels, R-Net a
quarter over a hundred crops than over sixteen."""

Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """What was found, in pixels of the picture; row by row the same face.

    Attributes:
        boxes: (n, 4) float32: left, top, right, bottom.
        landmarks: (n, 5, 2) float32: eyes, nose, mouth corners, the picture's left first; x and y.
        scores: (n,) float32, 0…1.
    """

    boxes: Boxes
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]


class Mtcnn:
    """A face detector over three ONNX Runtime sessions; thread-safe, as they are."""

    def __init__(self, proposal: Any, refinement: Any, output: Any) -> None:  # noqa: ANN401 - untyped library
        self._proposal = proposal
        self._refinement = refinement
        self._output = output

    def detect(self, image: Image, face_side_px_min: float) -> Faces:
        """Finds faces.

        Args:
            image: the picture, upright.
            face_side_px_min: smallest face to look for, at least 12.
        """
        return next(self.glance(image, face_side_px_min))

    def glance(self, image: Image, face_side_px_min: float) -> Iterator[Faces]:
        """Finds faces in a picture as it is, then in the same turned against the clock by one, two and three quarters.

        P-Net looks once: what lies on a side or on the head looks enough like a face to it. The other two then see its
        best squares turned, which tells the turns apart; faces that are to be used want a search in their own turn.

        Yields:
            What ``detect`` finds, then the surest faces of each turn, in pixels of the picture when turned so.
        """
        pyramid = octaves(image, max(int(np.log2(min(image.pixels.shape[:2]) / WINDOW_PX)), 0))
        squares = self._propose(image, face_side_px_min)
        for turns in range(4):
            chosen = turned(squares[:TURNED_PROPOSALS_MAX], turns, pyramid[0]) if turns else squares
            yield self._locate(pyramid, self._refine(pyramid, chosen, turns), turns)

    def _propose(self, image: Image, face_side_px_min: float) -> Boxes:
        """Returns squares that may hold a face, best first."""
        height, width = image.pixels.shape[:2]
        found = [(np.empty((0, 4), np.float32), np.empty(0, np.float32))]
        scale = WINDOW_PX / (face_side_px_min * WINDOW_REACH)
        while min(height, width) * scale >= WINDOW_PX:
            found.append(self._propose_in_level(*shrunk(image, scale)))
            scale *= PYRAMID_FACTOR
        boxes = np.concatenate([boxes for boxes, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        return squared(boxes[suppress(boxes, scores, PYRAMID_OVERLAP_MAX)[:PROPOSALS_MAX]])

    def _propose_in_level(self, level: Pixels, ratio: NDArray[np.float32]) -> tuple[Boxes, NDArray[np.float32]]:
        """Returns boxes in pixels of the picture, and their scores, from one level of the pyramid."""
        height, width = level.shape[:2]
        band_px = max(RUN_AREA_PX // width // WINDOW_STEP_PX, 1) * WINDOW_STEP_PX
        found = []
        for top in range(0, height - WINDOW_PX + 1, band_px):
            band = level[None, top : top + band_px + WINDOW_PX - WINDOW_STEP_PX]
            score, regression = self._proposal.run(("score", "regression"), {"input": band})
            rows, columns = np.nonzero(score[0, 0] > PROPOSAL_SCORE_MIN)
            corners = np.stack([columns, rows, columns, rows], axis=1) * WINDOW_STEP_PX + (1, 1, WINDOW_PX, WINDOW_PX)
            shifts = regression[0][:, rows, columns].T * (WINDOW_PX - 1)
            found.append((corners + shifts + (0, top, 0, top), score[0, 0][rows, columns]))
        boxes = np.concatenate([boxes for boxes, _ in found]).astype(np.float32) * np.tile(ratio, 2)
        scores = np.concatenate([scores for _, scores in found])
        if len(scores) > LEVEL_PROPOSALS_MAX:
            best = np.argpartition(-scores, LEVEL_PROPOSALS_MAX)[:LEVEL_PROPOSALS_MAX]
            boxes, scores = boxes[best], scores[best]
        kept = suppress(boxes, scores, LEVEL_OVERLAP_MAX)
        return boxes[kept], scores[kept]

    def _refine(self, pyramid: list[Pixels], squares: Boxes, turns: int) -> Boxes:
        """Returns the squares that a second look finds likely, corrected, best first; all as ``crop`` takes them."""
        if not len(squares):
            return squares
        score, regression = _judge(self._refinement, ("score", "regression"), crop(pyramid, squares, 24, turns))
        sure = score[:, 0] > REFINEMENT_SCORE_MIN
        boxes = regressed(squares[sure], regression[sure])
        return squared(boxes[suppress(boxes, score[sure, 0], REFINEMENT_OVERLAP_MAX)[:REFINEMENTS_MAX]])

    def _locate(self, pyramid: list[Pixels], squares: Boxes, turns: int) -> Faces:
        """Returns what the last look confirms, with landmarks."""
        if not len(squares):
            return Faces(squares, np.empty((0, 5, 2), np.float32), np.empty(0, np.float32))
        outputs = ("score", "regression", "landmarks")
        score, regression, points = _judge(self._output, outputs, crop(pyramid, squares, 48, turns))
        sure = score[:, 0] > OUTPUT_SCORE_MIN
        scores, squares = score[sure, 0], squares[sure]
        sides = (squares[:, 2] - squares[:, 0] + 1)[:, None, None]
        landmarks = points[sure].reshape(-1, 2, 5).transpose(0, 2, 1) * sides + squares[:, None, :2] - 1
        boxes = regressed(squares, regression[sure])
        kept = suppress_nested(boxes, scores, NESTING_MAX)
        return Faces(boxes[kept], landmarks[kept], scores[kept])


def _judge(network: Any, outputs: Sequence[str], crops: Pixels) -> list[NDArray[np.float32]]:  # noqa: ANN401 - untyped
    """Runs a network over crops, so many at a time."""
    count = CROPS_AREA_PX // (crops.shape[1] * crops.shape[2])
    runs = [network.run(outputs, {"input": crops[start : start + count]}) for start in range(0, len(crops), count)]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def regressed(boxes: Boxes, regression: NDArray[np.float32]) -> Boxes:
    """Moves the sides of boxes by parts of their widths and heights."""
    sizes = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + regression * np.tile(sizes, 2)


def squared(boxes: Boxes) -> Boxes:
    """Widens or heightens boxes to squares around the same centres."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def suppress(boxes: Boxes, scores: NDArray[np.float32], overlap_max: float) -> NDArray[np.intp]:
    """Non-maximum suppression: drops every box that overlaps a better one that stays.

    Args:
        boxes: (n, 4): left, top, right, bottom.
        scores: (n,), above 0; more is better.
        overlap_max: intersection over union that two boxes may have.

    Returns:
        Indices of the boxes that stay, best first.
    """
    rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return np.asarray(cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0, overlap_max), np.intp)


def suppress_nested(boxes: Boxes, scores: NDArray[np.float32], nesting_max: float) -> NDArray[np.intp]:
    """Drops every box that shares too much of the smaller one's area with a better one; otherwise as ``suppress``."""
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = boxes[order].T
    areas = (right - left) * (bottom - top)
    across = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    down = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    nested = shared > nesting_max * np.minimum(areas[:, None], areas)
    return np.asarray(order[~np.triu(nested, 1).any(axis=0)])


def turned(boxes: Boxes, turns: int, pixels: Pixels) -> Boxes:
    """Returns boxes of a picture where they are when it is turned against the clock by so many quarters."""
    height, width = pixels.shape[:2]
    for _ in range(turns):
        left, top, right, bottom = boxes.T
        boxes = np.stack([top, width - 1 - right, bottom, width - 1 - left], axis=1)
        height, width = width, height
    return boxes


def crop(pyramid: list[Pixels], boxes: Boxes, side_px: int, turns: int = 0) -> NDArray[np.uint8]:
    """Cuts squares out of a picture, which may be turned, and brings them to one size, grey beyond the edge.

    Args:
        pyramid: octaves of the picture as it is.
        boxes: (n, 4), squares in pixels of the picture when it is turned.
        side_px: of a crop.
        turns: by how many quarters against the clock it is turned, and so are the crops.

    Returns:
        (n, side_px, side_px, 3) uint8.
    """
    sides = boxes[:, 2] - boxes[:, 0]
    octave_of = np.clip(np.log2(np.maximum(sides / side_px, 1)).astype(int), 0, len(pyramid) - 1)
    boxes = turned(boxes, -turns % 4, np.rot90(pyramid[0], turns))
    crops = np.empty((len(boxes), side_px, side_px, 3), np.uint8)
    steps = np.linspace(0, 1, side_px, dtype=np.float32)
    for octave in np.unique(octave_of):
        chosen = np.flatnonzero(octave_of == octave)
        scale = np.float32(0.5**octave)
        start = (boxes[chosen, :2] + 0.5) * scale - 0.5
        size = sides[chosen, None] * scale
        x = start[:, :1] + size * steps
        y = start[:, 1:] + size * steps
        shape = (len(chosen), side_px, side_px)
        map_x = np.broadcast_to(x[:, None, :], shape).reshape(-1, side_px)
        map_y = np.broadcast_to(y[:, :, None], shape).reshape(-1, side_px)
        sampled = cv2.remap(
            pyramid[octave], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(128, 128, 128)
        )
        crops[chosen] = sampled.reshape(*shape, 3)
    return np.rot90(crops, turns, axes=(1, 2))
