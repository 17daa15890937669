"""Metrics for Prometheus; the only file that knows it.

One process counts in its own memory. Of several, each counts in files of a folder that they share, and the process that
has started them adds up what is there, including what those have counted that have ended.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from rekognition_emulator.telemetry.observation import Observation, Observer

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder to the library, which looks at it when it is imported. Source: its documentation."""

REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of the histogram's buckets. Ours: from a search in a small collection to a client that gives up."""
STAGE_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
LAG_REVISIONS: Final = (0, 1, 3, 10, 30, 100, 1_000, 10_000)

POOL_PAUSE_S: Final = 5.0
"""Between two looks at the pools: they can be asked, but tell nobody by themselves."""

POOL_STATISTICS: Final = (
    "pool_size",
    "pool_available",
    "requests_waiting",
    "requests_queued",
    "requests_errors",
    "connections_lost",
)
"""Of the driver's own, by its names: how many connections, how many of them idle, how many requests wait for one; and
since the start, how many had to wait, how many in vain, and how many connections broke."""

PoolStatistics = Callable[[], Mapping[str, int]]


class Metrics(Observer):
    """Counts and measures requests.

    Args:
        billing_groups: operation → the group of AWS's price list that it is in; what is free is not in it.
        registry: where counts are kept.
    """

    def __init__(self, billing_groups: Mapping[str, str], registry: CollectorRegistry = REGISTRY) -> None:
        self._billing_groups = billing_groups

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"rekognition_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            # Of a process that has ended, nothing is inside any more.
            return Gauge(f"rekognition_{name}", text, labels, registry=registry, multiprocess_mode="livesum")

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"rekognition_{name}", text, labels, buckets=buckets, registry=registry)

        self._requests = counter("requests", "Answers, by error code; none on success.", "operation", "error")
        self._seconds = histogram("request_seconds", "From headers to answer.", REQUEST_SECONDS, "operation")
        self._stage_seconds = histogram("stage_seconds", "Parts of that.", STAGE_SECONDS, "stage")
        self._inside = gauge("requests_inside", "Requests that are read, wait for a worker or are worked on.")
        self._waiting = gauge("requests_waiting", "Requests that wait for a worker.")
        self._spared = counter("would_be_denied", "Requests that enforced access control would refuse.", "error")
        self._beyond = counter("beyond_rate", "Requests refused because their account had none left.", "operation")
        self._absent = counter("attributes_absent", "Requests for attributes that nothing estimates.", "attribute")
        self._found = counter("faces_found", "Faces in pictures.")
        self._indexed = counter("faces_indexed", "Faces that IndexFaces has answered with.")
        self._billable = counter("billable_images", "Pictures that AWS would charge for.", "group")
        self._lag = histogram("index_lag_revisions", "Changes that a search had to wait for.", LAG_REVISIONS)
        self._pool = gauge("pool", "Connections to the database.", "pool", "statistic")
        self._server = gauge(
            "server",
            "Serving processes, and what they run.",
            "version",
            "face_model",
            "face_model_version",
            "detector",
            "device",
            "index",
            "absent_attributes",
        )
        for group in sorted(set(billing_groups.values())):
            self._billable.labels(group)  # so that it is there, and 0, before the first call

    def describe(self, **what: str) -> None:
        """Says what runs here: version, face_model, face_model_version, detector, device, index, absent_attributes."""
        self._server.labels(**what).set(1)

    def occupied(self, inside: int, waiting: int) -> None:
        """Sets the gauges."""
        self._inside.set(inside)
        self._waiting.set(waiting)

    def answered(self, observation: Observation) -> None:
        """Counts a request and measures its stages."""
        operation = observation.operation or "none"
        self._requests.labels(operation, observation.error or "none").inc()
        self._seconds.labels(operation).observe(observation.seconds)
        for name, seconds in observation.stage_seconds().items():
            self._stage_seconds.labels(name).observe(seconds)
        if observation.would_be_denied:
            self._spared.labels(observation.would_be_denied).inc()
        if observation.limit:
            _, operation_limited = observation.limit
            self._beyond.labels(operation_limited).inc()
        for attribute in observation.absent_attributes:
            self._absent.labels(attribute).inc()
        self._found.inc(observation.counts.get("faces_found", 0))
        self._indexed.inc(observation.counts.get("faces_indexed", 0))
        if observation.error is None and operation in self._billing_groups:
            self._billable.labels(self._billing_groups[operation]).inc()
        if "index_lag" in observation.counts:
            self._lag.observe(observation.counts["index_lag"])

    @contextmanager
    def following(self, pools: Mapping[str, PoolStatistics]) -> Iterator[None]:
        """Looks at the pools now and again, until the end."""
        over = threading.Event()

        def look() -> None:
            while True:
                for name, statistics in pools.items():
                    known = statistics()
                    for statistic in POOL_STATISTICS:
                        self._pool.labels(name, statistic).set(known.get(statistic, 0))
                if over.wait(POOL_PAUSE_S):
                    return

        thread = threading.Thread(target=look, name="pool statistics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@dataclass(frozen=True, slots=True)
class Page:
    """The port that metrics are served on, and whom to tell that a process of this number has ended."""

    port: int
    ended: Callable[[int], None]


@contextmanager
def open_page(host: str, port: int, shared: Path | None) -> Iterator[Page]:
    """Serves the metrics of this process, or of all that count in the shared folder, until the end.

    Raises:
        OSError: the port cannot be had.
    """
    registry = REGISTRY
    if shared is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(shared))  # type: ignore[no-untyped-call] # registers itself
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {host} port {port}, for metrics") from error

    def ended(process_id: int) -> None:
        if shared is not None:
            mark_process_dead(process_id, str(shared))  # type: ignore[no-untyped-call] # it has no types

    try:
        yield Page(server.server_port, ended)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
