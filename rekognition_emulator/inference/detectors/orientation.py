"""A detector for faces at any roll, made of one that knows upright faces only.

Such detectors see faces in pictures that lie on a side or on the head, too, with landmarks where an upright face would
have them: who is embedded by those matches strangers and not themselves. So a picture is believed to be upright only
where a face is surely so, or where a detector that can glance at the other turns sees nothing surer there. Otherwise a
small copy is looked at in all four quarter turns and, where that shows nothing, a larger one, whose likeliest places
are then looked at closely; the picture is searched in the turn with the surest face. What is doubtful for itself – by
its roll, its confidence, or landmarks that are too near to each other – is looked at once more in the four turns of its
own surroundings, so that somebody who lies among people who stand is found as well.

Where a constant's source is given as ours, it is the people and groups of a folder of photographs whose numbers are
odd; what comes out on the others stands beside it: benchmarks/orientation.py.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.pose import estimate_pose
from rekognition_emulator.imaging.alignment import shrunk
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors.yunet import YuNet
from rekognition_emulator.inference.engine import FaceDetector

ROLL_MAX: Final = 50.0
"""Degrees by which an upright face may be tilted. Ours: 45 would do for pictures in quarter turns, and heads are tilted
a little besides."""

UPRIGHT_CONFIDENCE_MIN: Final = 99.9
"""Confidence that a face reaches in no turn but its own. Ours: of 144 pictures on a side or on the head the surest face
that is seen upright has 99.6 with MTCNN and 99.83 with YuNet; upright, 67 and 96 % of them reach it."""

TURNED_CONFIDENCE_MIN: Final = 95.0
"""Least confidence of the surest face where a picture, or a face, is turned, and of the others in a picture that is not
surely upright even then. Ours: what is no face has three chances more to look like one."""

DOUBTFUL_YUNET: Final = 99.8
DOUBTFUL_OTHERS: Final = 98.0
"""Below it a face is looked at again in its own surroundings. Ours: of faces on a side that YuNet takes for upright
ones all are below, 96 % of those on the head, and 3 % of upright ones. With MTCNN 20 % of upright ones would be, so
that its bar lies lower: half of what it sees of lying faces it sees with their roll."""

SPREAD_MIN: Final = 0.21
"""Least mean distance of the landmarks from their centre, in sides of the box. Ours: 0.225 or more for 99 %
of upright faces; 0.204 in the median for those of faces on a side that YuNet takes for upright, 0.211 with MTCNN."""

NEAR_PX: Final = 320
"""Longest side of the copy that is looked at first, in all turns. Ours: true faces reach 96 there in their own turn."""

DISTANT_PX: Final = 640
"""Longest side of the copy that is searched next, for faces too small for the first one. Ours: of 28 lone faces of
generated people, 25 to 35 px in 960, that lie, 24 are found by it and closer looks; a copy of 960 px alone shows 14 and
takes twice the time."""

DISTANT_SCORE_MIN: Final = 0.1
"""YuNet's score from which a place in that copy is worth a closer look. Ours: at 0.2, 20 of those 28."""

DISTANT_CONFIDENCE_MIN: Final = 99.0
"""Least confidence of a face in the closer look. Ours: in 80 cuts of faceless photographs one that is none reaches 97,
and none 98."""

DISTANT_LOOKS_MAX: Final = 4
"""Places that are looked at more closely, surest first. Ours: six find no more of those 28."""

SURROUNDINGS: Final = 2.4
"""Side of the square around a face that is looked at again, in sides of its box."""

SURROUNDINGS_PX: Final = 192
"""To which that square is shrunk, so that a face has about 80."""

SAME_FACE_OVERLAP: Final = 0.3
"""Intersection over union of a face and itself found in another turn: the box of a lying face that was taken for an
upright one is drawn around something else. Ours."""

CLOSER_PX: Final = 640
"""To which it is shrunk where its turn is known, for the box and the landmarks."""

LOOKS_MAX: Final = 16
"""Doubtful faces of one picture that are looked at again, largest first: what bounds the time that a crowd takes."""


class GlancingDetector(FaceDetector):
    """A detector that tells in which quarter turn a picture's faces are surest for little more than one detection."""

    @abstractmethod
    def glance(self, image: Image) -> Iterator[list[Detection]]:
        """Looks at a picture as it is, as ``detect`` does, and then at the same in the other quarter turns.

        Yields:
            What ``detect`` finds, then what is seen of the surest faces when the picture is turned against the clock by
            one, two and three quarters, in the frame of the turned picture.
        """


class OrientedDetector(FaceDetector):
    """Finds faces at any roll.

    Args:
        detector: finds upright faces.
        scout: looks at small copies in all turns; the detector itself, if there is no better one.
    """

    def __init__(self, detector: FaceDetector, scout: FaceDetector) -> None:
        self._detector = detector
        self._scout = scout
        self._distant_scout = scout.tuned(DISTANT_PX, DISTANT_SCORE_MIN) if isinstance(scout, YuNet) else scout
        self._doubtful = DOUBTFUL_YUNET if isinstance(detector, YuNet) else DOUBTFUL_OTHERS

    def detect(self, image: Image) -> list[Detection]:
        found, views = _look(self._detector, image)
        upright = surest(found, image)
        unsure = views if upright < UPRIGHT_CONFIDENCE_MIN else ()
        glanced = {turns: surest(view, image, turns) for turns, view in unsure}
        if not _is_upright(upright, glanced.values()) and (turns := self._turns(image, upright, glanced)):
            turned = _turned(image, turns)
            elsewhere = self._detector.detect(turned)
            best = surest(elsewhere, image, turns)
            least = 0.0 if best >= UPRIGHT_CONFIDENCE_MIN else min(best, TURNED_CONFIDENCE_MIN)
            if best >= upright and (sure := [face for face in elsewhere if face.confidence >= least]):
                return [_turned_back(face, turns) for face in self._believed(turned, sure)]
        return self._believed(image, found)

    def _turns(self, image: Image, found: float, glanced: Mapping[int, float]) -> int:
        """Returns how often a picture has to be turned against the clock by 90° until its surest face is upright.

        Args:
            image: the picture.
            found: confidence of its surest upright face.
            glanced: by turns, that of the surest face that a glance shows in them; empty if the detector has none.
        """
        copy = _copy(image, NEAR_PX)
        upright = surest(self._scout.detect(copy), copy)
        if upright >= UPRIGHT_CONFIDENCE_MIN:
            return 0
        near = {turns: surest(self._scout.detect(_turned(copy, turns)), copy, turns) for turns in (1, 2, 3)}
        best = max(near, key=near.__getitem__)
        if near[best] > upright and near[best] >= TURNED_CONFIDENCE_MIN:
            return best
        if upright >= TURNED_CONFIDENCE_MIN or max(image.pixels.shape[:2]) <= NEAR_PX:
            return 0
        distant = glanced or self._glance_at_distant(image)
        best = max(distant, key=distant.__getitem__, default=0)
        return best if best and distant[best] >= max(found, DISTANT_CONFIDENCE_MIN) else 0

    def _glance_at_distant(self, image: Image) -> dict[int, float]:
        """Returns, by turns, the confidence of the surest small face of those that are surer so than upright."""
        copy = _copy(image, DISTANT_PX)
        seen = [(face, turns) for turns in (1, 2, 3) for face in self._distant_scout.detect(_turned(copy, turns))]
        seen.sort(key=lambda each: -each[0].confidence)
        likely = ((face, turns) for face, turns in seen if abs(_roll(face, copy, turns)) <= ROLL_MAX)
        sure: dict[int, float] = {}
        for face, turns in islice(likely, DISTANT_LOOKS_MAX):
            box = _turned_back(face, turns).box
            place, crop = _surroundings(image, box)
            closer, box_there = _copy(crop, SURROUNDINGS_PX), _within(box, place)
            confidence = _confidence(_see(self._scout, closer, turns, box_there))
            if confidence > max(sure.get(turns, 0.0), _confidence(_see(self._scout, closer, 0, box_there))):
                sure[turns] = confidence
        return sure

    def _believed(self, image: Image, found: Sequence[Detection]) -> list[Detection]:
        """Returns the faces, those that are doubtful as a second look sees them."""
        doubtful = sorted((face for face in found if self._doubts(face, image)), key=lambda face: -face.box.area)
        again = {id(face): self._look_again(image, face) for face in doubtful[:LOOKS_MAX]}
        kept: list[Detection] = []
        for face in found:
            believed = again.get(id(face), face)
            # Two boxes around a lying face are seen to be one when it is found in its own turn.
            if believed and (
                believed is face or not any(believed.box.overlap(o.box) > SAME_FACE_OVERLAP for o in kept)
            ):
                kept.append(believed)
        return kept

    def _doubts(self, face: Detection, image: Image) -> bool:
        """Returns whether a face may lie otherwise than its landmarks say, or say what no detector sees."""
        size = np.array([image.width_px, image.height_px])
        points = face.landmarks * size
        spread = np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean())
        side = np.sqrt(max(face.box.area, 0.0) * size.prod())
        has_narrow_points = spread < SPREAD_MIN * side
        return bool(face.confidence < self._doubtful or has_narrow_points or abs(_roll(face, image)) > ROLL_MAX)

    def _look_again(self, image: Image, face: Detection) -> Detection | None:
        """Returns a face as it is in its own turn, or as it is; None if its landmarks say a roll that it has not."""
        place, crop = _surroundings(image, face.box)
        box = _within(face.box, place)
        copy = _copy(crop, SURROUNDINGS_PX)
        found, views = _look(self._scout, copy)
        sure = _confidence(_there(found, copy, 0, box))
        glanced = (_confidence(_there(view, copy, turns, box)) for turns, view in views)
        if not _is_upright(sure, glanced):
            seen = {turns: there for turns in (1, 2, 3) if (there := _see(self._scout, copy, turns, box))}
            best = max(seen, key=lambda turns: seen[turns].confidence, default=0)
            if best and seen[best].confidence >= max(sure, TURNED_CONFIDENCE_MIN):
                closer = _see(self._detector, _copy(crop, CLOSER_PX), best, box) or seen[best]
                return _placed(closer, place)
        return face if abs(_roll(face, image)) <= ROLL_MAX else None


def surest(found: Sequence[Detection], image: Image, turns: int = 0) -> float:
    """Returns the highest confidence of a picture's upright faces, as it is or turned; 0 if there is none."""
    for face in sorted(found, key=lambda face: -face.confidence):  # of most pictures the first one's roll is enough
        if abs(_roll(face, image, turns)) <= ROLL_MAX:
            return face.confidence
    return 0.0


def _roll(face: Detection, image: Image, turns: int = 0) -> float:
    """Returns the roll of a face in the frame of a picture that is turned against the clock by so many quarters."""
    ratio = image.width_px / image.height_px
    return estimate_pose(face.landmarks, 1 / ratio if turns % 2 else ratio).roll


def _look(detector: FaceDetector, image: Image) -> tuple[list[Detection], Iterator[tuple[int, list[Detection]]]]:
    """Returns what is found, and what a glance at each of the other turns shows: nothing where a detector has none."""
    if not isinstance(detector, GlancingDetector):
        return detector.detect(image), iter(())
    views = enumerate(detector.glance(image))
    _, found = next(views)
    return found, views


def _is_upright(upright: float, others: Iterable[float]) -> bool:
    """Returns whether a picture is surely upright.

    Args:
        upright: confidence of the surest face in it as it is.
        others: likewise in its other turns; empty if that is not known.
    """
    if not TURNED_CONFIDENCE_MIN <= upright < UPRIGHT_CONFIDENCE_MIN:
        return upright >= UPRIGHT_CONFIDENCE_MIN
    best = max(others, default=None)
    return best is not None and best <= upright


def _see(detector: FaceDetector, crop: Image, turns: int, box: BoundingBox) -> Detection | None:
    """Returns the surest face that is upright in a turn of a picture and lies about where this box does, if any."""
    return _there(detector.detect(_turned(crop, turns)), crop, turns, box)


def _there(found: Sequence[Detection], crop: Image, turns: int, box: BoundingBox) -> Detection | None:
    """Likewise, where the detector has looked: what it found is in the frame of the turned picture."""
    seen = [(face, _turned_back(face, turns)) for face in found]
    there = [(face, back) for face, back in seen if back.box.overlap(box) >= SAME_FACE_OVERLAP]
    upright = [back for face, back in there if abs(_roll(face, crop, turns)) <= ROLL_MAX]
    return max(upright, key=lambda face: face.confidence, default=None)


def _confidence(face: Detection | None) -> float:
    return face.confidence if face else 0.0


def _copy(image: Image, side_px: int) -> Image:
    """Returns a picture shrunk until its longest side has so many pixels, if it has more."""
    small, _ = shrunk(image, min(side_px / max(image.pixels.shape[:2]), 1.0))
    return Image(small, small.shape[1], small.shape[0])


def _turned(image: Image, turns: int) -> Image:
    """Returns a picture turned against the clock by so many quarters."""
    if not turns:
        return image
    sides = (image.height_px, image.width_px) if turns % 2 else (image.width_px, image.height_px)
    return Image(np.ascontiguousarray(np.rot90(image.pixels, turns)), *sides)


def _turned_back(face: Detection, turns: int) -> Detection:
    """Returns a face of a picture that was turned so in the frame of the picture itself."""
    corners, points = _corners(face.box), face.landmarks
    for _ in range(turns):
        corners = np.stack([1 - corners[:, 1], corners[:, 0]], axis=1)
        points = np.stack([1 - points[:, 1], points[:, 0]], axis=1)
    return Detection(_around(corners), points, face.confidence)


def _surroundings(image: Image, box: BoundingBox) -> tuple[BoundingBox, Image]:
    """Returns where the square around a face is, as far as it is in the picture, and that part of the picture."""
    height, width = image.pixels.shape[:2]
    half = SURROUNDINGS / 2 * max(box.width * width, box.height * height)
    x, y = (box.left + box.width / 2) * width, (box.top + box.height / 2) * height
    left, top = (int(np.clip(low, 0, side - 1)) for low, side in ((x - half, width), (y - half, height)))
    right, bottom = (
        int(np.clip(high, low + 1, side)) for high, low, side in ((x + half, left, width), (y + half, top, height))
    )
    place = BoundingBox.between(left / width, top / height, right / width, bottom / height)
    return place, Image(image.pixels[top:bottom, left:right], right - left, bottom - top)


def _within(box: BoundingBox, place: BoundingBox) -> BoundingBox:
    """Returns a box of a picture in the frame of a part of it."""
    return _around((_corners(box) - (place.left, place.top)) / (place.width, place.height))


def _placed(face: Detection, place: BoundingBox) -> Detection:
    """Returns a face of a part of a picture in the frame of the whole."""
    scale = np.array([place.width, place.height], np.float32)
    shift = np.array([place.left, place.top], np.float32)
    return Detection(_around(_corners(face.box) * scale + shift), face.landmarks * scale + shift, face.confidence)


def _corners(box: BoundingBox) -> NDArray[np.float64]:
    return np.array([(box.left, box.top), (box.left + box.width, box.top + box.height)])


def _around(corners: NDArray[np.float64]) -> BoundingBox:
    return BoundingBox.between(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
