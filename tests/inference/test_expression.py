"""The expression network is built as its publisher describes it, and says of faces what they show."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Emotion
from rekognition_emulator.imaging.image import decode
from rekognition_emulator.inference.details.expression import (
    BLOCKS,
    EMOTIONS,
    MEAN_RGB,
    SIDE_PX,
    ExpressionNetwork,
    build,
    crop_template,
    read_tensors,
)
from rekognition_emulator.inference.engine import FaceEngine
from rekognition_emulator.inference.sessions import open_model

MANIFEST, SHARD = "face_expression_model-weights_manifest.json", "face_expression_model.bin"


def weights(seed: int = 0) -> tuple[bytes, bytes]:
    """A manifest and a shard of the network's shape; as the publisher's, quantized but for biases."""
    random = np.random.default_rng(seed)
    entries, shard = [], b""

    def add(name: str, *shape: int, quantized: bool = True) -> None:
        nonlocal shard
        entry: dict[str, object] = {"name": name, "shape": shape, "dtype": "float32"}
        if quantized:
            entry["quantization"] = {"dtype": "uint8", "scale": 0.004, "min": -0.5}
            shard += random.integers(0, 256, shape, np.uint8).tobytes()
        else:
            shard += random.normal(0, 0.1, shape).astype("<f4").tobytes()
        entries.append(entry)

    inputs = 3
    for block in range(BLOCKS):
        outputs = 32 * 2**block
        for number in range(4):
            name = f"dense{block}/conv{number}"
            if block == number == 0:
                add(f"{name}/filters", 3, 3, inputs, outputs)
            else:
                add(f"{name}/depthwise_filter", 3, 3, inputs, 1)
                add(f"{name}/pointwise_filter", 1, 1, inputs, outputs)
            add(f"{name}/bias", outputs, quantized=False)
            inputs = outputs
    add("fc/weights", inputs, 7)
    add("fc/bias", 7, quantized=False)
    return json.dumps([{"paths": [SHARD], "weights": entries}]).encode(), shard


def same(x: NDArray[np.float32], filters: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """A convolution as TensorFlow pads it: filters (rows, columns, inputs, outputs), x (rows, columns, inputs)."""
    pad = 2 if stride == 1 else 1
    before = pad // 2
    padded = np.pad(x, ((before, pad - before), (before, pad - before), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::stride, ::stride]
    return np.asarray(np.einsum("ijcrk,rkco->ijo", windows, filters, optimize=True), np.float32)


def reference(tensors: dict[str, NDArray[np.float32]], face: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network, layer by layer."""

    def convolve(x: NDArray[np.float32], name: str, stride: int) -> NDArray[np.float32]:
        if f"{name}/filters" in tensors:
            return same(x, tensors[f"{name}/filters"], stride) + tensors[f"{name}/bias"]
        depthwise = tensors[f"{name}/depthwise_filter"]
        split = [same(x[..., [c]], depthwise[:, :, [c]], stride) for c in range(x.shape[-1])]
        across = np.concatenate(split, axis=-1) @ tensors[f"{name}/pointwise_filter"][0, 0]
        return np.asarray(across + tensors[f"{name}/bias"], np.float32)

    x = np.asarray((face.astype(np.float32) - MEAN_RGB) / 255, np.float32)
    for block in range(BLOCKS):
        first = np.maximum(convolve(x, f"dense{block}/conv0", 2), 0)
        second = convolve(first, f"dense{block}/conv1", 1)
        third = convolve(np.maximum(first + second, 0), f"dense{block}/conv2", 1)
        fourth = convolve(np.maximum(first + second + third, 0), f"dense{block}/conv3", 1)
        x = np.maximum(first + second + third + fourth, 0)
    scores = x.mean(axis=(0, 1)) @ tensors["fc/weights"] + tensors["fc/bias"]
    likely = np.exp(scores - scores.max())
    return np.asarray(likely / likely.sum(), np.float32)


def test_the_graph_computes_the_publishers_layers() -> None:
    """The same numbers as the layers written out, for weights that nobody has trained."""
    manifest, shard = weights()
    session = open_model(build(manifest, shard), 1)
    faces = np.random.default_rng(1).integers(0, 256, (2, SIDE_PX, SIDE_PX, 3), np.uint8)
    (scores,) = session.run(None, {"input": faces})
    tensors = read_tensors(manifest, shard)
    for face, found in zip(faces, scores, strict=True):
        np.testing.assert_allclose(found, reference(tensors, face), rtol=1e-3, atol=1e-5)


def test_weights_that_do_not_fit_their_manifest_are_refused() -> None:
    """A shard that is longer or shorter belongs to another manifest."""
    manifest, shard = weights()
    for other in (shard[:-1], shard + b"\0"):
        with pytest.raises(ValueError, match=r"bytes|buffer"):
            build(manifest, other)


def test_a_crop_has_the_eyes_and_the_mouth_where_face_api_has_them() -> None:
    """At 28 and 73 % of its height, and the middle column between them."""
    template = crop_template()
    eyes, mouth = template[:2].mean(axis=0), template[3:].mean(axis=0)
    assert eyes[1] / SIDE_PX == pytest.approx(0.28, abs=0.005)
    assert mouth[1] / SIDE_PX == pytest.approx(0.73, abs=0.005)
    assert eyes[0] == pytest.approx((SIDE_PX - 1) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("picture", "shown"),
    [
        ("insp_happy.png", Emotion.HAPPY),
        ("insp_roll.png", Emotion.HAPPY),
        ("insp_angry.png", Emotion.ANGRY),
        ("insp_eyes_open.png", Emotion.CALM),
    ],
)
def test_the_real_network_sees_what_faces_show(
    picture: str, shown: Emotion, faces_dir: Path, weights_dir: Path, embedded: FaceEngine
) -> None:
    """Also of a head that is tilted, which is set upright."""
    if not (weights_dir / SHARD).is_file():
        pytest.skip(f"no {SHARD} in {weights_dir}")
    graph = build((weights_dir / MANIFEST).read_bytes(), (weights_dir / SHARD).read_bytes())
    network = ExpressionNetwork(onnxruntime.InferenceSession(graph))
    image = decode((faces_dir / "pose" / picture).read_bytes())
    scores = network.scores(image, embedded.detect(image)[:1])
    assert scores.shape == (1, len(EMOTIONS))
    assert scores.sum() == pytest.approx(1, abs=1e-5)
    assert EMOTIONS[int(scores[0].argmax())] is shown
