"""Heads are fitted to what they should tell, and judged on pictures that they have not seen."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.evaluation.attribute_heads import enough, fit_head, read_labelled_faces


def faces(count: int, separation: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Embeddings of which a third lies further along one direction, by so many standard deviations."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    embeddings = random.normal(size=(count, 16))
    embeddings[labels, 3] += separation
    return (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32), labels


def test_a_head_tells_what_can_be_told() -> None:
    """On faces that it was not fitted on, it is as good as its left-out figures say."""
    embeddings, labels = faces(600, 3.0)
    head = fit_head(embeddings, labels, np.arange(600))
    assert (head.faces, head.positive) == (600, 200)
    assert head.auc > 0.95
    others, truth = faces(600, 3.0, seed=1)
    right = ((others @ head.weights + head.bias >= 0) == truth).mean()
    assert right == pytest.approx(head.accuracy, abs=0.03)


def test_probabilities_are_honest() -> None:
    """Of the faces to which it gives about 80 %, about 80 % have it: no raw score passes for a probability."""
    embeddings, labels = faces(3000, 1.5)
    head = fit_head(embeddings, labels, np.arange(3000))
    others, truth = faces(3000, 1.5, seed=1)
    probabilities = 1 / (1 + np.exp(-(others @ head.weights + head.bias)))
    for low in (0.1, 0.3, 0.5, 0.7):
        there = (probabilities >= low) & (probabilities < low + 0.2)
        assert truth[there].mean() == pytest.approx(probabilities[there].mean(), abs=0.08)


def test_what_cannot_be_told_is_not() -> None:
    """Where labels have nothing to do with faces, the left-out ranks are chance, however well the others fit."""
    embeddings, labels = faces(300, 0.0)
    assert fit_head(embeddings, labels, np.arange(300)).auc == pytest.approx(0.5, abs=0.12)


def test_a_picture_is_never_in_two_folds() -> None:
    """Near copies of a face in one picture teach nothing about it: left out together, they are chance again."""
    embeddings, labels = faces(60, 0.0)
    copies = np.repeat(embeddings, 8, axis=0), np.repeat(labels, 8)
    assert fit_head(*copies, np.repeat(np.arange(60), 8)).auc < 0.7
    assert fit_head(*copies, np.arange(480)).auc > 0.75


@pytest.mark.parametrize(
    ("labels", "pictures", "is_enough"),
    [([1] * 20 + [0] * 20, range(40), True), ([1] * 19 + [0] * 40, range(59), False), ([1, 0] * 30, [0] * 60, False)],
)
def test_what_is_enough(labels: list[int], pictures: list[int], *, is_enough: bool) -> None:
    """Twenty faces of either kind, in five pictures or more."""
    assert enough(np.array(labels, bool), np.array(list(pictures))) is is_enough


@pytest.mark.parametrize(("header", "known"), [("face_occluded", True), ("occluded", True), ("Occlusion", False)])
def test_a_column_may_have_its_former_name(tmp_path: Path, header: str, *, known: bool) -> None:
    """Lists that were made for it are read as before; other columns are passed over."""
    listed = tmp_path / "labels.csv"
    listed.write_text(f"file,beard,{header}\na.jpg,no,yes\nb.jpg,yes,\n")
    first, second = read_labelled_faces(listed, tmp_path, ["beard", "face_occluded"])
    assert first.labels == {"beard": False} | ({"face_occluded": True} if known else {})
    assert second.labels == {"beard": True}
