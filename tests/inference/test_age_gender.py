"""Age and gender: faces are fed as the networks were trained, and scores are read as their publisher reads them."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Attribute, Attributes, Gender
from rekognition_emulator.domain.detection import BoundingBox, Detection
from rekognition_emulator.imaging.image import Image, decode
from rekognition_emulator.inference.details.age_gender import AGE_SIDE_PX, GENDER_SIDE_PX, AgeGender, network_input
from rekognition_emulator.inference.details.on_demand import OnDemand
from rekognition_emulator.inference.embedders.dlib_resnet import MEAN_RGB
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.sessions import open_model

POINTS = np.array([(0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.42, 0.6), (0.58, 0.6)], np.float32)
FACE = Detection(BoundingBox(0.3, 0.3, 0.4, 0.4), POINTS, 99.0)
WHITE = Image(np.full((200, 200, 3), 255, np.uint8), 200, 200)


class Scripted:
    """A session that gives these scores for each face, and keeps what it was fed."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores
        self.fed: list[NDArray[np.float32]] = []

    def get_inputs(self) -> Any:
        """One, as ONNX Runtime describes it."""
        return [type("Input", (), {"name": "images"})]

    def run(self, _outputs: None, fed: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The same for each face."""
        (faces,) = fed.values()
        self.fed.append(faces)
        return [np.tile(self.scores, (len(faces), 1))]


def estimator(age: Scripted | None = None, gender: Scripted | None = None) -> AgeGender:
    """What estimates by these sessions."""
    networks: dict[Attribute, OnDemand[Any]] = {}
    if age:
        networks[Attribute.AGE_RANGE] = OnDemand("age", lambda: age)
    if gender:
        networks[Attribute.GENDER] = OnDemand("gender", lambda: gender)
    return AgeGender(networks)


def years(**likely: float) -> NDArray[np.float32]:
    """Scores of the age network."""
    scores = np.zeros(81, np.float32)
    for year, probability in likely.items():
        scores[int(year[1:])] = probability
    return scores


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (years(y40=1.0), (30, 50)),
        (years(y20=0.5, y40=0.5), (20, 40)),
        (years(y0=1.0), (0, 10)),
        (years(y80=1.0), (70, 90)),
    ],
)
def test_an_age_is_a_range_around_the_mean(scores: NDArray[np.float32], expected: tuple[int, int]) -> None:
    """Ten years to either side, and nobody is less than 0."""
    (found,) = estimator(age=Scripted(scores)).estimate(WHITE, [FACE], {Attribute.AGE_RANGE})
    assert found == Attributes(age=expected)


def test_a_gender_is_as_sure_as_its_score() -> None:
    """Female first, as the publisher orders them."""
    for scores, expected in (((0.9, 0.1), Gender.FEMALE), ((0.2, 0.8), Gender.MALE)):
        network = Scripted(np.array(scores, np.float32))
        (found,) = estimator(gender=network).estimate(WHITE, [FACE], set(Attribute))
        assert found.gender
        assert found.gender[0] is expected
        assert found.gender[1] == pytest.approx(100 * max(scores))


def test_networks_are_fed_normalised_faces_in_batches() -> None:
    """The mean and scale of dlib, planes of red, green and blue; never more than eight faces at once."""
    age, gender = Scripted(years(y30=1.0)), Scripted(np.array([0.5, 0.5], np.float32))
    found = estimator(age, gender).estimate(WHITE, [FACE] * 20, {Attribute.AGE_RANGE, Attribute.GENDER})
    assert len(found) == 20
    assert [fed.shape for fed in age.fed] == [(8, 3, AGE_SIDE_PX, AGE_SIDE_PX)] * 2 + [(4, 3, 64, 64)]
    assert [fed.shape for fed in gender.fed] == [(8, 3, GENDER_SIDE_PX, GENDER_SIDE_PX)] * 2 + [(4, 3, 32, 32)]
    np.testing.assert_allclose(age.fed[0][0, :, 32, 32], (255 - MEAN_RGB) / 256, rtol=1e-6)


def test_only_what_is_wanted_is_run() -> None:
    """A face's age costs no gender."""
    age, gender = Scripted(years(y30=1.0)), Scripted(np.array([0.5, 0.5], np.float32))
    estimator(age, gender).estimate(WHITE, [FACE], {Attribute.AGE_RANGE, Attribute.SMILE})
    assert (len(age.fed), len(gender.fed)) == (1, 0)
    assert estimator(age, gender).estimate(WHITE, [], set(Attribute)) == []


def test_the_real_networks_see_what_dlibs_own_crops_show(
    faces_dir: Path, weights_dir: Path, embedded: FaceEngine
) -> None:
    """Fed with crops that dlib cuts by its own landmarks, they say the same of nearly every face."""
    dlib = pytest.importorskip("dlib", reason="dlib is the oracle")
    package = find_spec("face_recognition_models")
    assert package
    assert package.submodule_search_locations
    predictor = dlib.shape_predictor(
        str(Path(package.submodule_search_locations[0]) / "models" / "shape_predictor_5_face_landmarks.dat")
    )
    if not (weights_dir / "age-v1.onnx").is_file():
        pytest.skip(f"no age-v1.onnx in {weights_dir}")
    age, gender = (open_model((weights_dir / name).read_bytes(), 1) for name in ("age-v1.onnx", "gender-v1.onnx"))
    ages, genders = [], []
    for file in sorted((faces_dir / "people").glob("synth*"))[:12]:
        image = decode(file.read_bytes())
        detection = max(embedded.detect(image), key=lambda found: found.box.area)
        chips = _dlibs_crops(dlib, predictor, image, detection)
        theirs = [((chip.astype(np.float32) - MEAN_RGB) / 256).astype(np.float32).transpose(2, 0, 1) for chip in chips]
        ours = [network_input(image, [detection], side)[0] for side in (AGE_SIDE_PX, GENDER_SIDE_PX)]
        mean_ages = [
            float(age.run(None, {"images": face[None]})[0][0] @ np.arange(81)) for face in (theirs[0], ours[0])
        ]
        ages.append(abs(mean_ages[0] - mean_ages[1]))
        genders.append([gender.run(None, {"images": face[None]})[0][0, 1] for face in (theirs[1], ours[1])])
    assert np.median(ages) < 4
    assert np.abs(np.diff(genders)).max() < 0.2


def _dlibs_crops(dlib: Any, predictor: Any, image: Image, detection: Detection) -> list[NDArray[np.uint8]]:
    """A face as dlib cuts it out, at the sides of both networks."""
    pixels = np.ascontiguousarray(image.pixels)
    height, width = pixels.shape[:2]
    box = detection.box
    side = 0.9 * max(box.width * width, box.height * height)  # dlib's boxes reach from brows to chin
    across, down = (box.left + box.width / 2) * width, (box.top + 0.55 * box.height) * height
    corners = (across - side / 2, down - side / 2, across + side / 2, down + side / 2)
    shape = predictor(pixels, dlib.rectangle(*(round(corner) for corner in corners)))
    return [dlib.get_face_chip(pixels, shape, chip_side, 0.2) for chip_side in (AGE_SIDE_PX, GENDER_SIDE_PX)]
