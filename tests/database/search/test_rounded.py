"""Rounded embeddings: whatever they are, what is found is what comparing all of them finds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.domain.faces import Embedding
from rekognition_emulator.search import quantizers, segment
from rekognition_emulator.search.quantizers import Estimates, ScalarQuantizer
from rekognition_emulator.search.segment import Segment
from rekognition_emulator.search.vectors import cosines, ranked
from tests.support.embeddings import ARCFACE, DLIB, Space, faces_of_people

FACES = 1_100
"""So many that more are looked at before it is given up."""

NOBODY = np.zeros(FACES, bool)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds few embeddings, too, and looks at so few at first that it often has to look at more."""
    monkeypatch.setattr(segment, "ROUNDED_MIN", 1)
    monkeypatch.setattr(quantizers, "_ROUNDED_CANDIDATES", 4)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Makes them of length 1."""
    made: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return made


def drawn(kind: str, dimension: int, spread: float, seed: int) -> tuple[NDArray[np.float32], Embedding]:
    """Draws faces that are hard to tell apart when they are rounded, and a probe."""
    draw = np.random.default_rng(seed)
    faces: NDArray[np.float64] = draw.normal(size=(FACES, dimension))
    probe = draw.normal(size=dimension)
    match kind:
        case "near one another":
            faces = unit(faces[0]) + spread * faces
        case "on a line from the probe":  # each a little further, by less than a rounding step
            faces = unit(probe) + spread * np.linspace(0, 1, FACES)[:, None] * faces[0]
        case "repeated":
            faces = faces[draw.integers(0, 9, FACES)]
        case "one large component":
            faces *= spread
            faces[np.arange(FACES), draw.integers(0, dimension, FACES)] += 1
        case "some far larger in one dimension":
            faces[:3, 0] += 1 / spread
        case "whole numbers":  # many cosines are equal to the last bit
            faces = draw.integers(-1, 2, (FACES, dimension)).astype(np.float64)
            faces[:, 0] = 1
        case "the same but for one":
            faces[1:] = faces[1]
    if seed % 3 == 0:
        probe = faces[seed % FACES]
    return unit(faces), unit(probe)


DRAWN = st.builds(
    drawn,
    st.sampled_from(
        [
            "near one another",
            "on a line from the probe",
            "repeated",
            "one large component",
            "some far larger in one dimension",
            "whole numbers",
            "the same but for one",
            "anywhere",
        ]
    ),
    st.sampled_from([2, 3, 5, 16, 31, 64, 128]),
    st.sampled_from([1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 0.1]),
    st.integers(0, 10_000),
)


def sealed_of(vectors: NDArray[np.float32], *, rounded: bool = True) -> Segment:
    """Seals faces; their ids ascend."""
    ids = np.zeros((len(vectors), 2), ">u8")
    ids[:, 1] = range(len(vectors))
    with pytest.MonkeyPatch.context() as monkeypatch:
        if not rounded:
            monkeypatch.setattr(segment, "ROUNDED_MIN", 10**12)
        return Segment(ids.view(np.uint8), vectors, None, mapped=False)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=DRAWN, limit=st.integers(1, 70), threshold=st.none() | st.integers(0, FACES - 1), some_gone=st.booleans())
def test_finds_what_comparing_all_finds(
    drawn: tuple[NDArray[np.float32], Embedding], limit: int, threshold: int | None, *, some_gone: bool
) -> None:
    """The same faces in the same order with the same cosines to the last bit, those at the very threshold included."""
    vectors, probe = drawn
    gone = np.random.default_rng(limit).random(FACES) < 0.3 if some_gone else NOBODY
    cosine_min = -1.0 if threshold is None else float(cosines(vectors, probe)[threshold])
    ours, all_compared = (
        ranked(sealed_of(vectors, rounded=rounded).nearest(probe, cosine_min, limit, gone), limit, None)
        for rounded in (True, False)
    )
    assert ours == all_compared


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=DRAWN)
def test_error_stays_within_its_bound(drawn: tuple[NDArray[np.float32], Embedding]) -> None:
    """No estimate is further from the cosine in double precision, nor from the one that is compared."""
    vectors, probe = drawn
    estimates = ScalarQuantizer.of(vectors).estimate(probe, FACES)
    assert sorted(estimates.rows) == list(range(FACES))
    exact = vectors[estimates.rows].astype(np.float64) @ probe.astype(np.float64)
    assert np.abs(estimates.cosines - exact).max() <= estimates.below_threshold
    assert np.abs(estimates.cosines - cosines(vectors, probe)[estimates.rows]).max() <= estimates.below_threshold


@settings(max_examples=60, deadline=None, derandomize=True)
@given(drawn=DRAWN, limit=st.integers(1, 70), seed=st.integers(0, 99))
def test_finds_all_even_if_each_estimate_is_as_wrong_as_it_may_be(
    drawn: tuple[NDArray[np.float32], Embedding], limit: int, seed: int
) -> None:
    """Also if the nearest are understated and others overstated, all by the whole bound."""
    vectors, probe = drawn
    true = cosines(vectors, probe)
    estimate = ScalarQuantizer.estimate
    signs = np.random.default_rng(seed).choice(np.array([-0.999, 0.999], np.float32), FACES)

    def wrong(rounded: ScalarQuantizer, probe: Embedding, count: int) -> Estimates:
        right = estimate(rounded, probe, count)
        looks = true + signs * np.float32(right.below_threshold)
        rows = np.argsort(-looks)[:count]
        return replace(right, rows=rows, cosines=looks[rows].astype(np.float32))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ScalarQuantizer, "estimate", wrong)
        ours = ranked(sealed_of(vectors).nearest(probe, -1, limit, NOBODY), limit, None)
    assert ours == ranked(sealed_of(vectors, rounded=False).nearest(probe, -1, limit, NOBODY), limit, None)


@pytest.mark.parametrize("space", [ARCFACE, DLIB], ids=["arcface", "dlib"])
def test_few_are_compared(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among faces as they are, the bound is tight enough to spare nine embeddings in ten."""
    monkeypatch.setattr(quantizers, "_ROUNDED_CANDIDATES", 512)
    vectors, _ = faces_of_people(6_000, space)
    faces = sealed_of(vectors)
    compared = []
    for probe in vectors[::200]:
        rows = faces._candidates(probe, -1, 50, np.zeros(6_000, bool))
        compared.append(len(vectors) if rows is None else len(rows))
    assert np.mean(compared) < 600


def test_memory_that_is_taken_counts() -> None:
    """One byte for each dimension, for which others have to make room."""
    vectors, _ = drawn("anywhere", 64, 1, 0)
    assert sealed_of(vectors).size_bytes == sealed_of(vectors, rounded=False).size_bytes + vectors.size
