import io
from pathlib import Path

import numpy as np
import PIL.Image

from benchmarks.gpu import DIMENSION, measure, search_network
from rekognition_emulator.inference.selection import ModelFiles
from rekognition_emulator.inference.sessions import Device, open_model


def test_every_step_is_measured_without_a_device_too(tmp_path: Path) -> None:
    """Whoever has such a device gets numbers from the first run on: the script is tried here on the CPU."""
    noise = io.BytesIO()
    pixels = np.random.default_rng(2).integers(0, 256, (90, 120, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(noise, "JPEG")
    files = ModelFiles(tmp_path / "networks", tmp_path, tmp_path, device=Device.CPU)
    section = measure(files, {"noise": noise.getvalue()}, gallery=100, seconds=0.0)
    steps = [(row[0].partition(",")[0], row[1]) for row in section.rows]
    each = ["1", "8", "32"]
    expected = [("decode", "1"), *(("detect", n) for n in each), *(("embed", n) for n in each)]
    assert steps == [*expected, *(("search", n) for n in each)]
    assert all(float(row[2].replace(",", "")) > 0 for row in section.rows)


def test_the_network_that_searches_finds_the_nearest() -> None:
    """By descending cosine, for each probe."""
    random = np.random.default_rng(1)
    gallery, probes = (
        random.standard_normal((40, DIMENSION), np.float32),
        random.standard_normal((3, DIMENSION), np.float32),
    )
    cosines, rows = open_model(search_network(5), threads=1).run(None, {"probes": probes, "gallery": gallery.T})
    expected = np.argsort(-probes @ gallery.T, axis=1)[:, :5]
    assert np.array_equal(rows, expected)
    assert np.allclose(cosines, np.take_along_axis(probes @ gallery.T, expected, axis=1), rtol=1e-4)
