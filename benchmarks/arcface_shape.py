"""A network that costs what DeepFace's ArcFace costs, with weights drawn at random.

An IResNet-34 (Deng et al. 2019, section 4 of the ArcFace paper) with its normalisations folded into its convolutions:
3, 4, 6 and 3 blocks of 64, 128, 256 and 512 channels over 112 px, and 512 numbers at the end.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

BLOCKS: Final = ((64, 3), (128, 4), (256, 6), (512, 3))


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._random = np.random.default_rng(0)

    def drawn(self, shape: tuple[int, ...], deviation: float) -> str:
        values: NDArray[np.float32] = self._random.normal(0, deviation, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, f"w{len(self.weights)}"))
        return f"w{len(self.weights) - 1}"

    def layer(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolve(self, x: str, channels: tuple[int, int], side: int, stride: int, gain: float = 1.0) -> str:
        inputs, outputs = channels
        filters = self.drawn((outputs, inputs, side, side), gain * (2 / (inputs * side * side)) ** 0.5)
        pads = [side // 2] * 4
        return self.layer("Conv", x, filters, self.drawn((outputs,), 0.01), strides=[stride] * 2, pads=pads)

    def prelu(self, x: str, channels: int) -> str:
        return self.layer("PRelu", x, self.drawn((channels, 1, 1), 0.1))


def write_arcface(path: Path) -> None:
    """Writes the network: (n, 112, 112, 3) float32 to (n, 512) float32, as DeepFace's file has it."""
    writer = _Writer()
    x = writer.layer("Transpose", "input", perm=[0, 3, 1, 2])
    x = writer.prelu(writer.convolve(x, (3, 64), 3, 1), 64)
    inputs = 64
    for outputs, count in BLOCKS:
        for place in range(count):
            stride = 1 if place else 2
            residual = writer.prelu(writer.convolve(x, (inputs, outputs), 3, 1), outputs)
            residual = writer.convolve(residual, (outputs, outputs), 3, stride, gain=0.3)
            shortcut = x if place else writer.convolve(x, (inputs, outputs), 1, stride)
            x = writer.layer("Add", residual, shortcut)
            inputs = outputs
    x = writer.layer("Gemm", writer.layer("Flatten", x), writer.drawn((512 * 7 * 7, 512), 0.01))
    writer.nodes.append(helper.make_node("Identity", [x], ["embedding"]))
    graph = helper.make_graph(
        writer.nodes,
        "arcface",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 112, 112, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 512])],
        writer.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
