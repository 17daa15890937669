import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.domain.embedding import FaceModel
from rekognition_emulator.evaluation.bands import (
    SIDE,
    SIMILARITIES,
    TWO_GROUPS,
    YAW,
    Band,
    BandCounter,
    Covariates,
    Rate,
)
from rekognition_emulator.evaluation.comparison import compare_album

MODEL = FaceModel("test", "1.2", 8, "ours", ((-1, 0), (0.4, 60), (0.5, 80), (0.6, 90), (1, 100)))


def counted(
    covariates: Covariates, embeddings: NDArray[np.float32], people: NDArray[np.intp], groups: list[str]
) -> list[Band]:
    """Counts an album, in blocks of three rows."""
    counter = BandCounter(MODEL, covariates, groups)
    compare_album(embeddings, people, rows_at_once=3, counter=counter)
    return counter.bands()


def drawn(seed: int, count: int) -> tuple[Covariates, NDArray[np.float32], NDArray[np.intp]]:
    """Returns an album of faces whose pairs have any cosine, of every size, sharpness and turn."""
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(count, 8)) + 1
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    known = random.uniform((16, 0, 0), (100, 100, 75), (count, 3)).astype(np.float32)
    return Covariates(*known.T), embeddings.astype(np.float32), random.integers(0, 5, count)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 30))
def test_a_pair_counts_once_for_the_worse_of_its_faces(seed: int, count: int) -> None:
    """In each measure every pair is in one band, and that is the smaller, less sharp or further turned face's."""
    covariates, embeddings, people = drawn(seed, count)
    bands = counted(covariates, embeddings, people, [""] * count)
    cosines = embeddings @ embeddings.T
    first, second = np.triu_indices(count, 1)
    worse = {
        "side_px": np.minimum(covariates.side_px[first], covariates.side_px[second]),
        "sharpness": np.minimum(covariates.sharpness[first], covariates.sharpness[second]),
        "yaw_degrees": np.maximum(covariates.yaw_degrees[first], covariates.yaw_degrees[second]),
    }
    same = people[first] == people[second]
    for measure, values in worse.items():
        found = {band.band: band for band in bands if band.measure == measure}
        assert sum(band.impostors[0].pairs + band.genuine[0].pairs for band in found.values()) == len(first)
        for band in found.values():
            inside = np.array([lies_in(value, band.band) for value in values])
            for rates, kind in ((band.impostors, inside & ~same), (band.genuine, inside & same)):
                assert [rate.pairs for rate in rates] == [kind.sum()] * len(SIMILARITIES)
                passing = [(cosines[first, second][kind] >= cosine - 1e-6).sum() for cosine in (0.4, 0.5, 0.6)]
                assert [rate.passing for rate in rates] == passing


def lies_in(value: float, band: str) -> bool:
    """Returns whether a band has this value, by its name."""
    match band.split():
        case ["below", edge]:
            return value < float(edge)
        case [edge, "and", "more"]:
            return value >= float(edge)
        case [low, "to", high]:
            return float(low) <= value < float(high)
    raise AssertionError(band)


def test_groups_are_told_apart_where_labels_do() -> None:
    """Pairs within each group, those of two groups, and none of a face whose group nobody has said."""
    covariates, embeddings, people = drawn(0, 6)
    bands = counted(covariates, embeddings, people, ["b", "b", "a", "", "b", "a"])
    pairs = {band.band: band.impostors[0].pairs + band.genuine[0].pairs for band in bands if band.measure == "group"}
    assert pairs == {"a": 1, "b": 3, TWO_GROUPS: 6}
    assert not [band for band in counted(covariates, embeddings, people, [""] * 6) if band.measure == "group"]


@pytest.mark.parametrize(
    ("passing", "pairs", "low", "high"),
    [
        (0, 100, 0.0, 0.0370),
        (1, 100, 0.0018, 0.0545),
        (50, 100, 0.4038, 0.5962),
        (100, 100, 0.9630, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_intervals_are_wilsons(passing: int, pairs: int, low: float, high: float) -> None:
    """As statsmodels' proportion_confint(…, method="wilson") gives them; without a pair nothing is known."""
    rate = Rate.of(passing, pairs)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=1e-4)


def test_edges_belong_to_the_band_above() -> None:
    """What QualityFilter lets through because it equals the limit is not counted with what it refuses."""
    assert SIDE.band_of(np.array([19.9, 20, 79.9, 80], np.float32)).tolist() == [0, 1, 5, 6]
    assert [SIDE.band_name(band) for band in (0, 1, 6)] == ["below 20", "20 to 24", "80 and more"]
    assert YAW.band_of(np.array([60], np.float32)).tolist() == [4]
