"""Metrics for Prometheus; the only file that knows it.

One process counts in its own memory. Of several, each counts in files of a folder that they share, and the process that
has started them adds up what is there, including what those have counted that have ended.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from rekognition_emulator.background import Repeating
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

PREFIX: Final = "rekognition_"
"""Of every metric's name."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: what it means, and the labels that tell its time series apart."""

    meaning: str
    labels: tuple[str, ...] = ()


COUNTERS: Final[Mapping[str, Family]] = {
    "requests": Family("Requests answered, by error code; none on success.", ("operation", "error")),
    "would_be_denied": Family("Requests that enforced access control would deny.", ("error",)),
    "rate_limited": Family("Requests refused because their account's rate was spent.", ("operation",)),
    "attributes_absent": Family("Requests for attributes that no model here estimates.", ("attribute",)),
    "faces_found": Family("Faces found in images."),
    "faces_indexed": Family("Faces in the answers of IndexFaces."),
    "billable_images": Family("Images that AWS would charge for, by its group of operations.", ("group",)),
}
"""Name → what is counted. Prometheus adds ``_total``."""

GAUGES: Final[Mapping[str, Family]] = {
    "requests_in_flight": Family("Requests that are read, wait for a worker or are worked on."),
    "requests_waiting": Family("Requests that wait for a worker."),
    "database_pool": Family("Connections to the database, as the driver's pools count them.", ("pool", "statistic")),
    "server_info": Family(
        "Serving processes, by what they run.",
        ("version", "face_model", "face_model_version", "detector", "device", "index", "absent_attributes"),
    ),
}
"""Name → what is measured at this moment."""

SHARED_GAUGES: Final[Mapping[str, Family]] = {
    "jobs": Family("Jobs of the database; those that are over for a week.", ("kind", "status")),
    "jobs_oldest_queued_seconds": Family("Seconds for which the oldest queued job could have begun.", ("kind",)),
}
"""Likewise, of the database: every process measures the same."""

HISTOGRAMS: Final[Mapping[str, Family]] = {
    "request_duration_seconds": Family("Seconds from a request's headers to its answer.", ("operation",)),
    "stage_duration_seconds": Family("Seconds of each stage of a request.", ("stage",)),
    "index_lag_revisions": Family("Changes of a collection that a search had to wait for."),
}
"""Name → what is distributed over buckets. Prometheus adds ``_bucket``, ``_sum`` and ``_count``."""

JobCounts = Mapping[tuple[str, str], tuple[int, float]]
"""(kind, status) → how many jobs there are, and for how many seconds the oldest that waits could have begun."""

JOB_STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled")
"""Of a kind that there is, every one is shown, so that a count falls to 0 and does not stay."""


class Metrics(Observer):
    """Counts and measures requests.

    Args:
        billing_groups: operation → the group of AWS's price list that it is in; what is free is not in it.
        registry: where counts are kept.
    """

    def __init__(self, billing_groups: Mapping[str, str], registry: CollectorRegistry = REGISTRY) -> None:
        self._billing_groups = billing_groups
        self._job_kinds: set[str] = set()

        def counter(name: str) -> Counter:
            return Counter(PREFIX + name, COUNTERS[name].meaning, COUNTERS[name].labels, registry=registry)

        def gauge(name: str) -> Gauge:
            # What a process held ends with it.
            family = GAUGES[name]
            return Gauge(PREFIX + name, family.meaning, family.labels, registry=registry, multiprocess_mode="livesum")

        def shared_gauge(name: str) -> Gauge:
            family = SHARED_GAUGES[name]
            return Gauge(
                PREFIX + name, family.meaning, family.labels, registry=registry, multiprocess_mode="livemostrecent"
            )

        def histogram(name: str, buckets: tuple[float, ...]) -> Histogram:
            family = HISTOGRAMS[name]
            return Histogram(PREFIX + name, family.meaning, family.labels, buckets=buckets, registry=registry)

        self._requests = counter("requests")
        self._duration = histogram("request_duration_seconds", REQUEST_SECONDS)
        self._stage_duration = histogram("stage_duration_seconds", STAGE_SECONDS)
        self._in_flight = gauge("requests_in_flight")
        self._waiting = gauge("requests_waiting")
        self._would_be_denied = counter("would_be_denied")
        self._rate_limited = counter("rate_limited")
        self._absent = counter("attributes_absent")
        self._found = counter("faces_found")
        self._indexed = counter("faces_indexed")
        self._billable = counter("billable_images")
        self._lag = histogram("index_lag_revisions", LAG_REVISIONS)
        self._pool = gauge("database_pool")
        self._jobs = shared_gauge("jobs")
        self._jobs_late = shared_gauge("jobs_oldest_queued_seconds")
        self._server = gauge("server_info")
        for group in sorted(set(billing_groups.values())):
            self._billable.labels(group)  # so that it is there, and 0, before the first call

    def describe(self, **what: str) -> None:
        """Says what runs here: version, face_model, face_model_version, detector, device, index, absent_attributes."""
        self._server.labels(**what).set(1)

    def occupied(self, in_flight: int, waiting: int) -> None:
        """Sets the gauges."""
        self._in_flight.set(in_flight)
        self._waiting.set(waiting)

    def answered(self, observation: Observation) -> None:
        """Counts a request and measures its stages."""
        operation = observation.operation or "none"
        self._requests.labels(operation, observation.error or "none").inc()
        self._duration.labels(operation).observe(observation.seconds)
        for name, seconds in observation.stage_seconds().items():
            self._stage_duration.labels(name).observe(seconds)
        if observation.would_be_denied:
            self._would_be_denied.labels(observation.would_be_denied).inc()
        if observation.limit:
            _, operation_limited = observation.limit
            self._rate_limited.labels(operation_limited).inc()
        for attribute in observation.absent_attributes:
            self._absent.labels(attribute).inc()
        self._found.inc(observation.counts.get("faces_found", 0))
        self._indexed.inc(observation.counts.get("faces_indexed", 0))
        if observation.error is None and operation in self._billing_groups:
            self._billable.labels(self._billing_groups[operation]).inc()
        if "index_lag" in observation.counts:
            self._lag.observe(observation.counts["index_lag"])

    @contextmanager
    def following(
        self, pools: Mapping[str, PoolStatistics], count_jobs: Callable[[], JobCounts | None] = dict
    ) -> Iterator[None]:
        """Looks at the pools and jobs now and again, until the end; what cannot be counted now stays as it was."""

        def look() -> None:
            for name, statistics in pools.items():
                known = statistics()
                for statistic in POOL_STATISTICS:
                    self._pool.labels(name, statistic).set(known.get(statistic, 0))
            if (counts := count_jobs()) is not None:
                self._show_jobs(counts)

        look()
        with Repeating("pool statistics", look, POOL_PAUSE_S):
            yield

    def _show_jobs(self, counts: JobCounts) -> None:
        for kind in {kind for kind, _ in counts} | self._job_kinds:
            self._job_kinds.add(kind)
            for status in JOB_STATUSES:
                self._jobs.labels(kind, status).set(counts.get((kind, status), (0, 0.0))[0])
            self._jobs_late.labels(kind).set(counts.get((kind, "queued"), (0, 0.0))[1])


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
