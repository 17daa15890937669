import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekognition_emulator.evaluation import comparison
from rekognition_emulator.evaluation.comparison import NEAREST_STRANGERS, compare_album, compare_pairs

UNDECIDED = 1e-6
"""By how much a cosine may depend on the shape of the block it was computed in."""


def album(seed: int, pictures: int, people: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Makes embeddings up, and whom they are of."""
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(pictures, 8)).astype(np.float32)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), random.integers(0, people, pictures)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 12), st.integers(1, 50))
def test_blocks_agree_with_the_whole_matrix(seed: int, pictures: int, people: int, rows_at_once: int) -> None:
    """Whatever the size of a block, every pair is counted once and every best cosine is found."""
    embeddings, person = album(seed, pictures, people)
    compared = compare_album(embeddings, person, rows_at_once=rows_at_once)
    cosines = embeddings @ embeddings.T
    same, itself = person[:, None] == person, np.eye(pictures, dtype=bool)
    mates, strangers = np.where(same & ~itself, cosines, -np.inf), np.where(same, -np.inf, cosines)
    once = np.triu(~itself)
    assert compared.scores.same_pairs == (same & once).sum()
    assert compared.scores.stranger_pairs == (~same & once).sum()
    near = (np.abs(cosines - 0.5) < UNDECIDED).any()
    assert near or compared.scores.passing(0.5) == tuple(
        ((cosines >= 0.5) & once & kind).sum() for kind in (same, ~same)
    )
    np.testing.assert_allclose(compared.best_mates, mates.max(axis=1), atol=UNDECIDED)
    np.testing.assert_allclose(compared.best_strangers, strangers.max(axis=1), atol=UNDECIDED)
    expected = np.sort(cosines[~same & once])[::-1][:NEAREST_STRANGERS]
    np.testing.assert_allclose([cosine for cosine, _, _ in compared.nearest_strangers], expected, atol=UNDECIDED)
    for cosine, one, other in compared.nearest_strangers:
        assert person[one] != person[other]
        assert cosines[one, other] == pytest.approx(cosine, abs=UNDECIDED)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_the_order_of_an_album_does_not_matter(seed: int) -> None:
    """The same pictures in another order have the same best mates."""
    embeddings, person = album(seed, 30, 8)
    order = np.random.default_rng(seed).permutation(30)
    one, other = compare_album(embeddings, person), compare_album(embeddings[order], person[order])
    np.testing.assert_allclose(one.best_mates[order], other.best_mates, atol=UNDECIDED)
    np.testing.assert_allclose(one.best_strangers[order], other.best_strangers, atol=UNDECIDED)
    assert one.scores.same_pairs == other.scores.same_pairs


def test_a_block_stays_small_and_progress_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No block has more cosines than allowed, and all rows are reported."""
    monkeypatch.setattr(comparison, "COSINES_AT_ONCE", 100)
    embeddings, person = album(1, 40, 5)
    reported: list[int] = []
    compare_album(embeddings, person, on_rows=reported.append)
    done = np.cumsum([0, *reported])
    assert done[-1] == 40
    assert all(rows * (40 - before) <= 100 for rows, before in zip(reported, done[:-1], strict=True))


def test_listed_pairs_are_compared_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions give the cosines that all pairs at once give."""
    embeddings, _ = album(2, 20, 3)
    left, right = np.random.default_rng(3).integers(0, 20, (2, 77))
    monkeypatch.setattr(comparison, "COSINES_AT_ONCE", 50)
    np.testing.assert_allclose(
        compare_pairs(embeddings, left, right), (embeddings @ embeddings.T)[left, right], atol=UNDECIDED
    )
