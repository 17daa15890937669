"""What a request asks of a face and nothing estimates: left out of answers, and told to the operator."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from rekognition_emulator.api.rekognition import Attribute, FaceDetail
from rekognition_emulator.observation import Observation
from rekognition_emulator.operations import absence
from rekognition_emulator.operations.absence import note_absent

BARE: FaceDetail = {"Confidence": 99.0}
AGED: FaceDetail = {"Confidence": 99.0, "AgeRange": {"Low": 20, "High": 30}}
EVERY = {name for name in get_args(Attribute) if name not in {"ALL", "DEFAULT"}}


@pytest.fixture(autouse=True)
def _a_new_process() -> Iterator[None]:
    """In which nothing has been logged."""
    absence._log_once.cache_clear()
    yield
    absence._log_once.cache_clear()


@pytest.mark.parametrize(
    ("requested", "details", "absent"),
    [
        ([], [BARE], set()),
        (["DEFAULT"], [BARE], set()),
        (["ALL"], [BARE], EVERY),
        (["DEFAULT", "ALL"], [AGED], EVERY - {"AGE_RANGE"}),
        (["BEARD", "AGE_RANGE"], [AGED, AGED], {"BEARD"}),
        (["ALL"], [], set()),
    ],
)
def test_what_is_asked_for_and_absent_is_noted(
    requested: Sequence[Any], details: Sequence[FaceDetail], absent: set[str]
) -> None:
    """In each request, so that the metrics can count it."""
    observation = Observation()
    with observation.current():
        note_absent(requested, details)
    assert observation.absent_attributes == absent


def test_each_is_logged_once() -> None:
    """However often it is asked for, and others later."""
    with capture_logs() as logs:
        for requested in (["BEARD"], ["BEARD"], ["BEARD", "SMILE"], ["ALL"], ["ALL"]):
            note_absent(requested, [BARE])  # type: ignore[arg-type] # names of the model, of a loop
    assert [line["attribute"] for line in logs[:2]] == ["BEARD", "SMILE"]
    assert sorted(line["attribute"] for line in logs) == sorted(EVERY)
    assert {(line["event"], line["log_level"]) for line in logs} == {("attribute_absent", "warning")}
