"""Faces at any roll: found in the turn in which they are upright, reported in the picture as it was given."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.demo.people import PEOPLE, View, person, render
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.pose import estimate_pose
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.detectors import orientation
from rekognition_emulator.inference.detectors.orientation import OrientedDetector
from rekognition_emulator.inference.engine import FaceDetector, FaceEngine
from rekognition_emulator.inference.selection import ModelFiles, load_detector, load_engine
from rekognition_emulator.models.catalogue import DLIB, MTCNN, YUNET

SKY = (0, 50)
FACE = ((20, 40), (20, 60), (32, 50), (44, 43), (44, 57))
"""Row and column of the marked pixels in the upright picture: one above, and a face's five points."""


def marks(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Where the face's points are, (5, 2), x and y in pixels; each has a value of its own."""
    rows_columns = [np.argwhere(pixels[..., 0] == 101 + point)[0] for point in range(len(FACE))]
    return np.array(rows_columns)[:, ::-1] + 0.5


class Upright(FaceDetector):
    """Sees the marked face in a picture that is the right way up, and maybe takes it for an upright one elsewhere."""

    def __init__(self, confidence: float = 99.95, elsewhere: float = 0.0) -> None:
        self.confidence = confidence
        self.elsewhere = elsewhere
        self.calls = 0

    def detect(self, image: Image) -> list[Detection]:
        """The face, its points in the middle of the marked pixels."""
        self.calls += 1
        is_upright = bool(image.pixels[0].any())
        if not is_upright and not self.elsewhere:
            return []
        height, width = image.pixels.shape[:2]
        assert (image.width_px, image.height_px) == (width, height)
        points = marks(image.pixels)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        if not is_upright:
            points = [left, top] + (marks(picture(0).pixels) - (40.5, 20.5)) * (
                (right - left) / 20,
                (bottom - top) / 24,
            )
        box = BoundingBox.between(left / width, top / height, right / width, bottom / height)
        landmarks = (points / (width, height)).astype(np.float32)
        return [Detection(box, landmarks, self.confidence if is_upright else self.elsewhere)]


class Scripted(FaceDetector):
    """Says the same of every picture."""

    def __init__(self, faces: Sequence[Detection]) -> None:
        self.faces = faces
        self.calls = 0

    def detect(self, image: Image) -> list[Detection]:  # noqa: ARG002 - it does not look
        """What the test scripted."""
        self.calls += 1
        return list(self.faces)


def frontal(left: float, top: float, side: float, confidence: float = 99.95) -> Detection:
    """A face that looks into the camera."""
    points = np.array([(0.35, 0.4), (0.65, 0.4), (0.5, 0.6), (0.38, 0.76), (0.62, 0.76)]) * side + (left, top)
    return Detection(BoundingBox(left, top, side, side), points.astype(np.float32), confidence)


def as_image(pixels: NDArray[np.uint8]) -> Image:
    """Pixels as a picture."""
    return Image(np.ascontiguousarray(pixels), pixels.shape[1], pixels.shape[0])


def picture(quarter_turns: int) -> Image:
    """A picture of 200 × 120 pixels and its face, turned clockwise."""
    pixels = np.zeros((120, 200, 3), np.uint8)
    pixels[SKY] = 255
    for point, place in enumerate(FACE):
        pixels[place] = 101 + point
    return as_image(np.rot90(pixels, -quarter_turns))


def roll(face: Detection, image: Image) -> float:
    """Degrees, clockwise."""
    return estimate_pose(face.landmarks, image.width_px / image.height_px).roll


def difference(roll: float, other: float) -> float:
    """Degrees between two rolls."""
    return abs((roll - other + 180) % 360 - 180)


@pytest.mark.parametrize("elsewhere", [0.0, 99.0])
@pytest.mark.parametrize(("quarter_turns", "expected"), [(0, 0), (1, 90), (2, 180), (3, -90)])
def test_a_face_is_reported_where_and_as_it_lies_in_the_given_picture(
    quarter_turns: int, expected: float, elsewhere: float
) -> None:
    """Points, box and roll are those of the marked pixels, even where an upright face seems to be in the lying one."""
    image = picture(quarter_turns)
    detector = Upright(elsewhere=elsewhere)
    (face,) = OrientedDetector(detector, detector).detect(image)
    size = (image.width_px, image.height_px)
    there = marks(image.pixels)
    np.testing.assert_allclose(face.landmarks * size, there, atol=1e-3)
    corners = np.array(
        [(face.box.left, face.box.top), (face.box.left + face.box.width, face.box.top + face.box.height)]
    )
    np.testing.assert_allclose(corners * size, [there.min(axis=0), there.max(axis=0)], atol=1e-9)
    assert difference(roll(face, image), expected) < 1


def test_a_surely_upright_picture_costs_one_detection() -> None:
    """Nothing is turned where a face is upright beyond doubt."""
    detector, scout = Upright(), Upright()
    OrientedDetector(detector, scout).detect(picture(0))
    assert (detector.calls, scout.calls) == (1, 0)


def test_an_unsure_picture_is_looked_at_again_and_stays_as_it_was() -> None:
    """The very faces that the detector found, where no turn shows a surer one."""
    detector, scout = Upright(confidence=97), Upright(confidence=97)
    (face,) = OrientedDetector(detector, scout).detect(picture(0))
    (plain,) = Upright(confidence=97).detect(picture(0))
    assert (face.box, face.confidence, face.landmarks.tolist()) == (
        plain.box,
        plain.confidence,
        plain.landmarks.tolist(),
    )
    assert detector.calls == 1
    assert scout.calls == 4 + 4  # the picture, and the surroundings of its unsure face


def test_what_looks_like_a_face_only_when_turned_must_be_certain() -> None:
    """Turning gives everything that is no face three more chances to look like one."""
    unsure = Upright(confidence=90)
    assert OrientedDetector(unsure, unsure).detect(picture(0))
    assert not OrientedDetector(unsure, unsure).detect(picture(1))


def test_a_picture_is_not_turned_to_where_its_faces_are_less_sure() -> None:
    """Whatever a scout sees there: what is found as it is stays."""
    detector, image = Upright(confidence=96, elsewhere=98), picture(1)
    (face,) = OrientedDetector(detector, Upright()).detect(image)
    (plain,) = detector.detect(image)
    assert (face.box, face.confidence) == (plain.box, 98)


def test_landmarks_that_no_turn_confirms_are_not_believed() -> None:
    """Eyes below the mouth, and nothing there to see in any turn: embedded by those, it would match anybody."""
    sound, upside_down = frontal(0.1, 0.1, 0.3), frontal(0.6, 0.6, 0.3)
    upside_down.landmarks[:, 1] = 1.5 - upside_down.landmarks[:, 1]
    upside_down.landmarks[:, 0] = 1.5 - upside_down.landmarks[:, 0]
    grey = as_image(np.full((400, 400, 3), 128, np.uint8))
    assert difference(roll(upside_down, grey), 180) < 15
    assert OrientedDetector(Scripted([sound, upside_down]), Scripted([])).detect(grey) == [sound]


def test_a_crowd_of_doubtful_faces_is_bounded() -> None:
    """However many faces nobody is sure of, only the largest are looked at again, in four turns each at the most."""
    faces = [frontal(0.1 * (each % 10), 0.1 * (each // 10), 0.05, 85.0) for each in range(100)]
    scout = Scripted([])
    assert len(OrientedDetector(Scripted([*faces, frontal(0.4, 0.4, 0.2)]), scout).detect(picture(0))) == 101
    assert scout.calls <= 4 * orientation.LOOKS_MAX


class Scout(FaceDetector):
    """Remembers how large what it looks at is, and sees faces all over a copy of one size, none in others."""

    def __init__(self, seeing_px: int = 0) -> None:
        self.seeing_px = seeing_px
        self.sides: list[int] = []

    def detect(self, image: Image) -> list[Detection]:
        """A hundred faces, or none."""
        self.sides.append(max(image.pixels.shape[:2]))
        seen = self.sides[-1] == self.seeing_px
        return [frontal(0.1 * column, 0.1 * row, 0.05) for column in range(10) for row in range(10) if seen]


WALL = as_image(np.zeros((1200, 1600, 3), np.uint8))


def test_a_picture_without_faces_is_looked_at_in_small_copies_only() -> None:
    """The smallest in four turns and a larger one in three: what is upright there, the detector has seen."""
    detector, scout = Scripted([]), Scout()
    assert not OrientedDetector(detector, scout).detect(WALL)
    assert detector.calls == 1
    assert scout.sides == [orientation.NEAR_PX] * 4 + [orientation.DISTANT_PX] * 3


def test_closer_looks_at_distant_places_are_bounded() -> None:
    """However many places seem to be faces; and what a closer look does not confirm turns nothing."""
    detector, scout = Scripted([]), Scout(seeing_px=orientation.DISTANT_PX)
    assert not OrientedDetector(detector, scout).detect(WALL)
    assert detector.calls == 1
    assert 7 < len(scout.sides) <= 7 + 2 * orientation.DISTANT_LOOKS_MAX


@pytest.fixture(scope="module")
def oriented_engine(request: pytest.FixtureRequest, cache_dir: Path, weights_dir: Path) -> FaceEngine:
    """The engine with dlib's embedder: the embedded one, or with YuNet."""
    if request.param == YUNET.name:
        request.getfixturevalue("weights")(*YUNET.files)
        return load_engine(DLIB.name, YUNET.name, ModelFiles(cache_dir, weights_dir, weights_dir))
    return load_engine(DLIB.name, MTCNN.name, ModelFiles(cache_dir, cache_dir / "none", cache_dir / "none"))


with_every_detector = pytest.mark.parametrize("oriented_engine", [MTCNN.name, YUNET.name], indirect=True)


def scene(*shown: tuple[int, View]) -> NDArray[np.uint8]:
    """People side by side before a plain wall."""
    canvas = np.full((480, 400 * len(shown), 3), 150, np.uint8)
    for place, (seed, view) in enumerate(shown):
        head = render(person(seed), view).astype(float)
        opacity = head[..., 3:] / 255
        left, top = 400 * place + (400 - view.side_px) // 2, (480 - view.side_px) // 2
        under = canvas[top : top + view.side_px, left : left + view.side_px]
        under[:] = head[..., :3] * opacity + under * (1 - opacity)
    return canvas


def by_place(engine: FaceEngine, image: Image) -> list[Detection]:
    """Faces from left to right."""
    return sorted(engine.detect(image), key=lambda face: face.box.left + face.box.width / 2)


@with_every_detector
@pytest.mark.parametrize("seed", PEOPLE[:4])
def test_generated_people_are_themselves_in_every_turn(oriented_engine: FaceEngine, seed: int) -> None:
    """The same pixels, turned, are the same person for certain, and the roll says how they were turned."""
    upright = as_image(scene((seed, View())))
    (face,) = oriented_engine.detect(upright)
    (self,) = oriented_engine.embed(upright, [face])
    for turns in (1, 2, 3):
        image = as_image(np.rot90(upright.pixels, turns))
        (turned,) = oriented_engine.detect(image)
        (embedding,) = oriented_engine.embed(image, [turned])
        assert oriented_engine.model.similarity(float(embedding @ self)) >= 99
        assert difference(roll(turned, image), roll(face, upright) - 90 * turns) < 10


@with_every_detector
def test_one_who_lies_among_people_who_stand_is_found_upright(
    oriented_engine: FaceEngine, request: pytest.FixtureRequest
) -> None:
    """Whoever lies has the landmarks, and so the embedding, of the same person upright.

    Lies, or leans: MTCNN sees nothing in a face that lies flat where another is surely upright.
    """
    lean = {MTCNN.name: 60.0, YUNET.name: 90.0}[request.node.callspec.params["oriented_engine"]]
    one, lying, other = PEOPLE[:3]
    standing = as_image(scene((one, View()), (lying, View()), (other, View())))
    mixed = as_image(scene((one, View()), (lying, View(roll=lean)), (other, View())))
    selves = oriented_engine.embed(standing, by_place(oriented_engine, standing))
    faces = by_place(oriented_engine, mixed)
    assert len(faces) == 3
    similarities = [
        oriented_engine.model.similarity(float(embedding @ self))
        for embedding, self in zip(oriented_engine.embed(mixed, faces), selves, strict=True)
    ]
    assert min(similarities) >= 90
    assert difference(roll(faces[1], mixed), lean) < 20


@pytest.mark.parametrize("oriented_engine", [YUNET.name], indirect=True)
@pytest.mark.parametrize(("quarter_turns", "expected"), [(0, 0), (1, 90), (2, 180), (3, -90)])
@pytest.mark.parametrize("seed", PEOPLE[:3])
def test_somebody_far_away_is_found_in_every_turn(
    oriented_engine: FaceEngine, seed: int, quarter_turns: int, expected: float
) -> None:
    """One face of some 70 px of 1,920, of which the smallest copies show nothing, with its roll."""
    wall = np.full((1280, 1920, 3), 150, np.uint8)
    wall[300:440, 1200:1340] = scene((seed, View(side_px=140)))[170:310, 130:270]
    image = as_image(np.rot90(wall, -quarter_turns))
    (face,) = oriented_engine.detect(image)
    assert difference(roll(face, image), expected) < 20


@with_every_detector
def test_upright_pictures_stay_as_the_detector_sees_them(
    oriented_engine: FaceEngine, cache_dir: Path, weights_dir: Path, request: pytest.FixtureRequest
) -> None:
    """Box for box and confidence for confidence, whoever is shown."""
    name = request.node.callspec.params["oriented_engine"]
    bare = load_detector(name, ModelFiles(cache_dir, weights_dir, weights_dir))
    for first, second in zip(PEOPLE[::2], PEOPLE[1::2], strict=True):
        image = as_image(scene((first, View(roll=-12)), (second, View(side_px=150, blur=0.004))))
        ours, plain = oriented_engine.detect(image), bare.detect(image)
        assert [(face.box, face.confidence) for face in ours] == [(face.box, face.confidence) for face in plain]


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Pictures that once failed, turned ones among them. They are not part of the project."""
    beside = Path(__file__).parents[3] / "shared" / "cases"
    folder = Path(os.environ.get("REKOGNITION_TEST_CASES", beside))
    if not (folder / "group4_upright.jpg").exists():
        pytest.skip(f"no cases at {folder}; REKOGNITION_TEST_CASES names their folder")
    return folder


def best_similarity(engine: FaceEngine, one: Image, other: Image) -> float:
    """Similarity of the largest faces of two pictures."""
    embeddings = [
        engine.embed(image, [max(engine.detect(image), key=lambda face: face.box.area)])[0] for image in (one, other)
    ]
    return engine.model.similarity(float(embeddings[0] @ embeddings[1]))


@with_every_detector
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("sideways_ccw90_a", -90),
        ("sideways_ccw90_b", -90),
        ("sideways_cw90_c", 90),
        ("head_down_180_d", 180),
        ("head_down_180_e", 180),
    ],
)
def test_turned_portraits_match_themselves(
    oriented_engine: FaceEngine, cases_dir: Path, case: str, expected: float
) -> None:
    """One face, as similar as 99 to its upright self."""
    upright, turned = (decode((cases_dir / f"{case}{kind}.jpg").read_bytes()) for kind in ("_upright", ""))
    (face,) = oriented_engine.detect(turned)
    assert difference(roll(face, turned), expected) < 25
    assert best_similarity(oriented_engine, upright, turned) >= 99


@with_every_detector
def test_strangers_who_lie_do_not_match(oriented_engine: FaceEngine, cases_dir: Path) -> None:
    """Upright the two score 62."""
    one, other = (decode((cases_dir / f"strangers_lying_{each}.jpg").read_bytes()) for each in (1, 2))
    assert best_similarity(oriented_engine, one, other) < 80


@with_every_detector
@pytest.mark.parametrize(("case", "turns"), [("group4_upright", 0), ("group4_ccw90", 1), ("group4_180", 2)])
def test_a_turned_group_has_all_its_faces(oriented_engine: FaceEngine, cases_dir: Path, case: str, turns: int) -> None:
    """Four, where they are in the upright picture."""
    upright = oriented_engine.detect(decode((cases_dir / "group4_upright.jpg").read_bytes()))
    found = oriented_engine.detect(decode((cases_dir / f"{case}.jpg").read_bytes()))
    assert len(upright) == len(found) == 4
    for face in upright:
        box = face.box
        for _ in range(turns):
            box = BoundingBox(box.top, 1 - box.left - box.width, box.height, box.width)
        assert max(box.overlap(other.box) for other in found) > 0.8


@pytest.mark.parametrize("oriented_engine", [MTCNN.name], indirect=True)
def test_a_printed_photograph_of_a_lying_man_is_found_and_no_dog(oriented_engine: FaceEngine, faces_dir: Path) -> None:
    """He hangs among dogs, on his side. YuNet alone sees a dog's face there, upright."""
    (face,) = oriented_engine.detect(decode((faces_dir / "noface" / "dl_dogs.jpg").read_bytes()))
    assert face.box.overlap(BoundingBox(0.071, 0.506, 0.046, 0.035)) > 0.3


@with_every_detector
def test_nothing_is_found_in_turned_pictures_without_faces(oriented_engine: FaceEngine, faces_dir: Path) -> None:
    """Three more chances to see a face where none is, and none is taken: animals, landscapes, logos, a mask."""
    with (faces_dir / "manifest.csv").open(newline="") as listed:
        files = [row["file"] for row in csv.DictReader(listed) if row["faces_max"] == "0"]
    assert len(files) >= 8
    for file in files:
        assert not oriented_engine.detect(decode((faces_dir / file).read_bytes())), file


@with_every_detector
@pytest.mark.parametrize(("file", "expected"), [("0", 0), ("90", 90), ("180", 180), ("270", -90)])
def test_a_photograph_with_turned_pixels_shows_its_person(
    oriented_engine: FaceEngine, faces_dir: Path, file: str, expected: float
) -> None:
    """One face, and its roll."""
    image = decode((faces_dir / "rotated" / f"insp_rot_{file}.jpg").read_bytes())
    (face,) = oriented_engine.detect(image)
    assert difference(roll(face, image), expected) < 15
