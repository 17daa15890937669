"""Traces for OpenTelemetry, which is an extra; the only file that knows it.

A span is written down when its request is over, from the same observation that the log line is made of. Spans that are
opened on the way were refused: every floor would have to know of them, and a request cost more where nobody collects.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

from rekognition_emulator.telemetry.observation import Observation, Observer

EXPORT_SECONDS_MAX: Final = 5
"""For one delivery. What a collector does not take in time is lost; at the end nobody should wait long for it."""

_SERVER_ERROR: Final = 500


class Traces(Observer):
    """Makes a span of every request, with one below it for each stage."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def answered(self, observation: Observation) -> None:
        """Writes down what is over."""
        # The stages are timed by a clock that never jumps and knows no date.
        began_ns = time.time_ns() - int((time.perf_counter() - observation.started) * 1e9)
        span = self._tracer.start_span(
            observation.operation or "none",
            kind=SpanKind.SERVER,
            start_time=began_ns,
            attributes={name: value for name, value in _attributes(observation).items() if value is not None},
        )
        for stage in observation.stages:
            start_ns = began_ns + int((stage.started - observation.started) * 1e9)
            child = self._tracer.start_span(stage.name, set_span_in_context(span), start_time=start_ns)
            child.end(start_ns + int(stage.seconds * 1e9))
        if observation.status >= _SERVER_ERROR:  # what a caller has done wrong is no error of the server's
            span.set_status(Status(StatusCode.ERROR))
        span.end(began_ns + int(observation.seconds * 1e9))


def _attributes(observation: Observation) -> Mapping[str, str | int | None]:
    # Names: OpenTelemetry's semantic conventions for HTTP, errors and AWS; what those lack, ours.
    return {
        "aws.request_id": observation.request_id,
        "rpc.method": observation.operation,
        "http.response.status_code": observation.status,
        "error.type": observation.error,
        "rekognition.account": observation.account,
        "rekognition.collection": observation.collection,
        **{f"rekognition.{name}": number for name, number in observation.counts.items()},
    }


@contextmanager
def open_traces(endpoint: str, what: Mapping[str, str]) -> Iterator[Traces]:
    """Sends traces to a collector until the end, when it sends what is left.

    Args:
        endpoint: of the collector's OTLP over HTTP, without the path.
        what: runs here; added to every span.
    """
    attributes = {"service.name": "rekognition-emulator", **{f"rekognition.{name}": what[name] for name in what}}
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS_MAX)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Traces(provider.get_tracer("rekognition_emulator"))
    finally:
        provider.shutdown()
