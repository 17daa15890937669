"""Who estimates what: in order of precedence, only what is wanted, and without whatever is absent or damaged."""

import shutil
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from rekognition_emulator.domain.attributes import Attribute, Attributes, Emotion, Gender, Verdict
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.domain.expressions import smile_if_happy
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.details.face_details import FaceDetails, load_face_details
from rekognition_emulator.inference.details.on_demand import OnDemand
from rekognition_emulator.inference.engine import AttributeEstimator, FaceEngine
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.models.catalogue import AGE, EXPRESSION, FACE_LANDMARKER, GENDER
from tests.support.scripted import ScriptedEngine

FACE = Detection(BoundingBox(0.1, 0.1, 0.5, 0.5), np.zeros((5, 2), np.float32), 99.0)
IMAGE = Image(np.zeros((10, 10, 3), np.uint8), 10, 10)
YES, NO = Verdict(value=True, confidence=90.0), Verdict(value=False, confidence=60.0)
SMILE, BEARD, AGE_RANGE = Attribute.SMILE, Attribute.BEARD, Attribute.AGE_RANGE


class Scripted(AttributeEstimator):
    """Says the same of every face, and keeps what it was asked for; gives up what it turns out not to know."""

    def __init__(
        self, known: AbstractSet[Attribute], answer: Attributes, gives_up: AbstractSet[Attribute] = set()
    ) -> None:
        self._known = set(known)
        self._answer = answer
        self._gives_up = gives_up
        self.asked: list[AbstractSet[Attribute]] = []

    @property
    def known(self) -> AbstractSet[Attribute]:
        """As scripted."""
        return self._known

    def estimate(
        self,
        image: Image,  # noqa: ARG002 - the script knows the answer
        detections: Sequence[Detection],
        wanted: AbstractSet[Attribute],
    ) -> list[Attributes]:
        """As scripted."""
        self.asked.append(wanted)
        self._known -= self._gives_up
        return [self._answer] * len(detections)


def test_the_first_that_knows_is_asked_and_nobody_else() -> None:
    """What it cannot tell of a face stays unknown: another estimator would not see the same."""
    first = Scripted({SMILE}, Attributes(smile=YES))
    second = Scripted({SMILE, AGE_RANGE}, Attributes(smile=NO, age=(20, 30)))
    details = FaceDetails([first, second])
    assert details.known == {SMILE, AGE_RANGE}
    assert details.estimate(IMAGE, [FACE], {SMILE, AGE_RANGE, BEARD}) == [Attributes(smile=YES, age=(20, 30))]
    assert (first.asked, second.asked) == ([{SMILE}], [{AGE_RANGE}])


def test_what_turns_out_damaged_is_left_to_the_next() -> None:
    """In the very request that finds out."""
    damaged = Scripted({SMILE}, Attributes(), gives_up={SMILE})
    details = FaceDetails([damaged, Scripted({SMILE}, Attributes(smile=YES))])
    assert details.estimate(IMAGE, [FACE], {SMILE}) == [Attributes(smile=YES)]


HAPPY = Attributes(emotions=[(Emotion.HAPPY, 95.0), (Emotion.CALM, 5.0)])
EMOTIONS = Attribute.EMOTIONS


def test_a_smile_is_judged_by_emotions_as_well() -> None:
    """Which are not told where they were not asked for."""
    doubtful = Attributes(smile=Verdict.of(0.4))
    happy = Scripted({EMOTIONS}, HAPPY)
    details = FaceDetails([Scripted({SMILE}, doubtful)], happy)
    assert details.known == {SMILE, EMOTIONS}
    (alone,) = details.estimate(IMAGE, [FACE], {SMILE})
    (both,) = details.estimate(IMAGE, [FACE], {SMILE, EMOTIONS})
    assert alone == Attributes(smile=smile_if_happy(Verdict.of(0.4), 0.95))
    assert alone.smile
    assert alone.smile.value
    assert both == replace(alone, emotions=HAPPY.emotions)
    assert happy.asked == [{EMOTIONS}] * 2  # once for both


def test_without_a_smile_or_emotions_expressions_cost_nothing() -> None:
    """Where none is wanted, where no mesh fits, and where the network for expressions is damaged."""
    happy = Scripted({EMOTIONS}, HAPPY)
    details = FaceDetails([Scripted({SMILE, AGE_RANGE}, Attributes(age=(20, 30)))], happy)
    assert details.estimate(IMAGE, [FACE], {SMILE, AGE_RANGE}) == [Attributes(age=(20, 30))]
    assert happy.asked == []
    damaged = FaceDetails([Scripted({SMILE}, Attributes(smile=NO))], Scripted(set(), Attributes()))
    assert damaged.estimate(IMAGE, [FACE], {SMILE}) == [Attributes(smile=NO)]


def test_emotions_of_whoever_is_preferred_stay() -> None:
    """Smiles are judged by the network that they were fitted with."""
    preferred = Attributes(smile=Verdict.of(0.4), emotions=[(Emotion.SAD, 99.0)])
    details = FaceDetails([Scripted({SMILE, EMOTIONS}, preferred)], Scripted({EMOTIONS}, HAPPY))
    (face,) = details.estimate(IMAGE, [FACE], {SMILE, EMOTIONS})
    assert face.emotions == preferred.emotions
    assert face.smile
    assert face.smile.value


def test_nothing_wanted_costs_nothing() -> None:
    """As with DEFAULT attributes."""
    estimator = Scripted({SMILE}, Attributes(smile=YES))
    assert FaceDetails([estimator]).estimate(IMAGE, [FACE, FACE], set()) == [Attributes()] * 2
    assert estimator.asked == []


def test_a_network_is_opened_once_by_whoever_comes_first() -> None:
    """However many threads want it at once."""
    opened, together = [], threading.Barrier(4)

    def load() -> object:
        opened.append(1)
        return object()

    network = OnDemand("a network", load)
    found: list[object] = []

    def want() -> None:
        together.wait()
        found.append(network.get())

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    assert len(set(map(id, found))) == 1
    assert not network.is_hopeless


def test_one_that_cannot_be_opened_is_logged_once() -> None:
    """And there is none from then on."""

    def load() -> object:
        raise ValueError("cut short")

    network = OnDemand("a network", load)
    with capture_logs() as logs:
        assert [network.get(), network.get()] == [None, None]
    assert network.is_hopeless
    assert [(line["event"], line["model"], line["cause"]) for line in logs] == [
        ("model_unusable", "a network", "cut short")
    ]


def test_without_any_model_nothing_is_known(tmp_path: Path) -> None:
    """Nothing is invented."""
    details = load_face_details(ModelFiles(tmp_path, tmp_path, tmp_path), ScriptedEngine([]))
    assert details.known == set()
    assert details.estimate(IMAGE, [FACE], set(Attribute)) == [Attributes()]


@pytest.fixture
def folder(weights_dir: Path, tmp_path: Path) -> Path:
    """A folder with the real weights of all that anybody may use."""
    for file in (file for model in (AGE, GENDER, EXPRESSION, FACE_LANDMARKER) for file in model.files):
        if not (weights_dir / file).is_file():
            pytest.skip(f"no {file} in {weights_dir}")
        shutil.copy(weights_dir / file, tmp_path)
    return tmp_path


FREE = set(Attribute) - {
    *(Attribute.BEARD, Attribute.EYEGLASSES, Attribute.FACE_OCCLUDED, Attribute.MUSTACHE, Attribute.SUNGLASSES)
}


def test_the_free_networks_tell_everything_but_what_needs_a_head(
    folder: Path, cache_dir: Path, faces_dir: Path, embedded: FaceEngine
) -> None:
    """Of a photograph; the same face is told the same whatever else is asked, alone or among others."""
    details = load_face_details(ModelFiles(cache_dir, folder, folder), embedded)
    assert details.known == FREE
    image = decode((faces_dir / "pose" / "insp_happy.png").read_bytes())
    detections = embedded.detect(image)[:1]
    (found,) = details.estimate(image, detections, set(Attribute))
    assert found.smile
    assert found.smile.value
    assert found.gender
    assert found.gender[0] is Gender.MALE
    assert found.landmarks
    assert len(found.landmarks) == 30
    assert found.pose
    assert found.emotions
    assert [found.beard, found.eyeglasses, found.face_occluded, found.mustache, found.sunglasses] == [None] * 5
    (alone,) = details.estimate(image, detections, {SMILE})
    assert alone == Attributes(smile=found.smile)
    assert details.estimate(image, [], set(Attribute)) == []


def test_damaged_networks_are_done_without(
    folder: Path, cache_dir: Path, faces_dir: Path, embedded: FaceEngine
) -> None:
    """The others go on, and what is lost is known to be."""
    for model in (AGE, FACE_LANDMARKER):
        (file,) = model.files
        (folder / file).write_bytes((folder / file).read_bytes()[:-1])
    details = load_face_details(ModelFiles(cache_dir, folder, folder), embedded)
    image = decode((faces_dir / "pose" / "insp_happy.png").read_bytes())
    for _ in range(2):
        (found,) = details.estimate(image, embedded.detect(image)[:1], set(Attribute))
        assert (found.age, found.smile, found.landmarks) == (None, None, None)
        assert found.gender
        assert found.emotions
    assert details.known == {Attribute.GENDER, Attribute.EMOTIONS}


def test_hundreds_of_faces_anywhere_fail_nothing(folder: Path, cache_dir: Path, embedded: FaceEngine) -> None:
    """Turned, beyond the edge, larger than the picture, of a pixel or less: each gets an answer."""
    random = np.random.default_rng(0)
    image = Image(random.integers(0, 256, (300, 400, 3), np.uint8), 400, 300)
    faces = []
    for _ in range(300):
        left, top = random.uniform(-0.4, 1.2, 2)
        size = 10.0 ** random.uniform(-4, 0.3)
        angle = random.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shape = np.array([(-0.2, -0.1), (0.2, -0.1), (0, 0), (-0.15, 0.2), (0.15, 0.2)])
        points = (shape @ turn.T * size + (left + size / 2, top + size / 2)).astype(np.float32)
        faces.append(Detection(BoundingBox(left, top, size, size), points, 90.0))
    details = load_face_details(ModelFiles(cache_dir, folder, folder), embedded)
    found = details.estimate(image, faces, set(Attribute))
    assert len(found) == 300
    for each in found:
        assert each.age
        assert 0 <= each.age[0] <= each.age[1] <= 90
        assert each.gender
        assert 50 <= each.gender[1] <= 100
