import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.embedders.onnx_embedder import OnnxNetwork
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.selection import ModelFiles, load_engine, load_engine_to_measure
from rekognition_emulator.models.catalogue import ARCFACE
from rekognition_emulator.models.records import Embedder
from tests.support.networks import MOBILEFACE, write_manifest


class Recorder:
    """A session that keeps what it is fed."""

    def __init__(self, batch: int | str = "n") -> None:
        self.batch = batch
        self.fed: list[NDArray[Any]] = []

    def get_inputs(self) -> list[SimpleNamespace]:
        """One input."""
        return [SimpleNamespace(name="x", shape=[self.batch, 112, 112, 3])]

    def run(self, _: None, feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """As many rows as faces, each (3, 4)."""
        self.fed.append(feed["x"])
        return [np.tile(np.array([3, 4], np.float32), (len(feed["x"]), 1))]


def fed(embedder: Embedder, batch: int | str = "n") -> list[NDArray[Any]]:
    """Returns what reaches the network of two chips, whose red is 0, green 100 and blue 200."""
    session = Recorder(batch)
    faces = np.tile(np.array([0, 100, 200], np.uint8), (2, 112, 112, 1))
    embeddings = OnnxNetwork(embedder, session)(faces)
    assert np.allclose(embeddings, [[0.6, 0.8]] * 2)
    assert all(each.dtype == np.float32 for each in session.fed)
    return session.fed


def test_channels_are_scaled_as_described() -> None:
    """Value minus mean, times scale."""
    (faces,) = fed(replace(ARCFACE, mean=100.0, scale=0.01))
    assert faces.shape == (2, 112, 112, 3)
    assert np.allclose(faces[1, 5, 7], [-1, 0, 1])


def test_colours_come_in_the_described_order() -> None:
    """BGR is blue first."""
    (faces,) = fed(replace(ARCFACE, mean=0.0, scale=1.0, colours="BGR"))
    assert faces[0, 0, 0].tolist() == [200, 100, 0]


def test_planes_come_first_where_described() -> None:
    """NCHW keeps each colour in its plane."""
    (faces,) = fed(replace(ARCFACE, mean=0.0, scale=1.0, layout="NCHW"))
    assert faces.shape == (2, 3, 112, 112)
    assert np.array_equal(faces[0].mean(axis=(1, 2)), [0, 100, 200])


def test_a_graph_for_one_face_gets_one_at_a_time() -> None:
    """As SFace's."""
    assert [len(each) for each in fed(ARCFACE, batch=1)] == [1, 1]


@pytest.fixture
def pairs(
    model_files: ModelFiles,
    weights: Callable[[str], Path],
    faces_dir: Path,
    photograph: Callable[[str], Image],
    tmp_path: Path,
) -> tuple[Callable[[], FaceEngine], NDArray[np.float64], NDArray[np.bool_]]:
    """An operator's folder with MobileFace, the cosines of labelled pairs, and whether they are of one person."""
    (tmp_path / MOBILEFACE["file"]).symlink_to(weights(MOBILEFACE["file"]))
    files = replace(model_files, models_dir=tmp_path)
    write_manifest(tmp_path, name="mobileface", **MOBILEFACE)
    engine = load_engine_to_measure("mobileface", "mtcnn", files)
    with (faces_dir / "pairs.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    embeddings = {}
    for name in {row[side] for row in table for side in ("file_a", "file_b")}:
        image = photograph(name)
        largest = max(engine.detect(image), key=lambda face: face.box.area)
        embeddings[name] = engine.embed(image, [largest])[0]
    cosines = np.array([float(embeddings[row["file_a"]] @ embeddings[row["file_b"]]) for row in table])
    return lambda: load_engine("mobileface", "mtcnn", files), cosines, np.array([row["same"] == "1" for row in table])


def test_an_operators_own_model_tells_people_apart(
    pairs: tuple[Callable[[], FaceEngine], NDArray[np.float64], NDArray[np.bool_]], tmp_path: Path
) -> None:
    """Real weights behind a manifest: measured, calibrated by what was measured, and served."""
    serve, cosines, same = pairs
    assert (cosines[same][:, None] > cosines[~same]).mean() > 0.99
    strangers = float(cosines[~same].max())
    write_manifest(tmp_path, name="mobileface", **MOBILEFACE, calibration=[[strangers - 0.1, 40], [strangers, 79]])
    model = serve().model
    matched = np.array([model.similarity(cosine) >= 80 for cosine in cosines])
    assert not matched[~same].any()
    assert matched[same].mean() > 0.8
