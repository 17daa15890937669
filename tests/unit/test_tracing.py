import sys
import time
from collections.abc import Iterator
from unittest.mock import Mock

import pytest

from rekognition_emulator import app
from rekognition_emulator.settings import Settings
from rekognition_emulator.telemetry.observation import Observation, stage

pytest.importorskip("opentelemetry.sdk", reason="tracing is an extra")

from rekognition_emulator.telemetry.tracing import open_traces
from tests.support.collector import Collector, open_collector, values


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    """A collector of traces."""
    with open_collector() as collector:
        yield collector


def test_a_request_is_a_span_with_its_stages_below(collector: Collector) -> None:
    """Names, attributes and times are those of the request; what is left at the end is sent."""
    observation = Observation("id-1", operation="IndexFaces", collection="party", status=200, counts={"faces_found": 2})
    before = time.time_ns()
    with observation.current():
        with stage("decode"):
            time.sleep(0.002)
        with stage("store"):
            pass
    observation.seconds = time.perf_counter() - observation.started
    with open_traces(collector.url + "/", {"face_model": "dlib"}) as traces:
        traces.answered(observation)
        traces.answered(Observation("id-2", status=500, error="InternalServerError"))

    decode, store, request, broken = collector.spans()
    assert [span.name for span in (decode, store, request, broken)] == ["decode", "store", "IndexFaces", "none"]
    assert decode.parent_span_id == store.parent_span_id == request.span_id
    assert decode.trace_id == store.trace_id == request.trace_id != broken.trace_id
    assert not request.parent_span_id
    assert before - 1e8 < request.start_time_unix_nano <= decode.start_time_unix_nano
    assert decode.end_time_unix_nano - decode.start_time_unix_nano >= 2e6
    assert decode.end_time_unix_nano <= store.start_time_unix_nano
    assert store.end_time_unix_nano <= request.end_time_unix_nano
    assert values(request.attributes) == {
        "aws.request_id": "id-1",
        "rpc.method": "IndexFaces",
        "http.response.status_code": 200,
        "rekognition.collection": "party",
        "rekognition.faces_found": 2,
    }
    assert values(broken.attributes)["error.type"] == "InternalServerError"
    assert (request.status.code, broken.status.code) == (0, 2)
    resource = values(collector.exports[0].resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["rekognition.face_model"]) == ("rekognition-emulator", "dlib")


def test_a_collector_that_is_away_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    """Requests go on, and so does the end."""
    with open_traces("http://127.0.0.1:9", {}) as traces:
        traces.answered(Observation("id", status=200))
    assert "Failed to export" in caplog.text


def test_without_the_extra_the_start_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for traces that are not made."""
    monkeypatch.setitem(sys.modules, "rekognition_emulator.telemetry.tracing", None)
    settings = Settings(otlp_endpoint="http://127.0.0.1:4318")
    with (
        pytest.raises(app.TracingUnusable, match="needs OpenTelemetry"),
        app._observers(settings, Mock(), {}),
    ):
        pass
