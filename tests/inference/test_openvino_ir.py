"""Reading OpenVINO's format, on networks that the tests write, and on the one that is recommended."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rekognition_emulator.inference.conversion.openvino_ir import INPUT, OUTPUT, convert
from rekognition_emulator.inference.sessions import open_model
from rekognition_emulator.models.catalogue import RETAIL_0095
from rekognition_emulator.models.weights import ModelUnusable
from tests.support.openvino import CONVOLUTION, Ir

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(1, 4, 6, 6)).astype(np.float32)


def drawn(*shape: int) -> NDArray[np.float32]:
    """Makes up weights that 16 bits hold exactly."""
    return RANDOM.normal(size=shape).astype(np.float16).astype(np.float32)


def run(ir: Ir, x: NDArray[np.float32] = X) -> NDArray[np.float32]:
    """Puts a tensor through a network."""
    (answer,) = open_model(convert(ir.xml, ir.weights), threads=1).run([OUTPUT], {INPUT: x})
    return np.asarray(answer)


def alone(kind: str, *weights: NDArray[np.float32], said: Mapping[str, str] | None = None, half: bool = True) -> Ir:
    """A network of one layer, that reads the input and these weights."""
    ir = Ir()
    x = ir.parameter(*X.shape)
    consts = [ir.const(each, half=half) for each in weights]
    ir.layer("Result", X.shape, ir.layer(kind, X.shape, x, *consts, **said or {}))
    return ir


def convolved(x: NDArray[np.float32], filters: NDArray[np.float32], stride: int) -> NDArray[np.float64]:
    """Convolves by definition: 3 × 3 filters, one pixel of zeros around."""
    padded = np.pad(x[0].astype(float), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
    return np.asarray(np.einsum("chwrs,ocrs->ohw", windows, filters))[None]


def test_several_images_go_through_at_once() -> None:
    """Though the network declares a single one; each comes out as it would alone."""
    filters = drawn(5, 4, 3, 3)
    ir = alone("Convolution", filters, said={**CONVOLUTION, "pads_begin": "1, 1", "pads_end": "1, 1"})
    several = np.concatenate([X, X[:, ::-1], X + 1])
    answers = run(ir, several)
    assert len(answers) == 3
    assert all(np.allclose(answer, run(ir, x[None])[0], atol=1e-5) for answer, x in zip(answers, several, strict=True))


@pytest.mark.parametrize("half", [True, False], ids=["16 bits", "32 bits"])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_are_what_they_are_by_definition(stride: int, *, half: bool) -> None:
    """Whatever the width of their weights, strides and padding."""
    filters = drawn(5, 4, 3, 3)
    said = {**CONVOLUTION, "strides": f"{stride}, {stride}", "pads_begin": "1, 1", "pads_end": "1, 1"}
    answer = run(alone("Convolution", filters, half=half, said=said))
    assert np.allclose(answer, convolved(X, filters, stride), atol=1e-5)


def test_groups_are_convolved_apart() -> None:
    """Each half of the channels has filters of its own."""
    filters = drawn(2, 3, 2, 3, 3)
    said = {**CONVOLUTION, "pads_begin": "1, 1", "pads_end": "1, 1"}
    expected = [convolved(X[:, 2 * group : 2 * group + 2], filters[group], 1) for group in range(2)]
    assert np.allclose(run(alone("GroupConvolution", filters, said=said)), np.concatenate(expected, axis=1), atol=1e-5)


def test_element_wise_layers() -> None:
    """Sums, products, slopes below zero, and the sigmoid."""
    each = drawn(1, 4, 1, 1)
    assert np.allclose(run(alone("Add", each)), X + each)
    assert np.allclose(run(alone("Multiply", each)), X * each)
    assert np.allclose(run(alone("Sigmoid")), 1 / (1 + np.exp(-X)), atol=1e-6)
    assert np.allclose(run(alone("PReLU", np.array([0.25], np.float32))), np.where(X > 0, X, X / 4))


def test_pools_leave_the_padding_out_where_they_say_so() -> None:
    """A corner's mean is that of what is in the picture, or of the window with its zeros."""
    said = {"kernel": "3, 3", "strides": "3, 3", "pads_begin": "1, 1", "pads_end": "1, 1"}
    said |= {"auto_pad": "explicit", "rounding_type": "floor"}
    corner = X[0, 0, :2, :2]
    without, within = (run(alone("AvgPool", said={**said, "exclude-pad": each})) for each in ("true", "false"))
    assert without[0, 0, 0, 0] == pytest.approx(corner.mean(), abs=1e-6)
    assert within[0, 0, 0, 0] == pytest.approx(corner.sum() / 9, abs=1e-6)


def test_inputs_are_read_by_their_ports() -> None:
    """Whichever order the edges have: what is convolved is not taken for the filters."""
    ir = Ir()
    filters = ir.const(drawn(4, 4, 1, 1))
    x = ir.parameter(*X.shape)
    ir.layer("Result", X.shape, ir.layer("Convolution", X.shape, x, filters, **CONVOLUTION))
    assert run(ir).shape == X.shape


@pytest.mark.parametrize(
    ("ir", "says"),
    [
        (alone("Gelu"), "a layer of the kind Gelu"),
        (alone("PReLU", drawn(4)), "a PReLU with 4 slopes"),
        (alone("Convolution", drawn(4, 4, 1, 1), said={**CONVOLUTION, "auto_pad": "same_upper"}), "pads by same_upper"),
        (alone("Convolution", drawn(4, 4, 1, 1)), "no OpenVINO IR that can be read here"),
    ],
    ids=["layer", "slopes", "padding", "attributes"],
)
def test_what_is_not_known_is_refused_by_its_name(ir: Ir, says: str) -> None:
    """Nothing is guessed: another network would give other numbers without a word."""
    with pytest.raises(ModelUnusable, match=says):
        convert(ir.xml, ir.weights)


def test_what_is_no_network_is_refused() -> None:
    """Text that is no XML, XML that is no network, and weights that are cut short."""
    whole = alone("Add", drawn(1, 4, 1, 1))
    for xml, weights in ((b"<html>", b""), (b"", b""), (whole.xml, whole.weights[:-1])):
        with pytest.raises(ModelUnusable, match="no OpenVINO IR"):
            convert(xml, weights)


RECORDED = {0: 0.6252618, 51: -0.2192219, 102: -0.5157766, 153: -0.2279783, 204: 0.0306286, 255: 0.1184607}
"""Some of the 256 numbers that OpenVINO 2026.4.1 gives for the picture below, in 32 bits."""


def test_the_recommended_network_gives_what_openvino_gives(weights: Callable[[str], Path]) -> None:
    """To the last bits of 32, on a picture that anybody can make."""
    xml, data = (weights(file).read_bytes() for file in RETAIL_0095.files)
    session: Any = open_model(convert(xml, data), threads=1)
    ramp = (np.arange(3 * 128 * 128, dtype=np.float32) * 7 % 256).reshape(1, 3, 128, 128)
    (answer,) = session.run([OUTPUT], {INPUT: ramp})
    found = answer.reshape(-1)
    assert found.shape == (256,)
    assert {place: float(found[place]) for place in RECORDED} == pytest.approx(RECORDED, abs=1e-5)
