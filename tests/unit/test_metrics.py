import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from rekognition_emulator.operations.registry import BILLING_GROUPS
from rekognition_emulator.telemetry.metrics import POOL_STATISTICS, Metrics
from rekognition_emulator.telemetry.observation import Observation, Stage

DASHBOARD = Path(__file__).parents[2] / "docs" / "operations" / "grafana.json"


def observation(operation: str | None, error: str | None = None, **counts: int) -> Observation:
    """A request that took 30 ms, 20 of them in two turns of one stage."""
    stages = [Stage("decode", 0.0, 0.015), Stage("decode", 0.02, 0.005)]
    return Observation("id", operation=operation, error=error, seconds=0.03, counts=counts, stages=stages)


def labels_of(registry: CollectorRegistry) -> set[str]:
    """Returns the names of all labels that there are."""
    return {label for family in registry.collect() for sample in family.samples for label in sample.labels}


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where this test counts."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    """Nothing is counted yet."""
    return Metrics(BILLING_GROUPS, registry)


def test_counts_answers_by_operation_and_error(metrics: Metrics, registry: CollectorRegistry) -> None:
    """What names no operation counts as well."""
    for _ in range(2):
        metrics.answered(observation("ListFaces"))
    metrics.answered(observation("ListFaces", "ResourceNotFoundException"))
    metrics.answered(observation(None, "ThrottlingException"))

    def count(operation: str, error: str) -> float | None:
        return registry.get_sample_value("rekognition_requests_total", {"operation": operation, "error": error})

    assert count("ListFaces", "none") == 2
    assert count("ListFaces", "ResourceNotFoundException") == 1
    assert count("none", "ThrottlingException") == 1
    assert registry.get_sample_value("rekognition_request_seconds_sum", {"operation": "ListFaces"}) == pytest.approx(
        0.09
    )
    assert registry.get_sample_value("rekognition_stage_seconds_count", {"stage": "decode"}) == 4
    assert registry.get_sample_value("rekognition_stage_seconds_sum", {"stage": "decode"}) == pytest.approx(0.08)


def test_counts_attributes_that_nothing_estimates(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Each by its name, once for each request that asked for it."""
    for absent in ({"BEARD"}, {"BEARD", "SMILE"}):
        metrics.answered(Observation("id", operation="DetectFaces", absent_attributes=frozenset(absent)))
    counted = [
        registry.get_sample_value("rekognition_attributes_absent_total", {"attribute": name})
        for name in ("BEARD", "SMILE", "GENDER")
    ]
    assert counted == [2, 1, None]


def test_charges_for_calls_that_succeed_as_aws_does(metrics: Metrics, registry: CollectorRegistry) -> None:
    """A comparison of two pictures is one, a search without a picture is one, and what only lists is none."""
    for operation in ("CompareFaces", "SearchFaces", "ListFaces", "DetectFaces", "CreateCollection"):
        metrics.answered(observation(operation))
    metrics.answered(observation("IndexFaces", "InvalidImageFormatException"))
    assert registry.get_sample_value("rekognition_billable_images_total", {"group": "1"}) == 2
    assert registry.get_sample_value("rekognition_billable_images_total", {"group": "2"}) == 1


def test_counts_faces_and_changes_and_whom_it_spared_or_held_up(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Each only where there was something to count."""
    metrics.answered(observation("IndexFaces", faces_found=5, faces_indexed=3))
    metrics.answered(observation("SearchFaces", index_lag=7))
    spared = observation("ListFaces")
    spared.would_be_denied = "AccessDeniedException"
    metrics.answered(spared)
    beyond = observation(None, "ProvisionedThroughputExceededException")
    beyond.limit = ("123456789012", "IndexFaces")
    metrics.answered(beyond)
    assert registry.get_sample_value("rekognition_beyond_rate_total", {"operation": "IndexFaces"}) == 1
    assert registry.get_sample_value("rekognition_faces_found_total") == 5
    assert registry.get_sample_value("rekognition_faces_indexed_total") == 3
    assert registry.get_sample_value("rekognition_index_lag_revisions_count") == 1
    assert registry.get_sample_value("rekognition_index_lag_revisions_sum") == 7
    assert registry.get_sample_value("rekognition_would_be_denied_total", {"error": "AccessDeniedException"}) == 1


def test_callers_cannot_make_up_labels(metrics: Metrics, registry: CollectorRegistry) -> None:
    """What they choose, such as a collection's name, would make a new time series each."""
    chosen = observation("ListFaces")
    chosen.collection, chosen.account = "anything", "123456789012"
    chosen.limit = ("123456789012", "ListFaces")
    metrics.answered(chosen)
    assert labels_of(registry) == {"operation", "error", "stage", "le", "group"}


def test_shows_the_pools(metrics: Metrics, registry: CollectorRegistry) -> None:
    """As soon as they are followed; what the driver does not name is 0."""
    with metrics.following({"main": lambda: {"pool_size": 3, "returns_bad": 9}}):
        pass
    values = {
        name: registry.get_sample_value("rekognition_pool", {"pool": "main", "statistic": name})
        for name in POOL_STATISTICS
    }
    assert values == {**dict.fromkeys(POOL_STATISTICS, 0), "pool_size": 3}


def _panels() -> list[Any]:
    panels: list[Any] = json.loads(DASHBOARD.read_text())["panels"]
    return panels


def test_the_dashboard_asks_for_metrics_that_exist(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Every name and every label in its queries is one that the page has, and every metric of ours is shown."""
    metrics.answered(observation("IndexFaces"))
    spared = observation("ListFaces", index_lag=0)
    spared.would_be_denied, spared.limit = "AccessDeniedException", ("123456789012", "ListFaces")
    metrics.answered(spared)
    metrics.describe(
        version="", face_model="", face_model_version="", detector="", device="", index="", absent_attributes=""
    )
    with metrics.following({"main": dict}):
        pass
    page = generate_latest(registry).decode()
    names = set(re.findall(r"^(rekognition_\w+)[{ ]", page, re.MULTILINE))
    labels = set(re.findall(r'(\w+)="', page))
    queries = [target["expr"] for panel in _panels() for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"rekognition_\w+", query)}
    assert asked - names == set()
    families = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in names}
    assert families - {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked} == set()
    grouped = {
        label for query in queries for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")
    }
    matched = {label for query in queries for label in re.findall(r"(\w+)!?=~?\"", query)}
    assert (grouped | matched) - labels == set()


def test_the_dashboard_has_its_panels_side_by_side() -> None:
    """Grafana's grid is 24 wide; ids are unique, no two panels overlap, and all ask the chosen data source."""
    taken: set[tuple[int, int]] = set()
    for panel in _panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
    assert len({panel["id"] for panel in _panels()}) == len(_panels())
