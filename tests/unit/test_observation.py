import threading
import time

import pytest

from rekognition_emulator.telemetry.observation import Observation, current, part, stage


def test_stages_are_timed_where_an_observation_is_open() -> None:
    """The same stage may come again; together the stages take no longer than the request."""
    observation = Observation("id")
    with observation.current():
        for _ in range(2):
            with stage("detect"):
                time.sleep(0.002)
        with stage("embed"):
            pass
    assert [each.name for each in observation.stages] == ["detect", "detect", "embed"]
    seconds = observation.stage_seconds()
    assert list(seconds) == ["detect", "embed"]
    assert seconds["detect"] >= 0.004
    assert sum(seconds.values()) <= time.perf_counter() - observation.started


def test_a_stage_within_a_stage_is_part_of_it() -> None:
    """So no moment is counted twice, also where one ends with an error."""
    observation = Observation("id")
    with observation.current():
        with pytest.raises(ZeroDivisionError), stage("search"), stage("store"):
            raise ZeroDivisionError
        with stage("store"):
            pass
    assert [each.name for each in observation.stages] == ["search", "store"]


def test_a_part_counts_for_itself_wherever_it_is() -> None:
    """However often a picture is shrunk on its way, the log says once how long that took, apart from the rest."""
    observation = Observation()

    def fail() -> None:
        with stage("detect"):
            for _ in range(2):
                with part("resize"), stage("fetch"):
                    time.sleep(0.05)
            with part("resize"):
                1 // 0  # noqa: B018

    with observation.current():
        with pytest.raises(ZeroDivisionError):
            fail()
        with part("resize"):
            pass
    assert [each.name for each in observation.stages] == ["detect", "resize", "resize"]
    detect, within, alone = observation.stages
    assert within.seconds >= 0.1
    assert detect.seconds < within.seconds
    assert within.started == pytest.approx(detect.started + detect.seconds)
    assert alone.started >= within.started + within.seconds - 1e-6


def test_counts_add_up() -> None:
    """Two pictures of one request show the faces of both."""
    observation = Observation("id")
    with observation.current():
        current().count("faces_found", 2)
        current().count("faces_found", 0)
        current().count("faces_found", 3)
    assert observation.counts == {"faces_found": 5}


def test_nobody_reads_what_is_done_outside_a_request() -> None:
    """Neither after it nor in another thread."""
    observation = Observation("id")

    def work() -> None:
        with stage("detect"):
            current().count("faces_found", 1)

    with observation.current():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    work()
    assert observation.stages == []
    assert observation.counts == {}
