import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.detection import AnalyzedFace, BoundingBox, Detection, Pose, Quality
from rekognition_emulator.domain.errors import PictureUnreadable
from rekognition_emulator.domain.quality import (
    REQUIREMENTS,
    QualityFilter,
    Reason,
    brightness_of,
    measure_quality,
    reasons,
)
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.pipeline import analyse, select
from tests.support.networks import embedded_engine

_WHOLE = BoundingBox(0, 0, 1, 1)


def _texture(side: int = 400) -> PIL.Image.Image:
    """Edges and shades at every scale, as faces have, always the same."""
    random = np.random.default_rng(7)
    layers = [
        np.asarray(PIL.Image.fromarray(random.uniform(-1, 1, (n, n)).astype(np.float32)).resize((side, side)), float)
        for n in (4, 8, 16, 32, 64, 128)
    ]
    shades = 128 + sum(layer * 60 / (place + 1) for place, layer in enumerate(layers))
    return PIL.Image.fromarray(np.clip(shades, 0, 255).astype(np.uint8)).convert("RGB")


def _pixels(picture: PIL.Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture)


def test_sharpness_falls_with_every_blur() -> None:
    """The more a face is blurred, the lower its sharpness, down to zero and never below."""
    blurred = [_texture().filter(PIL.ImageFilter.GaussianBlur(radius)) for radius in (0, 2, 4, 8, 16, 32)]
    sharpness = [measure_quality(_pixels(picture), _WHOLE).sharpness for picture in blurred]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 80
    assert sharpness[1] < sharpness[0] - 10
    assert sharpness[-1] == 0


def test_brightness_falls_with_every_darkening() -> None:
    """It comes from the mean light and from nothing else."""
    whole = _pixels(_texture()).astype(float)
    luma = float(np.asarray(_texture().convert("L")).mean()) / 2.55
    lights = (1, 0.5, 0.25, 0.1, 0)
    brightness = [measure_quality((whole * light).astype(np.uint8), _WHOLE).brightness for light in lights]
    assert brightness == sorted(brightness, reverse=True)
    assert brightness == pytest.approx([brightness_of(luma * light) for light in lights], abs=1)


@pytest.mark.parametrize(("luma", "of_aws"), [(46.9, 76.2), (52.3, 86.4), (63.2, 92.5)])
def test_brightness_is_near_what_aws_answers(luma: float, of_aws: float) -> None:
    """Programs compare it with constants that were found with AWS."""
    assert brightness_of(luma) == pytest.approx(of_aws, abs=4)


def test_brightness_is_that_of_aws_on_its_own_pictures(aws_answers_dir: Path, tmp_path: Path) -> None:
    """Two pictures whose answers by AWS are public, found and measured by the embedded engine."""
    answers = {
        "face.jpeg": json.loads((aws_answers_dir / "face_detection.json").read_text())["FaceDetails"][0],
        "face2.jpg": json.loads((aws_answers_dir / "face_compare.json").read_text())["FaceMatches"][0]["Face"],
    }
    engine = embedded_engine(tmp_path, threads=2)
    for name, answer in answers.items():
        largest = analyse(engine, decode((aws_answers_dir / name).read_bytes()))[0]
        assert largest.quality.brightness == pytest.approx(answer["Quality"]["Brightness"], abs=5), name


@pytest.mark.parametrize(("grey", "brightness"), [(0, 0), (51, 42.76), (255, 100)])
def test_a_plain_face_has_the_brightness_of_its_grey_and_no_sharpness(grey: int, brightness: float) -> None:
    """The ends of the scale, and no division by a contrast of nothing."""
    quality = measure_quality(np.full((50, 50, 3), grey, np.uint8), _WHOLE)
    assert quality.brightness == pytest.approx(brightness, abs=0.01)
    assert quality.sharpness == 0


def test_quality_depends_little_on_the_resolution() -> None:
    """The same face, photographed twice as large, is not twice as sharp."""
    large, small = (measure_quality(_pixels(_texture(800).resize((side, side))), _WHOLE) for side in (800, 200))
    assert large.sharpness == pytest.approx(small.sharpness, abs=5)
    assert large.brightness == pytest.approx(small.brightness, abs=1)


def test_sharpness_depends_little_on_the_light() -> None:
    """Half the light, the same sharpness."""
    light = _pixels(_texture())
    assert measure_quality(light // 2, _WHOLE).sharpness == pytest.approx(
        measure_quality(light, _WHOLE).sharpness, abs=5
    )


def test_only_the_face_counts() -> None:
    """A white face in a black picture is bright."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[20:60, 100:140] = 255
    assert measure_quality(pixels, BoundingBox(0.5, 0.2, 0.2, 0.4)).brightness == pytest.approx(100)


def test_what_reaches_beyond_the_picture_does_not_count() -> None:
    """A face cut by the edge is judged by what can be seen of it."""
    pixels = np.full((100, 100, 3), 255, np.uint8)
    assert measure_quality(pixels, BoundingBox(-0.3, -0.3, 0.5, 0.5)).brightness == pytest.approx(100)
    assert measure_quality(pixels, BoundingBox(0.9, 0.9, 0.5, 0.5)).brightness == pytest.approx(100)


@pytest.mark.parametrize("box", [(-2, 0, 1, 1), (0, -2, 1, 1), (2, 0, 1, 1), (0, 2, 1, 1), (0.5, 0.5, 0, 0)])
def test_a_box_without_a_pixel_has_no_quality(box: tuple[float, float, float, float]) -> None:
    """Nothing to see is zero, not an error."""
    assert measure_quality(np.full((100, 100, 3), 255, np.uint8), BoundingBox(*box)) == Quality(0, 0)


_GOOD = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "brightness": 80.0, "sharpness": 90.0, "confidence": 99.9}


@pytest.fixture
def portrait(face: Callable[..., Detection]) -> Callable[..., AnalyzedFace]:
    """Makes a good portrait, but for what the test spoils."""

    def make(**spoilt: float) -> AnalyzedFace:
        given = _GOOD | spoilt
        return AnalyzedFace(
            face(0.2, 0.2, 0.4, given["confidence"]),
            Pose(given["roll"], given["yaw"], given["pitch"]),
            Quality(given["brightness"], given["sharpness"]),
        )

    return make


@pytest.mark.parametrize(
    ("bar", "luma_min"),
    [(QualityFilter.AUTO, 8), (QualityFilter.LOW, 8), (QualityFilter.MEDIUM, 15), (QualityFilter.HIGH, 25)],
)
def test_how_dark_a_face_may_be(portrait: Callable[..., AnalyzedFace], bar: QualityFilter, luma_min: float) -> None:
    """The bars stand for an amount of light, on whatever scale that is shown."""
    assert reasons(portrait(brightness=brightness_of(luma_min)), 200, bar) == []
    assert reasons(portrait(brightness=brightness_of(luma_min - 0.1)), 200, bar) == [Reason.LOW_BRIGHTNESS]


def test_fifty_pixels_are_enough_for_every_bar(portrait: Callable[..., AnalyzedFace]) -> None:
    """AWS's guide asks for so many, and its HIGH passes a face of 59."""
    for bar in QualityFilter:
        assert reasons(portrait(), 50, bar) == []
    assert reasons(portrait(), 49.9, QualityFilter.HIGH) == [Reason.SMALL_BOUNDING_BOX]


@pytest.mark.parametrize("bar", QualityFilter)
def test_a_good_face_passes_every_bar(portrait: Callable[..., AnalyzedFace], bar: QualityFilter) -> None:
    """A large, sharp, well-lit face that looks into the camera is never refused, however the head is tilted."""
    assert reasons(portrait(roll=170), 200, bar) == []


@pytest.mark.parametrize(
    ("spoilt", "face_size_px", "reason"),
    [
        ({"yaw": 80.0}, 200, Reason.EXTREME_POSE),
        ({"yaw": -80.0}, 200, Reason.EXTREME_POSE),
        ({"pitch": 70.0}, 200, Reason.EXTREME_POSE),
        ({"pitch": -70.0}, 200, Reason.EXTREME_POSE),
        ({"brightness": 3.0}, 200, Reason.LOW_BRIGHTNESS),
        ({"sharpness": 2.0}, 200, Reason.LOW_SHARPNESS),
        ({"confidence": 60.0}, 200, Reason.LOW_CONFIDENCE),
        ({}, 10, Reason.SMALL_BOUNDING_BOX),
    ],
)
def test_each_fault_has_its_own_reason(
    portrait: Callable[..., AnalyzedFace], spoilt: dict[str, float], face_size_px: float, reason: Reason
) -> None:
    """One fault gives one reason at every bar, and none at all where nothing is asked."""
    for bar in set(QualityFilter) - {QualityFilter.NONE}:
        assert reasons(portrait(**spoilt), face_size_px, bar) == [reason]
    assert reasons(portrait(**spoilt), face_size_px, QualityFilter.NONE) == []


def test_all_faults_are_named(portrait: Callable[..., AnalyzedFace]) -> None:
    """A face that is poor in every way gets every reason but that of being one too many."""
    poor = portrait(yaw=89.0, brightness=0.0, sharpness=0.0, confidence=0.0)
    assert set(reasons(poor, 1, QualityFilter.LOW)) == set(Reason) - {Reason.EXCEEDS_MAX_FACES}


def test_every_bar_asks_at_least_what_the_one_below_asks() -> None:
    """NONE, LOW, MEDIUM, HIGH: what passes one passes all before it; AUTO is LOW."""
    ladder = [
        REQUIREMENTS[bar] for bar in (QualityFilter.NONE, QualityFilter.LOW, QualityFilter.MEDIUM, QualityFilter.HIGH)
    ]
    for lower, higher in itertools.pairwise(ladder):
        assert lower.turn_degrees_max > higher.turn_degrees_max
        assert lower.brightness_min < higher.brightness_min
        assert lower.sharpness_min < higher.sharpness_min
        assert lower.confidence_min < higher.confidence_min
        assert lower.side_px_min < higher.side_px_min
    assert REQUIREMENTS[QualityFilter.AUTO] == REQUIREMENTS[QualityFilter.LOW]


def test_the_default_bar_takes_every_portrait(faces_dir: Path, tmp_path: Path) -> None:
    """Whoever a real photograph was taken of can be found: of a sample of portraits, no main face is refused."""
    engine = embedded_engine(tmp_path, threads=2)
    for path in sorted((faces_dir / "people").glob("*.jpg"))[::9]:
        try:
            image = decode(path.read_bytes())
        except PictureUnreadable:  # a few are of other formats, whatever their names say
            continue
        kept, _ = select(analyse(engine, image)[:1], image, QualityFilter.AUTO, max_faces=1)
        assert kept, path.name
