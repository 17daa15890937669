"""What a request asks of a face and cannot be told: left out of answers or filled in, and told to the operator."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import get_args

import pytest
from structlog.testing import capture_logs

from rekognition_emulator.api import rekognition as api
from rekognition_emulator.domain.attributes import Attribute
from rekognition_emulator.operations import absence
from rekognition_emulator.operations.absence import MEMBERS, add_neutral, note_absent
from rekognition_emulator.operations.intake import wanted_attributes
from rekognition_emulator.telemetry.observation import Observation

EVERY = {name for name in get_args(api.Attribute) if name not in {"ALL", "DEFAULT"}}
AGE, BEARD = Attribute.AGE_RANGE, Attribute.BEARD


@pytest.fixture(autouse=True)
def _a_new_process() -> Iterator[None]:
    """In which nothing has been logged."""
    absence._log_once.cache_clear()
    yield
    absence._log_once.cache_clear()


@pytest.mark.parametrize(
    ("wanted", "known", "absent"),
    [
        (set(), set(), set()),
        (set(Attribute), set(), EVERY),
        (set(Attribute), {AGE}, EVERY - {"AGE_RANGE"}),
        ({BEARD, AGE}, {AGE}, {"BEARD"}),
        ({AGE}, {AGE}, set()),
    ],
)
def test_what_is_asked_for_and_absent_is_noted(
    wanted: AbstractSet[Attribute], known: AbstractSet[Attribute], absent: set[str]
) -> None:
    """In each request, so that the metrics can count it."""
    observation = Observation()
    with observation.current():
        note_absent(wanted, known)
    assert observation.absent_attributes == absent


def test_each_is_logged_once() -> None:
    """However often it is asked for, and others later."""
    with capture_logs() as logs:
        for wanted in ({BEARD}, {BEARD}, {BEARD, Attribute.SMILE}, set(Attribute), set(Attribute)):
            note_absent(wanted, set())
    assert [line["attribute"] for line in logs[:2]] == ["BEARD", "SMILE"]
    assert sorted(line["attribute"] for line in logs) == sorted(EVERY)
    assert {(line["event"], line["log_level"]) for line in logs} == {("attribute_absent", "warning")}


def test_every_name_of_aws_has_its_member() -> None:
    """A name that AWS adds to Attributes makes this fail until it has a member, and is one that can be estimated."""
    assert {attribute.value for attribute in MEMBERS} == EVERY
    assert set(MEMBERS.values()) < set(api.FaceDetail.__annotations__)
    assert wanted_attributes(["ALL"]) == set(Attribute)
    assert wanted_attributes(["DEFAULT", *sorted(EVERY)]) == set(MEMBERS)


def bare() -> api.FaceDetail:
    """What is measured on every face, or enough of it."""
    return {"Confidence": 99.0, "Pose": {"Roll": 1.0, "Yaw": 20.0, "Pitch": -5.0}}


def test_neutral_values_say_nothing() -> None:
    """Each member is there, as likely as its opposite: no program that sets a threshold decides by it."""
    detail = bare()
    add_neutral(detail, set(Attribute))
    assert set(detail) == set(bare()) | set(MEMBERS.values())
    assert detail["Sunglasses"] == {"Value": False, "Confidence": 50.0}
    assert detail["EyesOpen"] == {"Value": True, "Confidence": 50.0}
    assert detail["Gender"] == {"Value": "Female", "Confidence": 50.0}
    assert detail["AgeRange"] == {"Low": 0, "High": 100}
    assert detail["EyeDirection"] == {"Yaw": 20.0, "Pitch": -5.0, "Confidence": 50.0}
    assert detail["Emotions"][0] == {"Type": "CALM", "Confidence": 50.0}
    assert len({emotion["Type"] for emotion in detail["Emotions"]}) == len(detail["Emotions"]) == 8
    assert {emotion["Confidence"] for emotion in detail["Emotions"][1:]} == {0.0}


def test_what_was_estimated_stays() -> None:
    """Only what is absent is filled in, of emotions those that are missing."""
    detail = bare() | {
        "Smile": {"Value": True, "Confidence": 90.0},
        "Emotions": [{"Type": "HAPPY", "Confidence": 80.0}, {"Type": "SAD", "Confidence": 20.0}],
    }
    add_neutral(detail, {Attribute.SMILE, Attribute.EMOTIONS})
    assert set(detail) == set(bare()) | {"Smile", "Emotions"}
    assert detail["Smile"] == {"Value": True, "Confidence": 90.0}
    assert [emotion["Type"] for emotion in detail["Emotions"][:2]] == ["HAPPY", "SAD"]
    assert len(detail["Emotions"]) == 8
