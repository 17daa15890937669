"""Emotions by the expression network of face-api.js, written as an ONNX graph from its shard of weights.

The network is a stack of four dense blocks, of convolutions that are split into one of each channel and one across
channels, an average and a projection to seven scores. The shard has its weights as bytes, each tensor with a scale and
an offset, one behind the other, as a manifest beside it says.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.domain.attributes import Attribute, Attributes, Emotion
from rekognition_emulator.domain.detection import Detection
from rekognition_emulator.imaging.alignment import ARCFACE_TEMPLATE, chips
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.conversion.graph import Graph
from rekognition_emulator.inference.details.on_demand import OnDemand
from rekognition_emulator.inference.embedders.aligned import FACES_AT_ONCE
from rekognition_emulator.inference.engine import AttributeEstimator
from rekognition_emulator.inference.sessions import Device, open_model
from rekognition_emulator.models.records import Estimator
from rekognition_emulator.models.weights import prepared, read_verified

CONVERSION: Final = 1
"""Grows whenever ``build`` writes another graph from the same files."""

SIDE_PX: Final = 112
MEAN_RGB: Final = np.array([122.782, 117.001, 104.298], np.float32)
"""Subtracted from the channels before they are divided by 255. Source: face-api.js, FaceFeatureExtractor."""

EMOTIONS: Final = (
    Emotion.CALM,
    Emotion.HAPPY,
    Emotion.SAD,
    Emotion.ANGRY,
    Emotion.FEAR,
    Emotion.DISGUSTED,
    Emotion.SURPRISED,
)
"""Order of the network's scores: neutral, happy, sad, angry, fearful, disgusted, surprised. Source: face-api.js,
FaceExpressions; what it calls neutral is AWS's CALM."""

BLOCKS: Final = 4

TEMPERATURE: Final = 2.0
"""What the logarithms of the network's scores are divided by. Source: ours, 121 labelled faces: the network is right
about 93 % of them and 97 % sure; with this it is 93 % sure, and the labels are likeliest, in either half of the faces.
All but three of them are CALM or HAPPY: nothing is known of the other emotions."""

Tensors = Mapping[str, NDArray[np.float32]]


def open_expression(
    model: Estimator, folder: Path, cache_dir: Path, threads: int, device: Device = Device.CPU
) -> "ExpressionNetwork":
    """Opens the network from its two files.

    Args:
        model: of the catalogue; its files are the manifest and the shard.
        folder: where they lie.
        cache_dir: where the network is kept as ONNX.
        threads: that one call may use.
        device: that it runs on.

    Raises:
        WeightsMismatch: a file is damaged, cut short or another one.
        ModelUnusable: a file cannot be read, or nothing here runs networks on that device.
    """
    contents = {file: read_verified(folder / file, sha256 or "") for file, sha256 in model.files.items()}
    (manifest,) = (content for file, content in contents.items() if file.endswith(".json"))
    (shard,) = (content for file, content in contents.items() if not file.endswith(".json"))
    made_from = f"{model.name}-{CONVERSION}-{hashlib.sha256(manifest + shard).hexdigest()[:16]}"
    return ExpressionNetwork(
        open_model(prepared(made_from, cache_dir, lambda: build(manifest, shard)), threads, device)
    )


def crop_template() -> NDArray[np.float32]:
    """Returns where the five landmarks come to lie in the square that the network takes, (5, 2) in pixels.

    face-api.js cuts a square that has the eyes at 28 % and the mouth at 73 % of its height, and its middle column
    through both; here the face is turned upright first. Source: face-api.js, FaceLandmarks.
    """
    eyes, mouth = ARCFACE_TEMPLATE[:2].mean(axis=0), ARCFACE_TEMPLATE[3:].mean(axis=0)
    scale = (0.73 - 0.28) * SIDE_PX / (mouth[1] - eyes[1])
    return np.asarray((ARCFACE_TEMPLATE - eyes) * scale + ((SIDE_PX - 1) / 2, 0.28 * SIDE_PX), np.float32)


def build(manifest: bytes, shard: bytes) -> bytes:
    """Writes the network as an ONNX file.

    Its input is (n, 112, 112, 3) uint8, RGB; its output ``scores`` (n, 7) float32, in the order of ``EMOTIONS``, each
    row of sum one.

    Raises:
        ValueError, KeyError: the files are not those of the network.
    """
    tensors = read_tensors(manifest, shard)
    graph = Graph()
    x = graph.layer("Sub", graph.layer("Cast", "input", to=graph.FLOAT), MEAN_RGB)
    x = graph.layer("Transpose", graph.layer("Div", x, np.array(255, np.float32)), perm=[0, 3, 1, 2])
    for block in range(BLOCKS):
        x = _block(graph, x, tensors, f"dense{block}")
    x = graph.layer("Flatten", graph.layer("GlobalAveragePool", x))
    x = graph.layer("Softmax", graph.layer("Gemm", x, tensors["fc/weights"], tensors["fc/bias"]), axis=1)
    return graph.serialise(("n", SIDE_PX, SIDE_PX, 3), {"scores": x})


def read_tensors(manifest: bytes, shard: bytes) -> dict[str, NDArray[np.float32]]:
    """Returns name → weights of a manifest of TensorFlow.js and its one shard.

    Raises:
        ValueError, KeyError, TypeError: the two do not belong together.
    """
    return dict(_tensors(json.loads(manifest)[0]["weights"], shard))


def _tensors(entries: Any, shard: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:  # noqa: ANN401 - any JSON
    position = 0
    for entry in entries:
        count = int(np.prod(entry["shape"]))
        if quantization := entry.get("quantization"):
            stored = np.frombuffer(shard, np.uint8, count, position)
            weights = stored * np.float32(quantization["scale"]) + np.float32(quantization["min"])
        else:
            stored = weights = np.frombuffer(shard, "<f4", count, position)
        position += stored.nbytes
        yield entry["name"], weights.reshape(entry["shape"]).astype(np.float32)
    if position != len(shard):
        raise ValueError(f"{len(shard)} bytes of weights, and the manifest describes {position}")


def _block(graph: Graph, x: str, tensors: Tensors, name: str) -> str:
    """Appends four convolutions of which each sees the sum of all before it; the first halves the sides."""
    total = _convolve(graph, x, tensors, f"{name}/conv0", stride=2)
    x = total = graph.layer("Relu", total)
    for number in range(1, 4):
        total = graph.layer("Add", total, _convolve(graph, x, tensors, f"{name}/conv{number}", stride=1))
        x = graph.layer("Relu", total)
    return x


def _convolve(graph: Graph, x: str, tensors: Tensors, name: str, *, stride: int) -> str:
    """Appends a convolution, plain or separable. TensorFlow's weights are (rows, columns, inputs, outputs)."""
    # What TensorFlow calls "same": of an even side halved, the last row and column are padded and the first are not.
    pads = [1, 1, 1, 1] if stride == 1 else [0, 0, 1, 1]
    bias = tensors[f"{name}/bias"]
    if f"{name}/filters" in tensors:
        filters = tensors[f"{name}/filters"].transpose(3, 2, 0, 1)
        return graph.layer("Conv", x, filters, bias, strides=[stride] * 2, pads=pads)
    depthwise = tensors[f"{name}/depthwise_filter"].transpose(2, 3, 0, 1)
    x = graph.layer("Conv", x, depthwise, strides=[stride] * 2, pads=pads, group=len(depthwise))
    return graph.layer("Conv", x, tensors[f"{name}/pointwise_filter"].transpose(3, 2, 0, 1), bias)


class ExpressionNetwork:
    """Scores what faces show; thread-safe.

    Args:
        session: of a network that ``build`` has written.
    """

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - untyped library
        self._session = session

    def scores(self, image: Image, detections: Sequence[Detection]) -> NDArray[np.float32]:
        """Returns (len(detections), 7) float32, in the order of ``EMOTIONS``; rows of sum one, as sure as right."""
        size = np.array(image.pixels.shape[1::-1], np.float32)
        landmarks = np.stack([detection.landmarks for detection in detections]) * size
        crops = chips(image, landmarks, crop_template(), SIDE_PX)
        batches = np.split(crops, range(FACES_AT_ONCE, len(crops), FACES_AT_ONCE))
        scores = np.concatenate([self._session.run(None, {"input": batch})[0] for batch in batches])
        tempered = scores ** (1 / TEMPERATURE)
        return np.asarray(tempered / tempered.sum(axis=1, keepdims=True), np.float32)


class ExpressionAttributes(AttributeEstimator):
    """Tells which emotions faces show, of those that the network knows.

    Args:
        network: scores them.
    """

    def __init__(self, network: OnDemand[ExpressionNetwork]) -> None:
        self._network = network

    @property
    def known(self) -> AbstractSet[Attribute]:
        return frozenset() if self._network.is_hopeless else frozenset((Attribute.EMOTIONS,))

    def estimate(
        self, image: Image, detections: Sequence[Detection], wanted: AbstractSet[Attribute]
    ) -> list[Attributes]:
        network = self._network.get() if Attribute.EMOTIONS in wanted and detections else None
        if network is None:
            return [Attributes()] * len(detections)
        return [Attributes(emotions=_ranked(scores)) for scores in network.scores(image, detections)]


def _ranked(scores: NDArray[np.float32]) -> list[tuple[Emotion, float]]:
    return [(EMOTIONS[place], 100 * float(scores[place])) for place in np.argsort(-scores, kind="stable")]
