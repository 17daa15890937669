"""A small builder of ONNX graphs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 17
"""Version of the ONNX operators. Old enough for every ONNX Runtime since 2022."""

IR_VERSION = 8
"""Version of the ONNX file format that came with it."""


class Graph:
    """A network written down layer by layer; every layer's name is the tensor that it gives."""

    FLOAT = 1
    """ONNX's number of the type float32."""

    UINT8 = 2
    """ONNX's number of the type uint8."""

    def __init__(self) -> None:
        self._layers: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = []
        self._weights: dict[str, NDArray[Any]] = {}

    def layer(self, operator: str, *inputs: str | NDArray[Any], **attributes: Any) -> str:  # noqa: ANN401 - ONNX's own
        """Appends a layer.

        Args:
            operator: ONNX's name of it.
            inputs: names of earlier layers or of the graph's input, or arrays of weights.
            attributes: as ONNX spells them.

        Returns:
            The name of its output.
        """
        output = f"{operator}_{len(self._layers)}"
        names = [self._name(value, f"{output}_weights_{position}") for position, value in enumerate(inputs)]
        self._layers.append((operator, tuple(names), output, attributes))
        return output

    def _name(self, value: str | NDArray[Any], name: str) -> str:
        if isinstance(value, str):
            return value
        self._weights[name] = value
        return name

    def serialise(self, shape: tuple[int | str, ...], outputs: dict[str, str], *, input_type: int = UINT8) -> bytes:
        """Writes the graph as an ONNX file.

        Args:
            shape: of the one input, which is called ``input``; letters stand for any size.
            outputs: what each float32 output is to be called, and the layer that gives it.
            input_type: ``UINT8`` or ``FLOAT``.
        """
        # Only here: importing onnx takes longer than loading all networks, and they are written once.
        from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - see above

        nodes = [
            helper.make_node(operator, names, [output], **attributes)
            for operator, names, output, attributes in self._layers
        ]
        nodes += [helper.make_node("Identity", [layer], [name]) for name, layer in outputs.items()]
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("input", input_type, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in self._weights.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))
